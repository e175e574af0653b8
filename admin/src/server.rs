//! The admin address of a process.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use program::Refusal;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use crate::accept::accept;
use crate::guard::Guard;
use crate::liveness::{Liveness, TURN_TIMEOUT};
use crate::routes::routes;
use crate::{Cluster, Instance};

/// Where a program tells of itself: a port of this machine alone, or an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address(pub SocketAddr);

impl FromStr for Address {
    type Err = String;

    /// `9501` is short for `127.0.0.1:9501`.
    fn from_str(text: &str) -> Result<Address, String> {
        if let Ok(port) = text.parse() {
            return Ok(Address((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse()
            .map(Address)
            .map_err(|_| format!("`{text}` is neither a port nor an address like 127.0.0.1:9501"))
    }
}

/// Why a process does not tell of itself, as one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The flags cannot be.
    #[error("{0}")]
    Flags(String),
    /// The address, or the thread, cannot be had.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Refusal {
        match error {
            AdminError::Flags(why) => Refusal::Usage(why),
            AdminError::Io(error) => Refusal::Environment(error.to_string()),
        }
    }
}

/// The admin address of a process; it ends when this is dropped.
///
/// | path | answer |
/// | --- | --- |
/// | `/status` | [`Report`](crate::Report) as JSON; 503 if it has faults |
/// | `/metrics` | Prometheus' text format, or OpenMetrics where `Accept` names it |
/// | `/healthz` | 200 and `ok`; 503 and a line for each data thread that has ended, or has not turned for 10 s |
/// | `/readyz` | the same, and a line for whatever else is a reason to send nobody here |
/// | `/` | the dashboard: a page without data, which asks for `/cluster` again and again |
/// | `/cluster` | the process as the dashboard shows it |
/// | `/log-level` | what is logged; PUT a level, or directives as in `RUST_LOG`, to change that |
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Serves from a thread of its own. With a token, whoever asks for more than the probes `/healthz` and `/readyz` says it as
    /// `Authorization: Bearer TOKEN`; without one, an address that is open to other machines answers these alone.
    ///
    /// # Errors
    /// The token is empty, the address cannot be listened on, or the thread cannot be had.
    pub fn serve(address: Address, token: Option<&str>, instance: Instance) -> Result<Admin, AdminError> {
        Admin::serve_all(address, token, instance, None)
    }

    /// The same for a register, whose dashboard shows the whole cluster.
    ///
    /// # Errors
    /// As [`Admin::serve`].
    pub fn serve_cluster(
        address: Address,
        token: Option<&str>,
        instance: Instance,
        cluster: Cluster,
    ) -> Result<Admin, AdminError> {
        Admin::serve_all(address, token, instance, Some(cluster))
    }

    fn serve_all(
        address: Address,
        token: Option<&str>,
        instance: Instance,
        cluster: Option<Cluster>,
    ) -> Result<Admin, AdminError> {
        let guard = Guard::new(address.0, token).map_err(AdminError::Flags)?;
        let listener = TcpListener::bind(address.0).map_err(|error| {
            let why = program::describe_bind_error(address.0, &error).replace("--listen", "--admin");
            io::Error::new(error.kind(), why)
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        if matches!(guard, Guard::Probes) {
            tracing::warn!(
                "--admin {address} answers /healthz and /readyz alone: set --admin-token for the rest"
            );
        }
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(1)
            .build()?;
        let watched = Arc::new(Watched::new(instance));
        let thread = program::spawn_vital("admin", move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                // A request that is not finished is dropped: a slow reader must not hold the process up.
                tokio::select! {
                    () = watch(Arc::clone(&watched)) => {}
                    () = accept(listener, routes(watched, guard, cluster)) => {}
                    _ = stopped => {}
                }
            });
            // Nor must a question that is not answered.
            runtime.shutdown_background();
        })?;
        Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It cannot fail but by a panic, which has been printed.
            let _ = thread.join();
        }
    }
}

/// A process, and what was last heard of its data threads.
pub(crate) struct Watched {
    pub instance: Instance,
    /// Tells this start of the process from all others.
    pub run: String,
    liveness: Mutex<Liveness>,
}

impl Watched {
    fn new(instance: Instance) -> Watched {
        let liveness = Liveness::new(instance.parts().len(), TURN_TIMEOUT, instance.uptime());
        let run = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        Watched { instance, run, liveness: Mutex::new(liveness) }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Liveness) -> T) -> T {
        look(&mut self.liveness.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is wrong with the process.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.with(|liveness| liveness.faults(self.instance.parts(), self.instance.uptime()))
    }

    /// Why nobody is to be sent here.
    pub(crate) fn unready(&self) -> Vec<String> {
        let mut why = self.faults();
        why.extend(self.with(|liveness| liveness.unready(self.instance.parts())));
        why.extend(self.instance.standing());
        why
    }
}

/// Asks the data threads again and again; never ends.
async fn watch(watched: Arc<Watched>) {
    let mut due = interval(WATCH_PERIOD);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        watched.with(|liveness| liveness.look(watched.instance.parts(), watched.instance.uptime()));
    }
}

/// How often data threads are asked: an answer is taken with the next question, so health is a second old at most.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;
    use crate::accept::CONNECTIONS_MAX;

    fn connect(admin: &Admin) -> TcpStream {
        TcpStream::connect(admin.address()).unwrap()
    }

    /// Asks on a connection that is kept, and reads the answer.
    fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
        stream.write_all(request).unwrap();
        let mut answer = [0; 1024];
        let size = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..size]).into_owned()
    }

    const REQUEST: &[u8] = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";

    #[test]
    fn one_connection_too_many_waits_until_another_ends() {
        let instance = Instance::new("gateway", "1.2.3", Vec::new());
        let admin = Admin::serve("0".parse().unwrap(), None, instance).unwrap();
        let mut served: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect(&admin)).collect();
        for stream in &mut served {
            assert!(ask(stream, REQUEST).starts_with("HTTP/1.1 200 "));
        }
        let mut late = connect(&admin);
        late.write_all(REQUEST).unwrap();
        // Whoever would have been let in by now had his answer before these.
        for stream in &mut served {
            ask(stream, REQUEST);
        }
        late.set_nonblocking(true).unwrap();
        assert_eq!(late.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        late.set_nonblocking(false).unwrap();
        drop(served.pop());
        let mut answer = [0; 12];
        late.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }

    #[test]
    fn who_has_shown_nothing_keeps_no_connection() {
        let instance = Instance::new("gateway", "1.2.3", Vec::new());
        let admin = Admin::serve("0".parse().unwrap(), Some("right"), instance).unwrap();
        for (path, status) in
            [("/healthz", 200), ("/readyz", 200), ("/", 200), ("/status", 401), ("/none", 401)]
        {
            let mut stream = connect(&admin);
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        let mut stream = connect(&admin);
        let request = b"GET /status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer right\r\n\r\n";
        for _ in 0..2 {
            assert!(ask(&mut stream, request).starts_with("HTTP/1.1 200 "));
        }
    }
}
