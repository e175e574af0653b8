//! One core of a worker, without IO, clock or tasks: what it knows of gateways, clients and handlers, and what follows.
//!
//! [`Core`] takes bytes, ends of connections, ends of handlers, and `now`; it leaves bytes ([`Core::unsent`]) and
//! [`Action`]s. `crate::runtime` runs the handlers on it, `crate::driver` joins it to sockets. Its parts:
//!
//! * `registers`: where the gateways are;
//! * `link`, `links`, `link_life`, `reconnect`: the command link to each of them, from the first attempt to the last;
//! * `dispatch`, `queues`, `backlog`: which event's handler may begin;
//! * `windows`, `unsettled`: what gateways may have in flight, what of it is done, and what is safe;
//! * `proof`: what is said on a connection before it counts as open, where the secret key is proven;
//! * `kept`, `lost`: what may be lost with a link, and what becomes of its events;
//! * `sessions`: which sessions are in doubt;
//! * `queries`: what is asked of gateways, and what became of messages;
//! * `drain`: how it hands its clients over;
//! * `connections`, `timers`: the bytes of all connections, and the times of all parts.

mod announced;
mod backlog;
mod connections;
mod counters;
mod dispatch;
mod drain;
mod kept;
mod link;
mod link_life;
mod links;
mod lost;
mod measures;
mod proof;
mod queries;
mod queues;
mod reconnect;
mod registers;
mod sessions;
mod timers;
mod unsettled;
mod windows;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use protocol::InnerAuth;
use protocol::inner::ext::{ClientConnect, WorkerConnect};
use protocol::inner::{Cmd, Frame, Window};

use crate::config::{CATCH_UP_AFTER, Config, STANDSTILL_MAX};
pub use announced::Announced;
use backlog::Backlog;
pub use connections::ConnId;
use connections::{Connections, Purpose};
pub use counters::{Counters, Status};
pub(crate) use dispatch::{Delivery, Event, What};
use drain::Draining;
use links::Links;
use lost::LostLinks;
pub use measures::Measures;
use proof::Proofs;
use queries::Queries;
pub(crate) use queries::{Asked, ByName, QuestionId};
use queues::Queues;
use registers::Registers;
use sessions::Sessions;
use timers::Timers;
use unsettled::Unsettled;
pub(crate) use windows::Ticket;
use windows::Windows;

/// What a core is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What the worker is told.
    pub config: Config,
    /// The first half of the worker key: the config's name, unless a process of that name still runs.
    pub key_name: String,
    /// 0-based; the second half of the worker key.
    pub index: usize,
    /// The same for all cores of a worker.
    pub announced: Arc<Announced>,
    /// A gateway that is there whatever registers say: the one in the core's own thread.
    pub own_gateway: Option<SocketAddrV4>,
}

/// What the host is to do.
#[derive(Debug)]
pub enum Action {
    /// Open a connection. [`Core::on_connected`] or [`Core::on_end`] follows, unless it is closed before.
    Connect(ConnId, SocketAddr, Option<IpAddr>),
    /// Look up all addresses of the register that has this place in the list of them, `HOST:PORT`; [`Core::on_looked_up`] follows.
    LookUp(usize, String),
    /// Read no more of it.
    Pause(ConnId),
    /// Read on.
    Resume(ConnId),
    /// Send our FIN: everything was sent.
    Finish(ConnId),
    /// Close it; it is forgotten here.
    Close(ConnId),
    /// Tell, for there are people who wait for it.
    Tell(Notice),
}

/// What a worker's core tells of itself.
#[derive(Debug)]
pub enum Notice {
    /// It has heard from a register and tried each gateway in its list. Once.
    Ready,
    /// The core of this index has links to these gateways, and they were taken.
    Gateways(usize, Vec<SocketAddrV4>),
    /// Another worker has the name, and stays.
    NameTaken,
    /// The core of this index turns.
    Alive(usize),
}

