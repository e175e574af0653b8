//! The same client for programs without a runtime.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{fmt, io, thread};

use protocol::calls::command::Command;
use protocol::calls::query::Query;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::{Answer, Config, ConnectError, Delivery, MessageReport};

/// What programs without a runtime do to clients: the calls of [`crate::Client`], each of which blocks until it is done.
/// Cheap to clone; clones share connections, and threads may call at once.
///
/// A thread of its own keeps the connections. Calls panic inside an async runtime: use [`crate::Client`] there.
///
/// ```no_run
/// use gateway_client::{Config, blocking};
///
/// let client = blocking::Client::connect(Config::default())?;
/// let delivery = client.send_to_group("news", "it rains");
/// println!("{} gateways missed it", delivery.missing.len());
/// # Ok::<(), blocking::StartError>(())
/// ```
#[derive(Clone)]
pub struct Client {
    // Before the driver, which it needs until it is dropped.
    client: crate::Client,
    driver: Arc<Driver>,
}

/// Why a blocking client did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No register has said where the gateways are.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The system refused a thread or a file descriptor.
    #[error("cannot start the thread that keeps connections: {0}")]
    System(#[from] io::Error),
}

/// As [`crate::Reported`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before one of its calls"]
pub struct Reported {
    pub(crate) client: Client,
}

/// The thread on which everything async runs.
struct Driver {
    handle: Handle,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// As [`crate::Client::connect`].
    pub fn connect(config: Config) -> Result<Client, StartError> {
        let driver = Arc::new(Driver::start()?);
        let client = driver.handle.block_on(crate::Client::connect(config))?;
        Ok(Client { client, driver })
    }

    /// As [`crate::Client::gateways`].
    pub fn gateways(&self) -> Vec<SocketAddrV4> {
        self.client.gateways()
    }

    pub(crate) fn send(&self, command: Command<'_>) -> Delivery {
        self.driver.handle.block_on(self.client.send(command))
    }

    /// As [`crate::Client::reported`].
    pub fn reported(&self) -> Reported {
        Reported { client: self.clone() }
    }

    pub(crate) fn send_reported(&self, command: Command<'_>) -> Answer<MessageReport> {
        self.driver.handle.block_on(self.client.send_reported(command))
    }

    pub(crate) fn ask<T>(&self, query: Query<T>) -> Answer<T> {
        self.driver.handle.block_on(self.client.ask(query))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("gateways", &self.gateways()).finish_non_exhaustive()
    }
}

impl Driver {
    fn start() -> io::Result<Driver> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // An error as well: its other end is dropped, never used.
            let _ = runtime.block_on(stopped);
        };
        let thread = thread::Builder::new().name("gateway-client".to_owned()).spawn(run)?;
        Ok(Driver { handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say, and a panic there has been reported by itself.
            let _ = thread.join();
        }
    }
}
