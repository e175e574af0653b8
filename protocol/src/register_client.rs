//! A program's connection to one register, kept for as long as the program lives (WIRE.md §2 and §14): without IO and
//! without a clock.
//!
//! Gateways, workers and programs that are neither keep one [`RegisterClient`] for each register. It decides when to
//! connect and when to give up, what is said, what an answer means, and when to try again.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::Credentials;
use crate::inner::Dialler;
use crate::pulse::{LOOK_PERIOD_MS, RegisterPulse, RegisterSign};
use crate::register::{Request, Response};
use crate::register_stream::{NEVER, Said, State, Stream};
use crate::register_trouble::{ANSWER_TIMEOUT, Retry, Trouble};

/// The state machine of one program's connection to one register.
///
/// The caller owns sockets and clock. In this order, whenever something happened:
/// 1. [`on_connecting`](Self::on_connecting), [`on_connected`](Self::on_connected), [`on_bytes`](Self::on_bytes),
///    [`on_end_of_stream`](Self::on_end_of_stream), [`on_failed`](Self::on_failed): what happened to a connection;
///    [`on_tick`](Self::on_tick) at the start, and whenever [`deadline`](Self::deadline) has come.
/// 2. [`next_action`](Self::next_action) until there is none.
/// 3. [`unsent`](Self::unsent) of each connection goes to its socket, [`on_sent`](Self::on_sent) says how much was taken.
///
/// `now` is in ms since any moment, the same one for all calls, and never decreases. What comes late of a connection that
/// is closed is ignored, if it comes before the next [`Action::Connect`].
#[derive(Debug)]
pub struct RegisterClient {
    register: String,
    role: Role,
    credentials: Credentials,
    /// What the register is told of the process's admin address.
    admin: Option<u16>,
    limits: Limits,
    main: State,
    probe: State,
    pulse: RegisterPulse,
    /// The register has taken us, on the connection that stands.
    is_held: bool,
    /// When to connect next, in ms; [`NEVER`] while there is a main connection.
    connect_at: u64,
    /// When the register must have taken us, or is asked what it is, in ms; [`NEVER`] when it has.
    answer_by: u64,
    /// When to look at the pulse next, in ms; [`NEVER`] while the main connection does not stand.
    look_at: u64,
    retry: Retry,
    actions: VecDeque<Action>,
}

/// What the program is to its registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// A gateway's shard. This inner address, `ip:port`, is listed for as long as the connection stands.
    Gateway(String),
    /// A worker, or a program that is none: it wants to know which gateways there are.
    Follower,
}

/// How long a register may take, in ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Until the connection stands, once the address is known.
    pub connect_ms: u64,
    /// Until it has answered. Then it is taken for something else.
    pub answer_ms: u64,
}

impl Default for Limits {
    /// 3 s and 5 s.
    fn default() -> Limits {
        Limits { connect_ms: 3_000, answer_ms: crate::millis(ANSWER_TIMEOUT) }
    }
}

/// One of the two connections that there can be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Connection {
    /// The one that is kept.
    Main,
    /// A second one of a gateway, for a moment. PHP's register has nothing to say to a gateway, so one that is silent may
    /// be that, or anything. A worker it would answer: so this one asks as one.
    Probe,
}

/// What the caller is to do.
#[derive(Debug)]
pub enum Action {
    /// Open this connection.
    Connect(Connection),
    /// Close this connection or stop opening it, if there is still anything of it.
    Close(Connection),
    /// Hear this.
    News(News),
}

/// What was learned.
#[derive(Debug)]
pub enum News {
    /// The register has taken us: once for each connection, before its first list.
    Held,
    /// The register's list, now and at each change. A gateway gets none.
    Gateways {
        /// In the register's order, at most [`GATEWAYS_MAX`].
        gateways: Vec<SocketAddrV4>,
        /// Entries that are no address, or too many.
        left_out: usize,
    },
    /// The connection ended, or could not be had. It is tried again.
    Lost {
        /// Why; [`Trouble::of`] knows whether it is more than a loss.
        error: io::Error,
        /// The register had taken us.
        was_held: bool,
    },
}

