//! What lost links leave goes to other workers, in order per client, before anything newer of that client: of a worker that
//! says which events are safe, all that are not; of others, events of which any byte was not handed to the kernel, whole.
//!
//! Its interface: [`Shard::again`] takes what was kept, [`unsent`] reads a queue, [`Shard::reroute`] takes what they found,
//! [`Shard::replay`] is what a client has to get through before it is read again. Pings, HELLO, DRAINED and answers are
//! about the link that is gone, and go with it. What the kernel has taken is the worker's that says nothing.

use std::collections::VecDeque;
use std::mem;

use hashbrown::HashMap;
use protocol::client::{Malformed, websocket};
use protocol::inner::{self, ClientAddress, Cmd, FRAME_SIZE_MAX_RINGWAY, Frame, HEADER_SIZE, Repeat};
use protocol::{ClientId, LogLimit};
use tracing::warn;

use super::departed::Departed;
use super::{ClientEvent, TooLarge};
use crate::config::{REROUTE_LOG_PERIOD_MS, REROUTED_BYTES_MAX};
use crate::shard::Shard;
use crate::shard::clients::ClientSlot;
use crate::shard::clients::input::Flow;
use crate::shard::clients::leave::CloseReason;
use crate::shard::links::LinkId;
use crate::shard::links::in_flight::{InFlight, Unsafe};
use crate::shard::links::link::Link;
use crate::shard::links::workers::{WorkerId, Workers};
use crate::shard::notices::Gone;
use crate::shard::output::queue::OutQueue;

/// An event without what the next link and the client's present state add to it.
pub(crate) struct OwnedEvent {
    cmd: Cmd,
    flag: u8,
    body: Box<[u8]>,
    /// A worker may have had it.
    repeat: Option<Repeat>,
}

impl OwnedEvent {
    pub(crate) fn event(&self) -> ClientEvent<'_> {
        ClientEvent { cmd: self.cmd, flag: self.flag, body: &self.body, repeat: self.repeat }
    }

    /// What it takes of a bound, in bytes.
    pub(crate) fn size(&self) -> usize {
        HEADER_SIZE + self.body.len()
    }
}

/// Events of clients that are there, until their workers have room for them.
///
/// Invariants: `bytes` is the sum of their sizes, and of what waits for each worker ([`Workers::waiting`]); no list is empty.
/// A worker for which a whole queue of them waits takes no others from its clients, and is chosen for no client while there is
/// another.
///
/// [`Workers::waiting`]: crate::shard::links::workers::Workers::waiting
pub(crate) struct Backlog {
    by_client: HashMap<u32, VecDeque<OwnedEvent>>,
    bytes: usize,
    log: LogLimit,
}

impl Default for Backlog {
    fn default() -> Backlog {
        let log = LogLimit::new(1, REROUTE_LOG_PERIOD_MS);
        Backlog { by_client: HashMap::new(), bytes: 0, log }
    }
}

impl Backlog {
    /// The events of a client of this worker, oldest first.
    pub(crate) fn take(
        &mut self,
        workers: &mut Workers,
        worker: Option<WorkerId>,
        connection_id: u32,
    ) -> VecDeque<OwnedEvent> {
        if self.by_client.is_empty() {
            return VecDeque::new();
        }
        let events = self.by_client.remove(&connection_id).unwrap_or_default();
        let size = size(&events);
        self.bytes -= size;
        worker.into_iter().for_each(|worker| *workers.waiting_mut(worker) -= size);
        events
    }

    /// Puts events in front of those that the client has here: they are older.
    fn put_front(
        &mut self,
        workers: &mut Workers,
        worker: Option<WorkerId>,
        connection_id: u32,
        mut events: VecDeque<OwnedEvent>,
    ) {
        if events.is_empty() {
            return;
        }
        let size = size(&events);
        self.bytes += size;
        worker.into_iter().for_each(|worker| *workers.waiting_mut(worker) += size);
        let newer = self.by_client.entry(connection_id).or_default();
        events.append(newer);
        *newer = events;
    }
}

pub(crate) fn size(events: &VecDeque<OwnedEvent>) -> usize {
    events.iter().map(OwnedEvent::size).sum()
}

/// What of a link's queue goes to others, client by client in order of the first event.
#[derive(Default)]
pub(crate) struct Unsent {
    clients: Vec<(u32, OfClient)>,
    index: HashMap<u32, usize>,
    /// Whose events too many workers have died with.
    poisonous: Vec<u32>,
    /// Those that a worker had, too.
    is_kept: bool,
}

/// Clients that are to be seen to when a lost link is done with.
#[derive(Default)]
pub(crate) struct Lost {
    /// Those that are there, and have something to be sent again.
    clients: Vec<u32>,
    /// Those that are to be closed.
    poisonous: Vec<u32>,
}

struct OfClient {
    events: VecDeque<OwnedEvent>,
    /// What it is if it is gone; whether its ON_CLOSE was among them.
    departed: Departed,
}

