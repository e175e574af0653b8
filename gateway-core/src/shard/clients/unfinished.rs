//! Input that is held for clients: messages that are not whole yet, and what waits while a client is not read.
//!
//! The shard holds at most its share of `Settings::max_unfinished_size`, and no unfinished message for longer than
//! `Settings::unfinished_timeout`: who sends most of a message and stops must not hold memory for ever.

use std::collections::BinaryHeap;

use hashbrown::HashMap;
use protocol::LogLimit;
use tracing::warn;

use super::leave::CloseReason;
use super::{ClientSlot, Clients};
use crate::config::{UNFINISHED_LOG_PERIOD_MS, UNFINISHED_LOOK_PERIOD_MS};
use crate::shard::Shard;
use crate::{Millis, Settings};

/// Who holds how much.
///
/// Invariants: a client has a holding while something of its input is held, and none else; `size` is their sum.
pub(crate) struct Unfinished {
    holdings: HashMap<ClientSlot, Holding>,
    size: usize,
    size_max: usize,
    /// 0: for ever.
    timeout_ms: u64,
    next_look: Millis,
    too_much: LogLimit,
    too_long: LogLimit,
}

struct Holding {
    size: usize,
    /// When the message began that is not whole.
    since: Millis,
}

/// What a client holds before it gives more.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    size: usize,
    messages_in: u64,
}

impl Unfinished {
    pub(crate) fn new(settings: &Settings, now: Millis) -> Unfinished {
        let limit = LogLimit::new(1, UNFINISHED_LOG_PERIOD_MS);
        Unfinished {
            holdings: HashMap::new(),
            size: 0,
            size_max: settings.unfinished_share(),
            timeout_ms: protocol::millis(settings.unfinished_timeout),
            next_look: now.plus(UNFINISHED_LOOK_PERIOD_MS),
            too_much: limit.clone(),
            too_long: limit,
        }
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether more is held than may be.
    pub(crate) fn is_too_much(&self) -> bool {
        self.size > self.size_max
    }

    /// When to look at how long they have been held; `None` while nothing is.
    pub(crate) fn next_look(&self) -> Option<Millis> {
        (self.timeout_ms > 0 && !self.holdings.is_empty()).then_some(self.next_look)
    }

    /// The client at a slot holds nothing any more.
    pub(crate) fn forget(&mut self, slot: ClientSlot) {
        if self.holdings.is_empty() {
            return;
        }
        if let Some(holding) = self.holdings.remove(&slot) {
            self.size -= holding.size;
        }
    }

    fn set(&mut self, slot: ClientSlot, size: usize, now: Millis) -> &mut Holding {
        let holding = self.holdings.entry(slot).or_insert(Holding { size: 0, since: now });
        self.size = self.size - holding.size + size;
        holding.size = size;
        holding
    }
}

impl Clients {
    /// Bytes that are held of a client's input, as it came and as TLS has opened it; a closing one's are thrown away.
    fn input_size(&self, slot: ClientSlot) -> usize {
        let client = self.rows.get(slot.index()).filter(|client| !client.closing);
        client.map_or(0, |client| client.input_size() + self.sessions.kept_size(client.socket))
    }

    /// To be asked before a client's input is taken, for [`Clients::note_input`]; `messages_in` counts all messages.
    pub(super) fn before_input(&self, slot: ClientSlot, messages_in: u64) -> Before {
        let size = if self.unfinished.holdings.is_empty() { 0 } else { self.input_size(slot) };
        Before { size, messages_in }
    }

    /// Input of a client has been taken: what of it is held? The client may be gone.
    pub(super) fn note_input(&mut self, slot: ClientSlot, before: Before, messages_in: u64, now: Millis) {
        let size = self.input_size(slot);
        if size == 0 {
            if before.size > 0 {
                self.unfinished.forget(slot);
            }
            return;
        }
        let holding = self.unfinished.set(slot, size, now);
        if messages_in > before.messages_in {
            // It is another message that is unfinished now.
            holding.since = now;
        }
    }

    /// Those whose message is not whole after too long a time, when it is time to look.
    fn take_late_holders(&mut self, now: Millis) -> Vec<ClientSlot> {
        let Clients { rows, unfinished, .. } = self;
        let timeout_ms = unfinished.timeout_ms;
        if timeout_ms == 0 || now < unfinished.next_look {
            return Vec::new();
        }
        unfinished.next_look = now.plus(UNFINISHED_LOOK_PERIOD_MS);
        let mut late = Vec::new();
        for (slot, holding) in &mut unfinished.holdings {
            if now < holding.since.plus(timeout_ms) {
                continue;
            }
            match rows.get(slot.index()) {
                Some(client) if client.is_stalled() => holding.since = now,
                _ => late.push(*slot),
            }
        }
        late
    }
}

impl Shard {
    /// Closes those that hold most until no more than seven eighths of what may be is held: so everybody is looked at
    /// only after an eighth has come anew.
    pub(crate) fn shed_unfinished(&mut self) {
        let unfinished = &self.clients.unfinished;
        if !unfinished.is_too_much() {
            return;
        }
        let size_kept = unfinished.size_max / 8 * 7;
        let held = unfinished.holdings.iter().map(|(slot, holding)| (holding.size, *slot));
        let mut by_size: BinaryHeap<(usize, ClientSlot)> = held.collect();
        let (before, largest) = (unfinished.size, by_size.peek().map_or(0, |(size, _)| *size));
        let mut closed = 0_u64;
        while self.clients.unfinished.size > size_kept
            && let Some((_, slot)) = by_size.pop()
        {
            self.close_client_because(slot, CloseReason::Policy);
            closed += 1;
        }
        self.counters.clients_closed_unfinished_size += closed;
        if let Some(unsaid) = self.clients.unfinished.too_much.admit(self.now.0) {
            warn!(
                bytes = before,
                largest,
                closed,
                unsaid,
                "clients hold more unfinished messages than this shard's share of --max-unfinished-size: \
                 those with the largest are closed"
            );
        }
    }

    /// Closes those whose message is not whole after too long a time. While a client is not read, that is not its fault.
    pub(crate) fn expire_unfinished(&mut self) {
        for slot in self.clients.take_late_holders(self.now) {
            self.expire_holder(slot);
        }
    }

    fn expire_holder(&mut self, slot: ClientSlot) {
        let peer = self.clients[slot].peer.address();
        self.counters.clients_closed_unfinished_time += 1;
        if let Some(unsaid) = self.clients.unfinished.too_long.admit(self.now.0) {
            warn!(%peer, unsaid, "a client's message was not whole within --unfinished-timeout: it is closed");
        }
        self.close_client_because(slot, CloseReason::Policy);
    }
}
