//! What becomes of events of a link that is lost, whose handlers run: whether others have them.
//!
//! When a gateway lives that gives events again, others have had them since it noticed; so when it answers on another link,
//! what these handlers still command is dropped. When it is dead, nobody has them, and what they command is of use to other
//! gateways' clients. Until that is known, what they command is held.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::Duration;

use protocol::client::Kind;
use protocol::inner::{self, FRAME_SIZE_MAX_RINGWAY, Frame, Run};

use super::connections::ConnId;
use super::{Core, Ticket, Timer};
use crate::config::{HELD_BYTES_MAX, KEPT_LOOK_PERIOD, LOST_LINKS_MAX};

/// What is known of an event's link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It stands, or its gateway never gives events again.
    Live,
    /// It is lost; its gateway has not been heard of since.
    Unknown,
    /// Its gateway has given its events to others.
    Revoked,
    /// Its gateway is no more.
    Gone,
}

/// Links that were lost while handlers of their events ran, or with something kept of these, of gateways that give events again: the
/// oldest first, no more than [`LOST_LINKS_MAX`].
///
/// Invariants: only an unknown one holds something; `bytes` is what all hold.
#[derive(Debug, Default)]
pub(super) struct LostLinks {
    links: VecDeque<LostLink>,
    bytes: usize,
}

#[derive(Debug)]
struct LostLink {
    conn: ConnId,
    gateway: SocketAddrV4,
    /// The gateway's.
    run: Run,
    fate: Fate,
    since: Duration,
    held: Vec<Held>,
}

/// What a handler has commanded.
#[derive(Debug)]
struct Held {
    gateway: SocketAddrV4,
    frame: Box<[u8]>,
    kind: Kind,
}

impl LostLinks {
    /// Whether something is to be found out.
    pub(super) fn waits(&self) -> bool {
        self.links.iter().any(|link| link.fate == Fate::Unknown)
    }

    /// Whether somebody's commands are held until it is known what has become of a gateway.
    pub(super) fn holds_for(&self, gateway: SocketAddrV4) -> bool {
        let is_it = |link: &&LostLink| link.gateway == gateway && !link.held.is_empty();
        self.links.iter().any(|link| is_it(&link))
    }

    /// Bytes that are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, conn: ConnId) -> bool {
        self.find(conn).is_some()
    }

    fn find(&self, conn: ConnId) -> Option<&LostLink> {
        self.links.iter().rfind(|link| link.conn == conn)
    }

    /// The fate of such links is known; returns what they held.
    fn judge(&mut self, is_it: impl Fn(&LostLink) -> bool, fate: Fate) -> Vec<Held> {
        let mut held = Vec::new();
        for link in self.links.iter_mut().filter(|link| link.fate == Fate::Unknown && is_it(link)) {
            link.fate = fate;
            held.append(&mut link.held);
        }
        self.bytes -= held.iter().map(|held| held.frame.len()).sum::<usize>();
        held
    }
}

impl Core {
    pub(super) fn fate(&self, ticket: Ticket) -> Fate {
        match self.windows.has_acks(ticket.conn) {
            true => Fate::Live,
            false => self.lost.find(ticket.conn).map_or(Fate::Live, |link| link.fate),
        }
    }

    /// Whether others have the event whose handler is polled now: what it does is not to be seen anywhere.
    pub(crate) fn is_revoked(&self) -> bool {
        self.unsettled.current().is_some_and(|ticket| self.fate(ticket) == Fate::Revoked)
    }

    /// Whether what its handler does may be seen now.
    pub(super) fn may_say(&self) -> bool {
        let fate = self.unsettled.current().map_or(Fate::Live, |ticket| self.fate(ticket));
        matches!(fate, Fate::Live | Fate::Gone)
    }