/// The events in a lost link's queue.
pub(crate) fn unsent(queue: &OutQueue) -> Unsent {
    let mut unsent = Unsent::default();
    each_unsent(queue, |frame, address, _| unsent.add(frame, address, None));
    unsent
}

/// The events in a queue that are not wholly sent, the addresses in front of them, and whether nothing of the events is.
fn each_unsent(queue: &OutQueue, mut each: impl FnMut(&Frame<'_>, Option<ClientAddress>, bool)) {
    for (frames, sent) in queue.unsent_frames() {
        let (mut at, mut address) = (0, None);
        while let Ok(Some((frame, size))) = inner::decode(&frames[at..], FRAME_SIZE_MAX_RINGWAY) {
            let in_front = mem::replace(&mut address, ClientAddress::of(&frame));
            if at + size > sent && event(frame.cmd).is_some() {
                each(&frame, in_front, at >= sent);
            }
            at += size;
        }
        debug_assert_eq!(at, frames.len(), "a link's queue holds whole frames");
    }
}

/// The events in a queue of which nothing is sent.
fn untouched(queue: &OutQueue) -> u32 {
    let mut count = 0;
    each_unsent(queue, |_, _, is_whole| count += u32::from(is_whole));
    count
}

fn event(cmd: u8) -> Option<Cmd> {
    use Cmd::{OnClose, OnConnect, OnMessage, OnWebsocketConnect};
    Cmd::from_u8(cmd).filter(|cmd| matches!(cmd, OnConnect | OnMessage | OnWebsocketConnect | OnClose))
}

/// An event that was kept, and the address in front of it.
fn kept(frames: &[u8]) -> (Frame<'_>, Option<ClientAddress>) {
    let frame = |at: usize| match inner::decode(&frames[at..], FRAME_SIZE_MAX_RINGWAY) {
        Ok(Some((frame, _))) => frame,
        _ => unreachable!("it was queued as this"),
    };
    let first = frame(0);
    match ClientAddress::of(&first) {
        Some(address) => (frame(ClientAddress::FRAME_SIZE), Some(address)),
        None => (first, None),
    }
}

impl Unsent {
    fn add(&mut self, frame: &Frame<'_>, address: Option<ClientAddress>, repeat: Option<Repeat>) {
        let Some(cmd) = event(frame.cmd) else { return };
        let next = self.clients.len();
        let index = *self.index.entry(frame.connection_id).or_insert(next);
        if index == next {
            let departed = Departed::of(frame, address);
            self.clients.push((frame.connection_id, OfClient { events: VecDeque::new(), departed }));
        }
        let (_, client) = &mut self.clients[index];
        client.departed.refresh(frame);
        if cmd == Cmd::OnClose {
            client.departed.untold(repeat);
        } else {
            client.events.push_back(OwnedEvent { cmd, flag: frame.flag, body: frame.body.into(), repeat });
        }
    }
}

impl Shard {
    /// The events that a lost link's worker has not said to be safe. Of which it may have had a part, that will be said; and if
    /// too many workers have died with one, it is dropped.
    pub(crate) fn again(&mut self, link: &Link, events: Vec<Unsafe>) -> Unsent {
        let has_died = matches!(link.gone, Gone::Closed | Gone::Broken | Gone::Silent | Gone::Stuck);
        let is_death = has_died && link.drain.is_none();
        let is_ended = matches!(link.gone, Gone::Closed | Gone::Broken);
        let untouched = untouched(&link.out.queue);
        let mut unsent = Unsent { is_kept: true, ..Unsent::default() };
        for Unsafe { id, repeat, frames, behind } in events {
            let (frame, address) = kept(&frames);
            let was_sent = behind >= untouched;
            let before = repeat.unwrap_or(Repeat { id, deliveries: 0 });
            let again = Repeat { deliveries: before.deliveries.saturating_add(1), ..before };
            if was_sent && is_death && self.suspects.has_killed(before.id, link.run, is_ended, self.now) {
                self.counters.events_poisonous += 1;
                unsent.poisonous.push(frame.connection_id);
                let client = ClientId { gateway: frame.gateway, connection_id: frame.connection_id };
                if let Some(unsaid) = self.suspects.log.admit(self.now.0) {
                    warn!(
                        event = %before.id, %client, unsaid,
                        "three workers died with this event in hand: it is dropped, and its client closed"
                    );
                }
            } else {
                unsent.add(&frame, address, if was_sent { Some(again) } else { repeat });
            }
        }
        self.isolate_suspects();
        unsent
    }

    /// Takes what a lost link left. What is for clients that are gone goes on at once; clients that are there are to
    /// be resumed by [`Shard::replay_all`], when the caller is done with the link.
    pub(crate) fn reroute(&mut self, unsent: Unsent, worker: &str) -> Lost {
        let mut clients = Vec::new();
        let (poisonous, is_kept) = (unsent.poisonous, unsent.is_kept);
        let before = self.counters.events_rerouted;
        for (connection_id, OfClient { events, departed }) in unsent.clients {
            self.counters.events_rerouted += events.len() as u64 + u64::from(!departed.is_told());
            if let Some(slot) = self.clients.by_id(connection_id) {
                self.put_back(slot, events);
                clients.push(connection_id);
            } else {
                self.reroute_departed(events, departed, is_kept);
            }
        }
        let events = self.counters.events_rerouted - before;
        if events > 0
            && let Some(unsaid) = self.backlog.log.admit(self.now.0)
        {
            warn!(
                worker,
                events, unsaid, "a worker was lost before it had done all events: they go to others"
            );
        }
        Lost { clients, poisonous }
    }

    /// Gives these clients what waits for them, as far as it goes. One that is not read because of a link or for want of one is
    /// seen to when that is over; one that may have waited for others' events has some of its own now.
    pub(crate) fn replay_all(&mut self, lost: Lost) {
        for connection_id in lost.poisonous {
            if let Some(slot) = self.clients.by_id(connection_id) {
                self.close_client_because(slot, CloseReason::Poisonous);
            }
        }
        for connection_id in lost.clients {
            let Some(slot) = self.clients.by_id(connection_id) else { continue };
            let client = &self.clients[slot];
            match client.is_stalled() {
                false => self.client_received(slot, &mut []),
                // Who waits for an answer waits for no link: what it has is to be seen to now.
                true if client.codec.is_unanswered() || self.backlog.bytes >= REROUTED_BYTES_MAX => {
                    self.resume_client(client.socket);
                }
                true => {}
            }
        }
    }

    /// Gives a client's worker what lost links had not taken of this client: [`Flow::NeedMore`] when that is done.
    pub(crate) fn replay(&mut self, slot: ClientSlot) -> Flow {
        if self.backlog.bytes == 0 {
            return Flow::NeedMore;
        }
        let client = &self.clients[slot];
        let mut events = self.backlog.take(&mut self.links.workers, client.worker, client.connection_id);
        let flow = loop {
            let Some(next) = events.front() else { break Flow::NeedMore };
            let link = match self.worker_link(slot).and_then(|link| self.room(slot, link)) {
                Ok(link) => link,
                Err(stall) => break Flow::Stalled(stall),
            };
            if let Err(TooLarge) = self.emit(slot, link, next.event()) {
                // The worker before took larger ones. It would be told the same of a new one.
                self.drop_event(next.repeat);
                events.pop_front();
                let client = &mut self.clients[slot];
                client.queue_close_frame(&mut self.output, &self.settings, websocket::TOO_LARGE, "");
                break Flow::Over(Some(Malformed::TooLarge));
            }
            events.pop_front();
        };
        self.put_back(slot, events);
        flow
    }

    /// An event that a worker may have had was queued on a link.
    pub(super) fn note_repeat(&mut self, link: LinkId, repeat: Repeat) {
        let in_flight = self.links.get(link).and_then(|link| link.in_flight.as_ref());
        if in_flight.is_some_and(InFlight::keeps) {
            self.counters.events_repeated += 1;
        } else {
            // Nobody will say that it is safe.
            self.suspects.forget(repeat.id);
        }
    }

    /// An event that a lost link left can be given to nobody.
    pub(super) fn drop_event(&mut self, repeat: Option<Repeat>) {
        self.counters.events_dropped += 1;
        repeat.into_iter().for_each(|repeat| self.suspects.forget(repeat.id));
    }

    pub(super) fn drop_events(&mut self, events: &VecDeque<OwnedEvent>) {
        events.iter().for_each(|event| self.drop_event(event.repeat));
    }

    fn put_back(&mut self, slot: ClientSlot, events: VecDeque<OwnedEvent>) {
        let client = &self.clients[slot];
        self.backlog.put_front(&mut self.links.workers, client.worker, client.connection_id, events);
    }

    /// Whether the clients of this link have to wait until others' events have gone out.
    pub(crate) fn is_behind(&self, link: LinkId) -> bool {
        let limit = self.settings.send_to_worker_buffer_size;
        if self.backlog.bytes < limit {
            return false;
        }
        let worker = self.links.get(link).and_then(|link| link.worker);
        let waiting = worker.map_or(0, |worker| self.links.workers.waiting(worker));
        waiting >= limit || self.backlog.bytes >= REROUTED_BYTES_MAX.max(limit)
    }

    /// Clients that waited for others' events, where nothing is sent any more that would see to them.
    pub(crate) fn resume_behind_rerouted(&mut self) {
        self.deadlines.stalled = false;
        for index in (0..self.links.len()).rev() {
            let Some(id) = self.links.nth(index) else { continue };
            if let Some(link) = self.links.get(id)
                && !link.stalled_clients.is_empty()
            {
                self.deadlines.stalled = true;
                if link.out.queue.is_empty() && !self.is_behind(id) {
                    self.resume_stalled_clients(id);
                }
            }
        }
    }
}
