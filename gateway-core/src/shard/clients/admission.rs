//! Which newcomers are let in: no more than `--max-clients` and its like allow. Who is refused costs a connection that is closed, or,
//! now and then, an answer that says so.
//!
//! A client counts from when it comes until it is forgotten; of an address from when that is known, which may be later: a proxy says it
//! with the request of a websocket.

use std::net::{IpAddr, SocketAddr};

use hashbrown::{HashMap, HashSet};
use protocol::LogLimit;
use protocol::client::websocket::{self, Request};
use tracing::warn;
use uring::SocketId;

use super::client::Client;
use super::{ClientSlot, Clients};
use crate::config::{LIMIT_LOG_PERIOD_MS, REFUSALS_TOLD, RETRY_AFTER_S};
use crate::limits::{Bucket, Excess};
use crate::shard::{Action, Counters, Shard};
use crate::{ClientCounts, ListenProtocol, Millis, Settings};

/// What newcomers are counted by; a shard without such limits has none.
pub(crate) struct Admissions {
    counts: ClientCounts,
    shard_clients_max: usize,
    /// Clients of which it is not known where they come from: in handshakes alone.
    unplaced: HashSet<SocketId>,
    /// For answers to those that are refused.
    told: Bucket,
}

/// Lines about clients that exceed a limit, by its flag.
#[derive(Default)]
pub(crate) struct LimitLogs(HashMap<&'static str, LogLimit>);

impl Admissions {
    pub(crate) fn new(settings: &Settings) -> Option<Admissions> {
        let limits = &settings.client_limits;
        limits.count_clients().then(|| Admissions {
            counts: settings.client_counts.clone().unwrap_or_else(|| ClientCounts::new(limits)),
            shard_clients_max: limits.shard_clients_max.unwrap_or(usize::MAX),
            unplaced: HashSet::new(),
            told: Bucket::default(),
        })
    }

    fn enter(&mut self, socket: SocketId, ip: Option<IpAddr>, now: Millis) -> Result<(), Excess> {
        self.counts.enter()?;
        match ip {
            None => {
                self.unplaced.insert(socket);
                Ok(())
            }
            Some(ip) => self.counts.enter_from(ip, now).inspect_err(|_| self.counts.leave()),
        }
    }

    fn leave(&mut self, socket: SocketId, ip: IpAddr, now: Millis) {
        if self.unplaced.is_empty() || !self.unplaced.remove(&socket) {
            self.counts.leave_from(ip, now);
        }
        self.counts.leave();
    }
}

impl Excess {
    fn flag(self) -> &'static str {
        match self {
            Excess::Clients => "--max-clients",
            Excess::ShardClients => "--max-clients-per-shard",
            Excess::AddressClients => "--max-clients-per-address",
            Excess::Handshakes => "--handshakes-per-address",
        }
    }

    /// What a websocket is told: Service Unavailable, or Too Many Requests.
    fn status(self) -> u16 {
        match self {
            Excess::Clients | Excess::ShardClients => 503,
            Excess::AddressClients | Excess::Handshakes => 429,
        }
    }
}

impl Counters {
    fn refusals(&mut self, excess: Excess) -> &mut u64 {
        match excess {
            Excess::Clients => &mut self.refused_max_clients,
            Excess::ShardClients => &mut self.refused_max_clients_per_shard,
            Excess::AddressClients => &mut self.refused_max_clients_per_address,
            Excess::Handshakes => &mut self.refused_handshakes_per_address,
        }
    }
}

impl Clients {
    /// Counts a newcomer from `ip`, or from where its proxy is to say, if there is room for it.
    fn count_arrival(&mut self, socket: SocketId, ip: Option<IpAddr>, now: Millis) -> Result<(), Excess> {
        let clients = self.len();
        match &mut self.admissions {
            None => Ok(()),
            Some(admissions) if clients >= admissions.shard_clients_max => Err(Excess::ShardClients),
            Some(admissions) => admissions.enter(socket, ip, now),
        }
    }

