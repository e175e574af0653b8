//! Fan-outs that wait, in the order in which they were applied, and the walk that brings them to their targets.
//!
//! The walk goes over the slots of clients again and again, past those that nobody names. Each client that it comes to gets
//! all of the log that it has not had, in order, and so in one send. A fan-out that joined the log where the walk was at
//! some slot ends when the walk has come round to that slot.
//!
//! What a client has not had is always the end of the log: the walk has passed fewer slots since a later fan-out joined.
//! A client that is to get something else first catches up (`Log::catch_up`), and what it has had is noted until the
//! walk comes by.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use hashbrown::{HashMap, HashSet};

use super::merged::Merged;
use super::message::Encodings;
use super::reports::ReportId;
use crate::Listen;
use crate::config::{FANOUTS_LISTED_MAX, FANOUTS_MAX, FANOUTS_SIZE_MAX, MERGED_SIZE_MAX};
use crate::shard::clients::ClientSlot;
use crate::shard::clients::client::Client;
use crate::shard::compression::Compression;
use crate::shard::output::queue::SharedMessage;

/// Fan-outs that wait. Entries are numbered in order, and numbers are never used again.
///
/// Invariant: the entries that the walk has wrapped around since they joined are in front of the others.
#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    /// Number of the first entry.
    first: u64,
    /// The slot that the walk comes to next.
    at: usize,
    /// Clients that have had more than the walk has brought them: all below this number.
    had: HashMap<ClientSlot, u64>,
    /// Bytes of bodies and of their encoded forms.
    size: usize,
    /// Targets in lists.
    listed: usize,
    /// What was last brought in one piece.
    merged: Merged,
    /// Of entries that have ended since this was looked at.
    ended: Vec<ReportId>,
}

/// A fan-out that waits.
pub(super) struct Entry {
    message: Encodings<'static>,
    audience: Audience,
    report: Option<ReportId>,
    /// Connection ids that get nothing.
    exclude: HashSet<u32>,
    /// Clients accepted by the shard when this was applied: who came later is no target, also where it has the slot of one.
    accepted: u64,
    /// The slot that the walk was to come to next when this joined.
    start: usize,
    /// The walk has come to the end of the table since.
    wrapped: bool,
}

/// Whom a fan-out is for.
pub(super) enum Audience {
    Everybody,
    Listed(Listed),
}

/// Targets by slot, some perhaps more than once.
pub(super) struct Listed {
    /// In order.
    slots: Vec<ClientSlot>,
    /// The first that the walk has not passed.
    next: usize,
}

impl Listed {
    pub(super) fn new(mut slots: Vec<ClientSlot>) -> Listed {
        slots.sort_unstable();
        Listed { slots, next: 0 }
    }

    /// The first from slot `at` on.
    fn seek(&mut self, at: usize) -> Option<usize> {
        while self.slots.get(self.next).is_some_and(|slot| slot.index() < at) {
            self.next += 1;
        }
        self.slots.get(self.next).map(|slot| slot.index())
    }

    /// How often a client is in it.
    fn count(&self, slot: ClientSlot) -> usize {
        let start = match self.slots.get(self.next) {
            Some(next) if *next == slot => self.next,
            _ => self.slots.partition_point(|other| *other < slot),
        };
        self.slots[start..].iter().take_while(|other| **other == slot).count()
    }
}

impl Entry {
    pub(super) fn new(
        message: Encodings<'static>,
        audience: Audience,
        report: Option<ReportId>,
        exclude: HashSet<u32>,
        accepted: u64,
    ) -> Entry {
        Entry { message, audience, report, exclude, accepted, start: 0, wrapped: false }
    }

    /// How often a client gets it.
    fn times(&self, slot: ClientSlot, client: &Client) -> usize {
        if client.accepted > self.accepted || self.exclude.contains(&client.connection_id) {
            return 0;
        }
        match &self.audience {
            Audience::Everybody => 1,
            Audience::Listed(listed) => listed.count(slot),
        }
    }

    /// Whether everybody gets it, once, who was there.
    fn is_for_all(&self) -> bool {
        matches!(self.audience, Audience::Everybody) && self.exclude.is_empty()
    }

    /// Whether the walk, now at slot `at`, has brought it to this slot.
    fn has_passed(&self, slot: ClientSlot, at: usize) -> bool {
        let (slot, since) = (slot.index(), self.start);
        if self.wrapped { slot >= since || slot < at } else { (since..at).contains(&slot) }
    }

    /// The first slot from `at` on, before the end of the table, where it may be wanted.
    #[inline]
    fn next(&mut self, at: usize, end: usize) -> Option<usize> {
        let end = if self.wrapped { self.start } else { end };
        let next = match &mut self.audience {
            Audience::Everybody => Some(at),
            Audience::Listed(listed) => listed.seek(at),
        };
        next.filter(|slot| *slot < end)
    }

