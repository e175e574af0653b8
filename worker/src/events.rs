//! The trait that a user implements: what happens to clients.

use protocol::inner::WebsocketRequest;

use crate::{Client, Gateway, Message};

/// What happens to clients. Each core has a value of its own, so nothing in it needs to be `Send` or locked.
///
/// Events of one client run one after the other, in the order in which they happened; events of different clients run
/// concurrently, whenever a handler waits. A handler that computes for long without awaiting holds up its whole core.
/// What is to go on after a handler is for [`Gateway::spawn`].
///
/// A handler that panics is logged and counted ([`Counters::panics`](crate::Counters::panics)), and what it made of the
/// session is not stored; all else goes on, the client's next event included. Only a panic in `on_start` ends the core.
/// What a panic left half done in `self` stays so.
#[expect(async_fn_in_trait, reason = "a core is one thread: futures of handlers need not be Send")]
pub trait Events: 'static {
    /// The core starts. No gateway is connected yet, so what is sent from here reaches nobody (WIRE.md §9).
    async fn on_start(&self, gateway: &Gateway) {
        let _ = gateway;
    }

    /// A connection was accepted; for websocket before its handshake, which may still fail.
    async fn on_connect(&self, gateway: &Gateway, client: &Client) {
        let _ = (gateway, client);
    }

    /// A valid websocket handshake. What is sent from here reaches the client right behind its acceptance.
    async fn on_websocket_connect(&self, gateway: &Gateway, client: &Client, request: &WebsocketRequest) {
        let _ = (gateway, client, request);
    }

    /// A message from a client.
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message);

    /// The client is gone, however it ended; its uid and groups are gone with it. Changes to its session are not kept.
    async fn on_close(&self, gateway: &Gateway, client: &Client) {
        let _ = (gateway, client);
    }

    /// The core stops. What is sent from here is still delivered.
    async fn on_stop(&self, gateway: &Gateway) {
        let _ = gateway;
    }
}
