//! Events that were read and are not done: who runs, who waits behind whom, and whose turn is next. Without IO.
//!
//! Events of one client are done in order, one at a time. A client whose next event may not be started yet stands in
//! the line of its gateway; lines are served by turns, those that are shut are left out. So one gateway that takes no
//! more answers holds up its own clients, and nobody else.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use hashbrown::HashMap;
use protocol::ClientId;

/// Events that were read and are not done. A client is in it while one of its events runs or waits.
///
/// Invariants: a client that does not run has an event that waits, and stands in its gateway's line once; `waiting` is
/// what is in all queues, `running` the clients that run; no line is empty, and each has one turn.
#[derive(Debug)]
pub(super) struct Queues<T> {
    clients: HashMap<ClientId, Queue<T>>,
    lines: HashMap<SocketAddrV4, Line>,
    /// Gateways that have a line, who is next first.
    turns: VecDeque<SocketAddrV4>,
    running: usize,
    waiting: Amount,
}

#[derive(Debug)]
struct Queue<T> {
    runs: bool,
    events: VecDeque<(T, usize)>,
    /// What `events` hold.
    bytes: usize,
}

/// Clients of one gateway who do not run though they have something to do.
#[derive(Debug, Default)]
struct Line {
    clients: VecDeque<ClientId>,
    /// What they have to do.
    waiting: Amount,
}

/// Events, and what they hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Amount {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl<T> Default for Queues<T> {
    fn default() -> Queues<T> {
        Queues {
            clients: HashMap::new(),
            lines: HashMap::new(),
            turns: VecDeque::new(),
            running: 0,
            waiting: Amount::default(),
        }
    }
}

impl<T> Queues<T> {
    /// Clients of whom an event runs.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Everything that waits.
    pub(super) fn waiting(&self) -> Amount {
        self.waiting
    }

    /// What waits and could run but for its gateway.
    pub(super) fn in_line(&self, gateway: SocketAddrV4) -> Amount {
        self.lines.get(&gateway).map_or(Amount::default(), |line| line.waiting)
    }

    /// What waits in the lines of such gateways.
    pub(super) fn in_lines(&self, of: impl Fn(SocketAddrV4) -> bool) -> Amount {
        let lines = self.lines.iter().filter(|(gateway, _)| of(**gateway));
        lines.fold(Amount::default(), |mut sum, (_, line)| {
            sum.add(line.waiting);
            sum
        })
    }

    /// Whether anybody is in line.
    pub(super) fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether a gateway in whose line somebody is, is such.
    pub(super) fn any_line(&self, of: impl Fn(SocketAddrV4) -> bool) -> bool {
        self.turns.iter().any(|gateway| of(*gateway))
    }

    /// Whether somebody of this gateway is in line.
    pub(super) fn has_line(&self, gateway: SocketAddrV4) -> bool {
        !self.lines.is_empty() && self.lines.contains_key(&gateway)
    }

    /// Whether an event of the client runs or waits.
    pub(super) fn contains(&self, client: ClientId) -> bool {
        !self.clients.is_empty() && self.clients.contains_key(&client)
    }

    /// Whether an event of a gateway's clients runs.
    pub(super) fn runs_any_of(&self, gateway: SocketAddrV4) -> bool {
        self.clients.iter().any(|(client, queue)| client.gateway == gateway && queue.runs)
    }

