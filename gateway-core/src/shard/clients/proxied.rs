//! Connections of trusted proxies: what the proxy says in front of the first byte (PROXY protocol) makes clients of them, with
//! another address than theirs. It comes before TLS, too.
//!
//! Until it is whole they are no clients: nobody has been told of them, they have no row, and idle clients pay nothing for them.

use std::mem;
use std::net::SocketAddr;

use hashbrown::HashMap;
use protocol::LogLimit;
use protocol::client::proxy_protocol::{self, HeaderError};
use tracing::warn;
use uring::SocketId;

use crate::config::PROXY_LOG_PERIOD_MS;
use crate::shard::{Action, Shard};

/// A connection whose proxy has not said yet whose it is.
struct Proxied {
    listener: u8,
    /// The proxy.
    peer: SocketAddr,
    /// The start of the header: shorter than [`proxy_protocol::HEADER_SIZE_MAX`].
    held: Vec<u8>,
}

/// All of these. They have as long as a handshake may take.
pub(crate) struct ProxiedTable {
    rows: HashMap<SocketId, Proxied>,
    /// Lines about proxies that say something else.
    malformed_log: LogLimit,
    /// Lines about headers of those that are not trusted.
    unexpected_log: LogLimit,
}

impl Default for ProxiedTable {
    fn default() -> ProxiedTable {
        let log = LogLimit::new(1, PROXY_LOG_PERIOD_MS);
        ProxiedTable { rows: HashMap::new(), malformed_log: log.clone(), unexpected_log: log }
    }
}

impl ProxiedTable {
    pub(crate) fn has(&self, socket: SocketId) -> bool {
        !self.rows.is_empty() && self.rows.contains_key(&socket)
    }
}

impl Shard {
    /// Whether a proxy is to say first whose connection it is.
    pub(super) fn is_proxied(&self, peer: SocketAddr) -> bool {
        self.settings.proxy_protocol && self.settings.trusted_proxies.contain(peer.ip())
    }

    /// A proxy has connected.
    pub(super) fn await_proxy_header(&mut self, listener: u8, socket: SocketId, peer: SocketAddr) {
        self.deadlines.handshake.push(self.now, socket);
        self.proxied.rows.insert(socket, Proxied { listener, peer, held: Vec::new() });
    }

    /// Bytes of such a connection.
    pub(crate) fn proxied_received(&mut self, socket: SocketId, bytes: &[u8]) {
        let Some(proxied) = self.proxied.rows.get_mut(&socket) else { return };
        let mut held = mem::take(&mut proxied.held);
        held.extend_from_slice(bytes);
        let (listener, proxy) = (proxied.listener, proxied.peer);
        let size = match proxy_protocol::decode(&held) {
            Ok(None) => return proxied.held = held,
            Err(HeaderError) => return self.refuse_proxied(socket, "begins with none"),
            Ok(Some(header)) => {
                self.proxied.rows.remove(&socket);
                self.client_came(listener, socket, header.source.unwrap_or(proxy), header.authority);
                header.size
            }
        };
        if held.len() > size {
            self.on_received(self.now, socket, &mut held[size..]);
        }
    }

    /// The connection has ended: a health check, perhaps.
    pub(crate) fn close_proxied(&mut self, socket: SocketId) {
        self.proxied.rows.remove(&socket);
        self.output.actions.push(Action::Close(socket));
    }

    /// The header is no header, or has not come in time.
    pub(crate) fn refuse_proxied(&mut self, socket: SocketId, why: &str) {
        let Some(Proxied { listener, peer, .. }) = self.proxied.rows.get(&socket) else { return };
        self.counters.proxy_headers_malformed += 1;
        if let Some(unsaid) = self.proxied.malformed_log.admit(self.now.0) {
            let listen = &self.settings.listen[usize::from(*listener)];
            warn!(
                %peer, unsaid,
                "a connection of --trusted-proxies at {listen} is to have a PROXY header, and {why}: have the proxy send it"
            );
        }
        self.close_proxied(socket);
    }

    /// Counts a client that begins with a PROXY header and is not believed, if it is that what `bytes` begin with.
    pub(super) fn note_unexpected_proxy(&mut self, socket: SocketId, bytes: &[u8]) {
        let Some(client) = self.clients.live(socket).filter(|_| proxy_protocol::is_header(bytes)) else {
            return;
        };
        self.counters.proxy_headers_unexpected += 1;
        if let Some(unsaid) = self.proxied.unexpected_log.admit(self.now.0) {
            let (peer, listen) = (client.peer.address(), &self.settings.listen[usize::from(client.listener)]);
            let flag = if self.settings.proxy_protocol { "--trusted-proxies" } else { "--proxy-protocol" };
            warn!(%peer, unsaid, "client at {listen} sends a PROXY header, which is not believed for want of {flag}");
        }
    }
}
