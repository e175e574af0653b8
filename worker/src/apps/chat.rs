//! A chat with rooms.

use crate::{Client, Events, Gateway, Message};

/// A chat with rooms.
#[derive(Clone, Debug, Default)]
pub struct Chat;

impl Events for Chat {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        gateway.send_to_client(client.id(), &message);
    }
}
