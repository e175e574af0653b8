//! What a gateway is started with; [`Options`](crate::Options) has the defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use protocol::client::{Limits, Protocol};
use protocol::{InnerAuth, Nonces};

use crate::config::UNFINISHED_SIZE_DEFAULT;
use crate::jwt;
use crate::{
    AllowedOrigin, ClientCounts, ClientLimits, ForwardedHeader, GuestFactory, HooksFactory, Listen, Networks,
    ResponseHeader, Subprotocol,
};

/// Everything about a gateway that is not the same for all gateways.
#[derive(Clone)]
pub struct Settings {
    /// Where clients connect. Every shard listens on all of them (SO_REUSEPORT).
    pub listen: Vec<Listen>,
    /// Shards: threads, each pinned to a CPU. More than there are CPUs share them.
    pub count: usize,
    /// The address under which workers reach this machine; part of every client id.
    pub lan_ip: Ipv4Addr,
    /// The inner port of shard 0; shard `n` has `start_port + n`.
    pub start_port: u16,
    /// Where the inner ports listen. Default: `0.0.0.0` if `lan_ip` is public, else `lan_ip` (WIRE.md §1).
    pub inner_listen: Option<IpAddr>,
    /// The registers, `host:port` each. The gateway registers with all of them.
    pub register_address: Vec<String>,
    /// What register and workers must know. Empty: everybody may connect.
    pub secret_key: String,
    /// How it is shown.
    pub inner_auth: InnerAuth,
    /// What it is proven with.
    pub nonces: Nonces,
    /// That there is none is meant, also on a public address.
    pub no_secret_key: bool,
    /// What registers, workers and the gateway prove to each other by that they belong to one cluster. `None`: they speak plain TCP.
    pub inner_tls: Option<tls::Mutual>,
    /// Heartbeat period; zero: no heartbeat (WIRE.md §11).
    pub ping_interval: Duration,
    /// Unanswered periods until a silent client is closed; 0: never.
    pub ping_not_response_limit: u32,
    /// What is sent to a silent client; empty: nothing.
    pub ping_data: Vec<u8>,
    /// Websocket clients get websocket pings instead of `ping_data`, and whatever they send counts as a sign of life.
    pub websocket_ping: bool,
    /// Subprotocols that websocket clients may have, the preferred one first.
    pub subprotocols: Vec<Subprotocol>,
    /// Headers of every answer to a websocket handshake that is accepted.
    pub response_headers: Vec<ResponseHeader>,
    /// Origins whose pages may open websockets; none: all.
    pub allow_origins: Vec<AllowedOrigin>,
    /// Who is believed to speak for clients: nobody else's word counts for where one comes from.
    pub trusted_proxies: Networks,
    /// Connections of these begin with a header of the PROXY protocol, on every listener.
    pub proxy_protocol: bool,
    /// Where these say, in a websocket handshake, for whom they speak; `None`: nowhere.
    pub forwarded_header: Option<ForwardedHeader>,
    /// How a client gets its worker.
    pub router: Router,
    /// How a client gets its shard.
    pub steer: Steer,
    /// Shown in logs.
    pub name: String,
    /// Largest client message in bytes, headers included.
    pub max_package_size: usize,
    /// Frames of one websocket message at most. `None`: any number.
    pub max_fragments: Option<usize>,
    /// Largest head of a websocket's request in bytes.
    pub max_header_size: usize,
    /// Bytes of unfinished client messages that all shards together hold; each has an equal share, but at least
    /// `max_package_size`. Beyond, clients are closed, those that hold most first. `None`: an eighth of the machine's memory.
    pub max_unfinished_size: Option<usize>,
    /// How long a client's message may take to arrive; then the client is closed. Zero: for ever.
    pub unfinished_timeout: Duration,
    /// Bytes queued for a client from which on it counts as slow.
    pub send_to_client_buffer_size: usize,
    /// Bytes queued for a worker from which on its clients are not read.
    pub send_to_worker_buffer_size: usize,
    /// How long events wait when there is no worker; then their clients are closed.
    pub no_worker_wait: Duration,
    /// Over how long a stop spreads the ends of its clients, so that they do not all come back at once. 1,000 clients
    /// per second and shard go in any case.
    pub drain_timeout: Duration,
    /// Where the process tells of itself, for registers, whose dashboards show it. `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// Where the gateway takes orders: a Unix socket. `None`: nowhere.
    pub control: Option<PathBuf>,
    /// How long a cordoned gateway goes on taking clients, so that load balancers see that it will not.
    pub cordon_delay: Duration,
    /// The path at which websocket listeners answer load balancers: 200, or 503 while the gateway is cordoned or has no worker.
    /// `None`: they have none.
    pub health_path: Option<String>,
    /// How long a shard that has nothing to do looks for something by itself before it sleeps. Zero: not at all. More needs a
    /// CPU for each shard.
    pub busy_poll: Duration,
    /// From 1, fast, to 9, small: how messages are compressed where
    /// [`Websocket::compression`](protocol::client::websocket::Websocket::compression) is on.
    pub compression_level: u32,
    /// Bytes from which on a message is compressed.
    pub compress_min_size: usize,
    /// The largest message that a client's compressed one may inflate to, in bytes; then the client is closed. `None`:
    /// `max_package_size`.
    pub max_inflated_size: Option<usize>,
    /// What becomes of a message for a slow client.
    pub slow_client: SlowClient,
    /// How many clients there may be, and how much each may say.
    pub client_limits: ClientLimits,
    /// What shards that share these limits count their clients by; `None`: each counts its own.
    pub client_counts: Option<ClientCounts>,
    /// What listeners with TLS are served with; needed where there is one.
    pub tls: Option<tls::Acceptor>,
    /// Whom websocket clients have to be let in by; `None`: all may come.
    pub jwt: Option<jwt::Verifier>,
    /// Clients and links per shard; `None`: as many as the process may have files.
    pub sockets_max: Option<u32>,
    /// What this gateway decides by itself; default: nothing.
    pub hooks: HooksFactory,
    /// What shares each shard's thread; `None`: nothing.
    pub guests: Option<GuestFactory>,
}

