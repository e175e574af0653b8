//! A worker for tests that answers handshakes; with `DOORKEEPER_EMBEDDED` in the environment, in a gateway's process.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use ringway_worker::{Client, Events, Gateway, HandshakeAnswer, Message, WebsocketRequest, run, time};

/// Lets in by the path: `/slow` after a while, `/never` not at all, others but `/` not either.
struct Doorkeeper;

impl Events for Doorkeeper {
    const ANSWERS_HANDSHAKES: bool = true;

    async fn on_handshake(&self, _: &Gateway, _: &Client, request: &WebsocketRequest) -> HandshakeAnswer {
        match request.server.get("REQUEST_URI").and_then(|path| path.as_str()) {
            Some("/") => {}
            Some("/slow") => time::sleep(Duration::from_millis(50)).await,
            Some("/never") => std::future::pending().await,
            _ => return HandshakeAnswer::refuse(404, "no such door"),
        }
        HandshakeAnswer::accept().with_subprotocol("chat").with_header("X-Door", "open")
    }

    async fn on_websocket_connect(&self, gateway: &Gateway, client: &Client, _: &WebsocketRequest) {
        gateway.send_to_client(client.id(), "welcome");
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        gateway.send_to_client(client.id(), &message);
    }
}

fn main() -> ExitCode {
    match std::env::var_os("DOORKEEPER_EMBEDDED") {
        Some(_) => ringway::embedded(ringway::options("doorkeeper"), |_core| Doorkeeper),
        None => run("doorkeeper", |_core| Doorkeeper),
    }
}
