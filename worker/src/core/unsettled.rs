//! Events whose handlers have ended and that are not safe: what they commanded on other links than their own was not taken yet, or
//! somebody still holds them.
//!
//! What a handler commands on its event's own link is in front of what says that the event is safe. On others it may be lost
//! with this process, and then the event has to be handled again. So each command elsewhere is noted with its place among those
//! to its gateway, and an event is safe when all of its own were taken, by gateways that say so (`kept`), or sent, to others;
//! and not before the events of its client that ended before it.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::Duration;

use hashbrown::HashMap;

use super::connections::ConnId;
use super::link::Link;
use super::windows::{Ticket, Told};
use super::{Core, Timer};
use crate::config::KEPT_LOOK_PERIOD;

/// An event, as long as its link stands.
type Key = (ConnId, u32);

/// A client, as long as its link stands.
type Whose = (ConnId, u32);

/// Events that are not safe.
///
/// Invariants: `ended` has no empty list; the first of each has something missing; `awaited` names each event at least as often as it
/// is missing something, but for events whose link is gone.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// Whose handler is polled now.
    current: Option<Ticket>,
    /// Commands elsewhere of events that have not ended: the place of the last one at each gateway.
    commands: HashMap<Key, Vec<(SocketAddrV4, u64)>>,
    /// Events that somebody holds.
    held: HashMap<Key, Held>,
    /// By client, in order of their ends.
    ended: HashMap<Whose, VecDeque<Ended>>,
    /// By gateway, what is to be taken or sent there, in order.
    awaited: HashMap<SocketAddrV4, VecDeque<Awaited>>,
}

#[derive(Debug)]
struct Held {
    /// Its connection id.
    client: u32,
    count: usize,
    has_ended: bool,
}

#[derive(Debug)]
struct Ended {
    ticket: Ticket,
    since: Duration,
    /// Gateways that have not got what it commanded there.
    missing: usize,
    /// One of these will never get it: others handle the event again.
    abandoned: bool,
    told: Told,
}

#[derive(Debug)]
struct Awaited {
    end: u64,
    whose: Whose,
    number: u32,
}

/// None is safe before the first.
fn is_stuck(ended: &VecDeque<Ended>) -> bool {
    ended.front().is_some_and(|event| event.abandoned)
}

fn key(ticket: Ticket) -> Key {
    (ticket.conn, ticket.number)
}

fn whose(ticket: Ticket) -> Whose {
    (ticket.conn, ticket.client)
}

