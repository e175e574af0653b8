//! What happens to clients, and whose handler may begin: those of one client in order, those of different clients concurrently.
//!
//! A handler is polled once where its event was read. Most end there, and nothing is kept. One that waits becomes a
//! task, and later events of its client queue up behind it. So memory is held only for clients whose handlers wait, and
//! for those whose events may not be started yet: [`super::queues`] has their order.

use std::mem;
use std::net::{SocketAddr, SocketAddrV4};

use bytes::Bytes;
use protocol::ClientId;
use protocol::client::Kind;
use protocol::inner::{
    Cmd, EventId, FLAG_ANSWER_WANTED, FLAG_BINARY, FLAG_TEXT, Frame, Repeat, WebsocketRequest,
};
use protocol::php::DecodeError;
use tracing::{debug, warn};

use super::connections::ConnId;
use super::link::{InFront, Link};
use super::{Action, Core, Ticket};
use crate::config::{LINK_WAITING_BYTES_MAX, WAITING_BYTES_MAX};
use crate::{Client, Message};

/// What happened to a client.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) client: Client,
    pub(crate) what: What,
    /// What it holds while it waits, in bytes: itself, session and body.
    pub(super) size: usize,
}

/// How an event came here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) id: EventId,
    /// It was sent before, perhaps to another worker.
    pub(crate) is_repeat: bool,
    /// Its gateway keeps it until it is safe, and gives it to others if the link is lost before.
    pub(super) is_kept: bool,
    /// What its gateway is told when it is done.
    pub(crate) ticket: Option<Ticket>,
}

#[derive(Debug)]
pub(crate) enum What {
    Connect,
    WebsocketConnect(Box<WebsocketRequest>),
    /// The same, and its gateway waits for an answer.
    Handshake(Box<WebsocketRequest>),
    Message(Message),
    Close,
}

impl What {
    fn message(frame: &Frame<'_>) -> What {
        let kind = match frame.flag & (FLAG_TEXT | FLAG_BINARY) {
            FLAG_TEXT => Kind::Text,
            FLAG_BINARY => Kind::Binary,
            _ => Kind::Unspecified,
        };
        // Copied: a body that shared the read buffer would keep all of it for as long as a handler keeps the body.
        What::Message(Message::new(Bytes::copy_from_slice(frame.body), kind))
    }

    /// What its handler is called.
    pub(crate) fn handler(&self) -> &'static str {
        match self {
            What::Connect => "on_connect",
            What::WebsocketConnect(_) => "on_websocket_connect",
            What::Handshake(_) => "on_handshake",
            What::Message(_) => "on_message",
            What::Close => "on_close",
        }
    }
}

impl Event {
    /// Of a frame that is about a client, which comes from `address`.
    pub(super) fn read(
        frame: &Frame<'_>,
        address: SocketAddr,
        delivery: Delivery,
    ) -> Result<Event, DecodeError> {
        let what = match Cmd::from_u8(frame.cmd) {
            Some(Cmd::OnConnect) => What::Connect,
            Some(Cmd::OnClose) => What::Close,
            Some(Cmd::OnWebsocketConnect) => {
                let request = Box::new(WebsocketRequest::decode(frame.body)?);
                match frame.flag & FLAG_ANSWER_WANTED {
                    0 => What::WebsocketConnect(request),
                    _ => What::Handshake(request),
                }
            }
            _ => What::message(frame),
        };
        let size = size_of::<Event>() + frame.ext.len() + frame.body.len();
        Ok(Event { client: Client::new(frame, address, delivery), what, size })
    }

    /// What its gateway is told when it is done.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.client.delivery().ticket
    }
}

