//! Events whose handlers have ended and that are not safe: what they commanded on other links than their own was not sent yet, or
//! somebody still holds them.
//!
//! What a handler commands on its event's own link is in front of what says that the event is safe. On others it may be lost
//! with this process, and then the event has to be handled again. So each command elsewhere is noted with its end in that
//! link's outbox, and an event is safe when all of its own were sent, or their links are gone; and not before the events
//! of its client that ended before it.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Core;
use super::connections::{ConnId, Connections};
use super::link::Link;
use super::windows::{Ticket, Told};

/// An event, as long as its link stands.
type Key = (ConnId, u32);

/// A client, as long as its link stands.
type Whose = (ConnId, u32);

/// Events that are not safe.
///
/// Invariants: `ended` has no empty list; the first of each has something missing; `sends` names each event as often as it is
/// missing something, but for events whose link is gone.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// Whose handler is polled now.
    current: Option<Ticket>,
    /// Commands elsewhere of events that have not ended: the end of the last one on each link.
    commands: HashMap<Key, Vec<(ConnId, u64)>>,
    /// Events that somebody holds.
    held: HashMap<Key, Held>,
    /// By client, in order of their ends.
    ended: HashMap<Whose, VecDeque<Ended>>,
    /// By link, what is to be sent there, in order.
    sends: HashMap<ConnId, VecDeque<Send>>,
}

#[derive(Debug, Default)]
struct Held {
    count: usize,
    has_ended: bool,
}

#[derive(Debug)]
struct Ended {
    ticket: Ticket,
    /// Links that have not been sent what it commanded there.
    missing: usize,
    told: Told,
}

#[derive(Debug)]
struct Send {
    end: u64,
    whose: Whose,
    number: u32,
}

fn key(ticket: Ticket) -> Key {
    (ticket.conn, ticket.number)
}

fn whose(ticket: Ticket) -> Whose {
    (ticket.conn, ticket.client)
}

impl Unsettled {
    /// Whether something is safe when it is sent.
    pub(super) fn waits_for_sends(&self) -> bool {
        !self.sends.is_empty()
    }

    /// How many there are, for tests and status.
    pub(super) fn count(&self) -> usize {
        self.ended.values().map(VecDeque::len).sum::<usize>() + self.held.len()
    }

    /// A command was queued on a link.
    pub(super) fn commanded(&mut self, connections: &Connections, conn: ConnId) {
        let Some(ticket) = self.current.filter(|ticket| ticket.conn != conn) else { return };
        let end = connections.end(conn);
        let commands = self.commands.entry(key(ticket)).or_default();
        match commands.iter_mut().find(|(other, _)| *other == conn) {
            Some((_, last)) => *last = end,
            None => commands.push((conn, end)),
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

    /// An event that ends, and is not safe. `is_past` tells whether all up to an end was sent on a link.
    fn add(&mut self, ticket: Ticket, is_past: impl Fn(ConnId, u64) -> bool) {
        let commands = self.commands.remove(&key(ticket)).unwrap_or_default();
        let mut missing = 0;
        for (conn, end) in commands {
            if !is_past(conn, end) {
                missing += 1;
                let send = Send { end, whose: whose(ticket), number: ticket.number };
                let sends = self.sends.entry(conn).or_default();
                // Handlers end in another order than they command.
                let at = sends.partition_point(|other| other.end <= end);
                sends.insert(at, send);
            }
        }
        self.ended.entry(whose(ticket)).or_default().push_back(Ended {
            ticket,
            missing,
            told: Told::Nothing,
        });
    }

    /// What was queued on a link was sent up to what `is_past` tells, or all is lost. Moves to `safe` who is safe now.
    fn settle(&mut self, conn: ConnId, is_past: impl Fn(u64) -> bool, safe: &mut Vec<(Ticket, Told)>) {
        let Some(sends) = self.sends.get_mut(&conn) else { return };
        let mut whose = Vec::new();
        while let Some(send) = sends.front()
            && is_past(send.end)
        {
            if let Some(ended) = self.ended.get_mut(&send.whose)
                && let Some(event) = ended.iter_mut().find(|event| event.ticket.number == send.number)
            {
                event.missing -= 1;
                whose.push(send.whose);
            }
            sends.pop_front();
        }
        if sends.is_empty() {
            self.sends.remove(&conn);
        }
        whose.into_iter().for_each(|whose| self.release(whose, safe));
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
    fn end(&mut self, conn: ConnId) {
        let is_other = |of: ConnId| of != conn;
        self.current = self.current.filter(|ticket| is_other(ticket.conn));
        self.commands.retain(|(of, _), _| is_other(*of));
        self.held.retain(|(of, _), _| is_other(*of));
        self.ended.retain(|(of, _), _| is_other(*of));
        for sends in self.sends.values_mut() {
            sends.retain(|send| is_other(send.whose.0));
        }
        self.sends.retain(|_, sends| !sends.is_empty());
    }
}

impl Core {
    /// A handler is polled now: commands are of its event until [`Core::end_poll`].
    pub(crate) fn begin_poll(&mut self, ticket: Option<Ticket>) {
        self.unsettled.current = ticket.filter(|ticket| self.windows.has_acks(ticket.conn));
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
        let connections = &self.connections;
        self.unsettled.add(ticket, |conn, end| connections.is_past(conn, end));
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
            ended.for_each(|event| event.missing = 0);
            self.unsettled.release(whose, &mut safe);
        }
        for sends in self.unsettled.sends.values_mut() {
            sends.retain(|send| send.whose.0 != conn);
        }
        self.counters.events_unproven += safe.len() as u64;
        self.say_safe(safe);
    }

    /// Something was sent on a link.
    pub(super) fn settle(&mut self, conn: ConnId) {
        if self.unsettled.sends.is_empty() {
            return;
        }
        let mut safe = Vec::new();
        let connections = &self.connections;
        self.unsettled.settle(conn, |end| connections.is_past(conn, end), &mut safe);
        self.say_safe(safe);
    }

    /// Nothing more is to be said of a link's events: they are others'.
    pub(super) fn forget_events(&mut self, conn: ConnId) {
        self.windows.end(conn);
        self.unsettled.end(conn);
    }

    /// A link is gone: what was queued there is lost, and nobody waits for it.
    pub(super) fn settle_gone(&mut self, conn: ConnId) {
        self.unsettled.end(conn);
        let mut safe = Vec::new();
        self.unsettled.settle(conn, |_| true, &mut safe);
        self.say_safe(safe);
    }

    fn say_safe(&mut self, safe: Vec<(Ticket, Told)>) {
        let mut is_to_be_armed = false;
        for (ticket, told) in safe {
            is_to_be_armed |= self.windows.finished(ticket, Some(told));
        }
        self.arm_windows(is_to_be_armed);
    }

    /// Whether gateways have been told all that can be said of events.
    pub(crate) fn is_all_said(&self) -> bool {
        self.unsettled.ended.is_empty() && self.windows.is_all_said()
    }

    /// Keeps an event from being done, until [`Core::let_go`].
    pub(crate) fn hold(&mut self, ticket: Ticket) {
        if self.windows.knows(ticket.conn) {
            self.unsettled.held.entry(key(ticket)).or_default().count += 1;
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
        if self.windows.has_acks(ticket.conn) {
            let before = self.unsettled.current.replace(ticket);
            for open in self.links.all().iter().filter_map(Link::open) {
                self.unsettled.commanded(&self.connections, open.conn);
            }
            self.unsettled.current = before;
        }
        if has_ended {
            self.event_unsettled(ticket);
        }
    }
}
