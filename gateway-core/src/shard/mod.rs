//! The shard: all clients of one core, and everything that is known of them.
//!
//! A state machine. It never does IO, reads no clock, and shares nothing. Its parts:
//!
//! * [`clients`](self::clients): how clients come, what they say, what they are called, how they go;
//! * [`links`](self::links): inner connections: frames, workers, how a worker hands its clients over, signs of life;
//! * [`commands`](self::commands), [`answers`](self::answers), [`fanouts`](self::fanouts): what workers command and ask;
//! * [`compression`](self::compression): what compresses and inflates, where that is on;
//! * [`events`](self::events): what clients do, on its way to their workers;
//! * [`turn`](self::turn), [`output`](self::output): the order of a turn, what is to be sent and done;
//! * [`tick`](self::tick), [`deadlines`](self::deadlines): what time brings.

mod answers;
mod clients;
mod commands;
mod compression;
mod counters;
mod deadlines;
mod events;
mod fanouts;
mod hooks;
mod links;
mod measures;
mod notices;
mod output;
mod table;
mod tick;
mod turn;

use std::net::{SocketAddr, SocketAddrV4};

use hashbrown::HashMap;
use protocol::ClientId;
use protocol::inner::Run;
use uring::SocketId;

pub(crate) use self::clients::largest::LargestGroups;
pub use self::counters::{Counters, Status};
pub use self::measures::Measures;
pub use self::notices::{Gone, Notice};
pub use self::turn::{Action, Sends, Sink};

use self::answers::listing::Listings;
use self::clients::Clients;
use self::clients::cordon::Cordon;
use self::clients::lingering::Lingering;
use self::clients::proxied::ProxiedTable;
use self::clients::stop::{SpreadClose, Stop};
use self::compression::Compression;
use self::deadlines::Deadlines;
use self::events::departed::DepartedTable;
use self::events::reroute::Backlog;
use self::events::suspects::Suspects;
use self::fanouts::Fanouts;
use self::hooks::CaughtHooks;
use self::links::Links;
use self::notices::Notices;
use self::output::Output;
use crate::{ClientInfo, Millis, Settings};

/// What makes a shard this one and no other.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// `lan_ip` and the shard's inner port: where workers reach it, and what client ids begin with.
    pub address: SocketAddrV4,
    /// Any number, different at each start: the first connection id and the random choices come from it.
    pub seed: u64,
}

impl Identity {
    /// Names this start of the shard.
    fn run(&self) -> Run {
        Run(self.seed)
    }

    /// A client as hooks see it.
    fn client_info(&self, connection_id: u32, address: SocketAddr, listener: usize) -> ClientInfo {
        let id = ClientId { gateway: self.address, connection_id };
        ClientInfo { id, address, listener }
    }
}

/// All clients of one core.
///
/// Its glue tells what came in by the `on_*` methods, in the order in which it came, then lets it take a [`Shard::turn`]; and calls
/// [`Shard::on_tick`] when [`Shard::next_tick`] has come. It does not wait for anything while [`Shard::is_pending`]. To end,
/// [`Shard::begin_stop`], and when [`Shard::is_stopped`] or it has taken too long, [`Shard::end_stop`].
///
/// Invariants: a socket is a client's, a link's, a proxy's that has not said whose it is, or lingers, or is none of the shard's; `now` never goes back.
pub struct Shard {
    settings: Settings,
    identity: Identity,
    now: Millis,
    /// The same more exactly, for what is measured.
    now_us: u64,
    clients: Clients,
    links: Links,
    proxied: ProxiedTable,
    /// Connections without a client.
    lingering: HashMap<SocketId, Lingering>,
    /// Events that lost links had not taken.
    backlog: Backlog,
    departed: DepartedTable,
    suspects: Suspects,
    fanouts: Fanouts,
    /// Answers that take more than one turn.
    listings: Listings,
    deadlines: Deadlines,
    output: Output,
    /// Where a listener has it.
    compression: Option<Box<Compression>>,
    hooks: CaughtHooks,
    counters: Counters,
    measures: Measures,
    notices: Notices,
    random: fastrand::Rng,
    /// New clients are turned away, now or soon.
    cordon: Option<Cordon>,
    /// Clients are being closed.
    spread: Option<SpreadClose>,
    /// The stop that is under way.
    stop: Option<Stop>,
}

impl Shard {
    /// An empty shard.
    pub fn new(settings: Settings, identity: Identity, now: Millis) -> Shard {
        let hooks = CaughtHooks::start(settings.hooks.make(), identity);
        Shard {
            clients: Clients::new(&settings, now, (identity.seed & 0xFFFF_FFFF) as u32),
            links: Links::new(),
            proxied: ProxiedTable::default(),
            lingering: HashMap::new(),
            backlog: Backlog::default(),
            departed: DepartedTable::default(),
            suspects: Suspects::default(),
            fanouts: Fanouts::default(),
            listings: Listings::default(),
            deadlines: Deadlines::new(&settings, now),
            output: Output::default(),
            compression: Compression::new(&settings),
            hooks,
            counters: Counters::default(),
            measures: Measures::default(),
            notices: Notices::default(),
            random: fastrand::Rng::with_seed(identity.seed),
            cordon: None,
            spread: None,
            stop: None,
            settings,
            identity,
            now,
            now_us: 0,
        }
    }

    /// What has been counted since start.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters { hook_panics: self.hooks.panics(), ..self.counters };
        self.compression.iter().for_each(|compression| compression.count(&mut counters));
        counters
    }

    /// What there is now, and what has been counted.
    pub fn status(&self) -> Status {
        Status {
            clients: self.clients.len(),
            clients_by_listener: self.clients.by_listener().to_vec(),
            uids: self.clients.uids.names().len(),
            groups: self.clients.groups.names().len(),
            workers: self.worker_count(),
            links: self.links.len(),
            links_draining: self.links.draining_count(),
            links_silent: self.links.iter().filter(|link| link.silent).count(),
            is_registered: false,
            clients_waiting: self.links.clients_waiting(),
            clients_unfinished_bytes: self.clients.unfinished.size(),
            workers_queued_bytes: self.links.iter().map(|link| link.out.queue.len()).sum(),
            fan_outs_waiting: self.fanouts.waiting(),
            departed: self.departed.len(),
            events_in_flight: self.links.events_in_flight(),
            events_kept: self.links.events_kept(),
            events_suspected: self.suspects.len(),
            links_remembered: self.links.remembered(),
            measures: self.measures,
            counters: self.counters(),
        }
    }

    /// Clients there now.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// Workers connected now.
    pub fn worker_count(&self) -> usize {
        self.links.workers.connected_count()
    }

    /// Moves what an operator may want to read of the workers into `notices`, in order.
    pub fn take_notices(&mut self, notices: &mut Vec<Notice>) {
        self.notices.take(notices);
    }
}