impl Unsettled {
    /// Whether there are events that have ended and wait for something.
    pub(super) fn waits(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Whether some of them will be safe.
    fn will_be_safe(&self) -> bool {
        self.ended.values().any(|ended| !is_stuck(ended))
    }

    /// Whether a client of a link has some, and they never will be.
    pub(super) fn is_stuck(&self, conn: ConnId, client: u32) -> bool {
        self.ended.get(&(conn, client)).is_some_and(is_stuck)
    }

    /// Clients with such events, or with some that are held, by the connection ids on their links.
    pub(super) fn clients(&self) -> impl Iterator<Item = (ConnId, u32)> {
        let held = self.held.iter().map(|((conn, _), held)| (*conn, held.client));
        self.ended.keys().copied().chain(held)
    }

    /// Whether a client of a link has some.
    pub(super) fn contains(&self, conn: ConnId, client: u32) -> bool {
        self.ended.contains_key(&(conn, client))
            || self.held.iter().any(|((of, _), held)| (*of, held.client) == (conn, client))
    }

    /// Whose handler is polled now.
    pub(super) fn current(&self) -> Option<Ticket> {
        self.current
    }

    /// Whether it is an event of this link.
    pub(super) fn is_of(&self, conn: ConnId) -> bool {
        self.current.is_some_and(|ticket| ticket.conn == conn)
    }

    /// Sets whose handler is polled; returns whose was.
    pub(super) fn set_current(&mut self, current: Option<Ticket>) -> Option<Ticket> {
        std::mem::replace(&mut self.current, current)
    }

    /// How many there are, for tests and status.
    pub(super) fn count(&self) -> usize {
        self.ended.values().map(VecDeque::len).sum::<usize>() + self.held.len()
    }

    /// Whether an event that has commanded something elsewhere is not safe.
    pub(super) fn knows(&self, ticket: Ticket) -> bool {
        let has_ended = |ended: &VecDeque<Ended>| ended.iter().any(|event| event.ticket == ticket);
        self.commands.contains_key(&key(ticket)) || self.ended.get(&whose(ticket)).is_some_and(has_ended)
    }

    /// An event has commanded something elsewhere, and this is its place there.
    pub(super) fn commanded(&mut self, ticket: Ticket, gateway: SocketAddrV4, end: u64) {
        let commands = self.commands.entry(key(ticket)).or_default();
        match commands.iter_mut().find(|(other, _)| *other == gateway) {
            Some((_, last)) => *last = end,
            None => commands.push((gateway, end)),
        }
    }

    /// Whether nothing keeps an event from being safe when it ends.
    fn is_free(&self, ticket: Ticket) -> bool {
        (self.commands.is_empty() || !self.commands.contains_key(&key(ticket)))
            && (self.held.is_empty() || !self.held.contains_key(&key(ticket)))
            && (self.ended.is_empty() || !self.ended.contains_key(&whose(ticket)))
    }

    /// Whether somebody holds an event, which has ended now.
    fn is_held(&mut self, ticket: Ticket) -> bool {
        let held = self.held.get_mut(&key(ticket));
        held.is_some_and(|held| {
            held.has_ended = true;
            true
        })
    }

    /// An event that ends, and is not safe. `is_past` tells whether a gateway has got all up to a place.
    fn add(&mut self, ticket: Ticket, since: Duration, is_past: impl Fn(SocketAddrV4, u64) -> bool) {
        let commands = self.commands.remove(&key(ticket)).unwrap_or_default();
        let mut missing = 0;
        for (gateway, end) in commands {
            if !is_past(gateway, end) {
                missing += 1;
                let one = Awaited { end, whose: whose(ticket), number: ticket.number };
                let awaited = self.awaited.entry(gateway).or_default();
                // Handlers end in another order than they command.
                let at = awaited.partition_point(|other| other.end <= end);
                awaited.insert(at, one);
            }
        }
        let ended = Ended { ticket, since, missing, abandoned: false, told: Told::Nothing };
        self.ended.entry(whose(ticket)).or_default().push_back(ended);
    }

    /// A gateway has got all up to this place, or it is lost. Moves to `safe` who is safe now.
    fn settle(&mut self, gateway: SocketAddrV4, end: u64, safe: &mut Vec<(Ticket, Told)>) {
        let Some(awaited) = self.awaited.get_mut(&gateway) else { return };
        let mut whose = Vec::new();
        while awaited.front().is_some_and(|one| one.end <= end)
            && let Some(one) = awaited.pop_front()
        {
            if let Some(ended) = self.ended.get_mut(&one.whose)
                && let Some(event) = ended.iter_mut().find(|event| event.ticket.number == one.number)
            {
                // One that has waited for too long misses nothing any more.
                event.missing = event.missing.saturating_sub(1);
                whose.push(one.whose);
            }
        }
        if awaited.is_empty() {
            self.awaited.remove(&gateway);
        }
        whose.into_iter().for_each(|whose| self.release(whose, safe));
    }

    /// A gateway will not get what it has not got: its events are not safe, and will not be.
    pub(super) fn abandon(&mut self, gateway: SocketAddrV4) {
        for one in self.awaited.remove(&gateway).into_iter().flatten() {
            let ended = self.ended.get_mut(&one.whose).into_iter().flatten();
            ended.filter(|event| event.ticket.number == one.number).for_each(|event| event.abandoned = true);
        }
    }

    /// Moves those of a client to `safe` that are.
    fn release(&mut self, whose: Whose, safe: &mut Vec<(Ticket, Told)>) {
        let Some(ended) = self.ended.get_mut(&whose) else { return };
        while let Some(event) = ended.front()
            && event.missing == 0
        {
            safe.push((event.ticket, event.told));
            ended.pop_front();
        }
        if ended.is_empty() {
            self.ended.remove(&whose);
        }
    }

    /// A link is gone, and with it all that is to be said of its events.
    pub(super) fn end(&mut self, conn: ConnId) {
        let is_other = |of: ConnId| of != conn;
        self.commands.retain(|(of, _), _| is_other(*of));
        self.held.retain(|(of, _), _| is_other(*of));
        self.ended.retain(|(of, _), _| is_other(*of));
        for awaited in self.awaited.values_mut() {
            awaited.retain(|one| is_other(one.whose.0));
        }
        self.awaited.retain(|_, awaited| !awaited.is_empty());
    }
}

impl Core {
    /// A handler is polled now: commands are of its event until [`Core::end_poll`].
    pub(crate) fn begin_poll(&mut self, ticket: Option<Ticket>) {
        let is_known =
            |ticket: &Ticket| self.windows.has_acks(ticket.conn) || self.lost.contains(ticket.conn);
        self.unsettled.current = ticket.filter(is_known);
    }