    /// Clients of whom an event runs or waits.
    pub(super) fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.keys().copied()
    }

    /// Puts an event behind the client's earlier ones; if there are none, the client goes to the end of the line.
    pub(super) fn push(&mut self, client: ClientId, event: T, size: usize) {
        let queue = self.clients.entry(client).or_insert_with(|| Queue::new(false));
        queue.events.push_back((event, size));
        queue.bytes += size;
        self.waiting.add(Amount { events: 1, bytes: size });
        if queue.runs {
            return;
        }
        let is_new = queue.events.len() == 1;
        let line = line_of(&mut self.lines, &mut self.turns, client.gateway);
        line.waiting.add(Amount { events: 1, bytes: size });
        if is_new {
            line.clients.push_back(client);
        }
    }

    /// An event runs that was never here, of a client of whom nothing is.
    pub(super) fn run(&mut self, client: ClientId) {
        let before = self.clients.insert(client, Queue::new(true));
        debug_assert!(before.is_none(), "events of one client run one after the other");
        self.running += 1;
    }

    /// The event of a client has ended. If there are more, the client goes to the end of the line.
    pub(super) fn end(&mut self, client: ClientId) {
        self.running -= 1;
        let queue = self.clients.get_mut(&client).expect("a client that runs is known");
        if queue.events.is_empty() {
            self.clients.remove(&client);
            return;
        }
        queue.runs = false;
        let waiting = queue.amount();
        let line = line_of(&mut self.lines, &mut self.turns, client.gateway);
        line.waiting.add(waiting);
        line.clients.push_back(client);
    }

    /// Starts the event whose turn it is, among those of gateways that are `open`.
    pub(super) fn start(&mut self, open: impl Fn(SocketAddrV4) -> bool) -> Option<(ClientId, T)> {
        for _ in 0..self.turns.len() {
            let gateway = self.turns.pop_front()?;
            if open(gateway) {
                return Some(self.start_of(gateway));
            }
            self.turns.push_back(gateway);
        }
        None
    }

    /// Starts the first in a line. Its gateway, which has just left `turns`, goes to their end if others are in it.
    fn start_of(&mut self, gateway: SocketAddrV4) -> (ClientId, T) {
        let line = self.lines.get_mut(&gateway).expect("a gateway with a turn has a line");
        let client = line.clients.pop_front().expect("no line is empty");
        let queue = self.clients.get_mut(&client).expect("a client in line is known");
        // What else the client has waits behind it, no more in line.
        line.waiting.take(queue.amount());
        let (event, size) = queue.pop().expect("a client in line has something to do");
        queue.runs = true;
        self.running += 1;
        self.waiting.take(Amount { events: 1, bytes: size });
        if line.clients.is_empty() {
            self.lines.remove(&gateway);
        } else {
            self.turns.push_back(gateway);
        }
        (client, event)
    }

    /// Forgets what waits of this gateway's clients, and returns it.
    pub(super) fn discard(&mut self, gateway: SocketAddrV4) -> Vec<T> {
        let mut discarded = Vec::new();
        let waiting = &mut self.waiting;
        self.clients.retain(|client, queue| {
            if client.gateway != gateway {
                return true;
            }
            waiting.take(queue.amount());
            discarded.extend(queue.events.drain(..).map(|(event, _)| event));
            queue.bytes = 0;
            queue.runs
        });
        if self.lines.remove(&gateway).is_some() {
            self.turns.retain(|other| *other != gateway);
        }
        discarded
    }

    /// Forgets everything that waits, and returns it.
    pub(super) fn clear(&mut self) -> Vec<T> {
        let mut cleared = Vec::new();
        self.clients.retain(|_, queue| {
            cleared.extend(queue.events.drain(..).map(|(event, _)| event));
            queue.bytes = 0;
            queue.runs
        });
        self.lines.clear();
        self.turns.clear();
        self.waiting = Amount::default();
        cleared
    }
}

impl<T> Queue<T> {
    fn new(runs: bool) -> Queue<T> {
        Queue { runs, events: VecDeque::new(), bytes: 0 }
    }

    fn amount(&self) -> Amount {
        Amount { events: self.events.len(), bytes: self.bytes }
    }

    fn pop(&mut self) -> Option<(T, usize)> {
        let (event, size) = self.events.pop_front()?;
        self.bytes -= size;
        Some((event, size))
    }
}

fn line_of<'l>(
    lines: &'l mut HashMap<SocketAddrV4, Line>,
    turns: &mut VecDeque<SocketAddrV4>,
    gateway: SocketAddrV4,
) -> &'l mut Line {
    lines.entry(gateway).or_insert_with(|| {
        turns.push_back(gateway);
        Line::default()
    })
}

impl Amount {
    pub(super) fn add(&mut self, other: Amount) {
        self.events += other.events;
        self.bytes += other.bytes;
    }

    /// Takes away what is in it.
    pub(super) fn take(&mut self, other: Amount) {
        self.events -= other.events;
        self.bytes -= other.bytes;
    }
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
