//! Windows: how much of events a worker lets be on the way to it or in its hands, and whose they are (WIRE.md §14).
//!
//! They are also each client's share: of one client no more than [`CLIENT_EVENTS_MAX`] events are in flight, however fast it
//! sends, so that others' find room behind it.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use hashbrown::HashMap;
use protocol::inner::{Done, Frame, Window};
use uring::SocketId;

use super::link::Link;
use super::{LinkId, Links};
use crate::config::{CLIENT_EVENTS_MAX, CLIENT_EVENTS_RESUMED, CLIENT_LARGE_EVENT_SIZE, WINDOW_EVENTS_MAX};
use crate::shard::Shard;
use crate::shard::clients::Clients;
use crate::shard::clients::client::{Client, Reading};
use crate::shard::notices::Gone;

/// An event that was queued on a link.
#[derive(Clone, Copy)]
struct Sent {
    client: SocketId,
    /// Of its frame.
    size: u32,
    /// What it takes of its client's share. 0: the client is gone.
    weight: u8,
    is_done: bool,
}

/// Events in flight: queued on a link, sent, or in the worker's hands, until the worker says that they are done.
///
/// Invariants: `count` and `bytes` are of those in `sent` that are not done and of those in `late`; the first in `sent` is not
/// done; `sent.len() <= 2 * window.events`, so a handler that takes its time makes nothing grow.
pub(crate) struct InFlight {
    window: Window,
    /// The number of the first in `sent`.
    first: u32,
    sent: VecDeque<Sent>,
    /// Those in front of `sent`, by number.
    late: BTreeMap<u32, Sent>,
    count: usize,
    bytes: usize,
}

/// A worker says that an event is done which is not in flight.
#[derive(Debug, PartialEq, Eq)]
struct NotInFlight;