    /// It is not any more.
    pub(crate) fn end_poll(&mut self) {
        self.unsettled.current = None;
    }

    /// An event's handler has ended, or the event was dropped and counted.
    pub(crate) fn event_done(&mut self, ticket: Option<Ticket>) {
        self.end_poll();
        let Some(ticket) = ticket else { return };
        if self.unsettled.is_free(ticket) {
            let is_to_be_armed = self.windows.finished(ticket, None);
            return self.arm_windows(is_to_be_armed);
        }
        if !self.unsettled.is_held(ticket) {
            self.event_unsettled(ticket);
        }
    }

    fn event_unsettled(&mut self, ticket: Ticket) {
        if !self.windows.has_acks(ticket.conn) {
            let is_to_be_armed = self.windows.finished(ticket, None);
            return self.arm_windows(is_to_be_armed);
        }
        let (links, connections) = (&self.links, &self.connections);
        let is_past = |gateway, end| links.find(gateway).is_none_or(|link| link.settled(connections) >= end);
        self.unsettled.add(ticket, self.now, is_past);
        if self.draining.has_begun() {
            self.abandon_lost();
        }
        self.timers.arm(Timer::Kept, self.now + KEPT_LOOK_PERIOD);
        if self.windows.waits(ticket) {
            self.tell_done_of(ticket.conn);
        } else {
            let is_to_be_armed = self.windows.arm();
            self.arm_windows(is_to_be_armed);
        }
        let mut safe = Vec::new();
        self.unsettled.release(whose(ticket), &mut safe);
        self.say_safe(safe);
    }

    /// A core that ends has no other link to a gateway: what waits for one whose link is lost will never be safe.
    pub(super) fn abandon_lost(&mut self) {
        let is_lost = |link: &&Link| link.kept.as_ref().is_some_and(|kept| kept.is_away());
        let lost = self.links.all().iter().filter(is_lost).map(|link| link.address);
        lost.for_each(|gateway| self.unsettled.abandon(gateway));
    }

    /// What has waited for a while is said to be done: its clients may be held back until then.
    pub(super) fn tell_done_waiting(&mut self) {
        for conn in self.windows.waiting_links() {
            self.tell_done_of(conn);
        }
    }

    /// Has a gateway told which of its events are done that are not safe; they may be too many.
    fn tell_done_of(&mut self, conn: ConnId) {
        let of_link = self.unsettled.ended.iter_mut().filter(|((of, _), _)| *of == conn);
        let untold = of_link.flat_map(|(_, ended)| ended).filter(|event| event.told == Told::Nothing);
        let numbers = untold.map(|event| {
            event.told = Told::Done;
            event.ticket.number
        });
        if self.windows.tell_done(conn, numbers) {
            self.settle_all(conn);
        }
    }

    /// So many events of a link wait for others to take something that they count as safe.
    fn settle_all(&mut self, conn: ConnId) {
        let mut safe = Vec::new();
        let of_link: Vec<Whose> =
            self.unsettled.ended.keys().filter(|(of, _)| *of == conn).copied().collect();
        for whose in of_link {
            let ended = self.unsettled.ended.get_mut(&whose).into_iter().flatten();
            // Others handle what was abandoned, and what is behind it.
            ended.take_while(|event| !event.abandoned).for_each(|event| event.missing = 0);
            self.unsettled.release(whose, &mut safe);
        }
        self.counters.events_unproven += safe.len() as u64;
        self.say_safe(safe);
    }

