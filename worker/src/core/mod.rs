//! One core: its links to every gateway, what runs on it, and how it starts and ends.
//!
//! Everything here belongs to one thread. Cores share nothing and never talk to each other.

mod background;
mod backlog;
#[cfg(feature = "tokio")]
mod bridge;
#[cfg(not(feature = "tokio"))]
#[path = "no_bridge.rs"]
mod bridge;
mod connect;
mod control;
mod converse;
mod counters;
mod discovery;
mod dispatch;
mod drain;
mod link;
mod link_task;
mod links;
mod panic;
mod query_link;
mod queues;
mod reconnect;
mod run;
mod session_query;
mod sessions;
mod standing;
mod wire;

use std::cell::{Cell, RefCell};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::Sender;
use protocol::inner::ext::{ClientConnect, WorkerConnect};
use protocol::inner::{Cmd, Frame, Hello};
use tracing::{debug, info};

use crate::config::Config;
use background::Background;
pub use background::Spawned;
use backlog::Backlog;
pub(crate) use bridge::Bridge;
#[cfg(feature = "tokio")]
pub use bridge::Bridged;
pub(crate) use control::{Control, Wish, Wishes, control};
pub(crate) use converse::ByName;
pub use counters::{Counters, Status};
use drain::Draining;
use link::Link;
pub(crate) use links::Links;
pub(crate) use query_link::{Asked, QueryLinks};
pub(crate) use run::run;
use sessions::Sessions;
pub(crate) use standing::Standing;
use standing::State;

/// What a core is started with.
pub(crate) struct Launch {
    pub(crate) config: Config,
    /// The first half of the worker key: the config's name, unless a process of that name still runs.
    pub(crate) key_name: String,
    pub(crate) index: usize,
    pub(crate) bridge: Bridge,
    pub(crate) report: Report,
    /// The same for all cores of a worker.
    pub(crate) standing: Arc<Standing>,
}

/// Takes what a worker tells of itself, if anybody listens.
pub(crate) type Report = Sender<Told>;

/// What a worker tells of itself.
#[derive(Debug)]
pub(crate) enum Told {
    /// Every core has heard from a register and tried each gateway in its list.
    Ready,
    /// The core of this index has links to these gateways, and they were taken.
    Gateways(usize, Vec<SocketAddrV4>),
    /// Another worker has the name, and stays.
    NameTaken,
    /// A core has turned.
    Alive,
}

/// What commands, queries and links of one core share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    /// The first half of the worker key.
    key_name: String,
    /// 0-based; the second half of the worker key.
    pub(crate) index: usize,
    pub(crate) links: Links,
    backlog: Rc<Backlog>,
    pub(crate) query_links: QueryLinks,
    sessions: Sessions,
    background: Background,
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "without tokio there is no way to it"))]
    bridge: Bridge,
    pub(crate) counters: RefCell<Counters>,
    draining: Draining,
    /// Set once: no more events are taken.
    pub(crate) stopping: Cell<bool>,
    /// Who is told at which gateways the core is known, at every change.
    report: Report,
    standing: Arc<Standing>,
    /// A link has stood for so long that another worker of the name must be the newer one.
    established: Cell<bool>,
}

impl Core {
    pub(crate) fn new(launch: Launch) -> Rc<Core> {
        let Launch { config, key_name, index, bridge, report, standing } = launch;
        Rc::new(Core {
            config,
            key_name,
            index,
            links: Links::default(),
            backlog: Rc::default(),
            query_links: QueryLinks::default(),
            sessions: Sessions::default(),
            background: Background::default(),
            bridge,
            counters: RefCell::default(),
            draining: Draining::default(),
            stopping: Cell::new(false),
            report,
            standing,
            established: Cell::new(false),
        })
    }

    /// A link is known to have got through, or is gone.
    fn set_up(&self, link: &Link, up: bool) {
        if link.up.replace(up) != up {
            if up && self.standing.is_news(link.address(), State::Connected) {
                info!(gateway = %link.address(), core = self.index, "connected to gateway");
            } else if up {
                debug!(gateway = %link.address(), core = self.index, "connected to gateway");
            }
            let up = self.links.all().into_iter().filter(|link| link.up.get());
            // Nobody need be interested.
            let _ = self.report.send(Told::Gateways(self.index, up.map(|link| link.address()).collect()));
        }
    }

    /// Changes the counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.borrow_mut());
    }

    /// The first frame on a command link (WIRE.md §4). Sent with the key field even when there is no key (WIRE.md §3).
    fn hello(&self) -> Vec<u8> {
        let body = WorkerConnect {
            worker_key: format!("{}:{}", self.key_name, self.index),
            secret_key: Some(self.config.secret_key.clone()),
            ringway: true,
            run: Some(self.standing.run()),
        };
        encode(Cmd::WorkerConnect, &body.encode())
    }

    /// A gateway of ours answers: it takes the link, or says why not. Its FIN follows then.
    fn on_hello(&self, link: &Link, body: &[u8]) {
        let refused = Hello::decode(body).and_then(|hello| hello.refused);
        link.refused.set(refused);
        if refused.is_none() {
            self.greet(link);
            self.set_up(link, true);
        }
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
