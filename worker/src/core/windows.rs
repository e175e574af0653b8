//! Windows: what gateways may have in flight, which of their events are done or safe, and when they are told (WIRE.md §14).
//!
//! So such a gateway is always read: what comes is bounded by what it was granted, and answers and signs of life never stand
//! behind events that nobody takes.

use protocol::inner::{Cmd, EventId, EventRange, FRAME_SIZE_MAX_RINGWAY, Frame, Origin, Window};

use super::connections::ConnId;
use super::queues::Amount;
use super::{Core, Timer};
use crate::config::{
    DONE_DELAY, DONE_EVENTS_URGENT, GATEWAYS_EXPECTED, UNSAFE_WINDOWS_MAX, WAITING_BYTES_MAX,
    WINDOW_BYTES_MIN, WINDOW_EVENTS_MIN,
};

/// Names an event for its gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    /// Another link to the same gateway has numbers of its own.
    pub(super) conn: ConnId,
    pub(super) number: u32,
    /// Of its frame.
    size: u32,
    /// Its connection id.
    pub(super) client: u32,
}

impl Ticket {
    fn amount(self) -> Amount {
        Amount { events: 1, bytes: self.size as usize }
    }
}

/// What the gateways with windows have in flight, and of that is done.
///
/// Invariants: `unsaid` names each link once of which something is done or safe and not said, and perhaps some that are gone; it
/// is empty unless a look is armed or due, or there is no room to send.
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
    /// The gateway keeps events until they are safe, and calls them by this.
    origin: Option<Origin>,
    /// The number of the next event.
    next: u32,
    /// Read and not said to be done.
    in_flight: Amount,
    /// To be said.
    done: Vec<EventRange>,
    safe: Vec<EventRange>,
    /// What of these was not said to be done before.
    unsaid: Amount,
    /// Done, and neither safe nor to be said.
    waiting: Amount,
    /// Said to be done, or to be said, and not safe.
    unsafe_ones: Amount,
}

