//! What every program answers at its admin address.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};

use crate::accept::Dialled;
use crate::exposition::Format;
use crate::guard::{Guard, admit};
use crate::member::{Cluster, Member};
use crate::page::{HEADERS, Page};
use crate::server::Watched;

pub(crate) fn routes(watched: Arc<Watched>, guard: Guard) -> Router {
    let page = Arc::new(Page::dashboard());
    Router::new()
        .route("/", get(move || async move { page.answer() }))
        .route("/cluster", get(cluster))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level).put(set_log_level))
        .route("/healthz", get(|State(watched): State<Arc<Watched>>| plain(move || watched.faults())))
        .route("/readyz", get(|State(watched): State<Arc<Watched>>| plain(move || watched.unready())))
        .with_state(watched)
        .layer(from_fn_with_state(guard, admit))
        .layer(from_fn(with_headers))
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .extend(HEADERS.map(|(name, value)| (name, header::HeaderValue::from_static(value))));
    response
}

async fn cluster(
    State(watched): State<Arc<Watched>>,
    Extension(Dialled(id)): Extension<Dialled>,
) -> Response {
    aside(move || {
        let program = watched.instance.program().to_owned();
        let why_not = Some("on the register's page".to_owned());
        Json(Cluster { program, may_act: false, why_not, members: vec![Member::here(id, &watched)] })
    })
    .await
}

/// 503 where something is wrong, for whoever looks at nothing else.
async fn status(State(watched): State<Arc<Watched>>) -> Response {
    aside(move || {
        let report = watched.instance.report();
        let status = if report.faults.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(report))
    })
    .await
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
