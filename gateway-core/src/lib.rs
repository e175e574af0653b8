//! The gateway: holds clients and moves bytes between them and workers.
//!
//! [`Shard`] is the whole logic of one core, without IO and without a clock: `on_*` methods take what happened, and
//! [`Shard::turn`] gives bytes to send and [`Action`]s to a [`Sink`]. [`Gateway`] runs one shard per core on `uring` and glommio.
//!
//! On the wire a shard is one whole gateway process of GatewayWorker: its own inner port, its own clients, its own
//! registration. Nothing crosses from one shard to another.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod answer;
pub mod config;
mod guest;
mod hooks;
pub mod jwt;
mod limits;
mod listen;
mod millis;
mod options;
mod orders;
mod origin;
mod proxies;
mod serve;
mod settings;
mod shard;
mod status;

pub use admin::Order;
pub use answer::{ResponseHeader, Subprotocol};
pub use guest::{Guest, GuestFactory, Place, SharedThread};
pub use hooks::{Admission, ClientInfo, Handshake, Hooks, HooksFactory, NoHooks, WorkerInfo};
pub use limits::{ClientCounts, ClientLimits, OverLimit, Rate};
pub use listen::{Listen, ListenFlag, ListenProtocol, overlap, resolve, resolve_lan_ip};
pub use millis::Millis;
pub use options::Options;
pub use orders::{CordonFlags, DrainFlags, UncordonFlags};
pub use origin::AllowedOrigin;
pub use protocol;
pub use proxies::{ForwardedHeader, Networks};
pub use serve::{Files, Gateway, StartError, acceptor, give_order, mutual};
pub use settings::{Router, Settings, SlowClient, Steer};
pub use shard::{Action, Counters, Gone, Identity, Measures, Notice, Sends, Shard, Sink, Status};
pub use tls;
