//! The clients of one core as a state machine: what the ring reports and the moment go in; bytes to send, sockets to
//! close and connections to make come out. Owns no socket and no clock.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use protocol::client::websocket::client::{Answer, decode_answer, encode_request};
use ring::SocketId;
use tls::Session;

use super::outbox::Outbox;
use super::random::Random;
use crate::client::{Client, Clients, Incoming, Stage, Wire, encode_message, encode_pong, encode_within};
use crate::clock::Nanos;
use crate::config::{PENDING_MAX, UNSENT_BYTES_MAX};
use crate::failure::Cause;
use crate::measure::{Bytes, Measure, Phase, Sample};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::stamp;
use crate::target::Scheme;

/// One core's clients.
pub struct Driver {
    core: usize,
    plan: Arc<Plan>,
    clients: Clients,
    scenario: Scenario,
    post: Post,
    closing: Vec<SocketId>,
    /// Connections still to be made, by their number in the run.
    to_connect: Range<usize>,
    ramp: Pace,
    /// Who is on the way or was, the oldest first, with the moment that is too late.
    pending: VecDeque<(SocketId, Nanos)>,
    /// What was just decrypted; kept for its memory.
    decrypted: Vec<u8>,
}

/// The sending side: apart from the clients, so that one of them can be borrowed meanwhile.
struct Post {
    outbox: Outbox,
    measure: Measure,
    random: Random,
    /// Bytes of a message.
    size: usize,
    /// The message being written.
    body: Vec<u8>,
    /// What is being encrypted; kept for its memory.
    plain: Vec<u8>,
}

/// A connection to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connect {
    /// Where to.
    pub address: SocketAddr,
    /// From where; none: the system chooses.
    pub source: Option<IpAddr>,
    destination: u16,
    /// When it was meant to begin, if it is not one of the start.
    intended: Option<Nanos>,
}

impl Driver {
    /// The clients of core number `core`, which begins now.
    pub fn new(core: usize, plan: Arc<Plan>, now: Nanos, seed: u64) -> Driver {
        let share = plan.share(core);
        Driver {
            core,
            clients: Clients::with_capacity(share.len()),
            scenario: Scenario::new(&plan, 0, core),
            post: Post {
                outbox: Outbox::default(),
                measure: Measure::new(),
                random: Random::new(seed),
                size: plan.steps[0].size,
                body: Vec::new(),
                plain: Vec::new(),
            },
            closing: Vec::new(),
            to_connect: share,
            ramp: Pace::share(now, plan.ramp, core, plan.cores()),
            pending: VecDeque::new(),
            decrypted: Vec::new(),
            plan,
        }
    }

    /// Which step follows, and when to send and to measure. What was counted of the step before must have been taken.
    pub fn begin(&mut self, step: usize, phase: Phase) {
        if step > 0 {
            self.scenario = Scenario::new(&self.plan, step, self.core);
        }
        self.post.size = self.plan.steps[step].size;
        self.post.measure.begin(step, phase);
        self.scenario.begin(phase);
    }

    /// The step ends earlier than was planned.
    pub fn end(&mut self, until: Nanos) {
        self.post.measure.end(until);
        self.scenario.end(until);
    }

    /// The next connection that is due. [`Driver::on_connect_begun`] or [`Driver::on_connect_failed`] must follow.
    pub fn connect_due(&mut self, now: Nanos) -> Option<Connect> {
        if self.is_crowded() {
            return None;
        }
        let (number, intended) = if self.to_connect.is_empty() {
            let intended = self.scenario.churn()?.take_due(now)?;
            (self.next_comer(), Some(intended))
        } else {
            self.ramp.take(now)?;
            (self.to_connect.next()?, None)
        };
        let (index, source) = self.plan.route(number);
        let destination = u16::try_from(index).expect("the plan has at most 65536 destinations");
        Some(Connect { address: self.plan.destinations[index].address, source, destination, intended })
    }

    /// Who comes gets the next number, and the place of one who leaves, if all places are taken.
    fn next_comer(&mut self) -> usize {
        let share = self.plan.share(self.core);
        let churn = &mut self.post.measure.counters.churn;
        let number = share.start + churn.begun as usize;
        churn.begun += 1;
        while self.clients.count() >= share.len()
            && let Some(socket) = self.clients.next_open().map(|client| client.socket)
        {
            churn.left += 1;
            self.clients.remove(socket);
            self.closing.push(socket);
        }
        number
    }

