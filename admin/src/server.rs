//! The status page.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::oneshot;

use crate::Report;

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

/// The status page of a process; it ends when this is dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Serves `GET /status` from a thread of its own; `report` is called there for each request, one at a time.
    ///
    /// # Errors
    /// The address cannot be listened on, or the thread cannot be had.
    pub fn serve(address: Address, report: impl Fn() -> Report + Send + Sync + 'static) -> io::Result<Admin> {
        let listener = TcpListener::bind(address.0).map_err(|error| {
            let why = program::describe_bind_error(address.0, &error).replace("--listen", "--admin");
            io::Error::new(error.kind(), why)
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let report = Arc::new(report);
        let routes = Router::new().route("/status", get(move || async move { answer(report()) }));
        let thread = program::spawn_vital("admin", move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                // A request that is not finished is dropped: a slow reader must not hold the process up.
                tokio::select! {
                    _ = axum::serve(listener, routes).into_future() => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// 503 where something is wrong, for whoever looks at nothing else.
fn answer(report: Report) -> (StatusCode, Json<Report>) {
    let status = if report.faults.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
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