impl Core {
    /// Takes an event off a link, with what was said in front of it; not if a frame before it was the end of the link.
    pub(super) fn take_event(&mut self, gateway: SocketAddrV4, conn: ConnId, frame: &Frame<'_>) {
        let open = self.links.find_mut(gateway).and_then(Link::open_mut).filter(|open| open.conn == conn);
        let Some(open) = open else { return };
        let InFront { repeat, client } = mem::take(&mut open.in_front);
        let address = client.map_or(SocketAddr::V4(frame.client), SocketAddr::from);
        let delivery = self.delivery(conn, frame, repeat);
        match Event::read(frame, address, delivery) {
            Ok(event) => self.fresh.push_back(event),
            Err(error) => {
                self.counters.bad_requests += 1;
                debug!(%gateway, "unreadable websocket request: {error}");
                self.event_done(delivery.ticket);
            }
        }
    }

    /// What an event is called, and whether it was sent before.
    fn delivery(&mut self, conn: ConnId, frame: &Frame<'_>, repeat: Option<Repeat>) -> Delivery {
        let read = self.windows.read(conn, frame);
        self.counters.events_repeated += u64::from(repeat.is_some());
        let (ticket, id) = read.map_or((None, None), |(ticket, id)| (Some(ticket), id));
        let is_kept = id.is_some();
        let id = repeat.map(|repeat| repeat.id).or(id).unwrap_or_else(|| self.name_event());
        Delivery { id, is_repeat: repeat.is_some(), is_kept, ticket }
    }

    /// A name for an event that its gateway has none for.
    fn name_event(&mut self) -> EventId {
        self.named = self.named.wrapping_add(1);
        EventId::new(self.announced.run(), u32::try_from(self.index).unwrap_or(u32::MAX), self.named)
    }

    /// The next event that was just read and whose handler may begin at once; the others are put behind what is in front of
    /// them. To be asked until there is none, a handler polled in between.
    pub(crate) fn start_fresh(&mut self) -> Option<Event> {
        while let Some(event) = self.pop_fresh() {
            // Of a link that has ended meanwhile others have what is given again.
            let may_be_others = self.catches_up && event.client.delivery().is_kept;
            if !may_be_others && self.may_start_at_once(event.client.id()) {
                self.begin_poll(event.ticket());
                return Some(event);
            }
            self.enqueue(event);
        }
        None
    }

    /// There is no time for those that were just read: they wait for their turn.
    pub(crate) fn defer_fresh(&mut self) {
        while let Some(event) = self.pop_fresh() {
            self.enqueue(event);
        }
    }

    /// The next event that was just read, unless the core has stopped.
    fn pop_fresh(&mut self) -> Option<Event> {
        while self.stopping
            && let Some(event) = self.fresh.pop_front()
        {
            self.drop_event(&event);
        }
        let event = self.fresh.pop_front()?;
        self.counters.events += 1;
        self.counters.messages_in += u64::from(matches!(event.what, What::Message(_)));
        Some(event)
    }

    fn enqueue(&mut self, event: Event) {
        let (client, size) = (event.client.id(), event.size);
        self.queues.push(client, event, size);
    }

    /// An event of [`Core::start_fresh`] has a handler that waits.
    pub(crate) fn handler_waits(&mut self, client: ClientId) {
        self.end_poll();
        self.queues.run(client);
    }

    /// The next event that waited for its turn and whose handler may begin. It runs until [`Core::handler_ended`].
    pub(crate) fn start_waiting(&mut self) -> Option<(ClientId, Event)> {
        if !self.may_run_more() {
            return None;
        }
        let (client, event) = self.with_queues(|queues, is_open| queues.start(is_open))?;
        self.begin_poll(event.ticket());
        Some((client, event))
    }

    /// A handler has ended that waited, or that began by [`Core::start_waiting`].
    pub(crate) fn handler_ended(&mut self, client: ClientId, ticket: Option<Ticket>) {
        self.queues.end(client);
        self.changed = true;
        self.event_done(ticket);
    }

    /// Whether [`Core::start_waiting`] would find something.
    pub(crate) fn has_startable(&self) -> bool {
        self.queues.has_lines()
            && self.may_run_more()
            && self.queues.any_line(|gateway| self.is_open(gateway))
    }

