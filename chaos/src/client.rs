//! One connection of a client: what it has said on it, and what it has heard.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::request::{Kind, Request};

/// A connection, alive or ended, and all that was said and heard on it.
#[derive(Debug)]
pub struct Client {
    /// `None`: it has ended.
    stream: Option<TcpStream>,
    user: usize,
    gateway: usize,
    /// What it is called, once it knows.
    name: Option<String>,
    input: Vec<u8>,
    /// What the kernel has not taken yet: the last message, or its end.
    output: Vec<u8>,
    sent: Vec<Sent>,
    closed_at: Option<Duration>,
}

/// A message, and what came of it. There are many.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What it asked for.
    pub kind: Kind,
    /// When it was said, since the run began.
    pub at: Duration,
    /// Which client shall hear of it.
    pub target: Option<u32>,
    /// When its own client heard of it, and what.
    pub answers: Vec<(Duration, i64)>,
    /// When the other one did.
    pub foreign: Vec<Duration>,
}

impl Sent {
    /// Said, and not heard of yet.
    pub fn new(kind: Kind, at: Duration, target: Option<u32>) -> Sent {
        Sent { kind, at, target, answers: Vec::new(), foreign: Vec::new() }
    }

    /// Its own client has heard of it.
    pub(crate) fn answer(&mut self, at: Duration, value: i64) {
        self.answers.reserve_exact(1);
        self.answers.push((at, value));
    }

    /// Another one has.
    pub(crate) fn tell(&mut self, at: Duration) {
        self.foreign.reserve_exact(1);
        self.foreign.push(at);
    }
}

impl Client {
    /// Connects a user to the gateway of this number, which is at this address.
    ///
    /// # Errors
    /// The gateway is not there.
    pub(crate) fn connect(user: usize, gateway: usize, address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Client {
            stream: Some(stream),
            user,
            gateway,
            name: None,
            input: Vec::new(),
            output: Vec::new(),
            sent: Vec::new(),
            closed_at: None,
        })
    }

    /// What became of a connection, without one.
    #[cfg(test)]
    pub(crate) fn played(gateway: usize, sent: Vec<Sent>, closed_at: Option<Duration>) -> Client {
        let (input, output) = (Vec::new(), Vec::new());
        Client { stream: None, user: 0, gateway, name: None, input, output, sent, closed_at }
    }

    /// Who has had this connection, and may have had others.
    pub fn user(&self) -> usize {
        self.user
    }

    /// Which gateway it was to.
    pub fn gateway(&self) -> usize {
        self.gateway
    }

    /// What the gateway calls it, once it knows.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    /// What it has said, by number.
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    pub(crate) fn sent_mut(&mut self, number: u32) -> Option<&mut Sent> {
        self.sent.get_mut(number as usize)
    }

    /// Whether the kernel has taken this message whole, for the gateway.
    pub fn is_taken(&self, number: usize) -> bool {
        self.output.is_empty() || number + 1 < self.sent.len()
    }

    /// When its connection ended, if it did.
    pub fn closed_at(&self) -> Option<Duration> {
        self.closed_at
    }

    /// Whether it can say something: it is connected, and the kernel has taken what was said before.
    pub(crate) fn may_say(&self) -> bool {
        self.closed_at.is_none() && self.output.is_empty()
    }

    pub(crate) fn say(&mut self, request: &Request<'_>, sent: Sent) {
        self.sent.push(sent);
        self.output.extend_from_slice(format!("{request}\n").as_bytes());
    }

    /// Gives the kernel what it takes.
    pub(crate) fn flush(&mut self) {
        while !self.output.is_empty()
            && let Some(stream) = &mut self.stream
        {
            match stream.write(&self.output) {
                Ok(size) => drop(self.output.drain(..size)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What it was told before its end is still to be read, and the end with it.
                Err(_) => return,
            }
        }
    }

    /// Whole lines that came.
    pub(crate) fn receive(&mut self, now: Duration) -> Vec<String> {
        let mut buffer = [0; 16_384];
        // A client that is sent more than this has its turn again soon.
        for _ in 0..READS_MAX {
            let Some(stream) = &mut self.stream else { break };
            match stream.read(&mut buffer) {
                Ok(size @ 1..) => self.input.extend_from_slice(&buffer[..size]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => {
                    self.stream = None;
                    self.closed_at = Some(now);
                }
            }
        }
        let whole = self.input.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = self.input.drain(..whole).collect::<Vec<_>>();
        String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect()
    }
}

/// How long a gateway may take to be connected to: the kernel does it, on loopback.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a client's socket is read in one turn.
const READS_MAX: usize = 4;
