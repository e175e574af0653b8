//! The events of one link that its worker has in hand: how many there may be, whose they are, and the frames of those that
//! may have to be sent again.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;
use protocol::inner::{EventId, EventRange, Origin, Repeat, Window};
use uring::SocketId;

use super::retained::Retained;
use crate::config::{CLIENT_EVENTS_MAX, CLIENT_LARGE_EVENT_SIZE, UNSAFE_WINDOWS_MAX, WINDOW_EVENTS_MAX};
use crate::shard::clients::Clients;

/// An event that was queued on a link.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub client: SocketId,
    /// Of its frame.
    pub size: u32,
    /// What it takes of its client's share. 0: the client is gone.
    pub weight: u8,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    /// The worker is done with it, and it may still have to be sent again.
    Done,
    /// Nothing is to be known of it any more.
    Over,
}

/// An event in front of many newer ones.
struct Late {
    sent: Sent,
    /// Empty where nothing is sent again.
    frame: Box<[u8]>,
}

/// Events, and the bytes of their frames.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Amount {
    events: usize,
    bytes: usize,
}

impl Amount {
    fn add(&mut self, sent: &Sent) {
        self.events += 1;
        self.bytes += sent.size as usize;
    }

    fn take(&mut self, sent: &Sent) {
        self.events -= 1;
        self.bytes -= sent.size as usize;
    }
}

/// Events in flight: queued on a link, sent, or in the worker's hands, until the worker says that they are done; and where the
/// worker says that, those that are not safe.
///
/// Invariants: `next` is behind the last in `sent`; `open` is of those in flight, `done` of those that are done and not safe; of `sent`, the first is one of these;
/// `kept` has the frames of all in `sent`; `sent.len() <= 2 * window.events`, and `kept` no more than two windows and an event, so
/// a handler that takes its time makes nothing grow but `late`.
pub(crate) struct InFlight {
    window: Window,
    /// Whether one at a time is to be in flight.
    pub alone: bool,
    /// The number of the first in `sent`.
    first: u32,
    /// That of the next event.
    next: u32,
    sent: VecDeque<Sent>,
    /// Those in front of `sent`, by number.
    late: BTreeMap<u32, Late>,
    open: Amount,
    done: Amount,
    kept: Option<Kept>,
}

/// What is to be known of events that may be sent again.
struct Kept {
    origin: Origin,
    frames: Retained,
    /// Of those that were sent before, what they were told to be, by number.
    repeats: HashMap<u32, Repeat>,
}

/// A worker says of an event what it cannot say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotInFlight;

/// An event that a lost link's worker has not said to be safe.
pub(crate) struct Unsafe {
    /// What it is to be called if it was sent.
    pub id: EventId,
    /// What the worker was told of deliveries before.
    pub repeat: Option<Repeat>,
    pub frame: Box<[u8]>,
    /// How many events were queued behind it.
    pub behind: u32,
}

impl InFlight {
    /// None, on a link whose worker grants this; with an origin, they are kept until they are safe.
    pub(super) fn new(granted: Window, origin: Option<Origin>, alone: bool) -> InFlight {
        let events = granted.events.min(WINDOW_EVENTS_MAX);
        let kept = |origin| Kept { origin, frames: Retained::default(), repeats: HashMap::new() };
        InFlight {
            window: Window { events, ..granted },
            alone,
            first: 0,
            next: 0,
            sent: VecDeque::new(),
            late: BTreeMap::new(),
            open: Amount::default(),
            done: Amount::default(),
            kept: origin.map(kept),
        }
    }

    /// Whether events are kept until they are safe.
    pub(crate) fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    /// How many there are that are not done.
    pub(super) fn count(&self) -> usize {
        self.open.events
    }

    /// How many are kept, done or not.
    pub(super) fn kept_count(&self) -> usize {
        if self.keeps() { self.open.events + self.done.events } else { 0 }
    }

    /// Whether one more may follow: always if there is none.
    pub(super) fn is_open(&self) -> bool {
        let Window { events, bytes } = self.window;
        let Amount { events: count, bytes: size } = self.open;
        count == 0 || !self.alone && count < events as usize && size < bytes as usize
    }

