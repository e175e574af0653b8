//! One core: its links to every gateway, what runs on it, and how it starts and ends.
//!
//! Everything here belongs to one thread. Cores share nothing and never talk to each other.

mod background;
#[cfg(feature = "tokio")]
mod bridge;
#[cfg(not(feature = "tokio"))]
#[path = "no_bridge.rs"]
mod bridge;
mod connect;
mod control;
mod counters;
mod discovery;
mod dispatch;
mod link;
mod link_task;
mod links;
mod panic;
mod query_link;
mod reconnect;
mod run;
mod session_query;
mod sessions;
mod wire;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use protocol::inner::ext::{ClientConnect, WorkerConnect};
use protocol::inner::{Cmd, Frame};

use crate::config::Config;
use background::Background;
pub use background::Spawned;
pub(crate) use bridge::Bridge;
#[cfg(feature = "tokio")]
pub use bridge::Bridged;
pub(crate) use control::{Control, Wish, Wishes, control};
pub use counters::{Counters, Status};
pub(crate) use links::Links;
pub(crate) use query_link::QueryLinks;
pub(crate) use run::run;
use sessions::Sessions;

/// What commands, queries and links of one core share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    /// 0-based; the second half of the worker key.
    pub(crate) index: usize,
    pub(crate) links: Links,
    pub(crate) query_links: QueryLinks,
    sessions: Sessions,
    background: Background,
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "without tokio there is no way to it"))]
    bridge: Bridge,
    pub(crate) counters: RefCell<Counters>,
    /// Set once: no more events are taken.
    pub(crate) stopping: Cell<bool>,
    /// Set once the log has said why gateways may close links: it is the same for all of them.
    told_short_links: Cell<bool>,
}

impl Core {
    pub(crate) fn new(config: Config, index: usize, bridge: Bridge) -> Rc<Core> {
        Rc::new(Core {
            config,
            index,
            links: Links::default(),
            query_links: QueryLinks::default(),
            sessions: Sessions::default(),
            background: Background::default(),
            bridge,
            counters: RefCell::default(),
            stopping: Cell::new(false),
            told_short_links: Cell::new(false),
        })
    }

    /// Changes the counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.borrow_mut());
    }

    /// The first frame on a command link (WIRE.md §4). Sent with the key field even when there is no key (WIRE.md §3).
    fn hello(&self) -> Vec<u8> {
        let body = WorkerConnect {
            worker_key: format!("{}:{}", self.config.name, self.index),
            secret_key: Some(self.config.secret_key.clone()),
            ringway: true,
        };
        encode(Cmd::WorkerConnect, &body.encode())
    }

    /// What goes in front of every query while a key is set (WIRE.md §3).
    fn authorization(&self) -> Vec<u8> {
        if self.config.secret_key.is_empty() {
            return Vec::new();
        }
        let body = ClientConnect { secret_key: Some(self.config.secret_key.clone()) };
        encode(Cmd::GatewayClientConnect, &body.encode())
    }
}

fn encode(cmd: Cmd, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame { body, ..Frame::command(cmd) }.encode(&mut out);
    out
}
