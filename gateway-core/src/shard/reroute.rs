//! What a lost link had not taken goes to other workers: events of which any byte was not handed to the kernel, whole, in
//! order per client, before anything newer of that client.
//!
//! Its interface: [`unsent`] reads a queue, [`Shard::reroute`] takes what it found, [`Shard::replay`] is what a client has
//! to get through before it is read again. Pings, HELLO, DRAINED and answers are about the link that is gone, and go with
//! it. What the kernel has taken is the old worker's.

use std::collections::VecDeque;

use hashbrown::HashMap;
use protocol::LogLimit;
use protocol::client::{Malformed, websocket};
use protocol::inner::{self, Cmd, FRAME_SIZE_MAX_RINGWAY, Frame, HEADER_SIZE};
use ring::SocketId;
use tracing::warn;

use super::Shard;
use super::client::Reading;
use super::departed::Departed;
use super::directory::Slot;
use super::input::{Event, Flow, TooLarge};
use super::out::OutQueue;
use crate::config::REROUTE_LOG_PERIOD_MS;

/// An event without what the next link and the client's present state add to it.
pub struct Kept {
    cmd: Cmd,
    flag: u8,
    body: Box<[u8]>,
}

impl Kept {
    pub fn event(&self) -> Event<'_> {
        Event { cmd: self.cmd, flag: self.flag, body: &self.body }
    }

    /// What it takes of a bound, in bytes.
    pub fn size(&self) -> usize {
        HEADER_SIZE + self.body.len()
    }
}

/// Events of clients that are there, until their workers have room for them.
///
/// Invariant: `bytes` is the sum of their sizes; no list is empty. While `bytes` is at the bound of a link's queue, no client
/// is read that has none of them, so it is never more than the links that are lost at once held.
pub struct Backlog {
    by_client: HashMap<u32, VecDeque<Kept>>,
    bytes: usize,
    /// Clients that are not read because of the bound.
    pub stalled: VecDeque<SocketId>,
    log: LogLimit,
}

impl Default for Backlog {
    fn default() -> Backlog {
        let log = LogLimit::new(1, REROUTE_LOG_PERIOD_MS);
        Backlog { by_client: HashMap::new(), bytes: 0, stalled: VecDeque::new(), log }
    }
}

impl Backlog {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A client's events, oldest first.
    pub fn take(&mut self, connection_id: u32) -> VecDeque<Kept> {
        if self.by_client.is_empty() {
            return VecDeque::new();
        }
        let events = self.by_client.remove(&connection_id).unwrap_or_default();
        self.bytes -= size(&events);
        events
    }

    /// Puts events in front of those that the client has here: they are older.
    fn put_front(&mut self, connection_id: u32, mut events: VecDeque<Kept>) {
        if events.is_empty() {
            return;
        }
        self.bytes += size(&events);
        let newer = self.by_client.entry(connection_id).or_default();
        events.append(newer);
        *newer = events;
    }
}

pub fn size(events: &VecDeque<Kept>) -> usize {
    events.iter().map(Kept::size).sum()
}

/// What of a link's queue goes to others, client by client in order of the first event.
#[derive(Default)]
pub struct Unsent {
    clients: Vec<(u32, OfClient)>,
    index: HashMap<u32, usize>,
}

#[derive(Default)]
struct OfClient {
    events: VecDeque<Kept>,
    /// Its ON_CLOSE was among them.
    departed: Option<Departed>,
}

/// The events in a lost link's queue.
pub fn unsent(queue: &OutQueue) -> Unsent {
    let mut unsent = Unsent::default();
    for (frames, sent) in queue.unsent_frames() {
        let mut at = 0;
        while let Ok(Some((frame, size))) = inner::decode(&frames[at..], FRAME_SIZE_MAX_RINGWAY) {
            at += size;
            if at > sent {
                unsent.add(&frame);
            }
        }
        debug_assert_eq!(at, frames.len(), "a link's queue holds whole frames");
    }
    unsent
}

