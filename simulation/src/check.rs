//! What must hold when everything has come to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gateway_core::config::TAKEN_KEPT_MS;

use crate::clients::{Client, PUSH, closed};
use crate::faults::Faults;
use crate::gateway::SEND_TO_WORKER_BUFFER_SIZE;
use crate::network::End;
use crate::worker::{CONCURRENT_EVENTS_MAX, SEND_TO_GATEWAY_BUFFER_SIZE};
use crate::world::{GATEWAYS, REGISTERS, ROOM, World};

impl World {
    /// What a run came to: when it ended, how many connections there were, and what was handled.
    pub fn history(&self) -> (Duration, usize, Vec<String>) {
        (self.now.get(), self.pipes.len() / 2, self.record.borrow().handled.clone())
    }

    /// Checks what must hold when all has come to its end.
    pub fn check(&mut self) {
        self.check_clients();
        self.check_pushes();
        let workers: Vec<_> = self.workers.iter().flatten().collect();
        assert_eq!(workers.len(), self.worker_count, "those that ended have ended");
        for worker in workers {
            let status = worker.runtime.status();
            assert_eq!(status.links, GATEWAYS, "every worker is connected to every gateway");
            assert_eq!((status.handlers_running, status.events_waiting, status.queued_bytes), (0, 0, 0));
            assert_eq!((status.commands_kept, status.held_bytes), (0, 0));
        }
        for gateway in &self.gateways {
            assert_eq!(gateway.shard.worker_count(), self.worker_count);
            let status = gateway.shard.status();
            assert_eq!((status.events_in_flight, gateway.shard.check_windows()), (0, 0));
            assert_eq!((status.events_kept, status.events_suspected), (0, 0));
            assert_eq!(gateway.counts.clients(), gateway.shard.client_count());
        }
        self.outlive_half_open();
        self.check_register();
        self.leave_all();
        self.settle();
        self.check_clients();
        self.check_own_workers();
        self.pass(IDLE_TIME);
        self.settle();
        self.check_nothing_is_left();
    }

    fn check_clients(&self) {
        let mut of_clients: BTreeMap<usize, Vec<Handled>> = BTreeMap::new();
        let record = self.record.borrow();
        let notes = record.handled.iter().zip(&record.repeated).zip(&record.handled_by);
        for ((text, is_repeat), by) in notes {
            let client = text.split(':').next().and_then(|number| number.parse().ok());
            let client = client.expect("messages begin with their client");
            of_clients.entry(client).or_default().push(Handled {
                text: text.clone(),
                is_repeat: *is_repeat,
                by: *by,
            });
        }
        for (index, client) in self.clients.iter().enumerate() {
            let all = of_clients.remove(&index).unwrap_or_default();
            let handled: Vec<String> = all.iter().map(|event| event.text.clone()).collect();
            let Client { said, heard, has_left, is_dismissed, .. } = client;
            // Whoever went with its gateway's process took with it what was not handled yet.
            let is_lost = client.life < self.gateways[client.gateway].life;
            let may_lose = is_lost || *is_dismissed || self.has_dropped_events(client.gateway);
            let mut done = said.clone();
            let is_known = !is_dismissed && client.has_begun() || record.connected.contains(&index);
            done.extend(((*has_left || *is_dismissed) && is_known).then(|| closed(index)));
            let whole: Vec<String> = said.iter().cloned().chain([closed(index)]).collect();
            if !is_known {
                done.clear();
            } else if *is_dismissed && handled.len() < done.len() && handled.last() == done.last() {
                // What it had said last was not read any more.
                done.drain(handled.len().saturating_sub(1)..said.len());
            }
            match self.faults {
                Faults::Reloads | Faults::Pauses => {
                    // A worker that stops does not wait for ever for a link of which it has heard nothing.
                    let may_repeat = self.faults == Faults::Pauses;
                    assert!(
                        may_repeat || all.iter().all(|event| !event.is_repeat),
                        "client {index}: {all:?}"
                    );
                    assert_eq!(handled, done, "client {index}: each message is handled, once and in order");
                    assert!(
                        *has_left || *is_dismissed || heard == said,
                        "client {index}: each message is answered"
                    );
                    assert!(is_part(heard, said), "client {index}: {heard:?} of {said:?}");
                }
                Faults::Deaths | Faults::Outages | Faults::Cuts | Faults::Freezes => {
                    let may_lack = self.has_dropped_events(client.gateway) || is_lost;
                    let may_lag = self.faults == Faults::Cuts || self.disturbances.have_cut_off;
                    check_deliveries(index, &whole, &all, may_lack, may_lag);
                    let (handled, all) = (as_set(&handled), as_set(&done));
                    let (heard, said) = (as_set(heard), as_set(said));
                    assert!(heard.is_subset(&handled), "client {index}: answers to what nobody handled");
                    if !may_lose {
                        assert_eq!(handled, all, "client {index}: each message is handled");
                        assert!(*has_left || heard == said, "client {index}: each message is answered");
                    }
                }
            }
        }
    }

