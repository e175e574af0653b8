//! The table of sockets: for each slot which use of it this is, and what is in flight. Index equals the slot in the
//! ring's file table. Knows no operation and no kernel.

use crate::config::SLOTS_PER_CHUNK;
use crate::narrow::narrow;

/// Names a socket of a ring: a slot, and which use of the slot. A late completion never meets a fresh socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SocketId {
    index: u32,
    generation: u32,
}

impl SocketId {
    /// For tables kept beside the ring and for tests; the ring's own ids come in events.
    pub const fn new(index: u32, generation: u32) -> SocketId {
        SocketId { index, generation }
    }

    /// The slot, below `Config::sockets_max`; at any time at most one socket has it.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The same as the kernel has it.
    pub(crate) fn slot(self) -> u32 {
        self.index
    }

    /// Which use of the slot.
    pub fn generation(self) -> u32 {
        self.generation
    }
}

/// One bit each; see [`flag`].
pub(crate) type Flags = u32;

/// What is true of a slot.
pub(crate) mod flag {
    use super::Flags;

    /// A socket has the slot and may have events.
    pub(crate) const LIVE: Flags = 1;
    /// `close` was called.
    pub(crate) const CLOSING: Flags = 1 << 1;
    /// In flight: the poll that parks it.
    pub(crate) const PARKED: Flags = 1 << 2;
    /// In flight: the poll for room. A send would fall short.
    pub(crate) const BLOCKED: Flags = 1 << 3;
    /// In flight: a receive.
    pub(crate) const RECEIVING: Flags = 1 << 4;
    /// In flight: the connect.
    pub(crate) const CONNECTING: Flags = 1 << 5;
    /// In flight: our FIN.
    pub(crate) const SHUTTING_WRITE: Flags = 1 << 6;
    /// In flight: the shutdown of both directions.
    pub(crate) const SHUTTING_BOTH: Flags = 1 << 7;
    /// In flight: the removal from the file table.
    pub(crate) const RELEASING: Flags = 1 << 8;
    /// It has a place in the queue of readable sockets.
    pub(crate) const QUEUED: Flags = 1 << 9;
    /// The caller wants no bytes now.
    pub(crate) const PAUSED: Flags = 1 << 10;
    /// A poll told of the end or of an error: receive until it is met, even after a short receive.
    pub(crate) const DRAINING: Flags = 1 << 11;
    /// The end of the stream was delivered.
    pub(crate) const ENDED: Flags = 1 << 12;
    /// The connection broke; `Failed` was delivered or is about to be.
    pub(crate) const FAILED: Flags = 1 << 13;
    /// Our direction was shut down: no more sends.
    pub(crate) const SHUT: Flags = 1 << 14;
    /// A send of the present batch is not submitted yet.
    pub(crate) const STAGED: Flags = 1 << 15;
    /// Received from before the others; see `listen_preferred`.
    pub(crate) const PREFERRED: Flags = 1 << 16;

    /// In flight: the receive that a preferred socket waits by; see `ahead`.
    pub(crate) const RECEIVING_AHEAD: Flags = 1 << 17;

    /// In flight: something that tells of bytes.
    pub(crate) const IN_FLIGHT_IN: Flags = PARKED | RECEIVING | RECEIVING_AHEAD;

    /// A slot is freed only when none of these is set.
    pub(crate) const IN_FLIGHT: Flags =
        IN_FLIGHT_IN | BLOCKED | CONNECTING | SHUTTING_WRITE | SHUTTING_BOTH | RELEASING;
}

/// One slot.
#[derive(Clone, Copy, Default)]
pub(crate) struct Slot {
    generation: u32,
    flags: Flags,
    next_free: u32,
}

impl Slot {
    pub(crate) fn has(&self, flags: Flags) -> bool {
        self.flags & flags != 0
    }

    pub(crate) fn set(&mut self, flags: Flags) {
        self.flags |= flags;
    }

    pub(crate) fn clear(&mut self, flags: Flags) {
        self.flags &= !flags;
    }
}

/// All slots. Invariant: `sockets <= taken <= grown <= capacity`; the free list links the `grown - taken` others.
pub(crate) struct Slots {
    chunks: Vec<Box<[Slot]>>,
    capacity: u32,
    reserved: u32,
    grown: u32,
    taken: u32,
    sockets: u32,
    first_free: u32,
}

impl Slots {
    /// `reserved`: how many [`Slots::take_for_accept`] leaves free.
    pub(crate) fn new(capacity: u32, reserved: u32) -> Slots {
        Slots { chunks: Vec::new(), capacity, reserved, grown: 0, taken: 0, sockets: 0, first_free: NONE }
    }

