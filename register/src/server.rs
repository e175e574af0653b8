//! Owns the register's thread: the listener, the table of connections, start and stop.
//!
//! One glommio executor, one task per connection. What lines mean is [`crate::Directory`]'s business.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use glommio::timer::Timer;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use protocol::pulse::Sign;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

use crate::config::{
    ACCEPT_PAUSE, BACKLOG, CONNECTIONS_MAX, Config, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES,
    PREEMPT_TIMER, PULSE, PULSES_PER_LOOK, WRITE_TIMEOUT,
};
use crate::conn::{Conn, End};
use crate::directory::{PeerId, Refusal};
use crate::shared::{Shared, Wakes};
use crate::status::{Question, Questions, StatusSource};

/// A register that can be started.
#[derive(Debug)]
pub struct Register;

impl Register {
    /// Listens, and serves on a thread of its own. When this returns, connections are taken.
    ///
    /// # Errors
    /// The address is none, or cannot be listened on, or the executor does not start; the message says what helps.
    pub fn start(config: Config) -> io::Result<Running> {
        let address = protocol::address::register_listen(&config.listen)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?
            .to_string();
        let listener = listen(&address)
            .map_err(|error| io::Error::new(error.kind(), program::describe_bind_error(&address, &error)))?;
        let addr = listener.local_addr()?;
        let listener = Arc::new(listener);
        let (started, serves) = mpsc::sync_channel(1);
        let (ask, questions) = mpsc::channel();
        let thread = LocalExecutorBuilder::new(Placement::Unbound)
            .name("register")
            .preempt_timer(PREEMPT_TIMER)
            .spawn({
                let listener = Arc::clone(&listener);
                move || async move {
                    program::mark_vital();
                    // The other end waits for this, unless its thread died, and then nobody needs to know.
                    let _ = started.send(());
                    Rc::new(Shared::new(config)).serve(listener, questions).await;
                }
            })
            .map_err(|error| no_executor(&error))?;
        let running = Running { addr, listener, ask, thread: Some(thread) };
        match serves.recv() {
            Ok(()) => Ok(running),
            Err(mpsc::RecvError) => {
                running.stop()?;
                Err(io::Error::other("the register's executor ended before it served"))
            }
        }
    }
}

/// A register that serves. Dropped, it stops as with [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    listener: Arc<TcpListener>,
    ask: mpsc::Sender<Question>,
    /// `None` once stopped.
    thread: Option<ExecutorJoinHandle<()>>,
}

impl Running {
    /// The address it listens on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How to ask the register how things are, from any thread, for as long as it runs.
    pub fn status_source(&self) -> StatusSource {
        StatusSource::new(self.addr, self.ask.clone())
    }

    /// Closes the listener and all connections, and waits for the thread to end.
    ///
    /// # Errors
    /// The executor had not started, or its thread had panicked.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // Wakes the accept in progress and fails all later ones: that is how the thread learns of the stop.
        SockRef::from(&*self.listener).shutdown(Shutdown::Both)?;
        thread.join().map_err(|error| no_executor(&error))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "register did not stop cleanly");
        }
    }
}

