//! Clients found for a command or a query that takes more than one turn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec;

use crate::config::LISTING_ROWS_MAX;
use crate::shard::clients::client::Client;
use crate::shard::clients::directory::Slot;
use crate::shard::{Conn, Shard};

/// Clients by their slots, as they were at one moment. Who goes meanwhile is passed over, also when its slot has another
/// client by then: that one was accepted later.
///
/// Invariant: `next <= slots.len()`.
#[derive(Default)]
pub(crate) struct Found {
    slots: Vec<Slot>,
    next: usize,
    /// Clients accepted by the shard at that moment.
    accepted: u64,
}

impl Found {
    /// Who is next, still there or not; `None`: that were all.
    pub fn peek(&self) -> Option<Slot> {
        self.slots.get(self.next).copied()
    }

    pub fn advance(&mut self) {
        self.next += 1;
    }
}

impl Shard {
    pub(crate) fn found(&self, slots: impl Iterator<Item = Slot>) -> Found {
        Found { slots: slots.collect(), next: 0, accepted: self.accepted }
    }

    /// Every client, in no order that would mean anything.
    pub(crate) fn everybody(&self) -> Found {
        let mut slots = Vec::with_capacity(self.connection_ids.len());
        let clients = self.conns.iter().filter(|(_, conn)| matches!(conn, Conn::Client(_)));
        slots.extend(clients.map(|(index, _)| index as Slot));
        Found { slots, next: 0, accepted: self.accepted }
    }

    /// The client that was found at `slot`, if it is still there.
    pub(crate) fn still_there(&self, found: &Found, slot: Slot) -> Option<&Client> {
        match self.conns.get(slot as usize) {
            Some(Conn::Client(client)) if client.accepted <= found.accepted => Some(client),
            _ => None,
        }
    }

    /// The next one; `None` if it has gone, or at the end.
    pub(crate) fn next_found(&self, found: &mut Found) -> Option<&Client> {
        let slot = found.peek()?;
        found.advance();
        self.still_there(found, slot)
    }
}

/// All clients, put in an order: collected in slices, each of them sorted, which are then merged.
pub(crate) struct Ordered {
    rank: fn(&Client) -> Rank,
    /// The next row to look at; `None` once all have been.
    cursor: Option<usize>,
    /// Clients accepted by the shard when this began: who comes later is not listed, so that there is an end to it.
    accepted: u64,
    runs: Vec<vec::IntoIter<Place>>,
    /// The first of each run that is left.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
}

/// Where a client stands in the order: first by whatever matters, then by its acceptance.
pub(crate) type Rank = (bool, u64);

/// A client's rank and slot.
type Place = (Rank, Slot);

impl Ordered {
    /// Whether rows are still to be looked at.
    pub fn is_collecting(&self) -> bool {
        self.cursor.is_some()
    }

    /// The first that is left.
    fn pop(&mut self) -> Option<Place> {
        let Reverse((place, run)) = self.heads.pop()?;
        self.push_head(run);
        Some(place)
    }

    fn push_head(&mut self, run: usize) {
        if let Some(place) = self.runs[run].next() {
            self.heads.push(Reverse((place, run)));
        }
    }
}

impl Shard {
    pub(crate) fn ordered(&self, rank: fn(&Client) -> Rank) -> Ordered {
        let (cursor, accepted) = (Some(0), self.accepted);
        Ordered { rank, cursor, accepted, runs: Vec::new(), heads: BinaryHeap::new() }
    }

    /// Looks at the next rows. Returns whether there are more.
    pub(crate) fn collect(&self, ordered: &mut Ordered) -> bool {
        let Some(start) = ordered.cursor else { return false };
        let end = self.conns.end().min(start + LISTING_ROWS_MAX);
        ordered.cursor = (end < self.conns.end()).then_some(end);
        let mut run: Vec<Place> = Vec::new();
        for index in start..end {
            if let Some(Conn::Client(client)) = self.conns.get(index)
                && client.accepted <= ordered.accepted
            {
                run.push(((ordered.rank)(client), index as Slot));
            }
        }
        run.sort_unstable();
        ordered.runs.push(run.into_iter());
        ordered.push_head(ordered.runs.len() - 1);
        ordered.is_collecting()
    }

    /// The next of those that were looked at; none if it has gone.
    pub(crate) fn next_in_order(&self, ordered: &mut Ordered) -> Option<Option<&Client>> {
        let ((_, accepted), slot) = ordered.pop()?;
        match self.conns.get(slot as usize) {
            Some(Conn::Client(client)) if client.accepted == accepted => Some(Some(client)),
            _ => Some(None),
        }
    }
}