/// One core of a worker, without IO. Times are since any moment, the same one for all calls.
pub(crate) struct Core {
    pub(crate) config: Config,
    key_name: String,
    pub(crate) index: usize,
    links: Links,
    connections: Connections,
    proofs: Proofs,
    registers: Registers,
    queries: Queries,
    /// Events that were just read, in front of all that wait.
    fresh: VecDeque<Event>,
    /// Clients whose handler waits, and events that do.
    queues: Queues<Event>,
    windows: Windows,
    /// Gateways are asked to leave websocket handshakes to its handlers.
    pub(crate) answers_handshakes: bool,
    /// Events that were given a name here.
    named: u32,
    unsettled: Unsettled,
    lost: LostLinks,
    sessions: Sessions,
    backlog: Backlog,
    draining: Draining,
    /// Set once: no more events are taken.
    stopping: bool,
    /// Set once: everything was said, and links end.
    leaving: bool,
    pub(crate) counters: Counters,
    pub(crate) measures: Measures,
    timers: Timers<Timer>,
    actions: Vec<Action>,
    /// As of the last call that brought it.
    now: Duration,
    /// The same of calls that tell what came or is due.
    turned: Duration,
    /// What has come is read first: no handler of an event that may be others' begins before the next turn.
    catches_up: bool,
    /// Links that were read since [`Core::take_actions`].
    touched: Vec<SocketAddrV4>,
    /// Links that are not read.
    paused: usize,
    /// Who waits for something here to change.
    waiters: Vec<Waker>,
    changed: bool,
    pub(crate) is_started: bool,
    is_ready: bool,
    announced: Arc<Announced>,
    /// A link has stood for so long that another worker of the name must be the newer one.
    established: bool,
}

/// What is looked at when it is time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Timer {
    Link(SocketAddrV4),
    Queries(SocketAddrV4),
    Registers,
    Drain,
    Done,
    Kept,
}

impl Core {
    pub(crate) fn new(setup: Setup) -> Core {
        let Setup { config, key_name, index, announced, own_gateway } = setup;
        Core {
            registers: Registers::new(&config, announced.nonces(), own_gateway),
            config,
            key_name,
            index,
            links: Links::default(),
            connections: Connections::default(),
            proofs: Proofs::default(),
            queries: Queries::default(),
            fresh: VecDeque::new(),
            queues: Queues::default(),
            windows: Windows::default(),
            answers_handshakes: false,
            named: 0,
            unsettled: Unsettled::default(),
            lost: LostLinks::default(),
            sessions: Sessions::default(),
            backlog: Backlog::default(),
            draining: Draining::default(),
            stopping: false,
            leaving: false,
            counters: Counters::default(),
            measures: Measures::default(),
            timers: Timers::default(),
            actions: Vec::new(),
            now: Duration::ZERO,
            turned: Duration::ZERO,
            catches_up: false,
            touched: Vec::new(),
            paused: 0,
            waiters: Vec::new(),
            changed: false,
            is_started: false,
            is_ready: false,
            announced,
            established: false,
        }
    }

