//! Returns every message to its client.

use ringway_worker::{Client, Events, Gateway, Message};

/// Returns every message to its client: text as text, binary as binary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Events for Echo {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        gateway.send_to_client(client.id(), &message);
    }
}
