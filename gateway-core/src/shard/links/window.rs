//! Windows: how much of events a worker lets be on the way to it or in its hands, and whose they are (WIRE.md §14); and what it
//! says of them.
//!
//! They are also each client's share: of one client no more than [`CLIENT_EVENTS_MAX`] events are in flight, however fast it
//! sends, so that others' find room behind it.

use std::mem;

use hashbrown::HashMap;
use protocol::inner::{EventRange, Frame};
use uring::SocketId;

use super::in_flight::InFlight;
use super::link::Link;
use super::{LinkId, Links};
use crate::config::{CLIENT_EVENTS_MAX, CLIENT_EVENTS_RESUMED};
use crate::shard::Shard;
use crate::shard::clients::Clients;
use crate::shard::clients::client::{Client, Reading};
use crate::shard::notices::Gone;

impl Link {
    /// Whether the worker lets one more event come, as far as windows go.
    pub(crate) fn is_window_open(&self) -> bool {
        self.in_flight.as_ref().is_none_or(InFlight::is_open)
    }
}

impl Links {
    /// Events in flight on all links with windows.
    pub(crate) fn events_in_flight(&self) -> usize {
        self.iter().filter_map(|link| link.in_flight.as_ref()).map(InFlight::count).sum()
    }

    /// Events that are kept until their workers say that they are safe.
    pub(crate) fn events_kept(&self) -> usize {
        self.iter().filter_map(|link| link.in_flight.as_ref()).map(InFlight::kept_count).sum()
    }

    /// Clients that wait for links.
    pub(crate) fn clients_waiting(&self) -> usize {
        self.iter().map(|link| link.stalled_clients.len()).sum()
    }

    /// Whether one event at a time is to be in flight on each link.
    pub(crate) fn set_alone(&mut self, alone: bool) {
        for id in &self.ids {
            let link = self.rows.get_mut(id.socket().index());
            link.and_then(|link| link.in_flight.as_mut()).into_iter().for_each(|it| it.alone = alone);
        }
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
    pub(super) fn event_done(&mut self, client: SocketId, weight: u8) {
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
    /// EVENTS_DONE: there is room for others.
    pub(crate) fn events_done(&mut self, id: LinkId, frame: &Frame<'_>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(in_flight) = link.in_flight.as_mut() else { return };
        for range in EventRange::decode_all(frame.body) {
            let done = in_flight.done(range, |client, weight| self.clients.event_done(client, weight));
            if done.is_err() || in_flight.is_overfull() {
                return self.close_malformed(id);
            }
            self.measures.end_event(in_flight.end_timing(range), self.now_us);
        }
        self.resume_after_events(id);
    }

    /// EVENTS_SAFE: the same, and these will not be sent again.
    pub(crate) fn events_safe(&mut self, id: LinkId, frame: &Frame<'_>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(in_flight) = link.in_flight.as_mut() else { return };
        for range in EventRange::decode_all(frame.body) {
            let done = |client, weight| self.clients.event_done(client, weight);
            if in_flight.safe(range, done, |event| self.suspects.forget(event)).is_err() {
                return self.close_malformed(id);
            }
            self.measures.end_event(in_flight.end_timing(range), self.now_us);
        }
        self.resume_after_events(id);
        self.release_suspects();
    }

    pub(crate) fn close_malformed(&mut self, id: LinkId) {
        self.counters.links_malformed += 1;
        self.close_link_because(id, Gone::Malformed);
    }

    /// Clients that waited for this link go first, then those that waited for their own events, or who sends fastest would
    /// have all of it.
    fn resume_after_events(&mut self, id: LinkId) {
        if self.links.get(id).is_some_and(Link::is_waited_for) {
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
