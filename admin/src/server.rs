//! The admin address of a process.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use program::Refusal;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::exposition::Format;
use crate::guard::{Guard, admit};
use crate::liveness::Liveness;
use crate::{Instance, Report};

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
/// | `/status` | [`Report`] as JSON; 503 if it has faults |
/// | `/metrics` | Prometheus' text format, or OpenMetrics where `Accept` names it |
/// | `/healthz` | 200 and `ok`; 503 and a line for each data thread that has ended, or has not turned for 10 s |
/// | `/readyz` | the same, and a line for whatever else is a reason to send nobody here |
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
                    () = accept(listener, routes(watched, guard)) => {}
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
struct Watched {
    instance: Instance,
    liveness: Mutex<Liveness>,
}

impl Watched {
    fn new(instance: Instance) -> Watched {
        let liveness = Liveness::new(instance.parts().len(), instance.uptime());
        Watched { instance, liveness: Mutex::new(liveness) }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Liveness) -> T) -> T {
        look(&mut self.liveness.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is wrong with the process.
    fn faults(&self) -> Vec<String> {
        self.with(|liveness| liveness.faults(self.instance.parts(), self.instance.uptime()))
    }

    /// Why nobody is to be sent here.
    fn unready(&self) -> Vec<String> {
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

/// Serves whoever connects; never ends.
async fn accept(listener: tokio::net::TcpListener, routes: Router) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, routes.clone(), permit))),
            // Out of files, as a rule.
            Err(_) => tokio::time::sleep(ACCEPT_RETRY_DELAY).await,
        }
    }
}

async fn converse(stream: TcpStream, routes: Router, _permit: OwnedSemaphorePermit) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(HEADER_SIZE_MAX);
    let conversation = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // Who does not speak HTTP, or is too slow, has had his answer.
    let _ = timeout(CONNECTION_TIMEOUT, conversation).await;
}

fn routes(watched: Arc<Watched>, guard: Guard) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level).put(set_log_level))
        .route("/healthz", get(|State(watched): State<Arc<Watched>>| plain(move || watched.faults())))
        .route("/readyz", get(|State(watched): State<Arc<Watched>>| plain(move || watched.unready())))
        .with_state(watched)
        .layer(from_fn_with_state(guard, admit))
}

/// 503 where something is wrong, for whoever looks at nothing else.
async fn status(State(watched): State<Arc<Watched>>) -> Response {
    let answer = |report: Report| {
        let status = if report.faults.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(report))
    };
    aside(move || answer(watched.instance.report())).await
}

async fn metrics(State(watched): State<Arc<Watched>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    aside(move || ([(header::CONTENT_TYPE, format.content_type())], watched.instance.metrics(format))).await
}

async fn log_level() -> Response {
    match program::log_level() {
        Some(level) => (StatusCode::OK, level + "\n").into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The body is a level, or directives as in `RUST_LOG`.
async fn set_log_level(level: String) -> Response {
    match program::set_log_level(level.trim()) {
        Ok(()) => {
            tracing::warn!(to = level.trim(), "the log level was changed");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(why) => (StatusCode::BAD_REQUEST, why + "\n").into_response(),
    }
}

/// 200 and `ok`, or 503 and what is wrong, a line each.
fn plain(wrong: impl FnOnce() -> Vec<String>) -> impl Future<Output = (StatusCode, String)> {
    let wrong = wrong();
    std::future::ready(match wrong.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, wrong.join("\n") + "\n"),
    })
}

/// Answers from another thread, of which there is one: a data thread may let itself be waited for.
async fn aside<R: IntoResponse + Send + 'static>(answer: impl FnOnce() -> R + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(answer).await {
        Ok(answer) => answer.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// How often data threads are asked: an answer is taken with the next question, so health is a second old at most.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// Connections that are served at once; others wait. A scraper, some probes and an operator need a few.
const CONNECTIONS_MAX: usize = 64;

/// How long a request may take to come, so that 64 that say nothing keep nobody out for longer.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept, for several requests.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);

/// The largest head of a request, in bytes.
const HEADER_SIZE_MAX: usize = 16 * 1024;

/// How long to wait before accepting again when there was no file for a connection.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    fn connect(admin: &Admin) -> TcpStream {
        TcpStream::connect(admin.address()).unwrap()
    }

    /// Asks on a connection that is kept, and reads the answer.
    fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(REQUEST).unwrap();
        let mut answer = [0; 1024];
        let size = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..size]).into_owned()
    }

    const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

    #[test]
    fn one_connection_too_many_waits_until_another_ends() {
        let instance = Instance::new("gateway", "1.2.3", Vec::new());
        let admin = Admin::serve("0".parse().unwrap(), None, instance).unwrap();
        let mut served: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect(&admin)).collect();
        for stream in &mut served {
            assert!(ask(stream).starts_with("HTTP/1.1 200 "));
        }
        let mut late = connect(&admin);
        late.write_all(REQUEST).unwrap();
        // Whoever would have been let in by now had his answer before these.
        for stream in &mut served {
            ask(stream);
        }
        late.set_nonblocking(true).unwrap();
        assert_eq!(late.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        late.set_nonblocking(false).unwrap();
        drop(served.pop());
        let mut answer = [0; 12];
        late.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
}