    /// The walk goes on at the first slot.
    fn wrap(&mut self) {
        self.wrapped = true;
        if let Audience::Listed(listed) = &mut self.audience {
            listed.next = 0;
        }
    }

    /// How many clients it names, as targets or as none.
    fn listed(&self) -> usize {
        let targets = match &self.audience {
            Audience::Everybody => 0,
            Audience::Listed(listed) => listed.slots.len(),
        };
        targets + self.exclude.len()
    }
}

impl Log {
    /// How many fan-outs are in it.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the next fan-out has to wait until there is room.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= FANOUTS_MAX
            || self.size >= FANOUTS_SIZE_MAX
            || self.listed >= FANOUTS_LISTED_MAX
    }

    pub(super) fn push(&mut self, mut entry: Entry) {
        entry.start = self.at;
        if let Audience::Listed(listed) = &mut entry.audience {
            listed.next = listed.slots.partition_point(|slot| slot.index() < self.at);
        }
        self.size += entry.message.size();
        self.listed += entry.listed();
        self.entries.push_back(entry);
    }

    /// The next slot that the walk comes to, in a table that ends at `end`, and the entries that its client has not had.
    /// `None`: the log is empty.
    #[inline]
    pub(super) fn walk(&mut self, end: usize) -> Option<(ClientSlot, Range<usize>)> {
        while !self.is_empty() {
            let at = self.at;
            let Some(next) = self.next(at, end) else {
                self.wrap();
                continue;
            };
            self.at = next;
            self.pop_ended();
            self.at += 1;
            let slot = ClientSlot::of(next);
            // Most often nobody has caught up, and a look-up costs more than all else here.
            let had = if self.had.is_empty() { None } else { self.had.remove(&slot) };
            let had = had.unwrap_or(0);
            return Some((slot, self.index_of(had)..self.entries.len()));
        }
        if self.had.capacity() > 0 {
            self.had = HashMap::new();
        }
        self.merged = Merged::default();
        None
    }

    /// The first slot from `at` on, before the end of the table, where any may be wanted.
    #[inline]
    fn next(&mut self, at: usize, end: usize) -> Option<usize> {
        if self.entries.len() == 1 {
            return self.entries[0].next(at, end);
        }
        self.entries.iter_mut().filter_map(|entry| entry.next(at, end)).min()
    }

    /// The entries that a client has not had. It counts as having had them from now on.
    pub(super) fn catch_up(&mut self, slot: ClientSlot) -> Range<usize> {
        let (at, count) = (self.at, self.entries.len());
        let passed = self.entries.partition_point(|entry| entry.has_passed(slot, at));
        if passed == count {
            return count..count;
        }
        let had = self.had.insert(slot, self.first + count as u64).unwrap_or(0);
        passed.max(self.index_of(had))..count
    }

    /// How often a client gets an entry.
    pub(super) fn times(&self, index: usize, slot: ClientSlot, client: &Client) -> usize {
        self.entries[index].times(slot, client)
    }

    /// Whether most clients may get these entries in one piece.
    #[inline]
    pub(super) fn may_be_merged(&self, entries: &Range<usize>) -> bool {
        self.entries.get(entries.start).is_some_and(Entry::is_for_all)
    }

    /// The messages of entries in one piece, if this client gets each of them, once, and they are not much.
    #[inline]
    pub(super) fn merged(
        &mut self,
        entries: &Range<usize>,
        client: &Client,
        listen: &[Listen],
        compression: &mut Option<Box<Compression>>,
    ) -> Option<&SharedMessage> {
        let first = self.entries.get(entries.start)?;
        if client.accepted > first.accepted {
            return None;
        }
        let Log { merged, entries: all, first, size, .. } = self;
        let numbers = *first + entries.start as u64..*first + entries.end as u64;
        if !merged.is_about(numbers, || all.range(entries.clone()).all(Entry::is_for_all)) {
            return None;
        }
        merged.piece(client, || {
            all.range_mut(entries.clone()).try_fold(Vec::new(), |mut piece, entry| {
                let before = entry.message.size();
                piece.extend_from_slice(entry.message.encoded_for(client, listen, compression).as_bytes());
                *size += entry.message.size() - before;
                (piece.len() <= MERGED_SIZE_MAX).then_some(piece)
            })
        })
    }

    /// Gives an entry's message to `queue`, which may need it in one more form.
    pub(super) fn with_message<T>(
        &mut self,
        index: usize,
        queue: impl FnOnce(&mut Encodings<'static>) -> T,
    ) -> T {
        let message = &mut self.entries[index].message;
        let size = message.size();
        let queued = queue(message);
        self.size += message.size() - size;
        queued
    }

    /// Nobody is left up to the end of the table.
    fn wrap(&mut self) {
        self.at = 0;
        while self.entries.front().is_some_and(|entry| entry.wrapped) {
            self.pop();
        }
        self.entries.iter_mut().for_each(Entry::wrap);
        self.pop_ended();
    }

    fn pop_ended(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.wrapped && self.at >= entry.start) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.first += 1;
        self.size -= entry.message.size();
        self.listed -= entry.listed();
        self.ended.extend(entry.report);
    }

    /// The report that counts an entry, if any does.
    pub(super) fn report(&self, index: usize) -> Option<ReportId> {
        self.entries[index].report
    }

    /// The reports of entries that have ended, of each one.
    pub(super) fn take_ended(&mut self) -> Vec<ReportId> {
        mem::take(&mut self.ended)
    }

    /// Where the entry of this number is, or the first if it has gone.
    fn index_of(&self, number: u64) -> usize {
        usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use protocol::inner::{Cmd, FLAG_SCALAR, Frame};

    use super::*;
    use crate::shard::fanouts::Message;

    fn entry(body: &[u8], audience: Audience) -> Entry {
        let frame = Frame { body, flag: FLAG_SCALAR, ..Frame::command(Cmd::SendToAll) };
        let message: Encodings<'_> = Message::of(&frame).unwrap().into();
        Entry::new(message.to_owned(), audience, None, HashSet::new(), 0)
    }

    fn slots(indices: &[usize]) -> Vec<ClientSlot> {
        indices.iter().map(|index| ClientSlot::of(*index)).collect()
    }

    /// The slots that the walk comes to, and how many entries are new to each, up to the end of the log.
    fn walked(log: &mut Log, end: usize) -> Vec<(usize, usize)> {
        std::iter::from_fn(|| log.walk(end).map(|(slot, entries)| (slot.index(), entries.len()))).collect()
    }

    #[test]
    fn the_log_is_full_by_each_of_its_bounds_and_empty_after_the_walk() {
        let many = vec![ClientSlot::of(0); FANOUTS_LISTED_MAX];
        for (count, body, audience) in [
            (FANOUTS_MAX, 1, &(|| Audience::Everybody) as &dyn Fn() -> Audience),
            (1, FANOUTS_SIZE_MAX, &|| Audience::Everybody),
            (1, 1, &|| Audience::Listed(Listed::new(many.clone()))),
        ] {
            let mut log = Log::default();
            for _ in 0..count {
                assert!(!log.is_full());
                log.push(entry(&vec![b'x'; body], audience()));
            }
            assert!(log.is_full());
            walked(&mut log, 1);
            assert!(log.is_empty() && !log.is_full());
            assert_eq!((log.size, log.listed), (0, 0));
        }
    }

    #[test]
    fn the_walk_jumps_to_those_who_are_listed() {
        let mut log = Log::default();
        log.push(entry(b"1", Audience::Listed(Listed::new(slots(&[900, 7, 7])))));
        assert_eq!(log.walk(1_000), Some((ClientSlot::of(7), 0..1)));
        // The walk has passed 3 and 7, so it comes round for them.
        log.push(entry(b"2", Audience::Listed(Listed::new(slots(&[3, 7, 950])))));
        assert_eq!(walked(&mut log, 1_000), [(900, 2), (950, 2), (3, 1), (7, 1)]);
        assert!(log.is_empty());
    }

    #[test]
    fn everybody_gets_each_once_wherever_the_walk_is() {
        let mut log = Log::default();
        log.push(entry(b"1", Audience::Everybody));
        log.walk(4);
        log.push(entry(b"2", Audience::Everybody));
        assert_eq!(walked(&mut log, 4), [(1, 2), (2, 2), (3, 2), (0, 1)]);
    }

    #[test]
    fn who_has_caught_up_gets_only_what_came_later() {
        let mut log = Log::default();
        log.push(entry(b"1", Audience::Everybody));
        log.walk(4);
        assert_eq!(log.catch_up(ClientSlot::of(0)), 1..1, "the walk has brought it");
        assert_eq!(log.catch_up(ClientSlot::of(2)), 0..1);
        log.push(entry(b"2", Audience::Everybody));
        assert_eq!(log.catch_up(ClientSlot::of(2)), 1..2);
        assert_eq!(log.catch_up(ClientSlot::of(2)), 2..2);
        log.push(entry(b"3", Audience::Everybody));
        assert_eq!(walked(&mut log, 4), [(1, 3), (2, 1), (3, 3), (0, 2)]);
        assert!(log.had.is_empty());
    }
}
