//! The chat page and its server. The page is one document: style and scripts are put into it when it is built.

use std::io;
use std::net::TcpListener;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use tokio::sync::oneshot;

/// Where the page finds its websocket, on the host that it came from.
#[derive(Clone, Copy)]
pub(crate) struct Websocket {
    pub port: u16,
    pub tls: bool,
}

/// Serves the page on this thread until `stop` is told or dropped; calls `on_ready` when it is served. `faults` says what is
/// wrong with the process, and may take its time.
///
/// # Errors
/// The runtime cannot start, or takes no sockets.
pub(crate) fn serve(
    listener: TcpListener,
    websocket: Websocket,
    faults: impl Fn() -> Vec<String> + Clone + Send + Sync + 'static,
    on_ready: impl FnOnce(),
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        on_ready();
        // A request that is not finished is dropped: a slow reader must not hold the program up.
        tokio::select! {
            served = axum::serve(listener, routes(websocket, faults)).into_future() => served,
            _ = stop => Ok(()),
        }
    })
}

fn routes(websocket: Websocket, faults: impl Fn() -> Vec<String> + Clone + Send + Sync + 'static) -> Router {
    let page = document(websocket);
    Router::new()
        .route("/", get(move || async move { (HEADERS, Html(page)).into_response() }))
        .route("/health", get(move || health(faults.clone())))
}

/// 200 and `ok`, or 503 and what is wrong, a line each.
async fn health(faults: impl Fn() -> Vec<String> + Send + 'static) -> (StatusCode, String) {
    // Not on this thread: who asks for the page need not wait for a shard that does not answer.
    match tokio::task::spawn_blocking(faults).await {
        Ok(faults) if faults.is_empty() => (StatusCode::OK, "ok\n".to_owned()),
        Ok(faults) => (StatusCode::SERVICE_UNAVAILABLE, faults.join("\n") + "\n"),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("the faults cannot be asked for: {error}\n")),
    }
}

/// The whole page. The host of the websocket is the one that the browser found the page at.
fn document(websocket: Websocket) -> String {
    include_str!("../page/chat.html")
        .replace("{{websocket-port}}", &websocket.port.to_string())
        .replace("{{websocket-scheme}}", if websocket.tls { "wss" } else { "ws" })
        .replace("{{style}}", include_str!("../page/chat.css"))
        .replace("{{connection}}", include_str!("../page/connection.js"))
        .replace("{{view}}", include_str!("../page/view.js"))
        .replace("{{actions}}", include_str!("../page/actions.js"))
}

/// The page loads nothing, speaks to nobody but websockets, and is nobody's frame.
const HEADERS: [(header::HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
         connect-src ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_what_the_process_says() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ask = |faults: &[&str]| {
            let faults: Vec<String> = faults.iter().map(|fault| (*fault).to_owned()).collect();
            runtime.block_on(health(move || faults.clone()))
        };
        assert_eq!(ask(&[]), (StatusCode::OK, "ok\n".to_owned()));
        let faults = "gateway:0 has ended\nworker:1 has ended\n".to_owned();
        assert_eq!(
            ask(&["gateway:0 has ended", "worker:1 has ended"]),
            (StatusCode::SERVICE_UNAVAILABLE, faults)
        );
    }

    #[test]
    fn the_page_is_complete_and_loads_nothing() {
        let page = document(Websocket { port: 4711, tls: true });
        assert!(page.contains(r#"name="ringway-websocket-port" content="4711""#));
        assert!(page.contains(r#"name="ringway-websocket-scheme" content="wss""#));
        for left in ["{{", "src=\"", "@import", "<link rel=\"stylesheet\""] {
            assert!(!page.contains(left), "{left}");
        }
    }

    #[test]
    fn the_scripts_make_no_html_of_text() {
        for script in [
            include_str!("../page/connection.js"),
            include_str!("../page/view.js"),
            include_str!("../page/actions.js"),
        ] {
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!script.contains(forbidden), "{forbidden}");
            }
        }
    }
}
