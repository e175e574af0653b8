//! Clients that say numbered messages at a steady pace, whether or not they are answered, and write down what they hear.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fastrand::Rng;

use crate::clock::Clock;
use crate::request::{Kind, MessageId, Reply, Request};

/// All clients of a run.
#[derive(Debug)]
pub struct Load {
    clock: Clock,
    rng: Rng,
    clients: Vec<Client>,
    /// Replies that no message of theirs asked for.
    stray: Vec<String>,
    heard_at: Duration,
}

/// A client and all that it has said and heard.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    gateway: usize,
    /// What it is called, once it knows.
    id: Option<String>,
    input: Vec<u8>,
    /// What the kernel has not taken yet: the last message, or its end.
    output: Vec<u8>,
    next_at: Duration,
    sent: Vec<Sent>,
    closed_at: Option<Duration>,
}

/// A message, and what came of it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What it asked for.
    pub kind: Kind,
    /// When it was said, since the run began.
    pub at: Duration,
    /// Which client shall hear of it.
    pub target: Option<u32>,
    /// When its own client heard of it, and what.
    pub answers: Vec<(Duration, String)>,
    /// When the other one did.
    pub foreign: Vec<Duration>,
}

impl Load {
    /// Connects clients to gateways in turn, each saying [`Kind::Hello`].
    ///
    /// # Panics
    /// A gateway does not take them.
    pub fn connect(clock: Clock, seed: u64, gateways: &[SocketAddr]) -> Load {
        let mut load = Load {
            clock,
            rng: Rng::with_seed(seed),
            clients: Vec::new(),
            stray: Vec::new(),
            heard_at: Duration::ZERO,
        };
        for index in 0..CLIENTS {
            let gateway = index as usize % gateways.len();
            let stream = TcpStream::connect(gateways[gateway]).expect("a gateway takes clients");
            stream.set_nodelay(true).expect("TCP_NODELAY can be set");
            stream.set_nonblocking(true).expect("a socket can be asked not to block");
            load.clients.push(Client {
                stream,
                gateway,
                id: None,
                input: Vec::new(),
                output: Vec::new(),
                next_at: Duration::ZERO,
                sent: Vec::new(),
                closed_at: None,
            });
            load.say(index, Kind::Hello);
        }
        load
    }

    /// Whether every client knows what it is called.
    pub fn has_begun(&self) -> bool {
        self.clients.iter().all(|client| client.id.is_some())
    }

    /// Whether everything that was said has been heard of.
    pub fn is_quiet(&self) -> bool {
        let is_open = |index: u32| self.clients[index as usize].closed_at.is_none();
        let is_answered = |sent: &Sent| {
            let foreign = sent.target.is_some_and(|target| is_open(target) && sent.foreign.is_empty());
            !sent.answers.is_empty() && !foreign
        };
        let mut open = self.clients.iter().filter(|client| client.closed_at.is_none());
        open.all(|client| client.output.is_empty() && client.sent.iter().all(is_answered))
    }

    /// When anything was heard last.
    pub fn heard_at(&self) -> Duration {
        self.heard_at
    }

    /// Has those say something whose turn it is.
    pub fn send(&mut self) {
        let now = self.clock.now();
        for index in 0..CLIENTS {
            let client = &mut self.clients[index as usize];
            if client.closed_at.is_some() || client.next_at > now || !client.output.is_empty() {
                continue;
            }
            client.next_at = now + self.rng.u32(50..150) * PACE / 100;
            let kinds = &Kind::ALL[1..];
            let kind = kinds[self.rng.usize(..kinds.len())];
            self.say(index, kind);
        }
    }

    /// Hears what there is, and says what the kernel had not taken.
    pub fn receive(&mut self) {
        let now = self.clock.now();
        for index in 0..self.clients.len() {
            self.flush(index);
            for line in self.clients[index].receive(now) {
                self.heard_at = now;
                if self.note(index as u32, &line, now).is_none() {
                    self.stray.push(format!("client {index} heard: {line}"));
                }
            }
        }
    }

    /// What all clients have said and heard.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// What was heard and had not been asked for.
    pub fn stray(&self) -> &[String] {
        &self.stray
    }

    fn say(&mut self, index: u32, kind: Kind) {
        let target = if kind == Kind::Foreign { self.other(index) } else { None };
        let name = target.and_then(|other| self.clients[other as usize].id.clone());
        let client = &mut self.clients[index as usize];
        let id = MessageId { client: index, number: client.sent.len() as u32 };
        let at = self.clock.now();
        client.sent.push(Sent { kind, at, target, answers: Vec::new(), foreign: Vec::new() });
        let request = Request { kind, id, target: name.as_deref().unwrap_or("-") };
        client.output.extend_from_slice(format!("{request}\n").as_bytes());
        self.flush(index as usize);
    }

    /// A client of another gateway.
    fn other(&mut self, index: u32) -> Option<u32> {
        let gateway = self.clients[index as usize].gateway;
        let others: Vec<u32> = (0..CLIENTS)
            .filter(|&other| {
                let client = &self.clients[other as usize];
                client.gateway != gateway && client.closed_at.is_none()
            })
            .collect();
        self.rng.choice(others)
    }

    fn flush(&mut self, index: usize) {
        let now = self.clock.now();
        let client = &mut self.clients[index];
        while !client.output.is_empty() && client.closed_at.is_none() {
            match client.stream.write(&client.output) {
                Ok(size) => drop(client.output.drain(..size)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => client.closed_at = Some(now),
            }
        }
    }

    /// `None`: nothing asked for this.
    fn note(&mut self, hearer: u32, line: &str, now: Duration) -> Option<()> {
        match Reply::parse(line)? {
            Reply::Answer { id, value } => {
                let client = self.clients.get_mut(id.client as usize).filter(|_| id.client == hearer)?;
                let sent = client.sent.get_mut(id.number as usize)?;
                sent.answers.push((now, value.to_owned()));
                if sent.kind == Kind::Hello {
                    client.id = Some(value.to_owned());
                }
            }
            Reply::Foreign { id } => {
                let client = self.clients.get_mut(id.client as usize)?;
                let sent = client.sent.get_mut(id.number as usize)?;
                sent.foreign.push(now);
                (sent.target == Some(hearer)).then_some(())?;
            }
        }
        Some(())
    }
}

impl Client {
    /// What it has said, by number.
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// Whether a gateway has been handed this message whole.
    pub fn is_accepted(&self, number: usize) -> bool {
        self.output.is_empty() || number + 1 < self.sent.len()
    }

    /// When its connection ended, if it did.
    pub fn closed_at(&self) -> Option<Duration> {
        self.closed_at
    }

    /// Whole lines that came.
    fn receive(&mut self, now: Duration) -> Vec<String> {
        let mut buffer = [0; 16_384];
        // A client that is sent more than this has its turn again soon.
        for _ in 0..READS_MAX {
            if self.closed_at.is_some() {
                break;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed_at = Some(now),
                Ok(size) => self.input.extend_from_slice(&buffer[..size]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.closed_at = Some(now),
            }
        }
        let whole = self.input.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = self.input.drain(..whole).collect::<Vec<_>>();
        String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect()
    }
}

/// How many there are.
pub const CLIENTS: u32 = 30;
/// Between two messages of one client, on average: 300 a second of all.
const PACE: Duration = Duration::from_millis(100);
/// How often a client's socket is read in one turn.
const READS_MAX: usize = 4;