impl RegisterClient {
    /// For the register at this address, `IP:PORT`. Nothing happens before the first [`Self::on_tick`].
    pub fn new(
        register: &str,
        role: Role,
        credentials: impl Into<Credentials>,
        limits: Limits,
    ) -> RegisterClient {
        let pulse = RegisterPulse::new(register);
        RegisterClient {
            register: register.to_owned(),
            role,
            credentials: credentials.into(),
            admin: None,
            limits,
            main: State::Absent,
            probe: State::Absent,
            pulse,
            is_held: false,
            connect_at: 0,
            answer_by: NEVER,
            look_at: NEVER,
            retry: Retry::default(),
            actions: VecDeque::new(),
        }
    }

    /// The same, and the register is told the port at which the process tells of itself.
    #[must_use]
    pub fn with_admin(self, admin: Option<u16>) -> RegisterClient {
        RegisterClient { admin, ..self }
    }

    /// Whether the register has taken us, on the connection that stands.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether `connection` is to be opened and [`Self::on_connecting`] was not called yet.
    pub fn is_looking_up(&self, connection: Connection) -> bool {
        matches!(self.state(connection), State::Opening { by: NEVER })
    }

    /// The address is known, and an attempt to connect to it begins.
    pub fn on_connecting(&mut self, now: u64, connection: Connection) {
        let by = now.saturating_add(self.limits.connect_ms);
        if let state @ State::Opening { .. } = self.state_mut(connection) {
            *state = State::Opening { by };
        }
    }

    /// The connection stands.
    pub fn on_connected(&mut self, now: u64, connection: Connection) {
        if !matches!(self.state(connection), State::Opening { .. }) {
            return;
        }
        let nonces = self.credentials.nonces.as_ref();
        let dialler = nonces.map(|nonces| Dialler::new(nonces.draw()));
        let is_asked_first = dialler.is_some();
        *self.state_mut(connection) = State::Open(Stream { dialler, ..Stream::default() });
        match connection {
            _ if !is_asked_first => self.introduce(now, connection),
            Connection::Main => self.answer_by = now.saturating_add(self.limits.answer_ms),
            Connection::Probe => {}
        }
    }

    /// Says what we are.
    fn introduce(&mut self, now: u64, connection: Connection) {
        let request = self.first_request(connection);
        let State::Open(stream) = self.state_mut(connection) else { return };
        request.encode(&mut stream.output);
        if connection == Connection::Main {
            Request::RingwayPing.encode(&mut stream.output);
            self.pulse = RegisterPulse::new(&self.register);
            self.look_at = now.saturating_add(LOOK_PERIOD_MS);
            self.answer_by = now.saturating_add(match self.role {
                Role::Gateway(_) => DOUBT_AFTER_MS,
                Role::Follower => self.limits.answer_ms,
            });
        }
    }

    /// These bytes came.
    pub fn on_bytes(&mut self, now: u64, connection: Connection, bytes: &[u8]) {
        let State::Open(stream) = self.state_mut(connection) else { return };
        stream.lines.push(bytes);
        if connection == Connection::Main {
            self.pulse.heard();
        }
        loop {
            let taken = match self.next_line(connection) {
                Ok(Some(response)) => self.on_line(now, connection, response),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                return self.lose(now, error);
            }
        }
    }

    /// The register will say no more.
    pub fn on_end_of_stream(&mut self, now: u64, connection: Connection) {
        let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the register");
        self.on_failed(now, connection, closed);
    }

    /// The connection broke, or could not be had.
    pub fn on_failed(&mut self, now: u64, connection: Connection, error: io::Error) {
        let error = match std::mem::take(self.state_mut(connection)) {
            State::Absent => return,
            // What is wrong below what registers say is known.
            State::Open(_) if error.kind() == io::ErrorKind::InvalidData => error,
            State::Open(stream) if stream.is_unasked() => Trouble::Unasked.into(),
            State::Open(stream) if !self.is_held => Trouble::closed(stream.lines.unfinished()).into(),
            State::Opening { .. } | State::Open(_) => error,
        };
        self.actions.push_back(Action::Close(connection));
        self.lose(now, error);
    }

