//! The trait that a user implements: what happens to clients.

use std::error::Error;

use protocol::inner::{HandshakeAnswer, WebsocketRequest};

use crate::{Client, Gateway, Message};

/// What happens to clients. Each core has a value of its own, so nothing in it needs to be `Send` or locked.
///
/// Events of one client run one after the other, in the order in which they happened; events of different clients run
/// concurrently, whenever a handler waits. A handler that computes for long without awaiting holds up its whole core.
/// What is to go on after a handler is for [`Gateway::spawn`].
///
/// With gateways of ours an event is given to a handler **at least once**: if the worker dies, stands still or is cut off before the handler's
/// end is known, another worker gets it, in order, marked by [`Client::is_repeat`] and with the same [`Client::event_id`]. A panic is an
/// end. What a handler spawns, and timers, are not covered, unless they keep a [`Client::hold`].
///
/// A handler that panics is logged and counted ([`Counters::panics`](crate::Counters::panics)), and what it made of the
/// session is not stored; all else goes on, the client's next event included. What a panic left half done in `self` stays so.
///
/// Only a panic in `on_start`, or where the `Events` are made, or an error of [`Events::try_start`], ends the core. A program
/// made with [`run`](crate::run) then exits with 70, and its master starts it again, a little later each time. In a
/// program of your own that uses [`Worker::start`](crate::Worker::start) the core's thread ends:
/// [`Running::status_source`](crate::Running::status_source) tells of it, and so does [`Running::stop`](crate::Running::stop).
#[expect(async_fn_in_trait, reason = "a core is one thread: futures of handlers need not be Send")]
#[expect(unused_variables, reason = "what nobody overrides takes notice of nothing")]
pub trait Events: 'static {
    /// Handlers, or what they spawn, use tasks, sockets, timers or files of glommio's own, on whose executor a core's thread is.
    /// A core sleeps in its own ring, and glommio waits for ever; with `true` it gets its turn at least every millisecond, for
    /// some CPU. Nothing of this crate needs it.
    const USES_GLOMMIO: bool = false;

    /// Handshakes of websockets are answered by [`Events::on_handshake`]. Gateways of ours then hold their answer back until it is
    /// there, for 10 s after the client has connected; then they say 503. PHP's answer themselves, as all do without this.
    const ANSWERS_HANDSHAKES: bool = false;

    /// The core starts. No gateway is connected yet, so what is sent from here reaches nobody (WIRE.md §9).
    async fn on_start(&self, gateway: &Gateway) {}

    /// The same for a start that may fail: implement this instead of [`Events::on_start`], which it calls unless you do. An
    /// error ends the core as a panic would, with the error in the log.
    ///
    /// ```
    /// # use ringway_worker::{Client, Events, Gateway, Message};
    /// # struct Motd(std::cell::RefCell<String>);
    /// # impl Events for Motd {
    /// async fn try_start(&self, _gateway: &Gateway) -> Result<(), Box<dyn std::error::Error>> {
    ///     *self.0.borrow_mut() = std::fs::read_to_string("/etc/motd")?;
    ///     Ok(())
    /// }
    /// # async fn on_message(&self, _gateway: &Gateway, _client: &Client, _message: Message) {}
    /// # }
    /// ```
    async fn try_start(&self, gateway: &Gateway) -> Result<(), Box<dyn Error>> {
        self.on_start(gateway).await;
        Ok(())
    }

    /// A connection was accepted; for websocket before its handshake, which may still fail.
    async fn on_connect(&self, gateway: &Gateway, client: &Client) {}

    /// A websocket handshake, to be answered: only with [`Events::ANSWERS_HANDSHAKES`]. Who is let in gets
    /// [`Events::on_websocket_connect`] right behind this; what is sent from here reaches nobody else. A panic is answered 500.
    ///
    /// ```
    /// # use ringway_worker::{Client, Events, Gateway, HandshakeAnswer, Message, WebsocketRequest};
    /// # struct Rooms;
    /// # impl Events for Rooms {
    /// const ANSWERS_HANDSHAKES: bool = true;
    ///
    /// async fn on_handshake(&self, _: &Gateway, _: &Client, request: &WebsocketRequest) -> HandshakeAnswer {
    ///     match request.get.get("room").and_then(|room| room.as_str()) {
    ///         Some("lobby") => HandshakeAnswer::accept().with_header("X-Room", "lobby"),
    ///         _ => HandshakeAnswer::refuse(404, "there is no such room"),
    ///     }
    /// }
    /// # async fn on_message(&self, _gateway: &Gateway, _client: &Client, _message: Message) {}
    /// # }
    /// ```
    async fn on_handshake(
        &self,
        gateway: &Gateway,
        client: &Client,
        request: &WebsocketRequest,
    ) -> HandshakeAnswer {
        HandshakeAnswer::accept()
    }

    /// A valid websocket handshake. What is sent from here reaches the client right behind its acceptance.
    async fn on_websocket_connect(&self, gateway: &Gateway, client: &Client, request: &WebsocketRequest) {}

    /// A message from a client.
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message);

    /// The client is gone, however it ended; its uid and groups are gone with it. Changes to its session are not kept.
    async fn on_close(&self, gateway: &Gateway, client: &Client) {}

    /// The core stops. What is sent from here is still delivered.
    async fn on_stop(&self, gateway: &Gateway) {}
}
