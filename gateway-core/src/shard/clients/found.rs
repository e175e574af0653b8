//! Clients found for a query that takes more than one turn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec;

use super::client::Client;
use super::{ClientSlot, Clients};
use crate::config::LISTING_ROWS_MAX;

/// Clients by their slots, as they were at one moment. Who goes meanwhile is passed over, also when its slot has another
/// client by then: that one was accepted later.
///
/// Invariant: `next <= slots.len()`.
#[derive(Default)]
pub(crate) struct Found {
    slots: Vec<ClientSlot>,
    next: usize,
    /// Clients accepted by the shard at that moment.
    accepted: u64,
}

impl Found {
    /// Whether those were all.
    pub(crate) fn is_at_end(&self) -> bool {
        self.next >= self.slots.len()
    }

    /// The next one; `None` if it has gone, or at the end.
    pub(crate) fn next<'a>(&mut self, clients: &'a Clients) -> Option<&'a Client> {
        let slot = *self.slots.get(self.next)?;
        self.next += 1;
        clients.get(slot).filter(|client| client.accepted <= self.accepted)
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
type Place = (Rank, ClientSlot);

impl Ordered {
    /// Whether rows are still to be looked at.
    pub(crate) fn is_collecting(&self) -> bool {
        self.cursor.is_some()
    }

    /// Looks at the next rows. Returns whether there are more.
    pub(crate) fn collect(&mut self, clients: &Clients) -> bool {
        let Some(start) = self.cursor else { return false };
        let end = clients.rows.end().min(start + LISTING_ROWS_MAX);
        self.cursor = (end < clients.rows.end()).then_some(end);
        let rows = (start..end).filter_map(|index| Some((index, clients.rows.get(index)?)));
        let listed = rows.filter(|(_, client)| client.accepted <= self.accepted);
        let mut run: Vec<Place> =
            listed.map(|(index, client)| ((self.rank)(client), ClientSlot::of(index))).collect();
        run.sort_unstable();
        self.runs.push(run.into_iter());
        self.push_head(self.runs.len() - 1);
        self.is_collecting()
    }

    /// The next of those that were looked at; none if it has gone.
    pub(crate) fn next<'a>(&mut self, clients: &'a Clients) -> Option<Option<&'a Client>> {
        let ((_, accepted), slot) = self.pop()?;
        Some(clients.rows.get(slot.index()).filter(|client| client.accepted == accepted))
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

impl Clients {
    pub(crate) fn found(&self, slots: impl Iterator<Item = ClientSlot>) -> Found {
        Found { slots: slots.collect(), next: 0, accepted: self.accepted }
    }

    pub(crate) fn ordered(&self, rank: fn(&Client) -> Rank) -> Ordered {
        let (cursor, accepted) = (Some(0), self.accepted);
        Ordered { rank, cursor, accepted, runs: Vec::new(), heads: BinaryHeap::new() }
    }
}