    /// Checks that a worker in a gateway's process, and no other, has heard of that gateway's clients, and of their ends before it
    /// ended; and that what workers said unasked came in order.
    fn check_own_workers(&self) {
        let record = self.record.borrow();
        let mut ended = BTreeSet::new();
        for (number, (text, by)) in record.handled.iter().zip(&record.handled_by).enumerate() {
            let client = text.split(':').next().and_then(|client| client.parse::<usize>().ok());
            let client = client.expect("messages begin with their client");
            if let Some(own) = self.clients[client].own_worker {
                assert_eq!(*by, own, "client {client}: {text} is its own worker's");
                let stopped = record.stopped.get(&own).copied().unwrap_or(usize::MAX);
                assert!(number < stopped, "client {client}: {text} after on_stop");
            }
            ended.extend((*text == closed(client)).then_some(client));
        }
        for (index, client) in self.clients.iter().enumerate() {
            let has_stopped = client.own_worker.is_some_and(|own| record.stopped.contains_key(&own));
            let is_told = !record.connected.contains(&index) || ended.contains(&index);
            assert!(!has_stopped || is_told, "client {index}: no on_close before on_stop");
            let mut last: BTreeMap<&str, u32> = BTreeMap::new();
            let in_time = client.pushed.iter().filter(|text| !record.pushes.may_be_late(index, text));
            for (worker, number) in in_time.filter_map(|text| text.rsplit_once(':')) {
                let number: u32 = number.parse().expect("workers number what they say");
                let before = last.insert(worker, number).unwrap_or(0);
                assert!(before < number, "client {index}: {:?} came out of order", client.pushed);
            }
        }
    }

    /// How often clients of gateways with a worker in their process heard something unasked from other workers.
    pub fn pushes_from_elsewhere(&self) -> usize {
        let of_client = |client: &Client| {
            let own = client.own_worker.map(|own| format!("{PUSH}:{own}:"));
            own.map_or(0, |own| client.pushed.iter().filter(|text| !text.starts_with(&own)).count())
        };
        self.clients.iter().map(of_client).sum()
    }

    /// How many workers ended in good order that were in a gateway's process.
    pub fn embedded_stops(&self) -> usize {
        self.record.borrow().stopped.keys().filter(|worker| self.homes[**worker].is_some()).count()
    }

    /// Checks that tables have only what belongs to connections of the programs with each other.
    fn check_nothing_is_left(&mut self) {
        for gateway in &self.gateways {
            let status = gateway.shard.status();
            assert_eq!((status.clients, status.uids, status.groups), (0, 0, 0));
            assert_eq!((gateway.counts.clients(), gateway.counts.addresses()), (0, 0));
            assert_eq!((status.events_in_flight, status.events_kept, status.events_suspected), (0, 0, 0));
            let near = usize::from(gateway.own.is_some());
            assert_eq!(gateway.sockets.pipes().len() + near, self.worker_count, "nothing but links");
        }
        for (worker, home) in self.workers.iter().zip(&self.homes) {
            let Some(worker) = worker else { continue };
            let status = worker.runtime.status();
            assert_eq!((status.handlers_running, status.events_waiting, status.queued_bytes), (0, 0, 0));
            assert_eq!((status.events_unsettled, status.commands_kept, status.held_bytes), (0, 0, 0));
            let near = usize::from(home.is_some());
            assert_eq!(
                worker.conns.len() + near,
                GATEWAYS + REGISTERS,
                "nothing but links and the registers'"
            );
        }
        for process in self.registers.iter().filter_map(|place| place.process.as_ref()) {
            assert_eq!(process.sockets.pipes().len(), GATEWAYS + self.worker_count);
        }
        let in_time = self.millis().plus(TAKEN_KEPT_MS);
        for gateway in &mut self.gateways {
            gateway.shard.on_tick(in_time);
            assert_eq!(gateway.shard.status().links_remembered, 0);
        }
    }

