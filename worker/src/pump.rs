//! One core's loop: what its ring reports goes into the runtime, what the runtime wants goes to the ring. The thread sleeps
//! nowhere else.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use crossbeam_channel::Sender;
use hashbrown::HashMap;
use program::Resolver;
use uring::{Event, Ring, SocketId};

use crate::Events;
use crate::config::{ALIVE_PERIOD, READ_BUFFERS, READ_SIZE, SOCKETS_MAX};
use crate::control::{Request, Requests};
use crate::core::{Action, ConnId, Notice, Setup};
use crate::runtime::{Bridge, Host, Runtime};

/// What a core's thread is started with.
pub(crate) struct Launch {
    pub(crate) setup: Setup,
    pub(crate) bridge: Bridge,
    pub(crate) requests: Requests,
    pub(crate) notices: Sender<Notice>,
}

/// Runs a core until it is told to end, and is done. `on_ready` is called when a register has answered and every gateway in
/// its list was tried.
pub(crate) async fn run<E: Events>(
    launch: Launch,
    make_events: impl FnOnce() -> E,
    on_ready: impl FnOnce() + 'static,
) {
    let pump = Pump::new(launch, make_events, Box::new(on_ready));
    let ended = match pump {
        Ok(mut pump) => pump.serve().await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        program::give_up(format_args!("the ring of this core broke: {error}"));
    }
}

struct Pump {
    ring: Ring,
    runtime: Runtime,
    requests: Requests,
    notices: Sender<Notice>,
    on_ready: Option<Box<dyn FnOnce()>>,
    clock: program::Uptime,
    sockets: Sockets,
    resolver: Resolver<ConnId>,
    lists: Lists,
    /// When glommio gets its turn, if its own sockets and timers are used beside the ring.
    glommio_at: Option<Duration>,
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
}

impl Pump {
    fn new<E: Events>(
        launch: Launch,
        make_events: impl FnOnce() -> E,
        on_ready: Box<dyn FnOnce()>,
    ) -> io::Result<Pump> {
        let Launch { setup, bridge, requests, notices } = launch;
        let open_files = uring::raise_nofile_limit()?;
        let mut ring = Ring::new(uring::Config {
            sockets_max: u32::try_from(open_files).map_or(SOCKETS_MAX, |files| files.min(SOCKETS_MAX)),
            recv_buffer_size: READ_SIZE,
            recv_buffers: READ_BUFFERS,
            tick: Duration::ZERO,
            ..uring::Config::default()
        })
        .map_err(io::Error::other)?;
        let waker = ring.waker()?;
        requests.wake(waker.clone());
        let clock = program::Uptime::start();
        let resolver = Resolver::new(waker.clone());
        let host = Host { clock: Box::new(move || clock.elapsed()), wake: Box::new(move || waker.wake()) };
        let runtime = Runtime::with_bridge(setup, host, bridge, make_events);
        Ok(Pump {
            ring,
            runtime,
            requests,
            notices,
            on_ready: Some(on_ready),
            clock,
            sockets: Sockets::default(),
            resolver,
            lists: Lists::default(),
            glommio_at: E::USES_GLOMMIO.then_some(Duration::ZERO),
            alive_at: Duration::ZERO,
        })
    }