impl Settings {
    /// Where the inner ports listen (WIRE.md §1).
    pub fn inner_ip(&self) -> IpAddr {
        let lan = self.lan_ip;
        let public = !(lan.is_private() || lan.is_loopback() || lan.is_link_local() || lan.is_unspecified());
        self.inner_listen.unwrap_or(if public { Ipv4Addr::UNSPECIFIED.into() } else { lan.into() })
    }

    /// Whether there are files that are read again while it runs ([`Gateway::files`](crate::Gateway::files)).
    pub fn has_files(&self) -> bool {
        self.tls.is_some() || self.inner_tls.is_some() || self.jwt.is_some()
    }

    /// Bytes of unfinished messages that one shard holds.
    pub fn unfinished_share(&self) -> usize {
        let size = self.max_unfinished_size.unwrap_or(UNFINISHED_SIZE_DEFAULT);
        (size / self.count.max(1)).max(self.max_package_size)
    }

    /// What a client of this listener speaks.
    pub(crate) fn protocol_of(&self, listener: u8) -> &dyn Protocol {
        self.listen[usize::from(listener)].protocol.protocol()
    }

    /// The bounds that codecs enforce.
    pub fn limits(&self) -> Limits {
        Limits {
            package_size_max: self.max_package_size,
            head_size_max: self.max_header_size,
            fragments_max: self.max_fragments.unwrap_or(usize::MAX),
        }
    }
}

program::choice! {
    /// How a client gets its worker (WIRE.md §8).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub enum Router {
        /// The worker with the fewest clients; among equals, the one that connected first.
        #[default]
        LeastConnections = "least-connections",
        /// Any, all alike.
        Random = "random",
    }
}

program::choice! {
    /// How a client gets its shard: the kernel decides, before any shard sees the connection.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub enum Steer {
        /// By lot, so that all shards get equally many.
        #[default]
        Even = "even",
        /// The shard on the CPU that received the connection. For network cards whose queues are bound one to a CPU: then
        /// a client's packets, its kernel work and its shard stay on one CPU.
        Cpu = "cpu",
    }
}

program::choice! {
    /// What becomes of a message for a client whose queue is full.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub enum SlowClient {
        /// The message is dropped and counted.
        #[default]
        Drop = "drop",
        /// The client is closed.
        Close = "close",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_ports_are_open_to_all_only_for_a_public_lan_ip() {
        let inner_ip =
            |lan_ip: &str| Settings { lan_ip: lan_ip.parse().unwrap(), ..Settings::default() }.inner_ip();
        assert_eq!(inner_ip("8.8.8.8"), Ipv4Addr::UNSPECIFIED);
        for lan_ip in ["127.0.0.1", "10.0.0.3", "192.168.1.1", "172.16.0.9"] {
            assert_eq!(inner_ip(lan_ip).to_string(), lan_ip);
        }
    }
}