impl Unsent {
    fn add(&mut self, frame: &Frame<'_>) {
        let cmd = match Cmd::from_u8(frame.cmd) {
            Some(cmd @ (Cmd::OnConnect | Cmd::OnMessage | Cmd::OnWebsocketConnect | Cmd::OnClose)) => cmd,
            _ => return,
        };
        let next = self.clients.len();
        let index = *self.index.entry(frame.connection_id).or_insert(next);
        if index == next {
            self.clients.push((frame.connection_id, OfClient::default()));
        }
        let (_, client) = &mut self.clients[index];
        if cmd == Cmd::OnClose {
            client.departed = Some(Departed::from_close(frame));
        } else {
            client.events.push_back(Kept { cmd, flag: frame.flag, body: frame.body.into() });
        }
    }
}

impl Shard {
    /// Takes what a lost link had not taken. What is for clients that are gone goes on at once; clients that are there are to
    /// be resumed by [`Shard::replay_all`], when the caller is done with the link.
    pub(super) fn reroute(&mut self, unsent: Unsent, worker: &str) -> Vec<u32> {
        let mut clients = Vec::new();
        let before = self.counters.events_rerouted;
        for (connection_id, OfClient { events, departed }) in unsent.clients {
            self.counters.events_rerouted += events.len() as u64 + u64::from(departed.is_some());
            if self.connection_ids.contains_key(&connection_id) {
                self.backlog.put_front(connection_id, events);
                clients.push(connection_id);
            } else {
                self.reroute_departed(connection_id, events, departed);
            }
        }
        let events = self.counters.events_rerouted - before;
        if events > 0
            && let Some(unsaid) = self.backlog.log.admit(self.now.0)
        {
            warn!(worker, events, unsaid, "a worker was lost before it took all events: they go to others");
        }
        clients
    }

    /// Gives these clients what waits for them, as far as it goes. One that is not read because of a link or for want of one is
    /// seen to when that is over; one that waited for others' events has some of its own now.
    pub(super) fn replay_all(&mut self, connection_ids: Vec<u32>) {
        for connection_id in connection_ids {
            let Some(slot) = self.connection_ids.get(&connection_id).copied() else { continue };
            if self.client_ref(slot).reading == Reading::Flowing {
                self.client_received(slot, &mut []);
            }
        }
        for client in std::mem::take(&mut self.backlog.stalled) {
            self.resume_client(client);
        }
    }

    /// Gives a client's worker what lost links had not taken of this client: [`Flow::Hungry`] when that is done.
    pub(super) fn replay(&mut self, slot: Slot) -> Flow {
        if self.backlog.bytes == 0 {
            return Flow::Hungry;
        }
        let connection_id = self.client_ref(slot).connection_id;
        let mut events = self.backlog.take(connection_id);
        let flow = loop {
            let Some(kept) = events.front() else { break Flow::Hungry };
            let link = match self.worker_link(slot).and_then(|link| self.room(link)) {
                Ok(link) => link,
                Err(stall) => break Flow::Stalled(stall),
            };
            if let Err(TooLarge) = self.emit(slot, link, kept.event()) {
                // The worker before took larger ones. It would be told the same of a new one.
                self.counters.events_dropped += 1;
                events.pop_front();
                self.say_close(slot, websocket::TOO_LARGE, "");
                break Flow::Over(Some(Malformed::TooLarge));
            }
            events.pop_front();
        };
        self.backlog.put_front(connection_id, events);
        flow
    }

    /// Clients that waited for others' events to be out of the way.
    pub(super) fn resume_after_backlog(&mut self) {
        if self.backlog.bytes > self.settings.send_to_worker_buffer_size / 2 {
            return;
        }
        for client in std::mem::take(&mut self.backlog.stalled) {
            self.resume_client(client);
        }
    }
}