    /// How many slots have a socket.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets as usize
    }

    pub(crate) fn is_full(&self) -> bool {
        self.taken == self.capacity
    }

    /// As [`Slots::take`], but for those that are kept for others.
    pub(crate) fn take_for_accept(&mut self) -> Option<u32> {
        (self.capacity - self.taken > self.reserved).then(|| self.take()).flatten()
    }

    /// Takes a free slot, the one freed last first (its memory is warm). It has no socket yet.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        self.taken += 1;
        if self.first_free == NONE {
            return Some(self.grow());
        }
        let index = self.first_free;
        self.first_free = self.slot(index).next_free;
        Some(index)
    }

    /// Gives back a slot that never got a socket.
    pub(crate) fn give_back(&mut self, index: u32) {
        let first_free = self.first_free;
        let slot = self.slot_mut(index);
        debug_assert_eq!(slot.flags, 0);
        slot.next_free = first_free;
        self.first_free = index;
        self.taken -= 1;
    }

    /// The taken slot has a socket from now on.
    pub(crate) fn open(&mut self, index: u32) -> SocketId {
        let slot = self.slot_mut(index);
        debug_assert_eq!(slot.flags, 0);
        slot.set(flag::LIVE);
        let generation = slot.generation;
        self.sockets += 1;
        SocketId { index, generation }
    }

    /// The socket is gone: its id ends and the slot is free.
    pub(crate) fn free(&mut self, socket: SocketId) {
        let slot = self.slot_mut(socket.index);
        debug_assert!(
            slot.generation == socket.generation && slot.has(flag::LIVE) && !slot.has(flag::IN_FLIGHT)
        );
        slot.flags = 0;
        slot.generation = slot.generation.wrapping_add(1);
        self.sockets -= 1;
        self.give_back(socket.index);
    }

    /// The slot of a socket that is not closed yet, or none if the id is stale or closing.
    pub(crate) fn live(&mut self, socket: SocketId) -> Option<&mut Slot> {
        self.present(socket).filter(|slot| !slot.has(flag::CLOSING))
    }

    /// The slot of a socket, closing or not, or none if the id is stale.
    pub(crate) fn present(&mut self, socket: SocketId) -> Option<&mut Slot> {
        if socket.index >= self.grown {
            return None;
        }
        let slot = self.slot_mut(socket.index);
        (slot.generation == socket.generation && slot.has(flag::LIVE)).then_some(slot)
    }

    /// How many slots were ever taken; slots from there on are untouched.
    pub(crate) fn grown(&self) -> usize {
        self.grown as usize
    }

    /// The socket that has the slot now, unless it is closing.
    pub(crate) fn live_at(&self, index: usize) -> Option<(SocketId, Slot)> {
        if index >= self.grown() {
            return None;
        }
        let index = narrow(index);
        let slot = *self.slot(index);
        let live = slot.has(flag::LIVE) && !slot.has(flag::CLOSING);
        live.then_some((SocketId { index, generation: slot.generation }, slot))
    }

    fn grow(&mut self) -> u32 {
        let index = self.grown;
        if index as usize == self.chunks.len() * SLOTS_PER_CHUNK {
            self.chunks.push(vec![Slot::default(); SLOTS_PER_CHUNK].into_boxed_slice());
        }
        self.grown += 1;
        index
    }

    fn slot(&self, index: u32) -> &Slot {
        &self.chunks[index as usize / SLOTS_PER_CHUNK][index as usize % SLOTS_PER_CHUNK]
    }

    fn slot_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.chunks[index as usize / SLOTS_PER_CHUNK][index as usize % SLOTS_PER_CHUNK]
    }
}

/// The end of the free list.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_used_again_has_another_id() {
        let mut slots = Slots::new(2, 0);
        let index = slots.take().unwrap();
        let first = slots.open(index);
        slots.free(first);
        let again = slots.take().unwrap();
        let second = slots.open(again);
        assert_eq!(first.index(), second.index());
        assert_ne!(first, second);
        assert!(slots.present(first).is_none());
        assert!(slots.present(second).is_some());
        assert_eq!(slots.sockets(), 1);
    }

    #[test]
    fn a_full_table_gives_nothing_until_a_slot_is_free() {
        let mut slots = Slots::new(3, 0);
        let taken: Vec<u32> = (0..3).map(|_| slots.take().unwrap()).collect();
        assert_eq!(taken, [0, 1, 2]);
        assert_eq!(slots.take(), None);
        slots.give_back(1);
        assert_eq!(slots.take(), Some(1));
        assert_eq!(slots.take(), None);
    }

    #[test]
    fn growing_keeps_what_is_there() {
        let mut slots = Slots::new(3 * SLOTS_PER_CHUNK as u32, 0);
        let mut ids = Vec::new();
        for _ in 0..2 * SLOTS_PER_CHUNK + 1 {
            let index = slots.take().unwrap();
            ids.push(slots.open(index));
        }
        assert!(ids.iter().enumerate().all(|(index, id)| id.index() == index));
        assert!(ids.iter().all(|&id| slots.live(id).is_some()));
        slots.present(ids[5]).unwrap().set(flag::CLOSING);
        assert!(slots.live(ids[5]).is_none() && slots.present(ids[5]).is_some());
    }

    #[test]
    fn ids_from_nowhere_name_nothing() {
        let mut slots = Slots::new(4, 0);
        assert!(slots.present(SocketId::new(0, 0)).is_none());
        let index = slots.take().unwrap();
        assert!(slots.present(SocketId::new(index, 0)).is_none(), "taken, but no socket yet");
        slots.open(index);
        assert!(slots.present(SocketId::new(index, 1)).is_none());
        assert!(slots.present(SocketId::new(u32::MAX, 0)).is_none());
    }
}
