//! What a gateway of one's own may decide, beside what the settings say.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use protocol::ClientId;
use protocol::client::Kind;
use protocol::client::websocket::Request;

use crate::Identity;

/// Called by a shard at the turning points of its clients' and workers' lives. Every shard has a value of its own,
/// made by [`HooksFactory`]; calls come from the shard's thread and hold it up, so they must not wait for anything.
///
/// A panic in a hook costs the client that it was about: it is refused or closed; all others notice nothing. It is
/// counted, and logged at most every 10 s. Only one in [`Hooks::on_worker_start`], or where the hooks are made, ends the
/// shard, since without its hooks a gateway is not what its operator wants.
///
/// The names are those of GatewayWorker's callbacks on the gateway's side.
#[expect(unused_variables, reason = "what nobody overrides takes notice of nothing")]
pub trait Hooks: 'static {
    /// The shard is about to serve.
    fn on_worker_start(&mut self, shard: Identity) {}

    /// The shard ends. Its clients are closed after this.
    fn on_worker_stop(&mut self) {}

    /// A proxy says by the PROXY protocol which host a client asked for; [`Hooks::on_connect`] of that client follows.
    fn on_authority(&mut self, client: &ClientInfo, authority: &str) {}

    /// A client has connected; no byte of it has been read and no worker knows of it.
    fn on_connect(&mut self, client: &ClientInfo) -> Admission {
        Admission::Accept { kind: Kind::Unspecified }
    }

    /// A client asks for a websocket; its worker has not been told yet.
    fn on_websocket_connect(&mut self, client: &ClientInfo, request: &Request<'_>) -> Handshake {
        Handshake::default()
    }

    /// A client that was accepted is gone.
    fn on_close(&mut self, client: &ClientInfo) {}

    /// A worker has connected, under this key (`ip:name:number`).
    fn on_worker_connected(&mut self, key: &str) {}

    /// A worker's link has ended.
    fn on_worker_closed(&mut self, key: &str) {}

    /// Chooses a client's worker among those connected, in order of connecting; never called with none. `None` leaves
    /// it to the settings' router.
    fn route(&mut self, client: &ClientInfo, workers: &[WorkerInfo<'_>]) -> Option<usize> {
        None
    }

    /// Whether [`Hooks::route`] is to be asked. The list of workers is made only then.
    fn routes(&self) -> bool {
        false
    }
}

/// No hooks: all as the settings say.
pub struct NoHooks;

impl Hooks for NoHooks {}

/// Who a hook is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientInfo {
    /// As workers know it.
    pub id: ClientId,
    /// Where it comes from, as far as is known by now: what an HTTP proxy says of it (`--forwarded-header`) is known from
    /// [`Hooks::on_websocket_connect`] on.
    pub address: SocketAddr,
    /// Index into `Settings::listen`.
    pub listener: usize,
}

/// A worker to choose from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerInfo<'a> {
    /// `ip:name:number`.
    pub key: &'a str,
    /// Clients bound to it since it connected, less those that left.
    pub client_count: u32,
}

/// Whether a client may come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It may.
    Accept {
        /// For a websocket client: what a message is to it when its sender did not say. `Unspecified` leaves it to
        /// `--websocket-type`.
        kind: Kind,
    },
    /// It is closed without a byte, and no worker hears of it.
    Refuse,
}

/// What a websocket handshake is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Handshake {
    /// 101.
    Accept {
        /// More response headers, `Name: value` each; a subprotocol is `Sec-WebSocket-Protocol: name`.
        headers: Vec<String>,
    },
    /// Refused with this HTTP status; the worker hears of the connection, as PHP's does, but of no websocket.
    Refuse {
        /// 400 to 599.
        status: u16,
    },
}

impl Default for Handshake {
    fn default() -> Handshake {
        Handshake::Accept { headers: Vec::new() }
    }
}

/// Makes the hooks of each shard, in the shard's thread.
#[derive(Clone)]
pub struct HooksFactory(Arc<dyn Fn() -> Box<dyn Hooks> + Send + Sync>);

impl HooksFactory {
    /// Hooks made by `make`, once per shard.
    pub fn new<H: Hooks>(make: impl Fn() -> H + Send + Sync + 'static) -> HooksFactory {
        HooksFactory(Arc::new(move || Box::new(make())))
    }

    /// A shard's hooks.
    pub fn make(&self) -> Box<dyn Hooks> {
        (self.0)()
    }
}

impl Default for HooksFactory {
    fn default() -> HooksFactory {
        HooksFactory::new(|| NoHooks)
    }
}

impl fmt::Debug for HooksFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HooksFactory")
    }
}
