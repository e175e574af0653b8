//! Takes connections at an admin address: how many, for how long, and how much of a request may come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Which address of ours a request came to: the listener's may be all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dialled(pub SocketAddr);

/// Serves whoever connects; never ends.
pub(crate) async fn accept(listener: TcpListener, routes: Router) {
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
    // Who is gone by now has no address any more.
    let Ok(local) = stream.local_addr() else { return };
    let dialled = Dialled(SocketAddr::new(local.ip().to_canonical(), local.port()));
    let routes = TowerToHyperService::new(routes);
    let routes = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(dialled);
        routes.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(HEADER_SIZE_MAX);
    // Who does not speak HTTP, or is too slow, has had his answer.
    let _ = timeout(CONNECTION_TIMEOUT, http.serve_connection(TokioIo::new(stream), routes)).await;
}

/// Connections that are served at once; others wait. A scraper, some probes and an operator need a few.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// How long a request may take to come, so that 64 that say nothing keep nobody out for longer.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept, for several requests.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);

/// The largest head of a request, in bytes.
const HEADER_SIZE_MAX: usize = 16 * 1024;

/// How long to wait before accepting again when there was no file for a connection.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