    /// The same back again.
    pub(super) fn count_departure(&mut self, socket: SocketId, peer: SocketAddr, now: Millis) {
        if let Some(admissions) = &mut self.admissions {
            admissions.leave(socket, peer.ip(), now);
        }
    }

    /// A client's proxy has said, or had nothing to say.
    fn place(&mut self, socket: SocketId, peer: SocketAddr, now: Millis) -> Result<(), Excess> {
        let Some(admissions) = &mut self.admissions else { return Ok(()) };
        if !admissions.unplaced.contains(&socket) {
            return Ok(());
        }
        admissions.counts.enter_from(peer.ip(), now)?;
        admissions.unplaced.remove(&socket);
        Ok(())
    }
}

impl Shard {
    /// Counts a newcomer, or refuses it. Whether it is let in.
    pub(super) fn admits(&mut self, listener: u8, socket: SocketId, peer: SocketAddr) -> bool {
        if self.clients.admissions.is_none() {
            return true;
        }
        let ip = (!self.awaits_forwarded(listener, peer)).then_some(peer.ip());
        let counted = self.clients.count_arrival(socket, ip, self.now);
        counted.inspect_err(|excess| self.refuse_newcomer(listener, socket, peer, *excess)).is_ok()
    }

    /// The address that a client's proxy says with its request is the client's from here on, if there are not too many of it.
    /// Else it is answered so.
    pub(super) fn admits_forwarded(
        &mut self,
        slot: ClientSlot,
        request: &Request<'_>,
        reply: &mut Vec<u8>,
    ) -> bool {
        let said = self.forwarded(slot, request);
        let Client { socket, peer, .. } = &self.clients[slot];
        let (socket, peer) = (*socket, said.unwrap_or_else(|| peer.address()));
        if let Err(excess) = self.clients.place(socket, peer, self.now) {
            self.note_refusal(peer, excess);
            websocket::encode_retry_later(excess.status(), RETRY_AFTER_S, reply);
            return false;
        }
        if said.is_some() {
            self.clients[slot].peer = peer.into();
        }
        true
    }

    /// Whether a client's proxy may say with its request where it comes from.
    fn awaits_forwarded(&self, listener: u8, peer: SocketAddr) -> bool {
        let is_websocket =
            matches!(self.settings.listen[usize::from(listener)].protocol, ListenProtocol::Websocket(_));
        is_websocket
            && self.settings.forwarded_header.is_some()
            && self.settings.trusted_proxies.contain(peer.ip())
    }

    /// Tells some websockets to come later; closes all others.
    fn refuse_newcomer(&mut self, listener: u8, socket: SocketId, peer: SocketAddr, excess: Excess) {
        self.note_refusal(peer, excess);
        let listen = &self.settings.listen[usize::from(listener)];
        let can_be_told = matches!(listen.protocol, ListenProtocol::Websocket(_)) && !listen.tls;
        let admissions = self.clients.admissions.as_mut().filter(|_| can_be_told);
        if admissions.is_some_and(|admissions| admissions.told.take(REFUSALS_TOLD, self.now)) {
            self.endings().await_request(socket, excess.status());
        } else {
            self.output.actions.push(Action::Close(socket));
        }
    }

    fn note_refusal(&mut self, peer: SocketAddr, excess: Excess) {
        *self.counters.refusals(excess) += 1;
        self.note_limit(peer, excess.flag(), "is refused");
    }

    /// Says, now and then, what has become of a client because of a limit.
    pub(crate) fn note_limit(&mut self, peer: SocketAddr, flag: &'static str, what: &str) {
        let log = self.clients.limit_logs.0.entry(flag);
        let log = log.or_insert_with(|| LogLimit::new(1, LIMIT_LOG_PERIOD_MS));
        if let Some(unsaid) = log.admit(self.now.0) {
            warn!(%peer, unsaid, "a client {what}: it is beyond what {flag} allows");
        }
    }
}
