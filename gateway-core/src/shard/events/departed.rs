//! Clients that are gone, as long as no worker has been told: ON_CLOSE with the session, behind what lost links left.
//!
//! They wait for the same reasons as clients that are there: a full, silent or draining link, or no worker at all. While a
//! worker lives, nothing of them is dropped; when there are too many, no new clients are accepted.

use std::collections::VecDeque;
use std::net::SocketAddr;

use hashbrown::HashMap;
use protocol::LogLimit;
use protocol::inner::{ClientAddress, Cmd, FLAG_SCALAR, Frame, Repeat};
use tracing::warn;

use super::Stall;
use super::reroute::{self, OwnedEvent};
use super::{ClientEvent, Subject, TooLarge};
use crate::Millis;
use crate::config::{DEPARTED_BYTES_MAX, DEPARTED_LOG_PERIOD_MS};
use crate::shard::clients::client::{Client, Peer};
use crate::shard::counters::Counters;
use crate::shard::links::LinkId;
use crate::shard::links::workers::WorkerId;
use crate::shard::output::Output;
use crate::shard::{Action, Shard};

/// A client that is gone and whose ON_CLOSE is still to be told.
pub(crate) struct Departed {
    connection_id: u32,
    peer: Peer,
    /// The port that it connected to.
    port: u16,
    session: Box<[u8]>,
    /// It stays bound to its worker until that is told.
    worker: Option<WorkerId>,
    /// Events before its end.
    events: VecDeque<OwnedEvent>,
    /// A worker may have been told.
    repeat: Option<Repeat>,
    /// A worker has handled its end: only its events are to be told.
    is_told: bool,
}

impl Departed {
    /// Whom an event is about that a lost link left, by its frame and what was in front of it.
    pub(super) fn of(frame: &Frame<'_>, address: Option<ClientAddress>) -> Departed {
        Departed {
            connection_id: frame.connection_id,
            peer: address.map_or(Peer::V4(frame.client), |address| SocketAddr::from(address).into()),
            port: frame.gateway_port,
            session: frame.ext.into(),
            worker: None,
            events: VecDeque::new(),
            repeat: None,
            is_told: true,
        }
    }

    /// A later frame has its session.
    pub(super) fn refresh(&mut self, frame: &Frame<'_>) {
        if *self.session != *frame.ext {
            self.session = frame.ext.into();
        }
    }

    /// Its ON_CLOSE was among them: somebody is to be told.
    pub(super) fn untold(&mut self, repeat: Option<Repeat>) {
        (self.is_told, self.repeat) = (false, repeat);
    }

    /// Whether nobody is to be told that it is gone.
    pub(super) fn is_told(&self) -> bool {
        self.is_told
    }

    fn size(&self) -> usize {
        size_of::<Departed>() + self.session.len() + reroute::size(&self.events)
    }
}

/// All that wait, by connection id.
///
/// Invariants: each is in exactly one list, `without_worker` or a link's; `bytes` is the sum of their sizes.
pub(crate) struct DepartedTable {
    rows: HashMap<u32, Departed>,
    bytes: usize,
    /// Those for whom there is no worker, in order, and until when they wait for one.
    without_worker: VecDeque<(Millis, u32)>,
    /// No new clients are accepted.
    full: bool,
    log: LogLimit,
}

impl Default for DepartedTable {
    fn default() -> DepartedTable {
        DepartedTable {
            rows: HashMap::new(),
            bytes: 0,
            without_worker: VecDeque::new(),
            full: false,
            log: LogLimit::new(1, DEPARTED_LOG_PERIOD_MS),
        }
    }
}

impl DepartedTable {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn contains(&self, connection_id: u32) -> bool {
        !self.rows.is_empty() && self.rows.contains_key(&connection_id)
    }

    /// Whether somebody waits for a worker that is there.
    pub(crate) fn waits_for_workers(&self) -> bool {
        self.rows.len() > self.without_worker.len()
    }

    /// When the first of them has waited for a worker for long enough.
    pub(crate) fn first_deadline(&self) -> Option<Millis> {
        self.without_worker.front().map(|(deadline, _)| *deadline)
    }

    fn insert(&mut self, departed: Departed) {
        self.bytes += departed.size();
        let before = self.rows.insert(departed.connection_id, departed);
        debug_assert!(before.is_none(), "an id is not used again before its ON_CLOSE");
    }

    /// Whether new clients are accepted: no more above the bound, and again below half of it.
    fn hold_accepts(&mut self, now: Millis, counters: &mut Counters, output: &mut Output) {
        let full = match self.full {
            false => self.bytes >= DEPARTED_BYTES_MAX,
            true => self.bytes > DEPARTED_BYTES_MAX / 2,
        };
        if full != self.full {
            self.full = full;
            counters.accepts_held += u64::from(full);
            let clients = self.rows.len();
            if full && let Some(unsaid) = self.log.admit(now.0) {
                warn!(clients, unsaid, "no new clients for now: workers do not take the ends of so many");
            }
            output.actions.push(Action::HoldAccepts(full));
        }
    }

    fn remove(&mut self, connection_id: u32) -> Option<Departed> {
        let departed = self.rows.remove(&connection_id)?;
        self.bytes -= departed.size();
        Some(departed)
    }
}

