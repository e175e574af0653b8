//! Owns the register's listener and thread: start and stop.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::mpsc::{self, RecvError};

use glommio::ExecutorJoinHandle;
use program::BindRetry;
use protocol::InnerAuth;
use socket2::{Domain, Socket, TcpKeepalive, Type};
use tls::{InnerTls, Mutual};

use crate::config::{BACKLOG, Config, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};
use crate::pump::Pump;
use crate::register::Register;
use crate::status::{Control, StatusSource};

impl Register {
    /// Listens, and serves on a thread of its own. When this returns, connections are taken.
    ///
    /// # Errors
    /// The address is none, or cannot be listened on, or is open to all without a key, or the thread cannot serve; the
    /// message says what helps.
    pub fn start(config: Config) -> io::Result<Running> {
        let config = config.read_secret_key().map_err(io::Error::other)?;
        let inner_tls = config.inner_tls().map_err(io::Error::other)?;
        let mutual = inner_tls.as_ref().map(Mutual::load).transpose().map_err(io::Error::other)?;
        for notice in mutual.iter().flat_map(Mutual::notices) {
            tracing::warn!("{notice}");
        }
        let address = protocol::address::register_listen(&config.listen)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?
            .to_string();
        let listener = listen(&address)
            .map_err(|error| io::Error::new(error.kind(), program::describe_bind_error(&address, &error)))?;
        let addr = listener.local_addr()?;
        config.check_is_closed(addr).map_err(io::Error::other)?;
        let (secret_key, inner_auth) = (config.secret_key.clone(), config.inner_auth);
        let (send, control) = mpsc::channel();
        let (start, started) = mpsc::sync_channel(1);
        let serve = move || async move {
            let (pump, result) = match Pump::new(&config, mutual, listener, control) {
                Ok((pump, waker)) => (Some(pump), Ok(waker)),
                Err(error) => (None, Err(error)),
            };
            // Who started it waits for this.
            let _ = start.send(result);
            pump.into_iter().for_each(Pump::run);
        };
        let thread = program::start_executor("register", None, serve).map_err(cannot_run)?;
        let ended = |RecvError| Err(io::Error::other("it ended before it served"));
        let waker = started.recv().unwrap_or_else(ended).map_err(cannot_run)?;
        let source = StatusSource { addr, control: send, waker };
        Ok(Running { source, secret_key, inner_auth, inner_tls, thread: Some(thread) })
    }
}

/// A register that serves. Dropped, it stops as with [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    source: StatusSource,
    #[cfg_attr(not(feature = "admin"), expect(dead_code, reason = "for the dashboard"))]
    secret_key: String,
    #[cfg_attr(not(feature = "admin"), expect(dead_code, reason = "for the dashboard"))]
    inner_auth: InnerAuth,
    #[cfg_attr(not(feature = "admin"), expect(dead_code, reason = "for the dashboard"))]
    inner_tls: Option<InnerTls>,
    /// `None` once stopped.
    thread: Option<ExecutorJoinHandle<()>>,
}

impl Running {
    /// The address it listens on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.source.addr
    }

    /// How to ask the register how things are, from any thread, for as long as it runs.
    pub fn status_source(&self) -> StatusSource {
        self.source.clone()
    }

    /// What its dashboard shows and does beside itself: the other processes of the cluster, and their clients.
    #[cfg(feature = "admin")]
    pub fn cluster(&self) -> admin::Cluster {
        let source = self.status_source();
        let routes = crate::lookup::routes(
            self.addr(),
            self.secret_key.clone(),
            self.inner_auth,
            self.inner_tls.clone(),
        );
        admin::Cluster::new(move || source.members(), routes)
    }

    /// Closes the listener and all connections, and waits for the thread to end.
    ///
    /// # Errors
    /// Its thread had panicked.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // A thread that has ended hears nothing, and is joined all the same.
        let _ = self.source.tell(Control::Stop);
        thread.join().map_err(cannot_run)
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
    let none = Err(io::Error::new(io::ErrorKind::InvalidInput, "the name has no address"));
    let mut retry = BindRetry::default();
    listen.to_socket_addrs()?.fold(none, |had, addr| had.or_else(|_| retry.bind(|| listen_on(addr))))
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it.
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn cannot_run(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("cannot run the register: {error}"))
}