    async fn serve(&mut self) -> io::Result<()> {
        while !self.runtime.is_over() {
            self.turn()?;
            if self.glommio_at.is_some_and(|at| at <= self.clock.elapsed()) {
                // Going to sleep is what makes glommio look at its own rings, and run its tasks.
                glommio::timer::sleep(GLOMMIO_TURN).await;
                self.glommio_at = Some(self.clock.elapsed() + GLOMMIO_PERIOD);
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let wait = self.wait();
        let (runtime, sockets) = (&mut self.runtime, &self.sockets);
        self.ring.turn(wait, |event| deliver(runtime, sockets, event))?;
        while let Some((conn, address)) = self.resolver.next() {
            self.connect_resolved(conn, address);
        }
        self.runtime.turn();
        self.act();
        self.send()?;
        self.act();
        self.tell_alive();
        while let Some(request) = self.requests.next() {
            match request {
                Request::Status(answer) => {
                    // Whoever asked may have given up.
                    let _ = answer.send(self.runtime.status());
                }
                Request::Stop => {
                    self.runtime.stop();
                    break;
                }
            }
        }
        Ok(())
    }

    /// How long the ring may wait for something to happen.
    fn wait(&self) -> Duration {
        let due = [self.runtime.next_at(), self.glommio_at].into_iter().flatten();
        due.fold(self.alive_at, Duration::min).saturating_sub(self.clock.elapsed())
    }

    /// One send per connection that has something to send.
    fn send(&mut self) -> io::Result<()> {
        let Lists { dirty, sent, .. } = &mut self.lists;
        self.runtime.take_dirty(dirty);
        if dirty.is_empty() {
            return Ok(());
        }
        let (unsent, sockets) = (self.runtime.unsent(), &self.sockets.of_conns);
        let mut sends = Vec::with_capacity(dirty.len());
        dirty.retain(|conn| {
            let socket = sockets.get(conn);
            sends.extend(socket.map(|socket| (*socket, IoSlice::new(unsent.of(*conn)))));
            socket.is_some()
        });
        self.ring.send_each(&sends, sent)?;
        drop(sends);
        drop(unsent);
        for (conn, sent) in dirty.drain(..).zip(sent.drain(..)) {
            self.runtime.on_sent(conn, sent);
        }
        Ok(())
    }

    fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.lists.actions);
        self.runtime.take_actions(&mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Connect(conn, to) => self.connect(conn, to),
                Action::ConnectByName(conn, name) => self.resolver.look_up(conn, name),
                Action::Pause(conn) => self.with_socket(conn, Ring::pause),
                Action::Resume(conn) => self.with_socket(conn, Ring::resume),
                Action::Finish(conn) => self.with_socket(conn, Ring::shutdown),
                Action::Close(conn) => {
                    self.with_socket(conn, Ring::close);
                    self.sockets.forget(conn);
                }
                Action::Tell(notice) => self.tell(notice),
            }
        }
        self.lists.actions = actions;
    }

    fn with_socket(&mut self, conn: ConnId, act: impl FnOnce(&mut Ring, SocketId)) {
        if let Some(socket) = self.sockets.of_conns.get(&conn) {
            act(&mut self.ring, *socket);
        }
    }

    fn connect(&mut self, conn: ConnId, to: SocketAddr) {
        match self.ring.connect(to, None) {
            Ok(socket) => self.sockets.add(conn, socket),
            Err(error) => self.runtime.on_end(conn, error),
        }
    }

    /// Connects to what a look-up has found, unless that is not wanted any more.
    fn connect_resolved(&mut self, conn: ConnId, address: io::Result<SocketAddr>) {
        match address {
            Ok(address) if self.runtime.on_resolved(conn) => self.connect(conn, address),
            Ok(_) => {}
            Err(error) => self.runtime.on_end(conn, error),
        }
    }

    fn tell(&mut self, notice: Notice) {
        if matches!(notice, Notice::Ready) {
            if let Some(on_ready) = self.on_ready.take() {
                on_ready();
            }
        } else {
            // Nobody need be interested.
            let _ = self.notices.send(notice);
        }
    }

    /// Tells again and again that this core turns.
    fn tell_alive(&mut self) {
        let now = self.clock.elapsed();
        if now >= self.alive_at {
            self.alive_at = now + ALIVE_PERIOD;
            self.tell(Notice::Alive);
        }
    }
}

fn deliver(runtime: &mut Runtime, sockets: &Sockets, event: Event<'_>) {
    let (Event::Connected { socket }
    | Event::Received { socket, .. }
    | Event::EndOfStream { socket }
    | Event::Writable { socket }
    | Event::Failed { socket, .. }) = event
    else {
        return;
    };
    let Some(conn) = sockets.conns.get(&socket).copied() else { return };
    match event {
        Event::Connected { .. } => runtime.on_connected(conn),
        Event::Received { bytes, .. } => runtime.on_bytes(conn, bytes),
        Event::EndOfStream { .. } => runtime.on_end(conn, io::ErrorKind::UnexpectedEof.into()),
        Event::Writable { .. } => runtime.on_writable(conn),
        Event::Failed { error, .. } => runtime.on_end(conn, error),
        _ => {}
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
