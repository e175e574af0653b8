//! The Gateway API for programs that are not workers, such as a web backend that pushes to users.
//!
//! ```no_run
//! use gateway_client::{Client, Config};
//!
//! # async fn push() -> Result<(), gateway_client::ConnectError> {
//! let client = Client::connect(Config {
//!     register_addresses: vec!["127.0.0.1:1236".to_owned()],
//!     ..Config::default()
//! })
//! .await?;
//!
//! let delivery = client.send_to_uid("alice", "your order has shipped").await;
//! if !delivery.is_complete() {
//!     eprintln!("not reached: {:?}", delivery.missing);
//! }
//! println!("{} clients", client.client_count().await.value);
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`] runs on tokio; [`blocking::Client`] has the same calls for programs without a runtime. Both follow the
//! registers' lists of gateways and keep one connection to each gateway shard, opened when it is first needed, opened
//! again after a loss and closed when idle. Make one client and keep it: clones share everything, and any number of
//! tasks may call at once.
//!
//! **Commands** (`send_to_…`, `bind_uid`, `join_group`, …) go to one gateway or to all, and return a [`Delivery`] that
//! names those which did not get it. The protocol has no acknowledgements: by default a gateway "got it" when the bytes
//! were written to its socket, so a gateway that dies or refuses the key right then goes unnoticed.
//! [`Confirm::Handled`] waits until the gateway has carried the command out, for the price of a round trip. Neither
//! says that an end user has received anything. [`Client::reported`] sends messages and says for how many clients each was
//! queued: 0 if nobody has that uid.
//!
//! **Queries** (`is_online`, `session`, `groups`, …) return an [`Answer`], which names the gateways that did not answer.
//! Commands and queries of one client reach a gateway in the order in which they were called.
//!
//! Where the cluster has TLS between its programs, the feature `tls` has `Config::inner_tls`: a certificate of the cluster's
//! authority.
//!
//! The names `""` and `"0"` are none, as in PHP: commands with such a name concern nobody, queries about it find
//! nobody. Gateways may be Ringway's or PHP's. Websocket clients get text or binary as the gateway decides
//! (`--websocket-type`); only workers can tell it.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

pub mod blocking;
mod calls;
mod client;
mod config;
mod delivery;
mod directory;
mod discovery;
mod link;
mod packet;
mod proof;
mod reports;
mod stream;

pub use protocol::calls::{Answer, Body, ClientDetails, MessageReport, Name};
pub use protocol::client::Kind;
pub use protocol::inner::{CloseReason, CloseReasonError};
pub use protocol::php;
pub use protocol::{ClientId, InnerAuth};

pub use client::Client;
pub use config::{Config, Confirm};
pub use delivery::Delivery;
pub use discovery::ConnectError;
pub use reports::Reported;
#[cfg(feature = "tls")]
pub use tls::InnerTls;