    /// It is so late now. A core that stood still for longer than gateways wait for it has no link any more, whatever it still
    /// reads of one: its clients are others', and have been told to others again. A shorter standstill may have cost it a link whose
    /// end is behind events that it has not read.
    fn at(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.turned);
        (self.now, self.turned) = (now, now);
        self.catches_up |= gap >= CATCH_UP_AFTER;
        if gap >= STANDSTILL_MAX {
            self.fence(gap);
        }
    }

    /// The addresses of a register that were to be looked up are known, or cannot be had.
    pub(crate) fn on_looked_up(&mut self, now: Duration, index: usize, found: io::Result<Vec<SocketAddr>>) {
        self.at(now);
        self.register_looked_up(index, found);
    }

    /// A connection stands.
    pub(crate) fn on_connected(&mut self, now: Duration, conn: ConnId) {
        self.at(now);
        let Some(purpose) = self.connections.purpose(conn) else { return };
        self.connections.opened(conn);
        match purpose {
            Purpose::Link(gateway) => self.link_opened(gateway, conn),
            Purpose::Queries(gateway) => self.queries_opened(gateway),
            Purpose::Unproven(gateway, aim) => self.proof_begins(gateway, aim, conn),
            Purpose::Register(conn) => self.register_opened(conn),
        }
    }

    /// Bytes came. Events among them wait in front of [`Core::start_fresh`].
    pub(crate) fn on_bytes(&mut self, now: Duration, conn: ConnId, bytes: &[u8]) {
        self.at(now);
        match self.connections.purpose(conn) {
            Some(Purpose::Link(gateway)) => self.link_received(gateway, bytes),
            Some(Purpose::Queries(gateway)) => self.queries_received(gateway, bytes),
            Some(Purpose::Unproven(gateway, aim)) => self.proof_received(gateway, aim, conn, bytes),
            Some(Purpose::Register(conn)) => self.register_received(conn, bytes),
            None => {}
        }
    }

    /// A connection ended, by the peer's FIN or by `error`, or could not be had. It is closed by this.
    pub(crate) fn on_end(&mut self, now: Duration, conn: ConnId, error: io::Error) {
        self.at(now);
        match self.connections.purpose(conn) {
            Some(Purpose::Link(gateway)) => self.link_ended(gateway, error),
            Some(Purpose::Queries(gateway)) => self.queries_ended(gateway, &error),
            Some(Purpose::Unproven(gateway, aim)) => self.proof_ended(gateway, aim, error),
            Some(Purpose::Register(conn)) => self.register_ended(conn, error),
            None => {}
        }
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, now: Duration) {
        self.at(now);
        self.catches_up = false;
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Link(gateway) => self.link_due(gateway),
                Timer::Queries(gateway) => self.queries_due(gateway),
                Timer::Registers => self.registers_due(),
                Timer::Drain => self.changed = true,
                Timer::Kept => self.look_at_kept(),
                Timer::Done => {
                    self.tell_done_waiting();
                    self.windows.due();
                }
            }
        }
    }

    /// When [`Core::on_time`] is to be called next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Begins: asks the registers.
    pub(crate) fn start(&mut self, now: Duration) {
        self.now = now;
        self.is_started = true;
        if let Some(gateway) = self.registers.own_gateway() {
            self.link_begin(gateway);
        }
        self.registers_due();
    }

    /// Moves what the host is to do to `list`.
    pub(crate) fn take_actions(&mut self, list: &mut Vec<Action>) {
        self.regulate();
        list.append(&mut self.actions);
    }

    /// Moves the connections that have something to send to `list`. Each is to be followed by [`Core::sent`].
    pub(crate) fn take_dirty(&mut self, list: &mut Vec<ConnId>) {
        self.say_done();
        self.connections.take_dirty(list);
    }

    /// What a connection is to be sent.
    pub(crate) fn unsent(&self, conn: ConnId) -> &[u8] {
        self.connections.unsent(conn)
    }

    /// Notes that so much of [`Core::unsent`] was sent; if that is not all, [`Core::writable`] follows.
    pub(crate) fn sent(&mut self, conn: ConnId, size: usize) {
        self.connections.sent(conn, size);
        if let Some(Purpose::Link(gateway)) = self.connections.purpose(conn) {
            self.settle(gateway);
            self.link_sent(gateway, conn, size);
        }
    }

    /// There is room again.
    pub(crate) fn writable(&mut self, conn: ConnId) {
        self.connections.writable(conn);
    }

    /// Has `waker` woken at the next change of anything that somebody may wait for: a link, its outbox, a handler's end.
    pub(crate) fn listen(&mut self, waker: &Waker) {
        if !self.waiters.iter().any(|waiter| waiter.will_wake(waker)) {
            self.waiters.push(waker.clone());
        }
    }

    /// Whether [`Core::follow_up`] has something to do.
    pub(crate) fn is_followed(&self) -> bool {
        self.changed && (self.draining.has_begun() || !self.waiters.is_empty())
    }

    /// Whether nothing is to be done once all is sent, before something comes or it is time for something.
    pub(crate) fn is_over_when_sent(&self) -> bool {
        let is_ending = self.draining.has_begun() || self.stopping || self.leaving || self.has_fenced();
        let is_idle = self.actions.is_empty() && self.waiters.is_empty() && !self.queues.has_lines();
        !is_ending && is_idle && !self.is_safe_when_sent()
    }

    /// Gets on with what waits for such a change; returns whom to wake because of it.
    pub(crate) fn follow_up(&mut self) -> Vec<Waker> {
        if !self.changed {
            return Vec::new();
        }
        self.hand_over();
        self.changed = false;
        std::mem::take(&mut self.waiters)
    }

    /// Forgets whom to wake, so that nothing keeps anything alive any more.
    pub(crate) fn forget_waiters(&mut self) -> Vec<Waker> {
        let askers = self.queries.forget_askers().into_iter();
        askers.chain(std::mem::take(&mut self.waiters)).collect()
    }

    /// How things are.
    pub(crate) fn status(&self) -> Status {
        Status {
            links: self.links.all().iter().filter(|link| link.open().is_some()).count(),
            handlers_running: self.queues.running(),
            events_waiting: self.queues.waiting().events,
            queued_bytes: self.backlog.bytes(),
            events_unsettled: self.unsettled.count(),
            commands_kept: self
                .links
                .all()
                .iter()
                .filter_map(|link| link.kept.as_ref())
                .map(|kept| kept.len())
                .sum(),
            held_bytes: self.lost.held_bytes(),
            sessions_remembered: self.sessions.count(),
            is_stopping: self.draining.has_begun() || self.stopping,
            measures: self.measures,
            counters: self.counters,
        }
    }

    fn connect(&mut self, purpose: Purpose, to: impl Into<SocketAddr>) -> ConnId {
        self.connect_from(purpose, to, None)
    }

    fn connect_from(&mut self, purpose: Purpose, to: impl Into<SocketAddr>, from: Option<IpAddr>) -> ConnId {
        let conn = self.connections.add(purpose);
        self.actions.push(Action::Connect(conn, to.into(), from));
        conn
    }

    /// Closes a connection; what was queued is lost with it. Returns how much that was.
    fn close(&mut self, conn: ConnId) -> usize {
        self.actions.push(Action::Close(conn));
        self.windows.end(conn);
        self.proofs.end(conn);
        self.unsettled.end(conn);
        self.connections.remove(conn)
    }

    /// The first frame on a command link (WIRE.md §4). Sent with the key field even when there is no key (WIRE.md §3), unless that
    /// is proven.
    fn hello(&self, gateway: SocketAddrV4) -> Vec<u8> {
        let is_said = self.config.inner_auth == InnerAuth::Plain;
        let body = WorkerConnect {
            worker_key: format!("{}:{}", self.key_name, self.index),
            secret_key: is_said.then(|| self.config.secret_key.clone()),
            ringway: true,
            run: Some(self.announced.run()),
            acks: self.asks_for_acks(gateway),
            resume: self
                .links
                .find(gateway)
                .and_then(|link| link.kept.as_ref())
                .map(|kept| kept.origin().link),
            handshakes: self.answers_handshakes,
            window: self.window_for(gateway),
        };
        encode(Cmd::WorkerConnect, &body.encode())
    }

    /// What a gateway may have in flight. The one in the core's own thread has a link that holds little.
    fn window_for(&self, gateway: SocketAddrV4) -> Option<Window> {
        let is_own = self.registers.own_gateway() == Some(gateway);
        (!is_own).then(|| windows::window(self.config.max_concurrent_events))
    }

    /// The gateway in the core's own thread.
    pub(crate) fn own_gateway(&self) -> Option<SocketAddrV4> {
        self.registers.own_gateway()
    }

    /// Whether a gateway is to keep events until they are safe. The one in the core's own thread lives and dies with it.
    fn asks_for_acks(&self, gateway: SocketAddrV4) -> bool {
        !self.config.at_most_once && self.registers.own_gateway() != Some(gateway)
    }

    /// What goes in front of every query while a key is set (WIRE.md §3), and said.
    fn authorization(&self) -> Vec<u8> {
        if self.config.secret_key.is_empty() || self.config.inner_auth == InnerAuth::Challenge {
            return Vec::new();
        }
        let body = ClientConnect { secret_key: Some(self.config.secret_key.clone()) };
        encode(Cmd::GatewayClientConnect, &body.encode())
    }
}

fn encode(cmd: Cmd, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame { body, ..Frame::command(cmd) }.encode(&mut out);
    out
}