impl InFlight {
    /// None, on a link whose worker grants this.
    pub(crate) fn new(granted: Window) -> InFlight {
        let events = granted.events.min(WINDOW_EVENTS_MAX);
        InFlight {
            window: Window { events, ..granted },
            first: 0,
            sent: VecDeque::new(),
            late: BTreeMap::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// Whether one more may follow: always if there is none.
    fn is_open(&self) -> bool {
        let Window { events, bytes } = self.window;
        self.count == 0 || self.count < events as usize && self.bytes < bytes as usize
    }

    /// An event of this size was queued; `client`: whose, if the client is there. Returns what it takes of the client's share.
    pub(crate) fn add(&mut self, client: Option<SocketId>, size: usize) -> u8 {
        let weight = match client {
            None => 0,
            Some(_) if size > CLIENT_LARGE_EVENT_SIZE => CLIENT_EVENTS_MAX,
            Some(_) => 1,
        };
        let size = u32::try_from(size).expect("frames are below FRAME_SIZE_MAX_RINGWAY");
        self.count += 1;
        self.bytes += size as usize;
        if self.sent.len() >= 2 * self.window.events as usize {
            self.put_first_aside();
        }
        self.sent.push_back(Sent { client: client.unwrap_or(NOBODY), size, weight, is_done: false });
        weight
    }

    /// The first has been in flight for as long as it takes to do many others.
    fn put_first_aside(&mut self) {
        if let Some(first) = self.sent.pop_front() {
            self.late.insert(self.first, first);
            self.first = self.first.wrapping_add(1);
            self.forget_done();
        }
    }

    /// Takes these out; `each` is told whose they were and what they took of the share.
    fn done(&mut self, done: Done, mut each: impl FnMut(SocketId, u8)) -> Result<(), NotInFlight> {
        // So there are no more steps than there are events.
        if done.count as usize > self.count {
            return Err(NotInFlight);
        }
        for offset in 0..done.count {
            let sent = self.take(done.first.wrapping_add(offset)).ok_or(NotInFlight)?;
            self.count -= 1;
            self.bytes -= sent.size as usize;
            each(sent.client, sent.weight);
        }
        self.forget_done();
        Ok(())
    }

    fn take(&mut self, number: u32) -> Option<Sent> {
        match self.sent.get_mut(number.wrapping_sub(self.first) as usize) {
            Some(sent) if sent.is_done => None,
            Some(sent) => {
                sent.is_done = true;
                Some(*sent)
            }
            None => self.late.remove(&number),
        }
    }

    fn forget_done(&mut self) {
        while self.sent.front().is_some_and(|sent| sent.is_done) {
            self.sent.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Sent> {
        self.late.values().chain(self.sent.iter().filter(|sent| !sent.is_done))
    }

    /// The worker will say nothing of them any more: their clients have their shares again.
    pub(crate) fn give_back(self, clients: &mut Clients) {
        self.iter().for_each(|sent| clients.event_done(sent.client, sent.weight));
    }

    fn check(&self) {
        let sizes = || self.iter().map(|sent| sent.size as usize);
        assert_eq!((self.count, self.bytes), (sizes().count(), sizes().sum()));
        assert!(self.sent.len() <= 2 * self.window.events as usize && self.count >= self.late.len());
        let last = sizes().max().unwrap_or(0);
        let are_few = self.count <= 1 || self.bytes < self.window.bytes as usize + last;
        assert!(are_few && self.count <= self.window.events as usize, "{}, {:?}", self.count, self.window);
    }
}

impl Link {
    /// Whether the worker lets one more event come, as far as windows go.
    pub(crate) fn is_window_open(&self) -> bool {
        self.in_flight.as_ref().is_none_or(InFlight::is_open)
    }
}

impl Links {
    /// Events in flight on all links with windows.
    pub(crate) fn events_in_flight(&self) -> usize {
        self.iter().filter_map(|link| link.in_flight.as_ref()).map(|in_flight| in_flight.count).sum()
    }
}

impl Client {
    /// Whether its share of events in flight is used up.
    pub(crate) fn has_its_share(&self) -> bool {
        self.in_flight >= CLIENT_EVENTS_MAX
    }
}

impl Clients {
    /// An event is not in flight any more. If its client waits for that, and for long enough, it is to be read.
    fn event_done(&mut self, client: SocketId, weight: u8) {
        if weight == 0 {
            return;
        }
        let Some(client) = self.live_mut(client) else { return };
        let before = client.in_flight;
        client.in_flight -= weight;
        let is_ready = before > CLIENT_EVENTS_RESUMED && client.in_flight <= CLIENT_EVENTS_RESUMED;
        if is_ready && client.reading == Reading::OwnEvents {
            let socket = client.socket;
            self.ready.push(socket);
        }
    }
}

impl Shard {
    /// EVENTS_DONE: there is room for others. Clients that waited for this link go first, then those that waited for their own
    /// events, or who sends fastest would have all of it.
    pub(crate) fn events_done(&mut self, id: LinkId, frame: &Frame<'_>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(in_flight) = link.in_flight.as_mut() else { return };
        for done in Done::decode_all(frame.body) {
            if in_flight.done(done, |client, weight| self.clients.event_done(client, weight)).is_err() {
                self.counters.links_malformed += 1;
                return self.close_link_because(id, Gone::Malformed);
            }
        }
        if link.is_waited_for() {
            self.resume_stalled_clients(id);
        }
        self.resume_ready();
    }

    /// Clients whose own events were what they waited for.
    pub(crate) fn resume_ready(&mut self) {
        let mut ready = mem::take(&mut self.clients.ready);
        ready.drain(..).for_each(|client| self.resume_client(client));
        self.clients.ready = ready;
    }

    /// Checks what windows promise, for tests. Returns how many clients are not read.
    ///
    /// # Panics
    /// A promise is not kept.
    pub fn check_windows(&self) -> usize {
        let mut of_clients: HashMap<SocketId, (usize, usize)> = HashMap::new();
        for in_flight in self.links.iter().filter_map(|link| link.in_flight.as_ref()) {
            if !self.is_ending() {
                in_flight.check();
            }
            for sent in in_flight.iter().filter(|sent| sent.weight > 0) {
                let (events, weight) = of_clients.entry(sent.client).or_default();
                (*events, *weight) = (*events + 1, *weight + usize::from(sent.weight));
            }
        }
        let mut unread = 0;
        for (_, client) in self.clients.iter() {
            let (events, weight) = of_clients.get(&client.socket).copied().unwrap_or_default();
            assert_eq!(usize::from(client.in_flight), weight, "what a client has in flight");
            assert!(events <= usize::from(CLIENT_EVENTS_MAX), "{events} events of one client in flight");
            let waits = client.reading == Reading::OwnEvents;
            assert!(!waits || client.in_flight > CLIENT_EVENTS_RESUMED, "nothing would have it read again");
            assert!(client.reading != Reading::Share || self.clients.shares.has(client.socket), "as above");
            unread += usize::from(client.is_stalled());
        }
        unread
    }
}

/// No client has this socket.
const NOBODY: SocketId = SocketId::new(u32::MAX, 0);

const _: () = assert!(size_of::<Sent>() <= 16);

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight(events: u32, bytes: u32) -> InFlight {
        InFlight::new(Window { events, bytes })
    }

    fn add(in_flight: &mut InFlight, client: u32, size: usize) -> u8 {
        let weight = in_flight.add(Some(SocketId::new(client, 1)), size);
        in_flight.check();
        weight
    }

    /// Says events done; returns whose they were.
    fn done(in_flight: &mut InFlight, first: u32, count: u32) -> Result<Vec<usize>, NotInFlight> {
        let mut clients = Vec::new();
        in_flight.done(Done { first, count }, |client, _| clients.push(client.index()))?;
        in_flight.check();
        Ok(clients)
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
        let mut small = in_flight(10, 1_000);
        assert_eq!(add(&mut small, 1, 70_000), CLIENT_EVENTS_MAX);
        assert!(!small.is_open());
        assert_eq!(done(&mut small, 0, 1), Ok(vec![1]));
        assert!(small.is_open());
        assert_eq!((small.add(None, 70_000), small.add(None, 1)), (0, 0));
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
    }

    /// A handler waits for ever, and the numbers begin anew meanwhile.
    #[test]
    fn a_late_event_makes_nothing_grow_and_can_be_done_at_any_time() {
        let mut events = in_flight(4, 1_000);
        events.first = u32::MAX - 20;
        add(&mut events, 77, 1);
        for number in 0..1_000_u32 {
            add(&mut events, number, 1);
            let first = (u32::MAX - 19).wrapping_add(number);
            assert_eq!(done(&mut events, first, 1), Ok(vec![number as usize]));
        }
        assert!(events.sent.len() <= 8 && events.late.len() == 1);
        assert_eq!(done(&mut events, u32::MAX - 20, 1), Ok(vec![77]));
        assert_eq!((events.count, events.bytes, events.sent.len(), events.late.len()), (0, 0, 0, 0));
    }
}