/// What a gateway knows of an event that is not safe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Nothing,
    Done,
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
    pub(super) fn begin(&mut self, conn: ConnId, window: Window, origin: Option<Origin>) {
        let index = conn.index as usize;
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        let nothing = Amount::default();
        self.links[index] = Some(LinkWindow {
            conn,
            window,
            origin,
            next: 0,
            in_flight: nothing,
            done: Vec::new(),
            safe: Vec::new(),
            unsaid: nothing,
            waiting: nothing,
            unsafe_ones: nothing,
        });
    }

    /// The link is gone.
    pub(super) fn end(&mut self, conn: ConnId) {
        if self.find(conn).is_some() {
            self.links[conn.index as usize] = None;
        }
    }

    /// An event was read. `None`: its gateway is not told. And what it is called, if its gateway has a name for it.
    pub(super) fn read(&mut self, conn: ConnId, frame: &Frame<'_>) -> Option<(Ticket, Option<EventId>)> {
        let link = self.find_mut(conn)?;
        let size = frame.size();
        link.in_flight.add(Amount { events: 1, bytes: size });
        let number = link.next;
        link.next = number.wrapping_add(1);
        let size = u32::try_from(size).expect("frames are below FRAME_SIZE_MAX_RINGWAY");
        let id = link.origin.map(|origin| origin.event(number));
        Some((Ticket { conn, number, size, client: frame.connection_id }, id))
    }

    /// Whether the gateway of an event is told when it is safe.
    pub(super) fn has_acks(&self, conn: ConnId) -> bool {
        self.origin(conn).is_some()
    }

    /// What the gateway calls the events of a link, if it keeps them until they are safe.
    pub(super) fn origin(&self, conn: ConnId) -> Option<Origin> {
        self.find(conn)?.origin
    }

    /// An event is safe; or done, where gateways want to know no more. Nothing happens if its link is gone. `waited`: what its
    /// gateway was told before, if it had to wait for that. Whether a look has to be armed now.
    pub(super) fn finished(&mut self, ticket: Ticket, waited: Option<Told>) -> bool {
        let Some(link) = self.find_mut(ticket.conn) else { return false };
        let is_first = link.is_silent();
        let list = if link.origin.is_some() { &mut link.safe } else { &mut link.done };
        push(list, ticket.number);
        let amount = ticket.amount();
        match waited {
            Some(Told::Done) => link.unsafe_ones.take(amount),
            Some(Told::Nothing) => {
                link.waiting.take(amount);
                link.unsaid.add(amount);
            }
            None => link.unsaid.add(amount),
        }
        if is_first {
            self.unsaid.push(ticket.conn);
        }
        !std::mem::replace(&mut self.is_armed, true)
    }

    /// An event is done, and not safe yet. Whether its gateway is to be told so now, with others of its link.
    pub(super) fn waits(&mut self, ticket: Ticket) -> bool {
        let Some(link) = self.find_mut(ticket.conn) else { return false };
        link.waiting.add(ticket.amount());
        link.is_half(link.waiting)
    }

    /// Has it looked soon whether something is to be said. Whether that has to be armed now.
    pub(super) fn arm(&mut self) -> bool {
        !std::mem::replace(&mut self.is_armed, true)
    }

    /// Links with something that is done, not safe, and not to be said.
    pub(super) fn waiting_links(&self) -> Vec<ConnId> {
        let waiting = self.links.iter().flatten().filter(|link| link.waiting.events > 0);
        waiting.map(|link| link.conn).collect()
    }

    /// Whether nothing is to be said on links that stand.
    pub(super) fn is_all_said(&self) -> bool {
        self.links.iter().flatten().all(LinkWindow::is_silent)
    }

    /// Whether a link has a window.
    pub(super) fn knows(&self, conn: ConnId) -> bool {
        self.find(conn).is_some()
    }

    /// The gateway is to be told that these are done, all that wait. Whether there are so many that it is told of that they cannot
    /// be waited for any longer.
    pub(super) fn tell_done(&mut self, conn: ConnId, numbers: impl Iterator<Item = u32>) -> bool {
        let Some(link) = self.find_mut(conn) else { return false };
        let is_first = link.is_silent();
        let before = link.done.len();
        numbers.for_each(|number| push(&mut link.done, number));
        let waiting = std::mem::take(&mut link.waiting);
        link.unsafe_ones.add(waiting);
        link.unsaid.add(waiting);
        let Window { events, bytes } = link.window;
        let is_too_much = link.unsafe_ones.events > UNSAFE_WINDOWS_MAX * events as usize
            || link.unsafe_ones.bytes > UNSAFE_WINDOWS_MAX * bytes as usize;
        if is_first && link.done.len() > before {
            self.unsaid.push(conn);
        }
        is_too_much
    }

    /// What was armed is due, or is to be said before something else.
    pub(super) fn due(&mut self) {
        (self.is_armed, self.is_due) = (false, true);
    }

    /// Whether a gateway has no more in flight than it may. One that ends sends what it has to, whatever it may.
    pub(super) fn is_within(&self, conn: ConnId) -> bool {
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
    /// Whether nothing is to be said.
    fn is_silent(&self) -> bool {
        self.done.is_empty() && self.safe.is_empty()
    }

    /// Whether the gateway may be waiting for what is done, on the whole or for one client.
    fn is_urgent(&self) -> bool {
        self.unsaid.events >= DONE_EVENTS_URGENT || self.is_half(self.unsaid)
    }

    /// Whether this is half of the window.
    fn is_half(&self, amount: Amount) -> bool {
        let Window { events, bytes } = self.window;
        amount.events * 2 >= events as usize || amount.bytes * 2 >= bytes as usize
    }
}

/// Adds a number to a list of ranges.
fn push(list: &mut Vec<EventRange>, number: u32) {
    match list.last_mut() {
        Some(last) if last.end() == number => last.count += 1,
        _ => list.push(EventRange { first: number, count: 1 }),
    }
}

/// Moves a list to the body of a frame.
fn say(list: &mut Vec<EventRange>, body: &mut Vec<u8>) {
    list.sort_unstable();
    list.dedup_by(|next, before| {
        let follows = before.end() == next.first;
        before.count += if follows { next.count } else { 0 };
        follows
    });
    body.clear();
    list.drain(..).for_each(|range| range.encode(body));
}

impl Core {
    /// Has what is done and safe said soon.
    pub(super) fn arm_windows(&mut self, is_to_be_armed: bool) {
        if is_to_be_armed {
            self.timers.arm(Timer::Done, self.now + DONE_DELAY);
        }
    }

    /// Tells gateways what is done and what is safe, behind what they are sent anyway, or if they may be waiting for it.
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
            for (cmd, list) in [(Cmd::EventsDone, &mut link.done), (Cmd::EventsSafe, &mut link.safe)] {
                if !list.is_empty() {
                    say(list, body);
                    let frame = Frame { body, ..Frame::command(cmd) };
                    self.connections.push_frame(*conn, &frame);
                    self.backlog.add(frame.size());
                }
            }
            link.in_flight.take(std::mem::take(&mut link.unsaid));
            false
        });
    }

    /// The same at once, wherever something is to be said.
    pub(crate) fn say_done_now(&mut self) {
        self.windows.due();
        self.say_done();
    }
}