    /// A link is lost, or counts as lost.
    pub(super) fn lose_events(&mut self, gateway: SocketAddrV4, conn: ConnId) {
        let Some(origin) = self.windows.origin(conn) else { return };
        if self.lost.links.len() >= LOST_LINKS_MAX
            && let Some(oldest) = self.lost.links.pop_front()
        {
            self.lost.bytes -= oldest.held.iter().map(|held| held.frame.len()).sum::<usize>();
            self.counters.commands_forgotten += oldest.held.len() as u64;
        }
        // What is safe is nobody else's, whatever of it is still to be taken.
        let unsettled = &self.unsettled;
        for index in 0..self.links.all().len() {
            let kept = self.links.at_mut(index).kept.as_deref_mut();
            kept.into_iter().for_each(|kept| kept.release(|of| of.conn == conn && !unsettled.knows(of)));
        }
        let are_kept =
            self.links.all().iter().any(|link| link.kept.as_ref().is_some_and(|kept| kept.has_of(conn)));
        let is_polled = self.unsettled.is_of(conn);
        if !are_kept && !is_polled && !self.queues.runs_any_of(gateway) {
            return;
        }
        let (run, since) = (origin.run, self.now);
        let fate = if self.draining.has_begun() { Fate::Revoked } else { Fate::Unknown };
        self.lost.links.push_back(LostLink { conn, gateway, run, fate, since, held: Vec::new() });
        self.timers.arm(Timer::Kept, self.now + KEPT_LOOK_PERIOD);
    }

    /// What a handler of an event has commanded whose fate is not known waits for that.
    pub(super) fn hold_back(&mut self, index: usize, of: Option<Ticket>, frame: &Frame<'_>, kind: Kind) {
        let gateway = self.links.at(index).address;
        let link = self.lost.links.iter_mut().rfind(|link| of.is_some_and(|of| of.conn == link.conn));
        let Some(link) = link.filter(|_| self.lost.bytes + frame.size() <= HELD_BYTES_MAX) else {
            return self.counters.commands_forgotten += 1;
        };
        let mut bytes = Vec::with_capacity(frame.size());
        frame.encode(&mut bytes);
        self.lost.bytes += bytes.len();
        link.held.push(Held { gateway, frame: bytes.into(), kind });
    }

    /// A gateway answers on a new link; `run`: which start of it that is, if it gives events again.
    pub(super) fn gateway_answers(&mut self, gateway: SocketAddrV4, run: Option<Run>) {
        if !self.lost.waits() {
            return;
        }
        let revoked = self.lost.judge(|link| link.gateway == gateway && Some(link.run) == run, Fate::Revoked);
        self.counters.commands_revoked += revoked.len() as u64;
        self.gateway_gone(gateway);
    }

    /// A gateway is no more: what handlers of its clients' events have commanded elsewhere is said.
    pub(super) fn gateway_gone(&mut self, gateway: SocketAddrV4) {
        let held = self.lost.judge(|link| link.gateway == gateway, Fate::Gone);
        let current = self.unsettled.set_current(None);
        for Held { gateway, frame, kind } in held {
            if let Ok(Some((frame, _))) = inner::decode(&frame, FRAME_SIZE_MAX_RINGWAY) {
                self.command(gateway, &frame, kind);
            }
        }
        self.unsettled.set_current(current);
    }

    /// Nothing was heard of these gateways for so long: those that registers still list are alive, and others have the events.
    pub(super) fn give_up_unknown(&mut self, is_over: impl Fn(Duration) -> bool) {
        let is_over = |link: &LostLink| link.fate == Fate::Unknown && is_over(link.since);
        let late = self.lost.links.iter().filter(|link| is_over(link)).map(|link| link.gateway);
        for gateway in late.collect::<Vec<_>>() {
            if self.links.find(gateway).is_none_or(|link| !link.listed) {
                self.gateway_gone(gateway);
            }
        }
        let held = self.lost.judge(is_over, Fate::Revoked);
        self.counters.commands_forgotten += held.len() as u64;
    }
}
