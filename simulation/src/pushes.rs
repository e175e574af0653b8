//! What workers say to clients that have not asked, most of them of another gateway than the event's: each is heard once, or not at all
//! where a promise says so.

use std::collections::{BTreeMap, BTreeSet};

use ringway_worker::runtime::Runtime;

use crate::clients::PUSH;
use crate::faults::Faults;
use crate::network::End;
use crate::worker::{Notes, Worker};
use crate::world::{GATEWAYS, World};

/// A place in the order of what is noted here.
type Moment = u64;

/// An event's handler that has begun.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    /// Which of all that have begun.
    pub(crate) event: usize,
    pub(crate) at: Moment,
}

struct Push {
    worker: usize,
    client: usize,
    text: String,
    of: Option<Begun>,
    at: Moment,
    /// The worker had been taken by every gateway.
    is_ready: bool,
}

/// What a worker has counted that may cost something.
#[derive(Clone, Copy, Default, Debug)]
struct Counted {
    dropped: u64,
    forgotten: u64,
    unproven: u64,
}

#[derive(Default)]
pub(crate) struct Pushes {
    all: Vec<Push>,
    counts: BTreeMap<(usize, usize), u32>,
    last: Moment,
    /// Workers that every gateway has taken.
    ready: BTreeSet<usize>,
    /// When workers heard that their link to a gateway was lost, or gave one up.
    ends: Vec<(usize, Option<usize>, Moment)>,
    /// Of workers that are no more.
    buried: BTreeMap<usize, Counted>,
}

impl Pushes {
    pub(crate) fn next_moment(&mut self) -> Moment {
        self.last += 1;
        self.last
    }

    /// One more; returns what is said.
    pub(crate) fn add(&mut self, worker: usize, client: usize, of: Option<Begun>) -> String {
        let count = self.counts.entry((worker, client)).or_default();
        *count += 1;
        let text = format!("{PUSH}:{worker}:{count}");
        let (at, is_ready) = (self.next_moment(), self.ready.contains(&worker));
        self.all.push(Push { worker, client, text: text.clone(), of, at, is_ready });
        text
    }

    /// Whether this may have waited while others of the same worker did not: a link was lost since its handler began.
    pub(crate) fn may_be_late(&self, client: usize, text: &str) -> bool {
        let push = self.all.iter().find(|push| push.client == client && push.text == text);
        let begun = push.and_then(|push| Some((push, push.of?)));
        begun.is_some_and(|(push, begun)| {
            self.ends.iter().any(|(worker, _, at)| *worker == push.worker && *at > begun.at)
        })
    }

    /// A gateway is another one: who knows it is to be seen.
    pub(crate) fn gateway_changes(&mut self) {
        self.ready.clear();
    }
}

impl Counted {
    fn of(worker: &Worker) -> Counted {
        let counters = worker.runtime.status().counters;
        Counted {
            dropped: counters.commands_dropped,
            forgotten: counters.commands_forgotten,
            unproven: counters.events_unproven,
        }
    }
}

impl World {
    /// A worker has had a turn.
    pub(crate) fn note_ready(&mut self, index: usize) {
        let is_ready =
            |worker: &Worker| worker.runtime.is_greeted() && worker.runtime.status().links == GATEWAYS;
        if self.workers[index].as_ref().is_some_and(is_ready) {
            self.record.borrow_mut().pushes.ready.insert(index);
        }
    }

    /// Has a worker do something by which it may lose links, and notes that. `pipe`: on which it heard something, if on one.
    pub(crate) fn with_ends_noted(
        &mut self,
        index: usize,
        pipe: Option<usize>,
        work: impl FnOnce(&mut Runtime),
    ) {
        let Some(Worker { runtime, .. }) = &mut self.workers[index] else { return };
        let links = runtime.status().links;
        work(runtime);
        if runtime.status().links < links {
            let gateway = match pipe.map(|pipe| self.pipes[pipe ^ 1].to) {
                Some(End::Gateway(gateway, _)) => Some(gateway),
                _ => None,
            };
            let pushes = &mut self.record.borrow_mut().pushes;
            let at = pushes.next_moment();
            pushes.ends.push((index, gateway, at));
        }
    }

