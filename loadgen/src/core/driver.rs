//! The clients of one core as a state machine. In: events of the ring, and the moment. Out: bytes to send, sockets to close,
//! connections to make. Owns no socket and no clock.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use protocol::client::websocket::client::{Answer, Event, decode_answer, encode_request};
use uring::{SocketId, Stats};

use super::outbox::Outbox;
use super::writer::Writer;
use crate::client::{Client, Clients, Stage, Wire};
use crate::clock::Nanos;
use crate::failure::Cause;
use crate::generator::Generator;
use crate::measure::{Phase, Sample};
use crate::pace::Pace;
use crate::plan::Plan;

/// One core's clients.
pub(super) struct Driver {
    core: usize,
    plan: Arc<Plan>,
    clients: Clients,
    generator: Generator,
    writer: Writer,
    closing: Vec<SocketId>,
    /// Connections still to be made, by their number in the run.
    to_connect: Range<usize>,
    ramp: Pace,
    /// Connections that are not open, or were not when last looked at, the oldest first, each with its deadline.
    pending: VecDeque<(SocketId, Nanos)>,
    /// What was just decrypted; kept for its memory.
    decrypted: Vec<u8>,
}

/// A connection to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Connect {
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
    pub(super) fn new(core: usize, plan: Arc<Plan>, now: Nanos, seed: u64) -> Driver {
        let share = plan.share(core);
        Driver {
            core,
            clients: Clients::with_capacity(share.len()),
            generator: Generator::Idle,
            writer: Writer::new(seed, plan.steps[0].size),
            closing: Vec::new(),
            to_connect: share,
            ramp: Pace::share(now..Nanos::MAX, plan.flags.ramp, core, plan.cores()),
            pending: VecDeque::new(),
            decrypted: Vec::new(),
            plan,
        }
    }

    /// A step begins. What was counted of the step before must have been taken.
    pub(super) fn begin(&mut self, step: usize, phase: Phase) {
        self.generator = Generator::new(&self.plan, step, self.core, phase);
        self.writer.size = self.plan.steps[step].size;
        self.writer.measure.begin(step, phase);
    }

    /// The step ends earlier than was planned.
    pub(super) fn end(&mut self, until: Nanos) {
        self.writer.measure.phase.end(until);
        self.generator.end(until);
    }

    /// The next connection that is due. [`Driver::on_connect_begun`] or [`Driver::on_connect_failed`] must follow.
    pub(super) fn connect_due(&mut self, now: Nanos) -> Option<Connect> {
        if self.is_crowded() {
            return None;
        }
        let (number, intended) = if self.to_connect.is_empty() {
            let intended = self.generator.churn()?.arrivals.take(now)?;
            (self.replace_client(), Some(intended))
        } else {
            self.ramp.take(now)?;
            (self.to_connect.next()?, None)
        };
        let (index, source) = self.plan.route(number);
        let destination = u16::try_from(index).expect("the plan has at most 65536 destinations");
        Some(Connect { address: self.plan.destinations[index].address, source, destination, intended })
    }

    /// Closes the connection of one client for a new one, if as many are there as at the start. Returns the number of the
    /// new connection in the run.
    fn replace_client(&mut self) -> usize {
        let share = self.plan.share(self.core);
        let churn = &mut self.writer.measure.counters.churn;
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
    pub(super) fn on_connect_begun(&mut self, now: Nanos, socket: SocketId, connect: Connect) {
        let target = &self.plan.destinations[usize::from(connect.destination)];
        let connector = self.plan.connector.as_ref().filter(|_| target.tls);
        let session = connector
            .map(|connector| connector.connect(target.name()).expect("the plan has tried all destinations"));
        self.pending.push_back((socket, now.plus(self.plan.flags.timeout)));
        if let (Some(intended), Some(churn)) = (connect.intended, self.generator.churn()) {
            churn.pending.insert(socket, intended);
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
    pub(super) fn on_connect_failed(&mut self, now: Nanos, connect: Connect, error: &io::Error) {
        self.fail(now, Cause::of(error), connect.intended);
    }

    /// TCP is connected: the handshakes follow where there are any.
    pub(super) fn on_connected(&mut self, now: Nanos, socket: SocketId) {
        let Some(client) = self.clients.get_mut(socket) else { return };
        match client.session {
            // The session has a first message to send.
            Some(_) => self.on_received(now, socket, &mut []),
            None => self.on_transport_open(now, socket),
        }
    }

    /// TCP is connected, and the TLS session open if there is one.
    fn on_transport_open(&mut self, now: Nanos, socket: SocketId) {
        let Some(client) = self.clients.get_mut(socket) else { return };
        if !matches!(client.wire, Wire::Websocket(_)) {
            return self.open(now, socket);
        }
        client.stage = Stage::Handshaking;
        let target = &self.plan.destinations[usize::from(client.destination)];
        let nonce = self.writer.nonce(socket);
        let request = |out: &mut Vec<u8>| encode_request(&target.host, &target.path, nonce, out);
        self.writer.stage(socket, &mut client.session, request);
    }

    /// Bytes came. They are changed in place.
    pub(super) fn on_received(&mut self, now: Nanos, socket: SocketId, bytes: &mut [u8]) {
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
            self.writer.outbox.stage(socket, |out| out.extend_from_slice(&reply));
        }
        if opened {
            self.on_transport_open(now, socket);
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
            Ok(()) => {
                if let Some(client) = self.clients.get_mut(socket) {
                    client.backlog_mut().input = kept;
                }
            }
            Err(cause) => self.on_end(now, socket, cause),
        }
    }

    /// There is room again.
    pub(super) fn on_writable(&mut self, socket: SocketId) {
        if let Some(client) = self.clients.get_mut(socket) {
            let output = client.take_output();
            self.writer.outbox.stage(socket, |out| out.extend_from_slice(&output));
        }
    }

    /// The connection is over.
    pub(super) fn on_end(&mut self, now: Nanos, socket: SocketId, cause: Cause) {
        let Some(client) = self.clients.remove(socket) else { return };
        self.closing.push(socket);
        match client.stage {
            Stage::Open => self.writer.measure.counters.losses.count(cause),
            Stage::Connecting | Stage::Handshaking => {
                let intended = self.take_intended(socket);
                self.fail(now, cause, intended);
            }
        }
    }

    /// Does what is due: gives up connections that are past their deadline, sends messages.
    pub(super) fn drive(&mut self, now: Nanos) {
        while let Some((socket, deadline)) = self.pending.front().copied() {
            let is_pending = self.clients.get_mut(socket).is_some_and(|client| client.stage != Stage::Open);
            if is_pending && now < deadline {
                break;
            }
            self.pending.pop_front();
            if is_pending {
                self.on_end(now, socket, Cause::TimedOut);
            }
        }
        let writer = &mut self.writer;
        self.generator.drive(now, &mut self.clients, |client, intended| writer.send(client, intended));
    }

    /// When there is something to do even if nothing happens; none if there is not.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        let is_ramping = !self.to_connect.is_empty();
        let connect = if is_ramping { self.ramp.next_at() } else { self.generator.next_arrival_at() };
        let connect = connect.filter(|_| !self.is_crowded());
        let deadline = self.pending.front().map(|(_, deadline)| *deadline);
        [connect, deadline, self.generator.next_at()].into_iter().flatten().min()
    }

    /// What is to be sent, and where to keep what the sockets have no room for.
    pub(super) fn outgoing(&mut self) -> (&mut Outbox, impl FnMut(SocketId, &[u8]) + '_) {
        let clients = &mut self.clients;
        (&mut self.writer.outbox, |socket, bytes: &[u8]| {
            if let Some(client) = clients.get_mut(socket) {
                client.backlog_mut().output.extend_from_slice(bytes);
            }
        })
    }

    /// Sockets to close; their clients are gone.
    pub(super) fn closing(&mut self) -> std::vec::Drain<'_, SocketId> {
        self.closing.drain(..)
    }

    /// The ring's counts.
    pub(super) fn on_stats(&mut self, now: Nanos, stats: Stats) {
        self.writer.measure.on_stats(now, stats);
    }

    /// What was counted since the last call, and in all.
    pub(super) fn sample(&mut self, now: Nanos) -> Sample {
        Sample {
            core: self.core,
            at: now,
            step: self.writer.measure.step,
            counters: self.writer.measure.counters,
            settled_at: self.writer.measure.settled_at,
            latency: self.writer.measure.take_latency(),
            deliveries: self.generator.take_deliveries(),
        }
    }

    fn is_crowded(&self) -> bool {
        self.clients.count() - self.clients.open() >= self.plan.pending_max()
    }

    fn open(&mut self, now: Nanos, socket: SocketId) {
        self.clients.set_open(socket);
        if let Some(intended) = self.take_intended(socket) {
            let session = self.clients.get_mut(socket).and_then(|client| client.session.as_ref());
            let is_resumed = session.is_some_and(|session| session.is_resumed());
            return self.writer.measure.on_connected(now, intended, is_resumed);
        }
        self.writer.measure.counters.opened += 1;
        self.writer.measure.settled_at = now;
    }

    fn fail(&mut self, now: Nanos, cause: Cause, intended: Option<Nanos>) {
        let counters = &mut self.writer.measure.counters;
        if intended.is_some() {
            return counters.churn.failures.count(cause);
        }
        counters.failures.count(cause);
        self.writer.measure.settled_at = now;
    }

    /// When the connection was meant to begin, if it is not one of the start. Asked once: when it is open or has failed.
    fn take_intended(&mut self, socket: SocketId) -> Option<Nanos> {
        self.generator.churn()?.pending.remove(&socket)
    }

    /// Handles all that is whole; returns how many bytes are done with.
    fn on_input(&mut self, now: Nanos, socket: SocketId, input: &mut [u8]) -> Result<usize, Cause> {
        let Some(mut done) = self.on_answer(now, socket, input)? else { return Ok(0) };
        let Driver { clients, generator, writer, .. } = self;
        let Some(client) = clients.get_mut(socket) else { return Ok(input.len()) };
        loop {
            let has_room = client.unsent() == 0;
            done += match client.wire.decode(writer.size, &mut input[done..]) {
                Event::NeedMore { consumed } => return Ok(done + consumed),
                Event::Message { consumed, body, .. } => {
                    if generator.on_message(now, body, writer.size, &mut writer.measure) {
                        writer.send(client, now);
                    }
                    consumed
                }
                Event::Ping { consumed, payload } => {
                    if has_room {
                        writer.pong(client.socket, &mut client.session, payload);
                    }
                    consumed
                }
                Event::Pong { consumed, .. } => consumed,
                Event::Close { .. } => return Err(Cause::Closed),
                Event::Malformed(_) => return Err(Cause::Protocol),
            };
        }
    }

    /// Handles the answer to a handshake, where one is awaited; returns how many bytes it is, none while it is not whole.
    fn on_answer(&mut self, now: Nanos, socket: SocketId, input: &[u8]) -> Result<Option<usize>, Cause> {
        let client = self.clients.get_mut(socket);
        if client.is_none_or(|client| client.stage != Stage::Handshaking) {
            return Ok(Some(0));
        }
        match decode_answer(input, self.writer.nonce(socket)) {
            Answer::NeedMore => Ok(None),
            Answer::Open { consumed } => {
                self.open(now, socket);
                Ok(Some(consumed))
            }
            Answer::Refused { .. } => Err(Cause::HandshakeRefused),
            Answer::Malformed => Err(Cause::Protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::*;
    use crate::{Flags, System};

    /// One core's driver of a TCP run, its first clients open.
    fn driver(line: &str, conns: usize) -> Driver {
        let line = format!("--target tcp://127.0.0.1:1 --conns {conns} --count 1 {line}");
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = Flags::from_args(&["loadgen"], &words).unwrap();
        let plan = Plan::new(&flags, &System { cpus: vec![0], ..System::default() }).unwrap();
        let mut driver = Driver::new(0, Arc::new(plan), Nanos(0), 1);
        for index in 0..conns {
            connect(&mut driver, Nanos(1_000_000_000), SocketId::new(index as u32, 0));
            driver.on_connected(Nanos(1_000_000_000), SocketId::new(index as u32, 0));
        }
        driver
    }

    fn connect(driver: &mut Driver, now: Nanos, socket: SocketId) {
        let connect = driver.connect_due(now).unwrap();
        driver.on_connect_begun(now, socket, connect);
    }

    #[test]
    fn a_new_client_replaces_one_that_is_open() {
        let mut driver = driver("--scenario churn --rate 1000", 2);
        let ms = |ms: u64| Nanos(2_000_000_000 + ms * 1_000_000);
        assert_eq!(driver.connect_due(ms(0)), None);
        driver.begin(0, Phase { load_from: ms(0), from: ms(0), until: ms(5) });
        let newcomers = [2, 3, 4].map(|index| SocketId::new(index, 0));
        for (index, socket) in newcomers.into_iter().enumerate() {
            connect(&mut driver, ms(index as u64), socket);
        }
        // The third replaced no client, as the first two were not open yet.
        assert_eq!(driver.closing().count(), 2);
        let churn = driver.sample(ms(3)).counters.churn;
        assert_eq!((churn.begun, churn.left, churn.pending()), (3, 2, 3));
        driver.on_connected(ms(3), newcomers[0]);
        driver.on_connected(ms(3), newcomers[1]);
        driver.on_end(ms(3), newcomers[2], Cause::Refused);
        connect(&mut driver, ms(3), SocketId::new(5, 0));
        let sample = driver.sample(ms(3));
        let churn = sample.counters.churn;
        assert_eq!((churn.made, churn.left, churn.failures.refused), (2, 3, 1));
        assert_eq!((sample.counters.opened, sample.counters.connected()), (2, 1));
        assert_eq!(sample.latency.unwrap().len(), 2);
        assert_eq!((driver.next_at(), driver.connect_due(ms(3))), (Some(ms(4)), None));
    }
}