    /// Checks that what the programs hold is as little as they promise.
    pub(crate) fn check_bounds(&self) {
        for gateway in &self.gateways {
            let present = gateway.sockets.pipes().len() + usize::from(gateway.own.is_some());
            let status = gateway.shard.status();
            assert!(status.clients + status.workers <= present, "{status:?}, {present} sockets");
            gateway.shard.check_windows();
            for (socket, pipe) in gateway.sockets.iter() {
                let queued: usize = gateway.shard.unsent(socket).map(|slice| slice.len()).sum();
                if matches!(self.pipes[pipe].to, End::Worker(..)) {
                    assert!(queued <= LINK_QUEUED_MAX, "{queued} bytes wait for a worker");
                }
            }
        }
        for (worker, home) in self.workers.iter().zip(&self.homes) {
            let Some(worker) = worker else { continue };
            let status = worker.runtime.status();
            let most = if worker.is_ending { DRAIN_WAITING_MAX } else { WAITING_MAX };
            let most = most + worker.concurrent_max;
            // A stop gives the own worker the ends of all clients, whatever waits.
            let most = if home.is_some() { most + self.clients.len() } else { most };
            // One that begins nothing for a gateway that takes little reads on, up to a MiB.
            assert!(worker.holds_back || status.events_waiting <= most, "{status:?}");
            assert!(!worker.holds_back || status.queued_bytes <= OUTBOXES_MAX, "{status:?}");
            assert!(status.handlers_running <= worker.concurrent_max, "{status:?}");
            assert!(status.sessions_remembered <= self.clients.len(), "{status:?}");
        }
        for process in self.registers.iter().filter_map(|place| place.process.as_ref()) {
            let (status, sockets) = (process.register.status(), process.sockets.pipes().len());
            assert!(status.connections <= sockets, "{status:?}, {sockets} sockets");
        }
    }
}

/// An event as a handler was told of it.
#[derive(Debug)]
struct Handled {
    text: String,
    is_repeat: bool,
    /// The number of the worker.
    by: usize,
}

/// Checks in which order what a client did came to handlers: what nobody may have had, once and in order; and what is repeated,
/// from some event on, in order. `may_lack`: events may have been dropped. `may_lag`: a worker may begin with what it has, when
/// others have been told already, as it has not heard yet that its link is cut.
fn check_deliveries(client: usize, done: &[String], all: &[Handled], may_lack: bool, may_lag: bool) {
    let number = |text: &String| done.iter().position(|other| other == text);
    let (mut by_worker, mut last) = (BTreeMap::new(), None);
    for Handled { text, is_repeat, by } in all {
        let number = number(text);
        assert!(number.is_some(), "client {client}: never said: {text}");
        if *is_repeat {
            let next = last.map_or(0, |last: usize| last + 1);
            assert!(may_lack || number <= Some(next), "client {client}: {text} too early: {all:?}");
        } else {
            let before: Option<usize> = by_worker.insert(by, number).flatten();
            let is_first = number > if may_lag { before } else { last };
            assert!(is_first, "client {client}: {text} is no first delivery: {all:?}");
        }
        last = number.max(last);
    }
}

fn as_set(texts: &[String]) -> BTreeSet<&String> {
    texts.iter().collect()
}

/// Whether `part` is what is left of `whole` when some of it is lost.
fn is_part(part: &[String], whole: &[String]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}

/// Longer than query connections are kept without a question.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// The smallest event: a header. Messages are longer than ON_CLOSE.
const EVENT_SIZE_MIN: usize = 28;

/// The largest event: a header, a session with the last message, and a message.
const EVENT_SIZE_MAX: usize = 28 + 2 * 70 + 30;

/// Events in what one connection's pipe holds, at most.
const EVENTS_PER_READ: usize = ROOM / EVENT_SIZE_MIN;

/// What a gateway queues for a worker: up to the flag, one event beyond, and signs of life, one a second while it is silent and
/// kept.
const LINK_QUEUED_MAX: usize = SEND_TO_WORKER_BUFFER_SIZE + EVENT_SIZE_MAX + (4 + 60) * 28;

/// Events that wait in a core beyond the flag: one read of each link.
const WAITING_MAX: usize = GATEWAYS * EVENTS_PER_READ;

/// The same of one that hands its clients over, and takes all that gateways have for it.
const DRAIN_WAITING_MAX: usize = WAITING_MAX
    + GATEWAYS * (EVENTS_PER_READ + (SEND_TO_WORKER_BUFFER_SIZE + EVENT_SIZE_MAX) / EVENT_SIZE_MIN);

/// What a core queues for gateways: all answers to what it may have begun while nothing is taken.
const OUTBOXES_MAX: usize =
    GATEWAYS * (SEND_TO_GATEWAY_BUFFER_SIZE + CONCURRENT_EVENTS_MAX * 2 * EVENT_SIZE_MAX);