    /// Does what is due.
    pub fn on_tick(&mut self, now: u64) {
        let opening = [&self.main, &self.probe].map(State::opening_by);
        if opening.into_iter().any(|by| now >= by) {
            let error = io::Error::new(io::ErrorKind::TimedOut, "it does not take the connection");
            return self.lose(now, error);
        }
        if now >= self.answer_by {
            self.on_unanswered(now);
        }
        if now >= self.look_at {
            self.look(now);
        }
        if now >= self.connect_at {
            self.connect_at = NEVER;
            self.open(Connection::Main);
        }
    }

    /// When [`Self::on_tick`] is due next, in ms.
    pub fn deadline(&self) -> u64 {
        let timers = [self.connect_at, self.answer_by, self.look_at];
        let opening = [&self.main, &self.probe].map(State::opening_by);
        timers.into_iter().chain(opening).min().unwrap_or(NEVER)
    }

    /// What the caller is to do next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What is to be sent on `connection`.
    pub fn unsent(&self, connection: Connection) -> &[u8] {
        match self.state(connection) {
            State::Open(stream) => &stream.output,
            State::Absent | State::Opening { .. } => &[],
        }
    }

    /// Of that, the first `size` bytes were taken.
    pub fn on_sent(&mut self, connection: Connection, size: usize) {
        if let State::Open(stream) = self.state_mut(connection) {
            stream.output.drain(..size.min(stream.output.len()));
        }
    }

    fn state(&self, connection: Connection) -> &State {
        match connection {
            Connection::Main => &self.main,
            Connection::Probe => &self.probe,
        }
    }

    fn state_mut(&mut self, connection: Connection) -> &mut State {
        match connection {
            Connection::Main => &mut self.main,
            Connection::Probe => &mut self.probe,
        }
    }

    fn first_request(&self, connection: Connection) -> Request {
        let (secret_key, admin) = (self.credentials.said_key().to_owned(), self.admin);
        match (connection, &self.role) {
            (Connection::Main, Role::Gateway(address)) => {
                Request::GatewayConnect { address: address.clone(), secret_key, admin }
            }
            (Connection::Main, Role::Follower) => Request::WorkerConnect { secret_key, admin },
            // The gateway has told it on the other one.
            (Connection::Probe, _) => Request::WorkerConnect { secret_key, admin: None },
        }
    }

    fn open(&mut self, connection: Connection) {
        *self.state_mut(connection) = State::Opening { by: NEVER };
        self.actions.push_back(Action::Connect(connection));
    }

    fn close(&mut self, connection: Connection) {
        if !matches!(std::mem::take(self.state_mut(connection)), State::Absent) {
            self.actions.push_back(Action::Close(connection));
        }
    }

    fn next_line(&mut self, connection: Connection) -> io::Result<Option<Response>> {
        let only_pongs = connection == Connection::Main && matches!(self.role, Role::Gateway(_));
        let State::Open(stream) = self.state_mut(connection) else { return Ok(None) };
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let Some(line) = stream.lines.next_line().map_err(invalid)? else { return Ok(None) };
        match Response::decode(line) {
            // A register has nothing else to say to a gateway.
            Ok(Response::Addresses(_)) if only_pongs => Err(Trouble::foreign(line).into()),
            Ok(response) => Ok(Some(response)),
            Err(_) => Err(Trouble::foreign(line).into()),
        }
    }

    fn on_line(&mut self, now: u64, connection: Connection, response: Response) -> io::Result<()> {
        match (connection, response) {
            (_, Response::Challenge(nonce)) => self.prove(now, connection, Said::Challenge(nonce))?,
            (_, Response::Proof(proof)) => self.prove(now, connection, Said::Proof(proof))?,
            _ if self.is_to_prove(connection) => return Err(Trouble::Unasked.into()),
            (Connection::Probe, Response::Addresses(addresses)) if !self.is_in(&addresses) => {
                // The other connection leads to one that was there before.
                return Err(io::Error::other("it does not know this gateway any more"));
            }
            (Connection::Probe, _) => self.hold(),
            (Connection::Main, Response::Pong) => {
                self.pulse.answered();
                if let Role::Gateway(_) = self.role {
                    self.hold();
                }
            }
            (Connection::Main, Response::Addresses(addresses)) => {
                self.hold();
                self.tell_list(&addresses);
            }
        }
        Ok(())
    }

