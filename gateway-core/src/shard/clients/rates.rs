//! How much each client may say in a second (`--messages-per-second`, `--bytes-per-second`): beyond that it is not read for a while, or
//! closed.
//!
//! Bytes are counted as they come, messages as they are passed on. Who has said nothing has no row.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;
use uring::SocketId;

use super::ClientSlot;
use super::client::{Client, Reading};
use super::leave::CloseReason;
use crate::config::RATE_LOOK_PERIOD_MS;
use crate::limits::Bucket;
use crate::shard::events::Stall;
use crate::shard::{Action, Shard};
use crate::{ClientLimits, Millis, OverLimit, Rate, Settings};

/// What a client has said too much of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Excessive {
    Messages,
    Bytes,
}

/// What clients have said lately; a shard without such limits has none.
pub(crate) struct Rates {
    messages: Option<Rate>,
    bytes: Option<Rate>,
    over_limit: OverLimit,
    rows: HashMap<ClientSlot, Said>,
    /// Who is not read, and until when.
    waiting: BinaryHeap<Reverse<(Millis, SocketId)>>,
}

/// Of one client.
#[derive(Default)]
struct Said {
    messages: Bucket,
    bytes: Bucket,
}

impl Rates {
    pub(crate) fn new(settings: &Settings) -> Option<Box<Rates>> {
        let ClientLimits { messages, bytes, over_limit, .. } = settings.client_limits;
        let is_on = messages.is_some() || bytes.is_some();
        let (rows, waiting) = (HashMap::new(), BinaryHeap::new());
        is_on.then(|| Box::new(Rates { messages, bytes, over_limit, rows, waiting }))
    }

    /// Bytes have come from a client.
    #[cold]
    pub(super) fn received(&mut self, slot: ClientSlot, count: usize, now: Millis) {
        if let Some(rate) = self.bytes {
            self.rows.entry(slot).or_default().bytes.spend(rate, now, count as u64);
        }
    }

    /// A message of a client was passed on.
    #[cold]
    pub(super) fn passed_on(&mut self, slot: ClientSlot, now: Millis) {
        if let Some(rate) = self.messages {
            self.rows.entry(slot).or_default().messages.spend(rate, now, 1);
        }
    }

    pub(super) fn forget(&mut self, slot: ClientSlot) {
        self.rows.remove(&slot);
    }

    /// What a client has said too much of, and for how many ms it is to say no more; of messages, to say `next` more.
    fn excess(&mut self, slot: ClientSlot, next: u64, now: Millis) -> Option<(Excessive, u64)> {
        let said = self.rows.get_mut(&slot)?;
        let messages = self.messages.and_then(|rate| said.messages.wait_ms(rate, now, next));
        let bytes = self.bytes.and_then(|rate| said.bytes.wait_ms(rate, now, 0));
        let messages = messages.map(|wait| (Excessive::Messages, wait));
        let bytes = bytes.map(|wait| (Excessive::Bytes, wait));
        messages.into_iter().chain(bytes).max_by_key(|(_, wait)| *wait)
    }

    #[cold]
    fn check(&mut self, slot: ClientSlot, next: u64, now: Millis) -> Result<(), Stall> {
        self.excess(slot, next, now).map_or(Ok(()), |(what, _)| Err(Stall::Rate(what)))
    }

    /// Messages that have to be allowed in front of the next one: who is closed is so for one that was too many.
    fn next(&self) -> u64 {
        u64::from(self.over_limit == OverLimit::Pause)
    }

    /// When the next client is to be read again.
    #[cold]
    pub(crate) fn due(&self) -> Option<Millis> {
        self.waiting.peek().map(|Reverse((due, _))| *due)
    }

    fn pop_due(&mut self, now: Millis) -> Option<SocketId> {
        self.due().filter(|due| *due <= now)?;
        self.waiting.pop().map(|Reverse((_, socket))| socket)
    }
}

impl Excessive {
    fn flag(self) -> &'static str {
        match self {
            Excessive::Messages => "--messages-per-second",
            Excessive::Bytes => "--bytes-per-second",
        }
    }
}

impl Shard {
    /// Fails if a client has said so much that its next message is not to be looked at.
    #[inline]
    pub(super) fn may_say_more(&mut self, slot: ClientSlot) -> Result<(), Stall> {
        match &mut self.clients.rates {
            None => Ok(()),
            Some(rates) => rates.check(slot, rates.next(), self.now),
        }
    }

    /// Fails if a client of which nothing is left to be looked at has said more than it may.
    #[inline]
    pub(super) fn has_kept_its_rate(&mut self, slot: ClientSlot) -> Result<(), Stall> {
        match &mut self.clients.rates {
            None => Ok(()),
            Some(rates) => rates.check(slot, 0, self.now),
        }
    }

    /// A client has said too much: it is not read until it may say more, or closed.
    pub(super) fn hold_back(&mut self, slot: ClientSlot, what: Excessive) {
        let now = self.now;
        let Client { socket, peer, .. } = &self.clients[slot];
        let (socket, peer) = (*socket, peer.address());
        let Some(rates) = &mut self.clients.rates else { return };
        if rates.over_limit == OverLimit::Close {
            match what {
                Excessive::Messages => self.counters.clients_closed_message_rate += 1,
                Excessive::Bytes => self.counters.clients_closed_byte_rate += 1,
            }
            self.note_limit(peer, what.flag(), "is closed");
            return self.close_client_because(slot, CloseReason::Policy);
        }
        let wait = rates.excess(slot, rates.next(), now).map_or(0, |(_, wait)| wait.min(RATE_LOOK_PERIOD_MS));
        rates.waiting.push(Reverse((now.plus(wait), socket)));
        self.clients[slot].reading = Reading::Rate;
        *self.counters.stalls(Stall::Rate(what)) += 1;
        self.output.actions.push(Action::Pause(socket));
        self.note_limit(peer, what.flag(), "is not read for a while");
    }

    /// Whether clients may say more by now that were not read.
    #[inline]
    pub(crate) fn are_rates_due(&self) -> bool {
        self.clients.rates.as_ref().is_some_and(|rates| rates.due().is_some_and(|due| due <= self.now))
    }

    /// A turn begins. Reads them again, in order of time.
    #[inline]
    pub(crate) fn resume_rates(&mut self) {
        if self.are_rates_due() {
            self.resume_held_back();
        }
    }

    #[cold]
    fn resume_held_back(&mut self) {
        while let Some(socket) = self.clients.rates.as_mut().and_then(|rates| rates.pop_due(self.now)) {
            if self.clients.live(socket).is_some_and(|client| client.reading == Reading::Rate) {
                self.resume_client(socket);
            }
        }
    }
}
