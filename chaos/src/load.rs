//! Clients that say numbered messages at a steady pace, whether or not they are answered, and write down what they hear.

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;

use crate::client::{Client, Sent};
use crate::clock::Clock;
use crate::request::{Kind, MessageId, Reply, Request};

/// All clients of a run.
#[derive(Debug)]
pub struct Load {
    clock: Clock,
    rng: Rng,
    gateways: Vec<SocketAddr>,
    users: Vec<User>,
    /// Of all users, in the order in which they were connected.
    clients: Vec<Client>,
    /// Replies that no message asked for, the first few in words.
    strays: u64,
    stray_examples: Vec<String>,
    heard_at: Duration,
}

/// Somebody who is connected, and again when a connection ends.
#[derive(Debug, Default)]
struct User {
    /// The latest of its clients.
    client: u32,
    /// When it does something next.
    next_at: Duration,
    /// Where it is going to connect again.
    next_gateway: Option<usize>,
}

impl Load {
    /// Connects users to gateways in turn, each saying [`Kind::Hello`].
    ///
    /// # Panics
    /// A gateway does not take them.
    pub fn connect(clock: Clock, seed: u64, gateways: &[SocketAddr]) -> Load {
        let mut load = Load {
            clock,
            rng: Rng::with_seed(seed),
            gateways: gateways.to_owned(),
            users: (0..USERS).map(|_| User::default()).collect(),
            clients: Vec::new(),
            strays: 0,
            stray_examples: Vec::new(),
            heard_at: Duration::ZERO,
        };
        for user in 0..USERS {
            assert!(load.connect_user(user, user % gateways.len()), "a gateway takes clients");
        }
        load
    }

    /// Whether every user knows what it is called.
    pub fn has_begun(&self) -> bool {
        self.users.iter().all(|user| self.client(user.client).name().is_some())
    }

    /// Whether every user is connected.
    pub fn is_connected(&self) -> bool {
        self.users.iter().all(|user| self.is_open(user.client))
    }

    /// Whether everything that was said has been heard of.
    pub fn is_quiet(&self) -> bool {
        let is_answered = |sent: &Sent| {
            let foreign = sent.target.is_some_and(|target| self.is_open(target) && sent.foreign.is_empty());
            !sent.answers.is_empty() && !foreign
        };
        let mut open = self.clients.iter().filter(|client| client.closed_at().is_none());
        open.all(|client| client.may_say() && client.sent().iter().all(is_answered))
    }

    /// When anything was heard last.
    pub fn heard_at(&self) -> Duration {
        self.heard_at
    }

    /// Has those say something whose turn it is. Who is not connected connects again.
    pub fn send(&mut self) {
        let now = self.clock.now();
        for user in 0..USERS {
            if self.users[user].next_at > now {
                continue;
            }
            let client = self.users[user].client;
            if !self.is_open(client) {
                self.connect_again(user);
            } else if self.client(client).may_say() {
                self.users[user].next_at = now + self.rng.u32(50..150) * PACE / 100;
                let kinds = &Kind::ALL[1..];
                let kind = kinds[self.rng.usize(..kinds.len())];
                self.say(client, kind);
            }
        }
    }

    /// Hears what there is, and says what the kernel had not taken.
    pub fn receive(&mut self) {
        let now = self.clock.now();
        for user in 0..USERS {
            let index = self.users[user].client;
            let client = &mut self.clients[index as usize];
            client.flush();
            for line in client.receive(now) {
                self.heard_at = now;
                if self.note(index, &line, now).is_none() {
                    self.note_stray(|| format!("not for this client: {index} heard at {now:.3?}: {line}"));
                }
            }
        }
    }

    /// What was said and heard on each connection.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// How often something was heard that had not been asked for.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// Some of it.
    pub fn stray_examples(&self) -> &[String] {
        &self.stray_examples
    }

    /// How many messages were said, and how many of them clients still wait for.
    pub fn progress(&self) -> (usize, usize) {
        let said = self.clients.iter().map(|client| client.sent().len()).sum();
        let open = self.clients.iter().filter(|client| client.closed_at().is_none());
        (said, open.flat_map(Client::sent).filter(|sent| sent.answers.is_empty()).count())
    }

