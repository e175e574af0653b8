//! The smallest useful worker: greets newcomers, and sends what anybody says to everybody.
//!
//! Run a register and a gateway, then `cargo run -p ringway-worker --example hello`, and connect with a websocket.

use std::process::ExitCode;

use ringway_worker::{Client, Events, Gateway, Message, WebsocketRequest, run};

struct Hello;

impl Events for Hello {
    async fn on_websocket_connect(&self, gateway: &Gateway, client: &Client, request: &WebsocketRequest) {
        let name = request.get.get("name").and_then(|name| name.as_str()).unwrap_or("stranger");
        gateway.send_to_client(client.id(), format!("hello, {name}"));
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        gateway.send_to_all(format!("{}: {}", client.id(), message.text()));
    }

    async fn on_close(&self, gateway: &Gateway, client: &Client) {
        gateway.send_to_all(format!("{} left", client.id()));
    }
}

fn main() -> ExitCode {
    run("hello", |_core| Hello)
}
