//! What is answered at an admin address.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};

use crate::accept::Dialled;
use crate::cluster::Asking;
use crate::exposition::Format;
use crate::guard::{Guard, admit, refusal};
use crate::member::{Member, Shown};
use crate::page::{HEADERS, Page};
use crate::server::Watched;
use crate::{Cluster, Order};

/// What a request finds here.
#[derive(Clone)]
struct Site {
    watched: Arc<Watched>,
    /// The other processes, on a register.
    asking: Option<Arc<Asking>>,
    has_token: bool,
}

impl FromRef<Site> for Arc<Watched> {
    fn from_ref(site: &Site) -> Arc<Watched> {
        Arc::clone(&site.watched)
    }
}

pub(crate) fn routes(watched: Arc<Watched>, guard: Guard, cluster: Option<Cluster>) -> Router {
    let (page, token) = (Arc::new(Page::dashboard()), guard.token());
    let mut of_register = Router::new();
    let asking = cluster.map(|mut cluster| {
        of_register = std::mem::take(&mut cluster.routes);
        Arc::new(Asking::new(cluster, token.clone()))
    });
    let mut routes = Router::new()
        .route("/", get(move || async move { page.answer() }))
        .route("/cluster", get(cluster_as_shown))
        .route("/member", get(member))
        .route("/member/{id}/{order}", post(order_member))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level).put(set_log_level))
        .route("/healthz", get(|State(watched): State<Arc<Watched>>| plain(move || watched.faults())))
        .route("/readyz", get(|State(watched): State<Arc<Watched>>| plain(move || watched.unready())));
    for (order, word) in Order::ALL {
        routes = routes.route(&format!("/{word}"), post(move |State(watched)| carry_out(watched, order)));
    }
    routes
        .with_state(Site { watched, asking, has_token: token.is_some() })
        .merge(of_register)
        .layer(from_fn_with_state(guard, admit))
        .layer(from_fn(with_headers))
        .layer(DefaultBodyLimit::max(BODY_SIZE_MAX))
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .extend(HEADERS.map(|(name, value)| (name, header::HeaderValue::from_static(value))));
    response
}

/// This process, and behind it those of its cluster, if it is a register.
async fn cluster_as_shown(State(site): State<Site>, Extension(Dialled(at)): Extension<Dialled>) -> Response {
    let why_not = match (&site.asking, site.has_token) {
        (None, _) => Some("open the register's page"),
        (Some(_), false) => Some("start this program with --admin-token"),
        (Some(_), true) => None,
    };
    let round = match &site.asking {
        Some(asking) => Some(Arc::clone(asking).round().await),
        None => None,
    };
    aside(move || {
        let here = Member::here(at, &site.watched);
        let others = round.iter().flat_map(|round| &round.members).filter(|member| member.run != here.run);
        let shown = Shown {
            program: site.watched.instance.program(),
            may_act: why_not.is_none(),
            why_not,
            members: [&here].into_iter().chain(others).collect(),
            left_out: round.as_ref().map_or(0, |round| round.left_out),
        };
        Json(shown).into_response()
    })
    .await
}

/// What a register asks.
async fn member(State(watched): State<Arc<Watched>>, Extension(Dialled(at)): Extension<Dialled>) -> Response {
    aside(move || Json(Member::here(at, &watched))).await
}

/// Has another process, or this one, carry an order out.
async fn order_member(
    State(site): State<Site>,
    Extension(Dialled(own)): Extension<Dialled>,
    Path((id, order)): Path<(String, String)>,
) -> Response {
    let (Some(asking), Ok(order)) = (site.asking, order.parse::<Order>()) else {
        return refusal(
            StatusCode::NOT_FOUND,
            "cordon, uncordon and drain are given to members of a register",
        );
    };
    let Ok(at) = id.parse::<SocketAddr>() else {
        return refusal(StatusCode::BAD_REQUEST, "a member is named by its admin address, IP:PORT");
    };
    if at == own {
        return carry_out(site.watched, order).await;
    }
    match asking.order(at, order).await {
        Ok((status, body)) => {
            let known = StatusCode::from_u16(status).ok().filter(|status| !status.is_informational());
            let status = known.unwrap_or(StatusCode::BAD_GATEWAY);
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(why) => refusal(StatusCode::BAD_GATEWAY, format!("{at} {why}")),
    }
}

/// What the control socket of a gateway takes, too.
async fn carry_out(watched: Arc<Watched>, order: Order) -> Response {
    aside(move || match watched.instance.orders().map(|carry_out| carry_out(order)) {
        None => refusal(StatusCode::NOT_FOUND, "this program is no gateway"),
        Some(Ok(done)) => Json(BTreeMap::from([("done", done)])).into_response(),
        Some(Err(why)) => refusal(StatusCode::SERVICE_UNAVAILABLE, why),
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

/// The longest body of a request, in bytes.
const BODY_SIZE_MAX: usize = 64 * 1024;