    /// The connection has a socket now.
    pub fn on_connect_begun(&mut self, now: Nanos, socket: SocketId, connect: Connect) {
        let target = &self.plan.destinations[usize::from(connect.destination)];
        let connector = self.plan.connector.as_ref().filter(|_| target.tls);
        let session = connector
            .map(|connector| connector.connect(target.name()).expect("the plan has tried all destinations"));
        self.pending.push_back((socket, now.plus(self.plan.timeout)));
        if let (Some(intended), Some(churn)) = (connect.intended, self.scenario.churn()) {
            churn.on_begun(socket, intended);
        }
        self.clients.insert(Client {
            socket,
            destination: connect.destination,
            stage: Stage::Connecting,
            wire: Wire::new(target.scheme),
            session: session.map(Box::new),
            backlog: None,
        });
    }

    /// The connection cannot even be begun.
    pub fn on_connect_failed(&mut self, now: Nanos, connect: Connect, error: &io::Error) {
        self.fail(now, Cause::of(error), connect.intended);
    }

    /// TCP stands: the handshakes follow where there are any.
    pub fn on_connected(&mut self, now: Nanos, socket: SocketId) {
        let Some(client) = self.clients.get_mut(socket) else { return };
        match client.session {
            // It says hello.
            Some(_) => self.on_received(now, socket, &mut []),
            None => self.shake_hands(now, socket),
        }
    }

    fn shake_hands(&mut self, now: Nanos, socket: SocketId) {
        let Some(client) = self.clients.get_mut(socket) else { return };
        if client.wire.scheme() != Scheme::Websocket {
            return self.open(now, socket);
        }
        client.stage = Stage::Handshaking;
        let target = &self.plan.destinations[usize::from(client.destination)];
        let nonce = self.post.random.nonce(socket);
        let request = |out: &mut Vec<u8>| encode_request(&target.host, &target.path, nonce, out);
        self.post.stage(socket, &mut client.session, request);
    }

    /// Bytes came. They are changed in place.
    pub fn on_received(&mut self, now: Nanos, socket: SocketId, bytes: &mut [u8]) {
        let Some(client) = self.clients.get_mut(socket) else { return };
        let Some(session) = &mut client.session else { return self.on_plain(now, socket, bytes) };
        let was_open = session.is_open();
        let mut plain = mem::take(&mut self.decrypted);
        plain.clear();
        let mut reply = Vec::new();
        let result = session.receive(bytes, &mut plain, &mut reply);
        let (opened, ended) = (session.is_open() && !was_open, session.has_ended());
        if client.unsent() > 0 {
            client.backlog_mut().output.extend_from_slice(&reply);
        } else if !reply.is_empty() {
            self.post.outbox.stage(socket, |out| out.extend_from_slice(&reply));
        }
        if opened {
            self.shake_hands(now, socket);
        }
        if !plain.is_empty() {
            self.on_plain(now, socket, &mut plain);
        }
        self.decrypted = plain;
        match result {
            Err(_) => self.on_end(now, socket, Cause::Tls),
            Ok(()) if ended => self.on_end(now, socket, Cause::Closed),
            Ok(()) => {}
        }
    }

    fn on_plain(&mut self, now: Nanos, socket: SocketId, bytes: &mut [u8]) {
        let Some(client) = self.clients.get_mut(socket) else { return };
        let mut kept = client.take_input();
        let decoded = if kept.is_empty() {
            self.on_input(now, socket, bytes).map(|consumed| kept.extend_from_slice(&bytes[consumed..]))
        } else {
            kept.extend_from_slice(bytes);
            self.on_input(now, socket, &mut kept).map(|consumed| drop(kept.drain(..consumed)))
        };
        match decoded {
            Ok(()) if kept.is_empty() => {}
            Ok(()) => self.keep_input(socket, kept),
            Err(cause) => self.on_end(now, socket, cause),
        }
    }

    /// There is room again.
    pub fn on_writable(&mut self, socket: SocketId) {
        if let Some(client) = self.clients.get_mut(socket) {
            let output = client.take_output();
            self.post.outbox.stage(socket, |out| out.extend_from_slice(&output));
        }
    }

    /// The connection is over.
    pub fn on_end(&mut self, now: Nanos, socket: SocketId, cause: Cause) {
        let Some(client) = self.clients.remove(socket) else { return };
        self.closing.push(socket);
        match client.stage {
            Stage::Open => self.post.measure.counters.losses.count(cause),
            Stage::Connecting | Stage::Handshaking => {
                let intended = self.settle(socket);
                self.fail(now, cause, intended);
            }
        }
    }