    /// Whether nothing but a proof is to be said.
    fn is_to_prove(&self, connection: Connection) -> bool {
        matches!(self.state(connection), State::Open(Stream { dialler: Some(_), .. }))
    }

    /// The register asks for a proof that we know the key, or shows that it does.
    fn prove(&mut self, now: u64, connection: Connection, said: Said) -> io::Result<()> {
        let RegisterClient { credentials, role, main, probe, .. } = self;
        let (state, listed) = match (connection, role) {
            (Connection::Main, Role::Gateway(address)) => (main, address.as_str()),
            (Connection::Main, Role::Follower) => (main, ""),
            (Connection::Probe, _) => (probe, ""),
        };
        let State::Open(stream) = state else { return Ok(()) };
        if stream.prove(&credentials.secret_key, listed, said)? {
            self.introduce(now, connection);
        }
        Ok(())
    }

    /// Whether a list has this gateway.
    fn is_in(&self, addresses: &[String]) -> bool {
        matches!(&self.role, Role::Gateway(own) if addresses.contains(own))
    }

    fn hold(&mut self) {
        if self.is_held {
            return;
        }
        self.is_held = true;
        self.answer_by = NEVER;
        self.retry.held();
        self.close(Connection::Probe);
        self.actions.push_back(Action::News(News::Held));
    }

    fn tell_list(&mut self, addresses: &[String]) {
        let gateways: Vec<SocketAddrV4> =
            addresses.iter().take(GATEWAYS_MAX).filter_map(|address| address.parse().ok()).collect();
        let left_out = addresses.len() - gateways.len();
        self.actions.push_back(Action::News(News::Gateways { gateways, left_out }));
    }

    /// The time to answer is over: a gateway asks what that is, everybody else knows enough.
    fn on_unanswered(&mut self, now: u64) {
        if matches!(self.role, Role::Gateway(_))
            && matches!(self.probe, State::Absent)
            && !self.is_to_prove(Connection::Main)
        {
            self.answer_by = now.saturating_add(self.limits.answer_ms);
            return self.open(Connection::Probe);
        }
        let said = [&self.probe, &self.main].map(State::unfinished);
        let is_unasked = [&self.main, &self.probe].into_iter().any(State::is_unasked);
        let trouble = match said.into_iter().find(|said| !said.is_empty()) {
            Some(said) => Trouble::foreign(said),
            None if is_unasked => Trouble::Unasked,
            None => Trouble::Mute,
        };
        self.lose(now, trouble.into());
    }

    fn look(&mut self, now: u64) {
        let State::Open(stream) = &mut self.main else { return };
        self.look_at = now.saturating_add(LOOK_PERIOD_MS);
        let ping = match self.pulse.look() {
            RegisterSign::Well => return,
            RegisterSign::RingwayPing => Request::RingwayPing,
            RegisterSign::Ping => Request::Ping,
            RegisterSign::Silent => {
                let error = io::Error::new(io::ErrorKind::TimedOut, "it does not answer any more");
                return self.lose(now, error);
            }
        };
        // What is queued will be heard; a ping behind it would tell nothing more.
        if stream.output.is_empty() {
            ping.encode(&mut stream.output);
        }
    }

    /// Gives all connections up, and tries again later.
    fn lose(&mut self, now: u64, error: io::Error) {
        self.close(Connection::Main);
        self.close(Connection::Probe);
        let was_held = std::mem::take(&mut self.is_held);
        (self.answer_by, self.look_at) = (NEVER, NEVER);
        self.connect_at = now.saturating_add(crate::millis(self.retry.failed(&error, RECONNECT_DELAY)));
        self.actions.push_back(Action::News(News::Lost { error, was_held }));
    }
}

/// The most gateways of one list; the rest is left out, so that a bad register cannot exhaust sockets.
pub const GATEWAYS_MAX: usize = 4096;

/// Between two attempts: PHP's 1 s, halved, so that all are connected soon after a register is back.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// How long a gateway's register may take to answer, as one of ours does, before it is asked what it is, in ms.
const DOUBT_AFTER_MS: u64 = 2_000;

#[cfg(test)]
#[path = "register_client_tests.rs"]
mod tests;