    /// A worker is no more.
    pub(crate) fn bury(&mut self, index: usize) -> Option<Worker> {
        let worker = self.workers[index].take()?;
        self.record.borrow_mut().pushes.buried.insert(index, Counted::of(&worker));
        Some(worker)
    }

    /// Checks that what workers said unasked was heard once. To be called while clients are there.
    pub(crate) fn check_pushes(&self) {
        let record = self.record.borrow();
        for push in &record.pushes.all {
            let client = &self.clients[push.client];
            let heard = client.pushed.iter().filter(|text| **text == push.text).count();
            let what = || {
                let Push { text, client, of, .. } = push;
                let of = of.map(|begun| &record.handled[begun.event]);
                let is_alive = self.workers[push.worker].is_some();
                let counted = record.pushes.buried.get(&push.worker);
                let counted = counted.copied().or(self.workers[push.worker].as_ref().map(Counted::of));
                format!("{text} to {client} of {of:?} was heard {heard} times: {counted:?}, {is_alive}")
            };
            assert!(heard <= 1, "{}", what());
            assert!(heard == 0 || !self.is_revoked(&record, push), "{}, and its event was another's", what());
            let is_there = !(client.is_gone || client.has_left || client.is_dismissed || client.is_over);
            assert!(heard == 1 || !is_there || self.may_be_lost(&record, push), "{}", what());
        }
    }

    /// Whether no promise is made of it.
    fn may_be_lost(&self, record: &Notes, push: &Push) -> bool {
        let alive = self.workers[push.worker].as_ref().filter(|worker| !worker.is_ending);
        let buried = record.pushes.buried.get(&push.worker);
        let counted = alive.map(Counted::of).or(buried.copied()).unwrap_or_default();
        let is_alive = alive.is_some();
        let do_gateways_die =
            self.faults == Faults::Outages || self.gateways.iter().any(|it| it.own.is_some());
        let is_counted = counted.dropped + counted.forgotten > 0 && do_gateways_die;
        let promised = match push.of {
            // Nobody does again what a worker has not said that is no more.
            None => is_alive,
            Some(begun) => {
                let text = &record.handled[begun.event];
                let is_repeated = record.handled.iter().filter(|other| *other == text).count() > 1;
                let of = &self.clients[client_of(text)];
                let lives = of.life == self.gateways[of.gateway].life && !of.is_dismissed;
                // Too many deaths were laid to it, and nobody was given it any more.
                let is_dropped = self.has_dropped_events(of.gateway);
                !is_repeated && !is_dropped && (is_alive || lives && counted.unproven == 0)
            }
        };
        !push.is_ready || is_counted || !promised
    }

    /// Whether the worker knew, when it said it, that the link of its event was lost, and another one has the event.
    fn is_revoked(&self, record: &Notes, push: &Push) -> bool {
        let Some(begun) = push.of else { return false };
        let text = &record.handled[begun.event];
        let gateway = self.clients[client_of(text)].gateway;
        let is_known = record.pushes.ends.iter().any(|(worker, lost, at)| {
            *worker == push.worker && *lost == Some(gateway) && (begun.at..push.at).contains(at)
        });
        let all = record.handled.iter().zip(&record.repeated).zip(&record.handled_by);
        let mut later = all.skip(begun.event + 1);
        is_known && later.any(|((other, is_repeat), by)| other == text && *is_repeat && *by != push.worker)
    }
}

/// Whose message it is.
fn client_of(text: &str) -> usize {
    let client = text.split(':').next().and_then(|client| client.parse().ok());
    client.expect("messages begin with their client")
}