    fn client(&self, index: u32) -> &Client {
        &self.clients[index as usize]
    }

    fn is_open(&self, index: u32) -> bool {
        self.client(index).closed_at().is_none()
    }

    /// To the same gateway or another one; once one is chosen, the user waits until it is there.
    fn connect_again(&mut self, user: usize) {
        let count = self.gateways.len();
        let gateway = *self.users[user].next_gateway.get_or_insert_with(|| self.rng.usize(..count));
        if !self.connect_user(user, gateway) {
            self.users[user].next_at = self.clock.now() + CONNECT_PAUSE;
        }
    }

    fn connect_user(&mut self, user: usize, gateway: usize) -> bool {
        let Ok(client) = Client::connect(user, gateway, self.gateways[gateway]) else { return false };
        let index = self.clients.len() as u32;
        self.clients.push(client);
        let next_at = self.clock.now() + CONNECT_PAUSE;
        self.users[user] = User { client: index, next_at, next_gateway: None };
        self.say(index, Kind::Hello);
        true
    }

    fn say(&mut self, index: u32, kind: Kind) {
        let target = match kind {
            Kind::Foreign => self.at_another_gateway(index),
            Kind::Room => self.in_same_room(index),
            _ => None,
        };
        let name = match kind {
            Kind::Hello | Kind::Room => format!("room{}", room_of(self.client(index))),
            _ => target.and_then(|other| self.client(other).name()).unwrap_or("-").to_owned(),
        };
        let sent = Sent::new(kind, self.clock.now(), target);
        let client = &mut self.clients[index as usize];
        let id = MessageId { client: index, number: client.sent().len() as u32 };
        client.say(&Request { kind, id, target: &name }, sent);
        client.flush();
    }

    /// A client of another gateway.
    fn at_another_gateway(&mut self, index: u32) -> Option<u32> {
        let gateway = self.client(index).gateway();
        let others = self.users.iter().map(|user| user.client);
        let others: Vec<u32> = others
            .filter(|&other| {
                self.client(other).gateway() != gateway
                    && self.is_open(other)
                    && self.client(other).name().is_some()
            })
            .collect();
        self.rng.choice(others)
    }

    /// The other client of its room.
    fn in_same_room(&self, index: u32) -> Option<u32> {
        let other = self.users[self.client(index).user() ^ 1].client;
        (self.is_open(other) && self.client(other).name().is_some()).then_some(other)
    }

    /// `None`: nothing asked for this.
    fn note(&mut self, hearer: u32, line: &str, now: Duration) -> Option<()> {
        match Reply::parse(line)? {
            Reply::Answer { id, value } => {
                let client = self.clients.get_mut(id.client as usize).filter(|_| id.client == hearer)?;
                let sent = client.sent_mut(id.number)?;
                if sent.kind == Kind::Hello {
                    sent.answer(now, 0);
                    client.set_name(value);
                } else {
                    sent.answer(now, value.parse().ok()?);
                }
            }
            Reply::Foreign { id } => {
                let room = room_of(self.client(hearer));
                let client = self.clients.get_mut(id.client as usize)?;
                // Whoever comes into a room hears what arrives there a little later.
                let in_room = room_of(client) == room;
                let sent = client.sent_mut(id.number)?;
                if sent.target == Some(hearer) {
                    sent.tell(now);
                } else if sent.kind != Kind::Room || !in_room {
                    return None;
                }
            }
        }
        Some(())
    }

    fn note_stray(&mut self, describe: impl FnOnce() -> String) {
        self.strays += 1;
        if self.stray_examples.len() < EXAMPLES_MAX {
            self.stray_examples.push(describe());
        }
    }
}

/// Rooms are for two users, who are neighbours and began at different gateways.
fn room_of(client: &Client) -> usize {
    client.user() / 2
}

/// How many there are: an even number.
pub const USERS: usize = 30;
/// Between two messages of one client, on average: 300 a second of all.
const PACE: Duration = Duration::from_millis(100);
/// Between two attempts to connect, and from one that succeeds to the next message.
const CONNECT_PAUSE: Duration = Duration::from_millis(300);
/// How much of what was not asked for is kept.
const EXAMPLES_MAX: usize = 5;