    /// Drops what waits, since there is no more time for it, and takes no more.
    pub(crate) fn give_up_waiting(&mut self) {
        self.stopping = true;
        let dropped = self.queues.clear();
        if !dropped.is_empty() {
            warn!(
                core = self.index,
                dropped = dropped.len(),
                "events were read and had no time to be handled"
            );
        }
        dropped.iter().for_each(|event| self.drop_event(event));
    }

    /// Whether an event that has not begun is others' by now.
    pub(crate) fn is_taken_back(&self, delivery: Delivery) -> bool {
        delivery.is_kept && delivery.ticket.is_some_and(|ticket| !self.windows.has_acks(ticket.conn))
    }

    /// An event is not handled here. A gateway that keeps it gives it to another worker.
    fn drop_event(&mut self, event: &Event) {
        match event.ticket() {
            Some(ticket) if self.windows.has_acks(ticket.conn) => self.counters.events_returned += 1,
            ticket => {
                self.counters.events_dropped += 1;
                self.event_done(ticket);
            }
        }
    }

    /// The queues, and whether events of a gateway may be started.
    fn with_queues<T>(
        &mut self,
        work: impl FnOnce(&mut super::Queues<Event>, &dyn Fn(SocketAddrV4) -> bool) -> T,
    ) -> T {
        let mut queues = mem::take(&mut self.queues);
        let result = work(&mut queues, &|gateway| self.is_open(gateway));
        self.queues = queues;
        result
    }

    /// Whether nothing is in front of an event of this client that has just been read.
    fn may_start_at_once(&self, client: ClientId) -> bool {
        self.may_run_more()
            && !self.queues.contains(client)
            && !self.queues.has_line(client.gateway)
            && self.is_open(client.gateway)
    }

    fn may_run_more(&self) -> bool {
        self.queues.running() < self.config.max_concurrent_events.max(1)
    }

    /// Whether events of this gateway's clients may be started, as far as what is queued towards gateways is concerned.
    fn is_open(&self, gateway: SocketAddrV4) -> bool {
        self.backlog.lets_start() && !self.is_behind(gateway)
    }

    /// Pauses links that were just read and may not be read on, and resumes those that may.
    pub(super) fn regulate(&mut self) {
        while let Some(gateway) = self.touched.pop() {
            if !self.has_room_for(gateway)
                && let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut)
                && !open.paused
            {
                open.paused = true;
                self.paused += 1;
                self.actions.push(Action::Pause(open.conn));
            }
        }
        if self.paused > 0 {
            self.resume();
        }
    }

    fn resume(&mut self) {
        let paused = self.links.all().iter().filter(|link| link.open().is_some_and(|open| open.paused));
        let paused: Vec<_> = paused.map(|link| link.address).collect();
        self.paused = paused.len();
        for gateway in paused {
            if self.has_room_for(gateway)
                && let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut)
            {
                open.paused = false;
                self.paused -= 1;
                self.actions.push(Action::Resume(open.conn));
            }
        }
    }

    /// Whether more may be read from a gateway.
    fn has_room_for(&self, gateway: SocketAddrV4) -> bool {
        let open = || self.links.find(gateway).and_then(Link::open);
        if self.reads_all()
            || open().is_some_and(|open| open.may_greet() || self.windows.is_within(open.conn))
        {
            return true;
        }
        let in_line = self.queues.in_line(gateway);
        self.has_room() && (in_line.bytes < LINK_WAITING_BYTES_MAX || self.is_open(gateway))
    }

    /// Whether more may be read at all. What waits for one gateway to take something counts there.
    fn has_room(&self) -> bool {
        let mut waiting = self.queues.waiting();
        if self.backlog.lets_start() {
            waiting.take(self.queues.in_lines(|gateway| self.is_behind(gateway)));
        }
        self.queues.running() + waiting.events < self.config.max_concurrent_events.max(1)
            && waiting.bytes < WAITING_BYTES_MAX
    }

    /// Whether links are read whatever waits. A gateway sends nothing behind DRAINED, so what is read is bounded by what
    /// it holds; and once the core has stopped, only answers come.
    fn reads_all(&self) -> bool {
        self.draining.has_begun() || self.stopping
    }
}
