//! A client's share of a worker that does not say what it has done, as PHP's do not: so much in each short period. What is
//! on the way to such a worker lies in two kernels, where nobody sees how much of it there is; so nothing else keeps one client
//! from filling both.
//!
//! Workers of ours grant windows instead (`links/window.rs`).

use std::mem;

use uring::SocketId;

use super::client::{Client, Reading};
use crate::Millis;
use crate::config::{SHARE_EVENT_SIZE, SHARE_EVENTS_MAX, SHARE_PERIOD_MS};
use crate::shard::Shard;

/// What a client has had of the last period in which it had anything.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    events: u8,
    /// Which period: its number's last byte. Whoever comes back after 256 of them finds itself in the same once more.
    period: u8,
}

/// Clients that have had their share, until the next period.
#[derive(Default)]
pub(crate) struct Shares {
    waiting: Vec<SocketId>,
    /// When the first of them began to wait.
    since: Millis,
}

impl Spent {
    /// An event of a client went to such a worker, with a body of this size.
    pub(crate) fn add(&mut self, size: usize, now: Millis) {
        if self.period != period(now) {
            *self = Spent { events: 0, period: period(now) };
        }
        let more = u8::try_from(size / SHARE_EVENT_SIZE).unwrap_or(SHARE_EVENTS_MAX);
        self.events = self.events.saturating_add(more.saturating_add(1));
    }
}

impl Client {
    /// Whether it has had its share of this period.
    pub(crate) fn has_spent_its_share(&self, now: Millis) -> bool {
        self.spent.events >= SHARE_EVENTS_MAX && self.spent.period == period(now)
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

    /// Whether this one waits.
    pub(crate) fn has(&self, client: SocketId) -> bool {
        self.waiting.contains(&client)
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
        self.clients.shares.due()
    }

    /// Whether clients are to be read again now.
    pub(crate) fn are_shares_due(&self) -> bool {
        self.next_turn().is_some_and(|due| due <= self.now)
    }

    /// Reads them again, in the order in which they had their shares.
    pub(crate) fn resume_shares(&mut self) {
        if !self.are_shares_due() {
            return;
        }
        for socket in mem::take(&mut self.clients.shares.waiting) {
            if self.clients.live(socket).is_some_and(|client| client.reading == Reading::Share) {
                self.resume_client(socket);
            }
        }
    }
}

fn period(now: Millis) -> u8 {
    (now.0 / SHARE_PERIOD_MS).to_le_bytes()[0]
}