    /// A gateway has got something, or it is lost. Returns how many events are safe now.
    pub(super) fn settle(&mut self, gateway: SocketAddrV4) -> u64 {
        if self.unsettled.awaited.is_empty() {
            return 0;
        }
        let end = self.links.find(gateway).map_or(u64::MAX, |link| link.settled(&self.connections));
        self.settle_to(gateway, end)
    }

    /// The same up to this place.
    pub(super) fn settle_to(&mut self, gateway: SocketAddrV4, end: u64) -> u64 {
        let mut safe = Vec::new();
        self.unsettled.settle(gateway, end, &mut safe);
        let count = safe.len() as u64;
        self.say_safe(safe);
        count
    }

    /// Whether something is safe once it is sent: gateways that say what they have taken have to say so first.
    pub(super) fn is_safe_when_sent(&self) -> bool {
        let is_kept = |gateway| self.links.find(gateway).is_some_and(|link| link.kept.is_some());
        self.unsettled.awaited.keys().any(|gateway| !is_kept(*gateway))
    }

    /// Events for which a gateway has not been heard for so long count as safe.
    pub(super) fn settle_late(&mut self, is_over: impl Fn(Duration) -> bool) {
        let (mut late, mut safe) = (Vec::new(), Vec::new());
        for (whose, ended) in &mut self.unsettled.ended {
            for event in ended.iter_mut().take_while(|event| !event.abandoned && is_over(event.since)) {
                self.counters.events_unproven += u64::from(event.missing > 0);
                event.missing = 0;
                late.push(*whose);
            }
        }
        late.into_iter().for_each(|whose| self.unsettled.release(whose, &mut safe));
        self.say_safe(safe);
    }

    /// Nothing more is to be said of a link's events: they are others'.
    pub(super) fn forget_events(&mut self, conn: ConnId) {
        self.windows.end(conn);
        self.unsettled.end(conn);
    }

    fn say_safe(&mut self, safe: Vec<(Ticket, Told)>) {
        // Their clients may be free.
        self.changed |= self.draining.has_begun();
        let mut is_to_be_armed = false;
        for (ticket, told) in safe {
            is_to_be_armed |= self.windows.finished(ticket, Some(told));
        }
        self.arm_windows(is_to_be_armed);
    }

    /// Whether gateways have been told all that can be said of events.
    pub(crate) fn is_all_said(&self) -> bool {
        let are_taken = self.links.all().iter().all(Link::are_all_taken);
        are_taken && !self.unsettled.will_be_safe() && self.windows.is_all_said()
    }

    /// Keeps an event from being done, until [`Core::let_go`].
    pub(crate) fn hold(&mut self, ticket: Ticket) {
        if self.windows.knows(ticket.conn) {
            let held = || Held { client: ticket.client, count: 0, has_ended: false };
            self.unsettled.held.entry(key(ticket)).or_insert_with(held).count += 1;
        }
    }

    /// What is held from here on is given up, and not done: gateways that keep it give it to others.
    pub(crate) fn give_up_held(&mut self) {
        let before = self.unsettled.held.len();
        let windows = &self.windows;
        self.unsettled.held.retain(|(conn, _), _| !windows.has_acks(*conn));
        self.counters.events_returned += (before - self.unsettled.held.len()) as u64;
    }

    /// Who held an event holds it no more. What was queued anywhere until now may be of it.
    pub(crate) fn let_go(&mut self, ticket: Ticket) {
        let Some(held) = self.unsettled.held.get_mut(&key(ticket)) else { return };
        held.count -= 1;
        if held.count > 0 {
            return;
        }
        let has_ended = held.has_ended;
        self.unsettled.held.remove(&key(ticket));
        // Its client may be free.
        self.changed |= self.draining.has_begun();
        if self.windows.has_acks(ticket.conn) {
            let is_elsewhere = |link: &&Link| link.conn() != Some(ticket.conn);
            for link in self.links.all().iter().filter(is_elsewhere) {
                let end = link.commanded(&self.connections);
                end.into_iter().for_each(|end| self.unsettled.commanded(ticket, link.address, end));
            }
        }
        if has_ended {
            self.event_unsettled(ticket);
        }
    }
}
