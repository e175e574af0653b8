//! A core on a ring: what the ring reports goes into the runtime, what the runtime wants goes to the ring. The ring may be
//! somebody else's, who has sockets of his own on it.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use crossbeam_channel::Sender;
use hashbrown::HashMap;
use inner_tls::Ring;
use program::Resolver;
use uring::{Event, SocketId, Waker};

use crate::Events;
use crate::config::ALIVE_PERIOD;
use crate::control::{Request, Requests};
use crate::core::{Action, ConnId, Notice, Setup};
use crate::runtime::{Bridge, Host, Runtime};

/// What a core is started with, on the thread where it is to be.
#[derive(Debug)]
pub struct Launch {
    pub(crate) setup: Setup,
    pub(crate) bridge: Bridge,
    pub(crate) requests: Requests,
    pub(crate) notices: Sender<Notice>,
    /// Told once, when a register has answered and every gateway in its list was tried.
    pub(crate) ready: Sender<()>,
    /// What its own ring is given; whose ring it is otherwise sees to that.
    pub(crate) mutual: Option<tls::Mutual>,
}

/// Connections whose other end is in the core's own thread: they need no socket.
pub trait Near {
    /// Does what the core wants of a connection. `false`: it is not one of these.
    ///
    /// One to be opened stands when [`Runtime::on_connected`] is called, not before this has returned.
    fn act(&mut self, action: &Action) -> bool;

    /// Takes what is to be sent on a connection, and returns how much of it there was room for. `None`: it is not one of these.
    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> Option<usize>;
}

/// All connections have sockets.
#[derive(Debug)]
struct NoneNear;

impl Near for NoneNear {
    fn act(&mut self, _action: &Action) -> bool {
        false
    }

    fn send(&mut self, _conn: ConnId, _bytes: &[u8]) -> Option<usize> {
        None
    }
}

/// A core, and its sockets on a ring.
///
/// In each turn of the ring: [`Driver::deliver`] for each of its events, then [`Driver::turn`]. The ring waits no longer than
/// [`Driver::wait`]. When it has been told to stop, this goes on until [`Driver::is_over`].
pub struct Driver {
    runtime: Runtime,
    requests: Requests,
    notices: Sender<Notice>,
    ready: Option<Sender<()>>,
    clock: program::Uptime,
    sockets: Sockets,
    /// Of registers, by their place in the list of them.
    resolver: Resolver<usize>,
    lists: Lists,
    /// Something has come since the last turn.
    is_touched: bool,
    /// When glommio gets its turn, if its own sockets and timers are used beside the ring.
    glommio_at: Option<Duration>,
    index: usize,
    /// When it is told next that this core turns.
    alive_at: Duration,
}

/// Which socket of the ring is which connection of the core.
#[derive(Default)]
struct Sockets {
    of_conns: HashMap<ConnId, SocketId>,
    conns: HashMap<SocketId, ConnId>,
}

/// Lists that every turn needs, kept for their memory.
#[derive(Default)]
struct Lists {
    actions: Vec<Action>,
    dirty: Vec<ConnId>,
    sent: Vec<usize>,
    sent_near: Vec<(ConnId, usize)>,
}

impl Launch {
    /// Which core it is, from 0.
    pub fn index(&self) -> usize {
        self.setup.index
    }

    /// For a core in the thread of the gateway at this address: it connects there first, whatever registers say.
    pub fn beside(mut self, gateway: SocketAddrV4) -> Launch {
        self.setup.own_gateway = Some(gateway);
        self
    }
}

impl Driver {
    /// A core that begins. The waker is that of the ring.
    pub fn new<E: Events>(launch: Launch, waker: Waker, make_events: impl FnOnce(usize) -> E) -> Driver {
        let Launch { setup, bridge, requests, notices, ready, mutual: _ } = launch;
        requests.wake(waker.clone());
        let clock = program::Uptime::start();
        let resolver = Resolver::new(waker.clone());
        let host = Host { clock: Box::new(move || clock.elapsed()), wake: Box::new(move || waker.wake()) };
        let index = setup.index;
        let runtime = Runtime::with_bridge(setup, host, bridge, || make_events(index));
        Driver {
            runtime,
            requests,
            notices,
            ready: Some(ready),
            clock,
            sockets: Sockets::default(),
            resolver,
            lists: Lists::default(),
            is_touched: true,
            glommio_at: E::USES_GLOMMIO.then_some(Duration::ZERO),
            index,
            alive_at: Duration::ZERO,
        }
    }