/// Listens on the first address of `listen` that can be had. An address that old connections linger on counts as free.
fn listen(listen: &str) -> io::Result<TcpListener> {
    let mut result = Err(io::Error::new(io::ErrorKind::InvalidInput, "the name has no address"));
    for addr in listen.to_socket_addrs()? {
        result = listen_on(addr);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn no_executor(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("cannot run the register's executor: {error}"))
}

impl Shared {
    async fn serve(self: Rc<Self>, listener: Arc<TcpListener>, questions: Questions) {
        let pulse = glommio::spawn_local(Rc::clone(&self).pulse(questions));
        self.accept_until_shut_down(listener).await;
        for wakes in self.conns.borrow().values() {
            wakes.stop.notify();
        }
        while !self.conns.borrow().is_empty() {
            self.empty.notified().await;
        }
        // An executor that ends forgets its tasks without dropping them.
        pulse.cancel().await;
    }

    /// Accepts on the executor's helper thread: glommio's own listener shares its port with any other of the same user,
    /// so that a second register on one address would take half of the connections instead of failing.
    async fn accept_until_shut_down(self: &Rc<Self>, listener: Arc<TcpListener>) {
        let mut is_failing = false;
        loop {
            let accepting = Arc::clone(&listener);
            match glommio::executor().spawn_blocking(move || accepting.accept()).await {
                Ok((stream, from)) => {
                    is_failing = false;
                    self.admit(stream, from);
                }
                // What accept says of a listener that was shut down.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "cannot accept connections");
                    }
                    Timer::new(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(self: &Rc<Self>, stream: TcpStream, from: SocketAddr) {
        let room = self.directory.borrow_mut().make_room();
        let is_full = room.is_err();
        if is_full != self.is_full.replace(is_full) && is_full {
            tracing::warn!(CONNECTIONS_MAX, "too many connections, new ones are closed");
        }
        if is_full {
            self.count(|counters| counters.refused_full += 1);
            return;
        }
        if let Ok(Some(oldest)) = room
            && let Some(wakes) = self.conns.borrow().get(&oldest)
        {
            wakes.crowded.notify();
        }
        let stream = match prepare(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%from, %error, "a connection was gone at accept");
                return;
            }
        };
        self.count(|counters| counters.accepted += 1);
        let peer = self.directory.borrow_mut().on_open();
        let wakes = Rc::new(Wakes::default());
        self.conns.borrow_mut().insert(peer, Rc::clone(&wakes));
        let shared = Rc::clone(self);
        glommio::spawn_local(async move {
            let conn = Conn::new(peer, stream, wakes, Rc::clone(&shared));
            let end = conn.serve(shared.config.introduction_timeout).await;
            shared.on_end(peer, from, &end);
        })
        .detach();
    }

    fn on_end(&self, peer: PeerId, from: SocketAddr, end: &End) {
        match *end {
            End::Refused(refusal) => {
                self.count(|counters| counters.refuse(refusal));
                self.log_refusal(from, refusal);
            }
            End::Dead => {
                self.count(|counters| counters.dead += 1);
                tracing::warn!(%from, "a peer does not ping any more, taken for dead");
            }
            End::Gone | End::Stopped => {}
        }
        if let Some(address) = self.directory.borrow().address(peer) {
            tracing::info!(address, "gateway gone");
        }
        self.directory.borrow_mut().on_closed(peer);
        self.wake_owed();
        self.conns.borrow_mut().remove(&peer);
        if self.conns.borrow().is_empty() {
            self.empty.notify();
        }
    }

    /// A peer with a wrong key comes back every second; the log has it once.
    fn log_refusal(&self, from: SocketAddr, refusal: Refusal) {
        let now = Some((from.ip(), refusal));
        if self.last_refused.replace(now) == now {
            tracing::debug!(%from, "connection refused again: {refusal}");
        } else {
            tracing::warn!(%from, "connection refused: {refusal}");
        }
    }

    /// See [`PULSE`]. It comes often enough to answer whoever asks how things are.
    async fn pulse(self: Rc<Self>, questions: Questions) {
        let mut pulses = 0;
        loop {
            Timer::new(PULSE).await;
            pulses += 1;
            if pulses == PULSES_PER_LOOK {
                pulses = 0;
                self.look_at_peers();
            }
            for question in questions.try_iter() {
                // Whoever asked may have given up.
                let _ = question.try_send(self.status());
            }
        }
    }

    fn look_at_peers(&self) {
        for wakes in self.conns.borrow().values() {
            if wakes.beat(|pulse| pulse.look(false)) == Sign::Silent {
                wakes.dead.notify();
            }
        }
    }
}

fn prepare(stream: TcpStream) -> io::Result<glommio::net::TcpStream> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    stream.set_nodelay(true)?;
    let stream = glommio::net::TcpStream::from(socket2_of_glommio::Socket::from(stream));
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(stream)
}
