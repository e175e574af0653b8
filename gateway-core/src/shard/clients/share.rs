//! A client's share of a worker that grants no window: so much in each short period. What is on the way to a worker that says
//! nothing of what it has done, as PHP's, lies in two kernels, where nobody sees how much of it there is; so nothing else keeps one
//! client from filling both.
//!
//! The worker in the shard's own thread takes what it is given before the next turn, or leaves it in the queue, which is seen: its
//! periods are turns, and who has had its share of one waits until the queue is empty. Other workers of ours grant windows
//! (`links/window.rs`).

use std::mem;

use uring::SocketId;

use super::ClientSlot;
use super::client::Reading;
use crate::Millis;
use crate::config::{SHARE_EVENT_SIZE, SHARE_EVENTS_MAX, SHARE_PERIOD_MS};
use crate::shard::Shard;
use crate::shard::events::Stall;
use crate::shard::links::LinkId;
use crate::shard::links::link::Link;

/// What a client has had of the last period in which it had anything.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    events: u8,
    period: Period,
}

/// Which period: its number's last byte. Whoever comes back after 256 of them finds itself in the same once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Period(u8);

/// Clients that have had their share, until the next period.
#[derive(Default)]
pub(crate) struct Shares {
    waiting: Vec<SocketId>,
    /// When the first of them began to wait.
    since: Millis,
    /// The same for clients of the worker in this thread.
    waiting_for_turn: Vec<SocketId>,
    turn: Period,
    /// At the end of the last turn there were such, and their worker had taken what it was given.
    is_taken: bool,
}

impl Spent {
    /// An event of a client went to such a worker, with a body of this size.
    pub(crate) fn add(&mut self, size: usize, period: Period) {
        if self.period != period {
            *self = Spent { events: 0, period };
        }
        let more = u8::try_from(size / SHARE_EVENT_SIZE).unwrap_or(SHARE_EVENTS_MAX);
        self.events = self.events.saturating_add(more.saturating_add(1));
    }
}

impl Period {
    fn at(now: Millis) -> Period {
        Period((now.0 / SHARE_PERIOD_MS).to_le_bytes()[0])
    }
}

impl Link {
    /// Which period it is, if clients have shares of this worker.
    pub(crate) fn period(&self, shares: &Shares, now: Millis) -> Option<Period> {
        match self {
            Link { is_guest: true, .. } => Some(shares.turn),
            Link { ringway: false, .. } => Some(Period::at(now)),
            Link { .. } => None,
        }
    }
}

impl Shares {
    /// A client is not read until the next period.
    pub(crate) fn wait(&mut self, client: SocketId, now: Millis) {
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.waiting.push(client);
    }

    /// A client is not read until the worker in this thread has taken what it was given.
    pub(crate) fn wait_for_turn(&mut self, client: SocketId) {
        self.waiting_for_turn.push(client);
    }

    /// Whether nobody waits.
    pub(crate) fn are_empty(&self) -> bool {
        self.waiting.is_empty() && self.waiting_for_turn.is_empty()
    }

    /// Whether this one waits.
    pub(crate) fn has(&self, client: SocketId) -> bool {
        self.waiting.contains(&client) || self.waiting_for_turn.contains(&client)
    }

    /// When that is, if any wait.
    pub(crate) fn due(&self) -> Option<Millis> {
        let next = (self.since.0 / SHARE_PERIOD_MS + 1) * SHARE_PERIOD_MS;
        (!self.waiting.is_empty()).then_some(Millis(next))
    }
}

impl Shard {
    /// When it takes a turn though nothing came: clients are to be read again.
    pub fn next_turn(&self) -> Option<Millis> {
        let share = self.clients.shares.due();
        match &self.clients.rates {
            None => share,
            Some(rates) => share.into_iter().chain(rates.due()).min(),
        }
    }

    /// Whether clients are to be read again now.
    pub(crate) fn are_shares_due(&self) -> bool {
        self.clients.shares.is_taken || self.is_period_over()
    }

    fn is_period_over(&self) -> bool {
        self.clients.shares.due().is_some_and(|due| due <= self.now)
    }

    /// A turn ends: whether clients that wait for the worker in this thread are to be read in the next one.
    pub(crate) fn end_turn_of_shares(&mut self) {
        let shares = &mut self.clients.shares;
        if !shares.waiting_for_turn.is_empty() {
            shares.is_taken = self.links.iter().all(|link| !link.is_guest || link.out.queue.is_empty());
        }
    }

    /// Fails if a client has had its share of the present period; of a turn, if its worker is in this thread.
    pub(crate) fn has_share(&self, slot: ClientSlot, link: LinkId) -> Result<(), Stall> {
        let client = &self.clients[slot];
        if client.spent.events < SHARE_EVENTS_MAX {
            return Ok(());
        }
        let link = self.links.get(link).expect("route found it");
        match link.period(&self.clients.shares, self.now) {
            Some(period) if period == client.spent.period && link.is_guest => Err(Stall::Turn),
            Some(period) if period == client.spent.period => Err(Stall::Share),
            _ => Ok(()),
        }
    }

    /// A turn begins. Reads them again, in the order in which they had their shares.
    pub(crate) fn resume_shares(&mut self) {
        if self.is_period_over() {
            let waiting = mem::take(&mut self.clients.shares.waiting);
            self.resume_sharers(waiting);
        }
        let shares = &mut self.clients.shares;
        shares.turn.0 = shares.turn.0.wrapping_add(1);
        if mem::take(&mut shares.is_taken) {
            let waiting = mem::take(&mut shares.waiting_for_turn);
            self.resume_sharers(waiting);
        }
    }

    fn resume_sharers(&mut self, waiting: Vec<SocketId>) {
        for socket in waiting {
            if self.clients.live(socket).is_some_and(|client| client.reading == Reading::Share) {
                self.resume_client(socket);
            }
        }
    }
}