    /// Does what the moment asks for: gives up on who is late, sends what is due.
    pub fn drive(&mut self, now: Nanos) {
        while let Some((socket, late)) = self.pending.front().copied() {
            let waits = self.clients.get_mut(socket).is_some_and(|client| client.stage != Stage::Open);
            if waits && now < late {
                break;
            }
            self.pending.pop_front();
            if waits {
                self.on_end(now, socket, Cause::TimedOut);
            }
        }
        let post = &mut self.post;
        self.scenario.drive(now, &mut self.clients, |client, intended| post.send(client, intended));
    }

    /// When there is something to do without anything happening; none if there is not.
    pub fn next_at(&self) -> Option<Nanos> {
        let ramp = (!self.to_connect.is_empty()).then(|| self.ramp.next_at());
        let comer = ramp.or(self.scenario.next_comer_at()).filter(|_| !self.is_crowded());
        let late = self.pending.front().map(|(_, late)| *late);
        [comer, late, self.scenario.next_at()].into_iter().flatten().min()
    }

    /// What is to be sent, and where to keep what the sockets have no room for.
    pub fn outgoing(&mut self) -> (&mut Outbox, impl FnMut(SocketId, &[u8]) + '_) {
        let clients = &mut self.clients;
        (&mut self.post.outbox, |socket, bytes: &[u8]| {
            if let Some(client) = clients.get_mut(socket) {
                client.backlog_mut().output.extend_from_slice(bytes);
            }
        })
    }

    /// Sockets to close; their clients are gone.
    pub fn closing(&mut self) -> std::vec::Drain<'_, SocketId> {
        self.closing.drain(..)
    }

    /// The ring's counts.
    pub fn on_bytes(&mut self, now: Nanos, bytes: Bytes) {
        self.post.measure.on_bytes(now, bytes);
    }

    /// What was counted since the last call, and in all.
    pub fn sample(&mut self, now: Nanos) -> Sample {
        Sample {
            core: self.core,
            at: now,
            step: self.post.measure.step(),
            counters: self.post.measure.counters,
            latency: self.post.measure.take_latency(),
            rounds: self.scenario.take_rounds(),
        }
    }

    fn is_crowded(&self) -> bool {
        self.clients.count() - self.clients.open() >= PENDING_MAX
    }

    fn open(&mut self, now: Nanos, socket: SocketId) {
        self.clients.set_open(socket);
        if let Some(intended) = self.settle(socket) {
            return self.post.measure.on_came(now, intended);
        }
        let counters = &mut self.post.measure.counters;
        counters.opened += 1;
        counters.settled_at = now;
    }

    fn fail(&mut self, now: Nanos, cause: Cause, intended: Option<Nanos>) {
        let counters = &mut self.post.measure.counters;
        if intended.is_some() {
            return counters.churn.failures.count(cause);
        }
        counters.failures.count(cause);
        counters.settled_at = now;
    }

    /// When the connection was meant to begin, if it is not one of the start. Asked once, when its fate is known.
    fn settle(&mut self, socket: SocketId) -> Option<Nanos> {
        self.scenario.churn()?.settle(socket)
    }

    fn keep_input(&mut self, socket: SocketId, input: Vec<u8>) {
        if let Some(client) = self.clients.get_mut(socket) {
            client.backlog_mut().input = input;
        }
    }

    /// Decodes all that is whole; returns how many bytes are done with.
    fn on_input(&mut self, now: Nanos, socket: SocketId, input: &mut [u8]) -> Result<usize, Cause> {
        let Some(client) = self.clients.get_mut(socket) else { return Ok(input.len()) };
        let mut start = 0;
        if client.stage == Stage::Handshaking {
            match decode_answer(input, self.post.random.nonce(socket)) {
                Answer::NeedMore => return Ok(0),
                Answer::Open { consumed } => start = consumed,
                Answer::Refused { .. } => return Err(Cause::HandshakeRefused),
                Answer::Malformed => return Err(Cause::Protocol),
            }
            self.open(now, socket);
        }
        let Some(client) = self.clients.get_mut(socket) else { return Ok(input.len()) };
        let decoded = decode_all(client, &mut self.scenario, &mut self.post, now, &mut input[start..]);
        decoded.map(|consumed| start + consumed)
    }
}

