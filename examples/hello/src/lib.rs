//! A chat without names. It runs in the gateway's process (`bin/hello.rs`) until one machine is not enough, or clients are to
//! stay connected while it is replaced; then as a worker (`bin/hello_worker.rs`).
#![forbid(unsafe_code)]

use ringway_worker::{Client, Events, Gateway, Message, WebsocketRequest};

/// Greets who comes, and passes on what they say.
#[derive(Clone, Copy, Debug)]
pub struct Hello;

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
