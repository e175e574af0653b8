//! Input that is held for clients: messages that are not whole yet, and what waits while a client is not read.
//!
//! The shard holds at most its share of `Settings::max_unfinished_size`, and no unfinished message for longer than
//! `Settings::unfinished_timeout`: who sends most of a message and stops must not hold memory for ever.

use std::collections::BinaryHeap;

use hashbrown::HashMap;
use protocol::LogLimit;
use tracing::warn;

use crate::config::{UNFINISHED_LOG_PERIOD_MS, UNFINISHED_LOOK_PERIOD_MS};
use crate::shard::clients::directory::Slot;
use crate::shard::clients::leave::CloseReason;
use crate::shard::{Conn, Shard};
use crate::{Millis, Settings};

/// Who holds how much.
///
/// Invariants: a client has a holding while something of its input is held, and none else; `size` is their sum.
pub(crate) struct Unfinished {
    holdings: HashMap<Slot, Holding>,
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
    pub fn new(settings: &Settings, now: Millis) -> Unfinished {
        let limit = LogLimit::new(1, UNFINISHED_LOG_PERIOD_MS);
        Unfinished {
            holdings: HashMap::new(),
            size: 0,
            size_max: settings.unfinished_share(),
            timeout_ms: settings.unfinished_timeout.as_millis() as u64,
            next_look: now.plus(UNFINISHED_LOOK_PERIOD_MS),
            too_much: limit.clone(),
            too_long: limit,
        }
    }

    /// Whether more is held than may be.
    pub fn is_too_much(&self) -> bool {
        self.size > self.size_max
    }

    /// The client at a slot holds nothing any more.
    pub fn forget(&mut self, slot: Slot) {
        if self.holdings.is_empty() {
            return;
        }
        if let Some(holding) = self.holdings.remove(&slot) {
            self.size -= holding.size;
        }
    }

    fn set(&mut self, slot: Slot, size: usize, now: Millis) -> &mut Holding {
        let holding = self.holdings.entry(slot).or_insert(Holding { size: 0, since: now });
        self.size = self.size - holding.size + size;
        holding.size = size;
        holding
    }
}

impl Shard {
    /// To be asked before a client's input is taken, for [`Shard::note_unfinished`].
    pub(crate) fn before_input(&mut self, slot: Slot) -> Before {
        let size = if self.unfinished.holdings.is_empty() { 0 } else { self.input_size(slot) };
        Before { size, messages_in: self.counters.messages_in }
    }

    /// Bytes that are held of a client's input, as it came and as TLS has opened it; a closing one's are thrown away.
    fn input_size(&self, slot: Slot) -> usize {
        match self.conns.get(slot as usize) {
            Some(Conn::Client(client)) if !client.closing => {
                client.input_size() + self.secure.kept_size(slot)
            }
            _ => 0,
        }
    }

    /// Input of a client has been taken: what of it is held?
    pub(crate) fn note_unfinished(&mut self, slot: Slot, before: Before) {
        let size = self.input_size(slot);
        if size == 0 {
            if before.size > 0 {
                self.unfinished.forget(slot);
            }
            return;
        }
        let holding = self.unfinished.set(slot, size, self.now);
        if self.counters.messages_in > before.messages_in {
            // It is another message that is unfinished now.
            holding.since = self.now;
        }
    }

    /// Closes those that hold most until no more than seven eighths of what may be is held: so everybody is looked at
    /// only after an eighth has come anew.
    pub(crate) fn shed_unfinished(&mut self) {
        if !self.unfinished.is_too_much() {
            return;
        }
        let size_kept = self.unfinished.size_max / 8 * 7;
        let held = self.unfinished.holdings.iter().map(|(slot, holding)| (holding.size, *slot));
        let mut by_size: BinaryHeap<(usize, Slot)> = held.collect();
        let (before, largest) = (self.unfinished.size, by_size.peek().map_or(0, |(size, _)| *size));
        let mut closed = 0_u64;
        while self.unfinished.size > size_kept
            && let Some((_, slot)) = by_size.pop()
        {
            self.close_client_because(slot, CloseReason::Policy);
            closed += 1;
        }
        self.counters.clients_closed_unfinished_size += closed;
        if let Some(unsaid) = self.unfinished.too_much.admit(self.now.0) {
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
        let (now, timeout_ms) = (self.now, self.unfinished.timeout_ms);
        if timeout_ms == 0 || now < self.unfinished.next_look {
            return;
        }
        self.unfinished.next_look = now.plus(UNFINISHED_LOOK_PERIOD_MS);
        let conns = &self.conns;
        let mut expired = Vec::new();
        for (slot, holding) in &mut self.unfinished.holdings {
            if now < holding.since.plus(timeout_ms) {
                continue;
            }
            match conns.get(*slot as usize) {
                Some(Conn::Client(client)) if client.is_stalled() => holding.since = now,
                _ => expired.push(*slot),
            }
        }
        for slot in expired {
            self.expire_holder(slot);
        }
    }

    fn expire_holder(&mut self, slot: Slot) {
        let peer = self.client(slot).peer.address();
        self.counters.clients_closed_unfinished_time += 1;
        if let Some(unsaid) = self.unfinished.too_long.admit(self.now.0) {
            warn!(%peer, unsaid, "a client's message was not whole within --unfinished-timeout: it is closed");
        }
        self.close_client_because(slot, CloseReason::Policy);
    }
}