/// Handles every whole unit of `input`; returns how many bytes are done with.
fn decode_all(
    client: &mut Client,
    scenario: &mut Scenario,
    post: &mut Post,
    now: Nanos,
    input: &mut [u8],
) -> Result<usize, Cause> {
    let mut done = 0;
    loop {
        let has_room = client.unsent() == 0;
        done += match client.wire.decode(post.size, &mut input[done..]) {
            Incoming::NeedMore { consumed } => return Ok(done + consumed),
            Incoming::Message { consumed, body } => {
                if scenario.on_message(now, body, post.size, &mut post.measure) {
                    post.send(client, now);
                }
                consumed
            }
            Incoming::Ping { consumed, payload } => {
                if has_room {
                    post.pong(client.socket, &mut client.session, payload);
                }
                consumed
            }
            Incoming::Pong { consumed } => consumed,
            Incoming::Close => return Err(Cause::Closed),
            Incoming::Malformed => return Err(Cause::Protocol),
        };
    }
}

impl Post {
    /// Sends a message that was meant to be sent at `intended`.
    fn send(&mut self, client: &mut Client, intended: Nanos) {
        if client.unsent() > UNSENT_BYTES_MAX {
            self.measure.counters.unsent += 1;
            return;
        }
        self.measure.on_sent(intended);
        self.body.clear();
        stamp::write(intended, self.size, &mut self.body);
        let (scheme, mask) = (client.wire.scheme(), self.random.mask());
        let (body, plain) = (&self.body, &mut self.plain);
        let encode = |out: &mut Vec<u8>| encode_message(scheme, body, mask, out);
        if client.unsent() > 0 {
            let output = &mut client.backlog.get_or_insert_default().output;
            encode_within(&mut client.session, plain, output, encode);
        } else {
            self.outbox.stage(client.socket, |out| encode_within(&mut client.session, plain, out, encode));
        }
    }

    /// Stages what `encode` appends, for a socket that has room.
    fn stage(
        &mut self,
        socket: SocketId,
        session: &mut Option<Box<Session>>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let plain = &mut self.plain;
        self.outbox.stage(socket, |out| encode_within(session, plain, out, encode));
    }

    /// Answers a ping. Not for a socket that is full: a client that cannot send cannot show that it lives.
    fn pong(&mut self, socket: SocketId, session: &mut Option<Box<Session>>, payload: &[u8]) {
        self.measure.counters.pings += 1;
        let mask = self.random.mask();
        self.stage(socket, session, |out| encode_pong(payload, mask, out));
    }
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::*;
    use crate::{Flags, Machine};

    /// One core's driver of a TCP run, its first clients open.
    fn driver(line: &str, conns: usize) -> Driver {
        let line = format!("--target tcp://127.0.0.1:1 --conns {conns} --count 1 {line}");
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = Flags::from_args(&["loadgen"], &words).unwrap();
        let plan = Plan::new(&flags, &Machine { cpus: vec![0], open_files: 20_000 }).unwrap();
        let mut driver = Driver::new(0, Arc::new(plan), Nanos(0), 1);
        for index in 0..conns {
            come(&mut driver, Nanos(1_000_000_000), SocketId::new(index as u32, 0));
            driver.on_connected(Nanos(1_000_000_000), SocketId::new(index as u32, 0));
        }
        driver
    }

    fn come(driver: &mut Driver, now: Nanos, socket: SocketId) {
        let connect = driver.connect_due(now).unwrap();
        driver.on_connect_begun(now, socket, connect);
    }

    #[test]
    fn who_comes_takes_the_place_of_who_is_there() {
        let mut driver = driver("--scenario churn --rate 1000", 2);
        let ms = |ms: u64| Nanos(2_000_000_000 + ms * 1_000_000);
        assert_eq!(driver.connect_due(ms(0)), None);
        driver.begin(0, Phase { load_from: ms(0), from: ms(0), until: ms(5) });
        let newcomers = [2, 3, 4].map(|index| SocketId::new(index, 0));
        for (index, socket) in newcomers.into_iter().enumerate() {
            come(&mut driver, ms(index as u64), socket);
        }
        // The third found nobody to replace, as the first two were not open yet.
        assert_eq!(driver.closing().count(), 2);
        let churn = driver.sample(ms(3)).counters.churn;
        assert_eq!((churn.begun, churn.left, churn.under_way()), (3, 2, 3));
        driver.on_connected(ms(3), newcomers[0]);
        driver.on_connected(ms(3), newcomers[1]);
        driver.on_end(ms(3), newcomers[2], Cause::Refused);
        come(&mut driver, ms(3), SocketId::new(5, 0));
        let sample = driver.sample(ms(3));
        let churn = sample.counters.churn;
        assert_eq!((churn.made, churn.left, churn.failures.refused), (2, 3, 1));
        assert_eq!((sample.counters.opened, sample.counters.connected()), (2, 1));
        assert_eq!(sample.latency.unwrap().len(), 2);
        assert_eq!((driver.next_at(), driver.connect_due(ms(3))), (Some(ms(4)), None));
    }
}
