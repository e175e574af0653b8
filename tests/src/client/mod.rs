//! Blocking clients of the four client protocols, one of them within TLS. Reads have the limit of [`crate::wait::LIMIT`]; what a server
//! sends against its protocol panics.

mod plain;
mod secured;
pub mod websocket;

pub use plain::{Framing, PlainClient};
pub use secured::TlsClient;

use cluster::{Cluster, Listen};

use websocket::WebsocketClient;

/// Clients of a cluster.
pub trait Clients {
    /// A websocket client of a gateway, its handshake done.
    fn websocket(&self, gateway: usize) -> WebsocketClient;

    /// A client of a gateway that speaks one of the other protocols.
    fn plain(&self, gateway: usize, framing: Framing) -> PlainClient;
}

impl Clients for Cluster {
    fn websocket(&self, gateway: usize) -> WebsocketClient {
        WebsocketClient::connect(self.address(gateway, Listen::Websocket))
    }

    fn plain(&self, gateway: usize, framing: Framing) -> PlainClient {
        let listen = match framing {
            Framing::Text => Listen::Text,
            Framing::Frame => Listen::Frame,
            Framing::Tcp => Listen::Tcp,
        };
        PlainClient::connect(self.address(gateway, listen), framing)
    }
}