impl Shard {
    /// A client that a worker knows goes: its worker is told, now or as soon as it can be.
    pub(crate) fn depart(&mut self, client: &mut Client) {
        let events = self.backlog.take(&mut self.links.workers, client.worker, client.connection_id);
        self.tell_departed(Departed {
            connection_id: client.connection_id,
            peer: client.peer.clone(),
            port: self.settings.listen[usize::from(client.listener)].address.port(),
            session: std::mem::take(&mut client.session),
            worker: client.worker.take(),
            events,
            repeat: None,
            is_told: false,
        });
    }

    /// What a lost link left of a client that is gone: in front of what waits here already. `is_kept`: a worker had it.
    pub(super) fn reroute_departed(
        &mut self,
        mut events: VecDeque<OwnedEvent>,
        departed: Departed,
        is_kept: bool,
    ) {
        if let Some(waiting) = self.departed.rows.get_mut(&departed.connection_id) {
            self.departed.bytes += reroute::size(&events);
            events.append(&mut waiting.events);
            waiting.events = events;
        } else if is_kept || !departed.is_told {
            // If it is told, somebody held what it had said before.
            self.tell_departed(Departed { events, ..departed });
        } else {
            // Its ON_CLOSE was dropped before, for want of a worker.
            self.drop_events(&events);
        }
    }

    /// Tries those again that waited for something that is over.
    pub(crate) fn retry_departed(&mut self, connection_ids: impl IntoIterator<Item = u32>) {
        for connection_id in connection_ids {
            if let Some(departed) = self.departed.remove(connection_id) {
                self.tell_departed(departed);
            }
        }
        self.departed.hold_accepts(self.now, &mut self.counters, &mut self.output);
    }

    /// A worker has come.
    pub(crate) fn retry_without_worker(&mut self) {
        let waiting = std::mem::take(&mut self.departed.without_worker);
        self.retry_departed(waiting.into_iter().map(|(_, connection_id)| connection_id));
    }

    /// No worker came in time.
    pub(crate) fn expire_departed(&mut self) {
        while let Some((deadline, _)) = self.departed.without_worker.front()
            && *deadline <= self.now
        {
            self.drop_departed();
        }
    }

    fn tell_departed(&mut self, mut departed: Departed) {
        let Err(stall) = self.try_to_tell(&mut departed) else {
            return self.links.workers.unbind(departed.worker);
        };
        let connection_id = departed.connection_id;
        self.departed.insert(departed);
        match stall.link() {
            Some(link) => {
                let link = self.links.get_mut(link).expect("a worker's link is forgotten when it closes");
                link.departed.push_back(connection_id);
            }
            None => {
                let deadline = self.now.plus(protocol::millis(self.settings.no_worker_wait));
                self.departed.without_worker.push_back((deadline, connection_id));
                while self.departed.bytes > DEPARTED_BYTES_MAX && !self.departed.without_worker.is_empty() {
                    self.drop_departed();
                }
            }
        }
        self.departed.hold_accepts(self.now, &mut self.counters, &mut self.output);
    }

    /// Queues its events and its ON_CLOSE, as far as it goes.
    fn try_to_tell(&mut self, departed: &mut Departed) -> Result<(), Stall> {
        loop {
            if departed.is_told && departed.events.is_empty() {
                return Ok(());
            }
            let id = self.link_of_departed(departed)?;
            let link = self.links.get_mut(id).expect("found just now");
            let (event, is_last) = match departed.events.front() {
                Some(next) => (next.event(), false),
                None => {
                    let repeat = departed.repeat;
                    (ClientEvent { cmd: Cmd::OnClose, flag: FLAG_SCALAR, body: &[], repeat }, true)
                }
            };
            let about = Subject {
                gateway: self.identity.address,
                connection_id: departed.connection_id,
                peer: &departed.peer,
                port: departed.port,
                session: &departed.session,
            };
            let (repeat, queued) = (event.repeat, link.queue_event(&mut self.output, &about, &event, None));
            match (queued, repeat) {
                (Ok(_), Some(repeat)) => self.note_repeat(id, repeat),
                (Ok(_), None) => {}
                (Err(TooLarge), _) => self.drop_event(repeat),
            }
            departed.events.pop_front();
            if is_last {
                return Ok(());
            }
        }
    }

    fn link_of_departed(&mut self, departed: &mut Departed) -> Result<LinkId, Stall> {
        let id = departed.connection_id;
        let link = match self.links.of_client(departed.worker, id)? {
            Some(link) => link,
            None => {
                let listen = &self.settings.listen;
                let listener = listen.iter().position(|listen| listen.address.port() == departed.port);
                let info = self.identity.client_info(id, departed.peer.address(), listener.unwrap_or(0));
                let (worker, link) = self.rebind(departed.worker, &info)?;
                departed.worker = Some(worker);
                link
            }
        };
        let limit = self.settings.send_to_worker_buffer_size;
        self.links.room(link, (!self.is_ending()).then_some(limit))
    }

    fn drop_departed(&mut self) {
        let Some((_, connection_id)) = self.departed.without_worker.pop_front() else { return };
        let Some(departed) = self.departed.remove(connection_id) else { return };
        self.counters.closes_dropped += u64::from(!departed.is_told);
        departed.repeat.into_iter().for_each(|repeat| self.suspects.forget(repeat.id));
        self.drop_events(&departed.events);
        self.links.workers.unbind(departed.worker);
        self.departed.hold_accepts(self.now, &mut self.counters, &mut self.output);
    }
}
