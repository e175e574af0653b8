//! The events of one link that its worker has in hand: how many there may be, whose they are, and the frames of those that
//! may have to be sent again.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;
use protocol::inner::{EventId, EventRange, Origin, Repeat, UNSAFE_WINDOWS_MAX, Window};
use uring::SocketId;

use super::retained::Retained;
use crate::config::{
    CLIENT_EVENTS_MAX, CLIENT_LARGE_EVENT_SIZE, EVENTS_TIMED, WINDOW_BYTES_MAX, WINDOW_EVENTS_MAX,
};
use crate::shard::clients::Clients;

/// An event that was queued on a link.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub client: SocketId,
    /// Of its frame.
    pub size: u32,
    /// Of what is in front of that and kept with it.
    in_front: u8,
    /// What it takes of its client's share. 0: the client is gone.
    pub weight: u8,
    state: State,
}

impl Sent {
    /// Bytes that are kept of it.
    fn kept_size(&self) -> usize {
        self.size as usize + usize::from(self.in_front)
    }
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
    frames: Box<[u8]>,
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
    /// The event that is timed.
    timed: Option<Timed>,
}

/// An event whose answer is waited for with a clock in hand.
struct Timed {
    number: u32,
    /// When it went out, once it has.
    at_us: Option<u64>,
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
    /// Its own, and perhaps one in front.
    pub frames: Box<[u8]>,
    /// How many events were queued behind it.
    pub behind: u32,
}

impl InFlight {
    /// None, on a link whose worker grants this; with an origin, they are kept until they are safe.
    pub(super) fn new(granted: Window, origin: Option<Origin>, alone: bool) -> InFlight {
        let events = granted.events.min(WINDOW_EVENTS_MAX);
        let bytes = granted.bytes.min(WINDOW_BYTES_MAX);
        let kept = |origin| Kept { origin, frames: Retained::default(), repeats: HashMap::new() };
        InFlight {
            window: Window { events, bytes },
            alone,
            first: 0,
            next: 0,
            sent: VecDeque::new(),
            late: BTreeMap::new(),
            open: Amount::default(),
            done: Amount::default(),
            kept: origin.map(kept),
            timed: None,
        }
    }

    /// Where events come from that are kept until they are safe.
    pub(super) fn origin(&self) -> Option<Origin> {
        Some(self.kept.as_ref()?.origin)
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

    /// An event's frame was queued, the last `size` bytes of `frames`; `client`: whose, if the client is there. Returns what it takes
    /// of the client's share.
    pub(crate) fn add(
        &mut self,
        client: Option<SocketId>,
        frames: &[u8],
        size: usize,
        repeat: Option<Repeat>,
    ) -> u8 {
        let weight = match client {
            None => 0,
            Some(_) if size > CLIENT_LARGE_EVENT_SIZE => CLIENT_EVENTS_MAX,
            Some(_) => 1,
        };
        let in_front = u8::try_from(frames.len() - size).expect("in front is an address, if anything");
        let size = u32::try_from(size).expect("frames are below FRAME_SIZE_MAX_RINGWAY");
        let Window { events, bytes } = self.window;
        while self.sent.len() >= 2 * events as usize || self.kept_size() >= 2 * bytes as usize {
            self.put_first_aside();
        }
        let sent = Sent { client: client.unwrap_or(NOBODY), size, in_front, weight, state: State::InFlight };
        self.open.add(&sent);
        if let Some(kept) = &mut self.kept {
            kept.frames.push(frames);
            if let Some(repeat) = repeat {
                kept.repeats.insert(self.next, repeat);
            }
        }
        if self.next.is_multiple_of(EVENTS_TIMED) && self.timed.is_none() {
            self.timed = Some(Timed { number: self.next, at_us: None });
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
        let frames = self.kept.as_mut().map_or_else(Box::default, |kept| {
            let frames = kept.frames.first(sent.kept_size()).into();
            kept.frames.pop(sent.kept_size());
            frames
        });
        self.late.insert(self.first, Late { sent, frames });
        self.first = self.first.wrapping_add(1);
        self.forget_first();
    }

    /// What was queued goes out now.
    pub(crate) fn begin_timing(&mut self, now_us: u64) {
        if let Some(timed) = &mut self.timed {
            timed.at_us.get_or_insert(now_us);
        }
    }

    /// When the event went out that is timed, if it is one of these.
    pub(super) fn end_timing(&mut self, range: EventRange) -> Option<u64> {
        self.timed.take_if(|timed| timed.number.wrapping_sub(range.first) < range.count)?.at_us
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
            let size = sent.kept_size();
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
        let mut take = |number: u32, frames: &[u8]| Unsafe {
            id: origin.event(number),
            repeat: repeats.remove(&number),
            frames: frames.into(),
            behind: next.wrapping_sub(number).wrapping_sub(1),
        };
        let late = self.late.iter().map(|(number, late)| take(*number, &late.frames));
        let mut all: Vec<Unsafe> = late.collect();
        // Numbers begin anew behind the last one.
        all.sort_unstable_by_key(|event| std::cmp::Reverse(event.behind));
        let records = frames.records(self.sent.iter().map(Sent::kept_size));
        let numbered = (0..).map(|at| first.wrapping_add(at)).zip(&self.sent).zip(records);
        let unsafe_ones = numbered.filter(|((_, sent), _)| sent.state != State::Over);
        all.extend(unsafe_ones.map(|((number, _), frames)| take(number, frames)));
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
            let size: usize = self.sent.iter().map(Sent::kept_size).sum();
            assert_eq!(kept.frames.len(), size);
            assert!(kept.repeats.len() <= self.kept_count());
            assert!(self.late.values().all(|late| late.frames.len() == late.sent.kept_size()));
        }
    }
}

/// No client has this socket.
const NOBODY: SocketId = SocketId::new(u32::MAX, 0);

const _: () = assert!(size_of::<Sent>() <= 16);

#[cfg(test)]
#[path = "in_flight_tests.rs"]
mod tests;