    /// An event's frame was queued; `client`: whose, if the client is there. Returns what it takes of the client's share.
    pub(crate) fn add(&mut self, client: Option<SocketId>, frame: &[u8], repeat: Option<Repeat>) -> u8 {
        let weight = match client {
            None => 0,
            Some(_) if frame.len() > CLIENT_LARGE_EVENT_SIZE => CLIENT_EVENTS_MAX,
            Some(_) => 1,
        };
        let size = u32::try_from(frame.len()).expect("frames are below FRAME_SIZE_MAX_RINGWAY");
        let Window { events, bytes } = self.window;
        while self.sent.len() >= 2 * events as usize || self.kept_size() >= 2 * bytes as usize {
            self.put_first_aside();
        }
        let sent = Sent { client: client.unwrap_or(NOBODY), size, weight, state: State::InFlight };
        self.open.add(&sent);
        if let Some(kept) = &mut self.kept {
            kept.frames.push(frame);
            if let Some(repeat) = repeat {
                kept.repeats.insert(self.next, repeat);
            }
        }
        self.next = self.next.wrapping_add(1);
        self.sent.push_back(sent);
        weight
    }

    /// Bytes of the frames that are kept, but for those that are late.
    fn kept_size(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.frames.len())
    }

    /// The first has been in flight for as long as it takes to do many others.
    fn put_first_aside(&mut self) {
        let Some(sent) = self.sent.pop_front() else { return };
        let frame = self.kept.as_mut().map_or_else(Box::default, |kept| {
            let frame = kept.frames.first(sent.size as usize).into();
            kept.frames.pop(sent.size as usize);
            frame
        });
        self.late.insert(self.first, Late { sent, frame });
        self.first = self.first.wrapping_add(1);
        self.forget_first();
    }

    /// Notes that these are done; `each` is told whose they were and what they took of the share.
    pub(super) fn done(
        &mut self,
        range: EventRange,
        mut each: impl FnMut(SocketId, u8),
    ) -> Result<(), NotInFlight> {
        // So there are no more steps than there are events.
        if range.count as usize > self.open.events {
            return Err(NotInFlight);
        }
        let state = if self.keeps() { State::Done } else { State::Over };
        for offset in 0..range.count {
            let number = range.first.wrapping_add(offset);
            let sent = self.set(number, state, false)?;
            self.open.take(&sent);
            if state == State::Done {
                self.done.add(&sent);
            }
            each(sent.client, sent.weight);
        }
        self.forget_first();
        Ok(())
    }

    /// Forgets these, which are safe; `each` is told of those that were in flight whose they were and what they took of the
    /// share, `known` of those that were sent before.
    pub(super) fn safe(
        &mut self,
        range: EventRange,
        mut each: impl FnMut(SocketId, u8),
        mut known: impl FnMut(EventId),
    ) -> Result<(), NotInFlight> {
        if !self.keeps() || range.count as usize > self.kept_count() {
            return Err(NotInFlight);
        }
        for offset in 0..range.count {
            let number = range.first.wrapping_add(offset);
            let sent = self.set(number, State::Over, true)?;
            match sent.state {
                State::InFlight => {
                    self.open.take(&sent);
                    each(sent.client, sent.weight);
                }
                _ => self.done.take(&sent),
            }
            if let Some(kept) = &mut self.kept
                && !kept.repeats.is_empty()
                && let Some(repeat) = kept.repeats.remove(&number)
            {
                known(repeat.id);
            }
        }
        self.forget_first();
        Ok(())
    }

    /// Whether the worker says that events are done, and not that they are safe, for so many that it never will.
    pub(super) fn is_overfull(&self) -> bool {
        let Window { events, bytes } = self.window;
        let Amount { events: count, bytes: size } = self.done;
        count > UNSAFE_WINDOWS_MAX * events as usize + 1
            || size > UNSAFE_WINDOWS_MAX * bytes as usize + protocol::inner::FRAME_SIZE_MAX_RINGWAY
    }

    /// Sets what is known of an event, if it is not over, nor done when it is to be. Returns it as it was.
    fn set(&mut self, number: u32, state: State, may_be_done: bool) -> Result<Sent, NotInFlight> {
        let is_late = self.sent.len() <= number.wrapping_sub(self.first) as usize;
        let sent = match is_late {
            false => self.sent.get_mut(number.wrapping_sub(self.first) as usize),
            true => self.late.get_mut(&number).map(|late| &mut late.sent),
        };
        let sent = sent.ok_or(NotInFlight)?;
        let before = *sent;
        if before.state == State::Over || before.state == State::Done && !may_be_done {
            return Err(NotInFlight);
        }
        sent.state = state;
        if is_late && state == State::Over {
            self.late.remove(&number);
        }
        Ok(before)
    }

    fn forget_first(&mut self) {
        while let Some(sent) = self.sent.front()
            && sent.state == State::Over
        {
            let size = sent.size as usize;
            self.kept.iter_mut().for_each(|kept| kept.frames.pop(size));
            self.sent.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Those that are in flight.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Sent> {
        let late = self.late.values().map(|late| &late.sent);
        late.chain(&self.sent).filter(|sent| sent.state == State::InFlight)
    }

    /// The worker will say nothing of them any more: their clients have their shares again. Returns those that are not safe, if
    /// the worker would say so, in order.
    pub(super) fn end(self, clients: &mut Clients) -> Option<Vec<Unsafe>> {
        self.iter().for_each(|sent| clients.event_done(sent.client, sent.weight));
        let Kept { origin, frames, mut repeats } = self.kept?;
        let (first, next) = (self.first, self.next);
        let mut take = |number: u32, frame: &[u8]| Unsafe {
            id: origin.event(number),
            repeat: repeats.remove(&number),
            frame: frame.into(),
            behind: next.wrapping_sub(number).wrapping_sub(1),
        };
        let late = self.late.iter().map(|(number, late)| take(*number, &late.frame));
        let mut all: Vec<Unsafe> = late.collect();
        // Numbers begin anew behind the last one.
        all.sort_unstable_by_key(|event| std::cmp::Reverse(event.behind));
        let records = frames.records(self.sent.iter().map(|sent| sent.size as usize));
        let numbered = (0..).map(|at| first.wrapping_add(at)).zip(&self.sent).zip(records);
        let unsafe_ones = numbered.filter(|((_, sent), _)| sent.state != State::Over);
        all.extend(unsafe_ones.map(|((number, _), frame)| take(number, frame)));
        Some(all)
    }

    /// Checks what this promises, for tests.
    ///
    /// # Panics
    /// A promise is not kept.
    pub(super) fn check(&self) {
        let all = || self.late.values().map(|late| &late.sent).chain(&self.sent);
        let amount = |state: State| {
            let mut amount = Amount::default();
            all().filter(|sent| sent.state == state).for_each(|sent| amount.add(sent));
            amount
        };
        assert_eq!((self.open, self.done), (amount(State::InFlight), amount(State::Done)));
        let Window { events, bytes } = self.window;
        let last = self.iter().map(|sent| sent.size as usize).max().unwrap_or(0);
        let are_few = self.open.events <= 1 || self.open.bytes < bytes as usize + last;
        assert!(are_few && self.open.events <= events as usize, "{:?}, {:?}", self.open, self.window);
        assert!(self.sent.len() <= 2 * events as usize);
        assert!(self.sent.front().is_none_or(|sent| sent.state != State::Over));
        if let Some(kept) = &self.kept {
            let size: usize = self.sent.iter().map(|sent| sent.size as usize).sum();
            assert_eq!(kept.frames.len(), size);
            assert!(kept.repeats.len() <= self.kept_count());
            assert!(self.late.values().all(|late| late.frame.len() == late.sent.size as usize));
        }
    }
}

/// No client has this socket.
const NOBODY: SocketId = SocketId::new(u32::MAX, 0);

const _: () = assert!(size_of::<Sent>() <= 16);

#[cfg(test)]
mod tests {
    use protocol::inner::Run;

    use super::*;

    fn in_flight(events: u32, bytes: u32) -> InFlight {
        InFlight::new(Window { events, bytes }, None, false)
    }

    fn keeping(events: u32, bytes: u32) -> InFlight {
        InFlight::new(Window { events, bytes }, Some(Origin { run: Run(7), link: 9 }), false)
    }

    fn add(in_flight: &mut InFlight, client: u32, size: usize) -> u8 {
        let weight = in_flight.add(Some(SocketId::new(client, 1)), &vec![client as u8; size], None);
        in_flight.check();
        weight
    }

    /// Says events done; returns whose they were.
    fn done(in_flight: &mut InFlight, first: u32, count: u32) -> Result<Vec<usize>, NotInFlight> {
        let mut clients = Vec::new();
        in_flight.done(EventRange { first, count }, |client, _| clients.push(client.index()))?;
        in_flight.check();
        Ok(clients)
    }

    /// Says events safe; returns whose of those they were that were in flight.
    fn safe(in_flight: &mut InFlight, first: u32, count: u32) -> Result<Vec<usize>, NotInFlight> {
        let mut clients = Vec::new();
        in_flight.safe(EventRange { first, count }, |client, _| clients.push(client.index()), |_| {})?;
        in_flight.check();
        Ok(clients)
    }

    /// The numbers of those that are not safe, and whose frames they have.
    fn end(in_flight: InFlight) -> Vec<(u128, u8)> {
        let mut clients = Clients::new(&crate::Settings::default(), crate::Millis(0), 0);
        let all = in_flight.end(&mut clients).expect("they are kept").into_iter();
        all.map(|event| (u128::from_be_bytes(event.id.to_bytes()) & 0xFFFF_FFFF, event.frame[0])).collect()
    }

    #[test]
    fn a_window_is_full_by_events_or_by_bytes_and_takes_one_event_of_any_size() {
        let mut few = in_flight(2, 1_000);
        add(&mut few, 1, 10);
        assert!(few.is_open());
        add(&mut few, 2, 10);
        assert!(!few.is_open());
        assert_eq!(done(&mut few, 1, 1), Ok(vec![2]));
        assert!(few.is_open());
        few.alone = true;
        assert!(!few.is_open());
        let mut small = in_flight(10, 1_000);
        assert_eq!(add(&mut small, 1, 70_000), CLIENT_EVENTS_MAX);
        assert!(!small.is_open());
        assert_eq!(done(&mut small, 0, 1), Ok(vec![1]));
        assert!(small.is_open());
        assert_eq!((small.add(None, &[0; 70_000], None), small.add(None, &[0], None)), (0, 0));
    }

    #[test]
    fn what_is_not_in_flight_is_not_done() {
        let mut events = in_flight(10, 1_000);
        (0..3).for_each(|client| assert_eq!(add(&mut events, client, 1), 1));
        for (first, count) in [(3, 1), (0, 4), (u32::MAX, 1), (u32::MAX, 2), (0, u32::MAX), (1 << 31, 1)] {
            assert_eq!(done(&mut events, first, count), Err(NotInFlight), "{first} {count}");
        }
        let mut events = in_flight(10, 1_000);
        (0..3).for_each(|client| assert_eq!(add(&mut events, client, 1), 1));
        assert_eq!(done(&mut events, 1, 1), Ok(vec![1]));
        assert_eq!(done(&mut events, 1, 1), Err(NotInFlight), "twice, behind one that is not done");
        assert_eq!(done(&mut events, 7, 0), Ok(vec![]));
        assert_eq!(done(&mut events, 0, 1), Ok(vec![0]));
        assert_eq!(done(&mut events, 0, 1), Err(NotInFlight), "twice");
        assert_eq!(safe(&mut events, 2, 1), Err(NotInFlight), "nothing is kept");
    }

    /// A handler waits for ever, and the numbers begin anew meanwhile.
    #[test]
    fn a_late_event_makes_nothing_grow_and_can_be_done_at_any_time() {
        let mut events = in_flight(4, 1_000);
        (events.first, events.next) = (u32::MAX - 20, u32::MAX - 20);
        add(&mut events, 77, 1);
        for number in 0..1_000_u32 {
            add(&mut events, number, 1);
            let first = (u32::MAX - 19).wrapping_add(number);
            assert_eq!(done(&mut events, first, 1), Ok(vec![number as usize]));
        }
        assert!(events.sent.len() <= 8 && events.late.len() == 1);
        assert_eq!(done(&mut events, u32::MAX - 20, 1), Ok(vec![77]));
        assert_eq!((events.open, events.sent.len(), events.late.len()), (Amount::default(), 0, 0));
    }

    #[test]
    fn what_is_done_is_kept_until_it_is_safe() {
        let mut events = keeping(4, 1_000);
        (0..4).for_each(|client| assert_eq!(add(&mut events, client, 10), 1));
        assert!(!events.is_open());
        assert_eq!(done(&mut events, 0, 3), Ok(vec![0, 1, 2]));
        assert!(events.is_open() && events.kept_count() == 4);
        assert_eq!(safe(&mut events, 1, 1), Ok(vec![]));
        assert_eq!(safe(&mut events, 1, 1), Err(NotInFlight), "twice");
        assert_eq!(done(&mut events, 2, 1), Err(NotInFlight), "twice");
        assert_eq!(safe(&mut events, 3, 1), Ok(vec![3]), "which says that it is done, too");
        assert_eq!(safe(&mut events, 0, 5), Err(NotInFlight));
        assert_eq!(end(events), [(0, 0), (2, 2)]);
    }

    #[test]
    fn late_events_are_kept_in_order_when_numbers_begin_anew() {
        let mut events = keeping(4, 1_000);
        (events.first, events.next) = (u32::MAX - 2, u32::MAX - 2);
        add(&mut events, 77, 400);
        add(&mut events, 78, 400);
        for number in 0..20 {
            add(&mut events, number, 1);
            assert_eq!(safe(&mut events, (u32::MAX).wrapping_add(number), 1), Ok(vec![number as usize]));
        }
        assert_eq!(events.late.len(), 2);
        add(&mut events, 79, 1);
        assert_eq!(done(&mut events, u32::MAX - 1, 1), Ok(vec![78]));
        let last = u128::from(u32::MAX);
        assert_eq!(end(events), [(last - 2, 77), (last - 1, 78), (19, 79)]);
    }

    /// As large as windows let them be.
    #[test]
    fn what_is_kept_is_little_more_than_two_windows() {
        let mut events = keeping(100, 1_000);
        for number in 0..1_000 {
            add(&mut events, number, 900);
            assert!(events.kept_size() <= 2 * 1_000 + 900);
            // The first is never safe.
            let safe_now = if number == 0 { Ok(vec![]) } else { safe(&mut events, number, 1) };
            assert!(safe_now.is_ok());
        }
        assert_eq!((events.late.len(), end(events)), (1, vec![(0, 0)]));
    }

    #[test]
    fn who_says_done_and_never_safe_is_found_out() {
        let mut events = keeping(2, 1_000);
        for number in 0..2 * UNSAFE_WINDOWS_MAX as u32 + 1 {
            assert!(!events.is_overfull());
            add(&mut events, number, 1);
            assert_eq!(done(&mut events, number, 1), Ok(vec![number as usize]));
        }
        assert!(!events.is_overfull());
        add(&mut events, 0, 1);
        assert!(done(&mut events, 2 * UNSAFE_WINDOWS_MAX as u32 + 1, 1).is_ok());
        assert!(events.is_overfull());
    }

    #[test]
    fn who_was_sent_before_is_told_of_when_it_is_safe() {
        let mut events = keeping(4, 1_000);
        let id = EventId::new(Run(1), 2, 3);
        add(&mut events, 0, 1);
        events.add(None, &[5; 10], Some(Repeat { id, deliveries: 1 }));
        events.check();
        let mut known = Vec::new();
        assert_eq!(events.safe(EventRange { first: 0, count: 2 }, |_, _| {}, |id| known.push(id)), Ok(()));
        assert_eq!(known, [id]);
    }
}
