//! One core's loop: what its ring reports goes into the runtime, what the runtime wants goes to the ring. The thread sleeps
//! nowhere else.

use std::cell::Ref;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use hashbrown::HashMap;
use ring::{Event, Ring, Send, Short, SocketId};

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
    resolver: Resolver,
    lists: Lists,
    /// glommio's own sockets and timers are used beside the ring.
    shares_thread: bool,
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
    short: Vec<Short>,
}

impl Pump {
    fn new<E: Events>(
        launch: Launch,
        make_events: impl FnOnce() -> E,
        on_ready: Box<dyn FnOnce()>,
    ) -> io::Result<Pump> {
        let Launch { setup, bridge, requests, notices } = launch;
        let open_files = ring::raise_nofile_limit()?;
        let mut ring = Ring::new(ring::Config {
            sockets_max: u32::try_from(open_files).map_or(SOCKETS_MAX, |files| files.min(SOCKETS_MAX)),
            recv_buffer_size: READ_SIZE,
            recv_buffers: READ_BUFFERS,
            tick: Duration::ZERO,
            ..ring::Config::default()
        })
        .map_err(io::Error::other)?;
        let waker = ring.waker()?;
        requests.wake(waker.clone());
        let clock = program::Uptime::start();
        let resolver = Resolver::new(waker.clone());
        let host = Host { clock: Box::new(move || clock.elapsed()), wake: Box::new(move || waker.wake()) };
        let shares_thread = setup.config.glommio;
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
            shares_thread,
            alive_at: Duration::ZERO,
        })
    }

    async fn serve(&mut self) -> io::Result<()> {
        while !self.runtime.is_over() {
            self.turn()?;
            if self.shares_thread {
                // Going to sleep for nothing is what makes glommio look at its own rings.
                glommio::timer::sleep(Duration::from_nanos(1)).await;
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let wait = self.wait();
        let (runtime, sockets) = (&mut self.runtime, &mut self.sockets);
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
        let next = self.runtime.next_at().map_or(self.alive_at, |at| at.min(self.alive_at));
        let wait = next.saturating_sub(self.clock.elapsed());
        if self.shares_thread { wait.min(GLOMMIO_PERIOD) } else { wait }
    }

    /// One send per connection that has something to send.
    fn send(&mut self) -> io::Result<()> {
        let Lists { dirty, short, .. } = &mut self.lists;
        self.runtime.take_dirty(dirty);
        if dirty.is_empty() {
            return Ok(());
        }
        let unsent: Vec<Ref<'_, [u8]>> = dirty.iter().map(|conn| self.runtime.unsent(*conn)).collect();
        let slices: Vec<[IoSlice<'_>; 1]> = unsent.iter().map(|bytes| [IoSlice::new(bytes)]).collect();
        let sizes: Vec<usize> = unsent.iter().map(|bytes| bytes.len()).collect();
        let sockets = &self.sockets.of_conns;
        let sends = dirty
            .iter()
            .zip(&slices)
            .filter_map(|(conn, slices)| sockets.get(conn).map(|socket| Send { socket: *socket, slices }));
        self.ring.send_all(sends, short)?;
        drop(slices);
        drop(unsent);
        for (conn, size) in dirty.drain(..).zip(sizes) {
            let short = short.iter().find(|short| self.sockets.conns.get(&short.socket) == Some(&conn));
            self.runtime.on_sent(conn, short.map_or(size, |short| short.sent));
        }
        short.clear();
        Ok(())
    }

    fn act(&mut self) {
        self.runtime.take_actions(&mut self.lists.actions);
        for action in std::mem::take(&mut self.lists.actions) {
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

    fn connect_resolved(&mut self, conn: ConnId, address: io::Result<SocketAddr>) {
        self.runtime.on_resolved(conn);
        match address {
            Ok(address) => self.connect(conn, address),
            Err(error) => self.runtime.on_end(conn, error),
        }
    }

    fn tell(&mut self, notice: Notice) {
        if matches!(notice, Notice::Ready) {
            self.on_ready.take().into_iter().for_each(|on_ready| on_ready());
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

fn deliver(runtime: &mut Runtime, sockets: &mut Sockets, event: Event<'_>) {
    let conn = |socket: SocketId| sockets.conns.get(&socket).copied();
    match event {
        Event::Connected { socket } => conn(socket).into_iter().for_each(|conn| runtime.on_connected(conn)),
        Event::Received { socket, bytes } => {
            conn(socket).into_iter().for_each(|conn| runtime.on_bytes(conn, bytes));
        }
        Event::EndOfStream { socket } => {
            let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
            conn(socket).into_iter().for_each(|conn| runtime.on_end(conn, end()));
        }
        Event::Writable { socket } => conn(socket).into_iter().for_each(|conn| runtime.on_writable(conn)),
        Event::Failed { socket, error } => {
            if let Some(conn) = conn(socket) {
                runtime.on_end(conn, error);
            }
        }
        Event::Accepted { .. }
        | Event::AcceptFailed { .. }
        | Event::Closed { .. }
        | Event::Woken
        | Event::Tick => {}
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

/// Looks up names on threads of their own, since that may take seconds.
struct Resolver {
    found: Receiver<(ConnId, io::Result<SocketAddr>)>,
    tell: Sender<(ConnId, io::Result<SocketAddr>)>,
    waker: ring::Waker,
}

impl Resolver {
    fn new(waker: ring::Waker) -> Resolver {
        let (tell, found) = unbounded();
        Resolver { found, tell, waker }
    }

    fn look_up(&self, conn: ConnId, name: String) {
        let (tell, waker) = (self.tell.clone(), self.waker.clone());
        let found = move |found| {
            // The core may have ended meanwhile.
            let _ = tell.send((conn, found));
            waker.wake();
        };
        if let Err(error) = program::look_up(name, found) {
            let _ = self.tell.send((conn, Err(error)));
            self.waker.wake();
        }
    }

    fn next(&self) -> Option<(ConnId, io::Result<SocketAddr>)> {
        self.found.try_recv().ok()
    }
}

/// How long glommio's own sockets and timers may wait for their turn, if they are used.
const GLOMMIO_PERIOD: Duration = Duration::from_millis(1);