    /// The core and its handlers, to which whoever is [`Near`] tells what happened there.
    pub fn runtime(&mut self) -> &mut Runtime {
        &mut self.runtime
    }

    /// Whether `on_start` has ended, and well.
    pub fn is_started(&self) -> bool {
        self.runtime.is_started()
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.runtime.is_over()
    }

    /// Takes the event if it is about a connection of the core's; else gives it back.
    pub fn deliver<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        self.is_touched |= matches!(event, Event::Woken);
        let conn = event.socket().and_then(|socket| self.sockets.conns.get(&socket).copied());
        let Some(conn) = conn else { return Some(event) };
        self.is_touched = true;
        let runtime = &mut self.runtime;
        match event {
            Event::Connected { .. } => runtime.on_connected(conn),
            Event::Received { bytes, .. } => runtime.on_bytes(conn, bytes),
            Event::EndOfStream { .. } => runtime.on_end(conn, io::ErrorKind::UnexpectedEof.into()),
            Event::Writable { .. } => runtime.on_writable(conn),
            Event::Failed { error, .. } => runtime.on_end(conn, error),
            _ => {}
        }
        None
    }

    /// Does what is due, runs what was woken, and sends what is to be sent.
    ///
    /// # Errors
    /// The ring is broken.
    pub fn turn(&mut self, ring: &mut Ring, near: &mut impl Near) -> io::Result<()> {
        self.prepare(ring, near);
        self.send(ring, near, Duration::ZERO)?;
        self.act(ring, near);
        Ok(())
    }

    /// The same of a core that has the ring for itself: where nothing follows from what is sent, it waits as
    /// [`Driver::wait`] says, in the system call of the sends.
    ///
    /// # Errors
    /// The ring is broken.
    pub(crate) fn turn_and_wait(&mut self, ring: &mut Ring) -> io::Result<()> {
        self.prepare(ring, &mut NoneNear);
        let wait = if self.runtime.is_over_when_sent() { self.wait() } else { Duration::ZERO };
        self.send(ring, &mut NoneNear, wait)?;
        self.act(ring, &mut NoneNear);
        Ok(())
    }

    /// What comes before the sends.
    fn prepare(&mut self, ring: &mut Ring, near: &mut impl Near) {
        self.is_touched = false;
        while let Some((index, found)) = self.resolver.next() {
            self.runtime.on_looked_up(index, found);
        }
        self.runtime.turn();
        self.act(ring, near);
        self.tell_alive();
        while let Some(request) = self.requests.next() {
            match request {
                Request::Status(answer) => {
                    let (mut status, ring) = (self.runtime.status(), ring.stats());
                    status.counters.ring_enters = ring.enters;
                    status.counters.received_bytes = ring.bytes_in;
                    status.counters.sent_bytes = ring.bytes_out;
                    // Whoever asked may have given up.
                    let _ = answer.send(status);
                }
                Request::Stop => {
                    self.runtime.stop();
                    break;
                }
            }
        }
    }

    /// How long nothing is to be done, unless something comes.
    pub fn wait(&self) -> Duration {
        if self.is_touched {
            return Duration::ZERO;
        }
        let due = [self.runtime.next_at(), self.glommio_at].into_iter().flatten();
        due.fold(self.alive_at, Duration::min).saturating_sub(self.clock.elapsed())
    }

    /// Whether glommio's own sockets and timers are to have their turn: [`Driver::let_glommio_turn`].
    pub fn is_glommio_due(&self) -> bool {
        self.glommio_at.is_some_and(|at| at <= self.clock.elapsed())
    }

    /// Lets the executor on whose thread this is look at its own rings, and run its tasks.
    pub async fn let_glommio_turn(&mut self) {
        // Going to sleep is what makes it do so.
        glommio::timer::sleep(GLOMMIO_TURN).await;
        self.glommio_at = Some(self.clock.elapsed() + GLOMMIO_PERIOD);
    }

    /// One send per connection that has something to send, and a wait behind the last.
    fn send(&mut self, ring: &mut Ring, near: &mut impl Near, wait: Duration) -> io::Result<()> {
        let Lists { dirty, sent, sent_near, .. } = &mut self.lists;
        self.runtime.take_dirty(dirty);
        if dirty.is_empty() {
            return Ok(());
        }
        let (unsent, sockets) = (self.runtime.unsent(), &self.sockets.of_conns);
        let mut sends = Vec::new();
        dirty.retain(|conn| {
            let bytes = unsent.of(*conn);
            if let Some(size) = near.send(*conn, bytes) {
                sent_near.push((*conn, size));
                return false;
            }
            let socket = sockets.get(conn);
            sends.extend(socket.map(|socket| (*socket, IoSlice::new(bytes))));
            socket.is_some()
        });
        ring.send_each(&sends, sent, wait)?;
        drop(sends);
        drop(unsent);
        for (conn, sent) in dirty.drain(..).zip(sent.drain(..)).chain(sent_near.drain(..)) {
            self.runtime.on_sent(conn, sent);
        }
        Ok(())
    }

    fn act(&mut self, ring: &mut Ring, near: &mut impl Near) {
        let mut actions = std::mem::take(&mut self.lists.actions);
        self.runtime.take_actions(&mut actions);
        for action in actions.drain(..) {
            if near.act(&action) {
                continue;
            }
            match action {
                Action::Connect(conn, to, from) => self.connect(ring, conn, to, from),
                Action::LookUp(index, name) => self.resolver.look_up(index, name),
                Action::Pause(conn) => self.with_socket(conn, |socket| ring.pause(socket)),
                Action::Resume(conn) => self.with_socket(conn, |socket| ring.resume(socket)),
                Action::Finish(conn) => self.with_socket(conn, |socket| ring.shutdown(socket)),
                Action::Close(conn) => {
                    self.with_socket(conn, |socket| ring.close(socket));
                    self.sockets.forget(conn);
                }
                Action::Tell(notice) => self.tell(notice),
            }
        }
        self.lists.actions = actions;
    }

    fn with_socket(&self, conn: ConnId, act: impl FnOnce(SocketId)) {
        if let Some(socket) = self.sockets.of_conns.get(&conn) {
            act(*socket);
        }
    }

    fn connect(&mut self, ring: &mut Ring, conn: ConnId, to: SocketAddr, from: Option<IpAddr>) {
        match ring.connect_preferred(to, from) {
            Ok(socket) => self.sockets.add(conn, socket),
            Err(error) => self.runtime.on_end(conn, error),
        }
    }

    fn tell(&mut self, notice: Notice) {
        // Nobody need be interested.
        if !matches!(notice, Notice::Ready) {
            let _ = self.notices.send(notice);
        } else if let Some(ready) = self.ready.take() {
            let _ = ready.send(());
        }
    }

    /// Tells again and again that this core turns.
    fn tell_alive(&mut self) {
        let now = self.clock.elapsed();
        if now >= self.alive_at {
            self.alive_at = now + ALIVE_PERIOD;
            self.tell(Notice::Alive(self.index));
        }
    }
}

impl Sockets {
    fn add(&mut self, conn: ConnId, socket: SocketId) {
        self.of_conns.insert(conn, socket);
        self.conns.insert(socket, conn);
    }

    fn forget(&mut self, conn: ConnId) {
        if let Some(socket) = self.of_conns.remove(&conn) {
            self.conns.remove(&socket);
        }
    }
}

/// How long glommio's own sockets and timers may wait for their turn, if they are used.
const GLOMMIO_PERIOD: Duration = Duration::from_millis(1);

/// How long such a turn is at least: so long that the time has not come when glommio first looks, or it would not sleep.
const GLOMMIO_TURN: Duration = Duration::from_micros(20);
