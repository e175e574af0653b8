//! Windows: what gateways may have in flight, which of their events are done, and when they are told (WIRE.md §14).
//!
//! So such a gateway is always read: what comes is bounded by what it was granted, and answers and signs of life never stand
//! behind events that nobody takes.

use protocol::inner::{Cmd, EventRange, FRAME_SIZE_MAX_RINGWAY, Frame, Window};

use super::connections::ConnId;
use super::queues::Amount;
use super::{Core, Timer};
use crate::config::{DONE_DELAY, GATEWAYS_EXPECTED, WAITING_BYTES_MAX, WINDOW_BYTES_MIN, WINDOW_EVENTS_MIN};

/// Names an event for its gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// Another link to the same gateway has numbers of its own.
    conn: ConnId,
    number: u32,
    /// Of its frame.
    size: u32,
}

/// What the gateways with windows have in flight, and of that is done.
///
/// Invariants: `unsaid` names each link once of which something is done and not said, and perhaps some that are gone; it is
/// empty unless a look is armed or due, or there is no room to send.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// By the index of the connection.
    links: Vec<Option<LinkWindow>>,
    unsaid: Vec<ConnId>,
    /// It will be looked whether something is still unsaid.
    is_armed: bool,
    /// It is to be said now.
    is_due: bool,
    /// The body of EVENTS_DONE; kept for its memory.
    body: Vec<u8>,
}

#[derive(Debug)]
struct LinkWindow {
    conn: ConnId,
    window: Window,
    /// The number of the next event.
    next: u32,
    /// Read and not said to be done.
    in_flight: Amount,
    done: Vec<EventRange>,
    /// What is in `done`.
    unsaid: Amount,
}

/// What a core grants to each gateway.
pub(super) fn window(max_concurrent_events: usize) -> Window {
    let part = |all: usize, min: usize| u32::try_from((all / GATEWAYS_EXPECTED).max(min)).unwrap_or(u32::MAX);
    Window {
        events: part(max_concurrent_events, WINDOW_EVENTS_MIN),
        bytes: part(WAITING_BYTES_MAX, WINDOW_BYTES_MIN),
    }
}

impl Windows {
    /// The gateway at the other end keeps to this window; numbers begin.
    pub(super) fn begin(&mut self, conn: ConnId, window: Window) {
        let index = conn.index as usize;
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        let nothing = Amount::default();
        let link =
            LinkWindow { conn, window, next: 0, in_flight: nothing, done: Vec::new(), unsaid: nothing };
        self.links[index] = Some(link);
    }

    /// The link is gone.
    pub(super) fn end(&mut self, conn: ConnId) {
        if self.find(conn).is_some() {
            self.links[conn.index as usize] = None;
        }
    }

    /// An event was read. `None`: its gateway is not told.
    pub(super) fn read(&mut self, conn: ConnId, size: usize) -> Option<Ticket> {
        let link = self.find_mut(conn)?;
        link.in_flight.add(Amount { events: 1, bytes: size });
        let number = link.next;
        link.next = number.wrapping_add(1);
        let size = u32::try_from(size).expect("frames are below FRAME_SIZE_MAX_RINGWAY");
        Some(Ticket { conn, number, size })
    }

    /// An event is done. Nothing happens if its link is gone. Whether a look has to be armed now.
    fn done(&mut self, ticket: Ticket) -> bool {
        let Some(link) = self.find_mut(ticket.conn) else { return false };
        let is_first = link.done.is_empty();
        match link.done.last_mut() {
            Some(last) if last.end() == ticket.number => last.count += 1,
            _ => link.done.push(EventRange { first: ticket.number, count: 1 }),
        }
        link.unsaid.add(Amount { events: 1, bytes: ticket.size as usize });
        if is_first {
            self.unsaid.push(ticket.conn);
        }
        !std::mem::replace(&mut self.is_armed, true)
    }

    /// What was armed is due.
    pub(super) fn due(&mut self) {
        (self.is_armed, self.is_due) = (false, true);
    }

    /// Whether a gateway has no more in flight than it may. One that ends sends what it has to, whatever it may.
    pub(super) fn is_kept(&self, conn: ConnId) -> bool {
        self.find(conn).is_some_and(|link| {
            let Window { events, bytes } = link.window;
            link.in_flight.events <= events as usize
                && link.in_flight.bytes <= bytes as usize + FRAME_SIZE_MAX_RINGWAY
        })
    }

    fn find(&self, conn: ConnId) -> Option<&LinkWindow> {
        self.links.get(conn.index as usize)?.as_ref().filter(|link| link.conn == conn)
    }

    fn find_mut(&mut self, conn: ConnId) -> Option<&mut LinkWindow> {
        self.links.get_mut(conn.index as usize)?.as_mut().filter(|link| link.conn == conn)
    }
}

impl LinkWindow {
    /// Whether the gateway may be waiting for what is done.
    fn is_urgent(&self) -> bool {
        let Window { events, bytes } = self.window;
        self.unsaid.events * 2 >= events as usize || self.unsaid.bytes * 2 >= bytes as usize
    }

    /// Moves what is done to the body of a frame.
    fn say(&mut self, body: &mut Vec<u8>) {
        self.done.sort_unstable();
        self.done.dedup_by(|next, before| {
            let follows = before.end() == next.first;
            before.count += if follows { next.count } else { 0 };
            follows
        });
        body.clear();
        self.done.drain(..).for_each(|done| done.encode(body));
        self.in_flight.take(std::mem::take(&mut self.unsaid));
    }
}

impl Core {
    /// An event's handler has ended, or the event was dropped.
    pub(crate) fn event_done(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket
            && self.windows.done(ticket)
        {
            self.timers.arm(Timer::Done, self.now + DONE_DELAY);
        }
    }

    /// Tells gateways what is done, behind what they are sent anyway, or if they may be waiting for it.
    pub(super) fn say_done(&mut self) {
        let is_due = std::mem::take(&mut self.windows.is_due);
        let Windows { links, unsaid, body, .. } = &mut self.windows;
        unsaid.retain(|conn| {
            let link = links.get_mut(conn.index as usize).and_then(Option::as_mut);
            let Some(link) = link.filter(|link| link.conn == *conn) else { return false };
            let is_time = is_due || link.is_urgent() || self.connections.is_to_be_sent(*conn);
            if !is_time || !self.connections.takes_more(*conn) {
                return true;
            }
            link.say(body);
            let frame = Frame { body, ..Frame::command(Cmd::EventsDone) };
            frame.encode(self.connections.tail(*conn));
            self.backlog.add(frame.size());
            false
        });
    }
}
