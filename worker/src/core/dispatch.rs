//! Gives events to handlers: those of one client in order, those of different clients concurrently.
//!
//! A handler is polled once where its event was read. Most end there, and nothing is kept. One that waits becomes a
//! task, and later events of its client queue up behind it. So memory is held only for clients whose handlers wait, and
//! for those whose events may not be started yet: [`super::queues`] has their order.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use glommio::timer::sleep;
use hashbrown::HashSet;
use protocol::ClientId;
use protocol::client::Kind;
use protocol::inner::{FLAG_BINARY, FLAG_TEXT, Frame, WebsocketRequest};
use protocol::php::DecodeError;
use tracing::{error, warn};

use super::panic::caught;
use super::queues::Queues;
use super::{Core, Status};
use crate::config::{LINK_WAITING_BYTES_MAX, STARTS_PER_TURN, WAITING_BYTES_MAX};
use crate::{Client, Events, Gateway, Message};

/// What happened to a client.
#[derive(Debug)]
pub(super) struct Event {
    client: Client,
    what: What,
    /// What it holds while it waits, in bytes: itself, session and body.
    size: usize,
}

#[derive(Debug)]
enum What {
    Connect,
    WebsocketConnect(Box<WebsocketRequest>),
    Message(Message),
    Close,
}

impl What {
    /// What its handler is called.
    fn name(&self) -> &'static str {
        match self {
            What::Connect => "on_connect",
            What::WebsocketConnect(_) => "on_websocket_connect",
            What::Message(_) => "on_message",
            What::Close => "on_close",
        }
    }
}

impl Event {
    pub(super) fn connect(frame: &Frame<'_>) -> Event {
        Event::new(frame, What::Connect)
    }

    pub(super) fn websocket_connect(frame: &Frame<'_>) -> Result<Event, DecodeError> {
        let request = Box::new(WebsocketRequest::decode(frame.body)?);
        Ok(Event::new(frame, What::WebsocketConnect(request)))
    }

    pub(super) fn message(frame: &Frame<'_>) -> Event {
        let kind = match frame.flag & (FLAG_TEXT | FLAG_BINARY) {
            FLAG_TEXT => Kind::Text,
            FLAG_BINARY => Kind::Binary,
            _ => Kind::Unspecified,
        };
        // Copied: a body that shared the read buffer would keep all of it for as long as a handler keeps the body.
        let message = Message::new(Bytes::copy_from_slice(frame.body), kind);
        Event::new(frame, What::Message(message))
    }

    pub(super) fn close(frame: &Frame<'_>) -> Event {
        Event::new(frame, What::Close)
    }

    fn new(frame: &Frame<'_>, what: What) -> Event {
        Event {
            client: Client::new(frame),
            what,
            size: size_of::<Event>() + frame.ext.len() + frame.body.len(),
        }
    }
}

/// Gives the events of one core to its handlers.
pub(super) struct Dispatch<E> {
    events: E,
    gateway: Gateway,
    /// Clients whose handler waits, and events that do.
    queues: RefCell<Queues<Event>>,
    /// The task that starts events when a gateway has taken something, asleep because none waits.
    starter: RefCell<Option<Waker>>,
    /// Links that read no further until there is room, and whoever waits for all handlers to end.
    waiters: RefCell<Vec<Waker>>,
    /// Called once, when the core has its first list and tried every gateway in it.
    on_ready: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl<E: Events> Dispatch<E> {
    pub(super) fn new(events: E, gateway: Gateway, on_ready: impl FnOnce() + 'static) -> Rc<Dispatch<E>> {
        Rc::new(Dispatch {
            events,
            gateway,
            queues: RefCell::default(),
            starter: RefCell::new(None),
            waiters: RefCell::default(),
            on_ready: RefCell::new(Some(Box::new(on_ready))),
        })
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        self.gateway.core()
    }

    pub(super) fn events(&self) -> &E {
        &self.events
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// How the core is now.
    pub(super) fn status(&self) -> Status {
        let core = self.core();
        let queues = self.queues.borrow();
        Status {
            links: core.links.connected_count(),
            handlers_running: queues.running(),
            events_waiting: queues.waiting().events,
            queued_bytes: core.backlog.bytes(),
            sessions_remembered: core.sessions.count(),
            counters: *core.counters.borrow(),
        }
    }

    /// Runs `on_stop`.
    pub(super) async fn stop_events(&self) {
        if let Err(panic) = caught(self.events.on_stop(&self.gateway)).await {
            self.core().count(|counters| counters.panics += 1);
            error!(core = self.core().index, "on_stop panicked: {panic}");
        }
    }

    /// Says that the core is ready, the first time that it is: every known gateway was tried. The caller knows that
    /// a register has answered.
    pub(super) fn check_ready(&self) {
        if self.core().links.all().iter().all(|link| link.attempted.get())
            && let Some(on_ready) = self.on_ready.borrow_mut().take()
        {
            on_ready();
        }
    }

    /// Runs the handler of `event`, now as far as it gets without waiting, or behind the client's earlier ones.
    pub(super) fn offer<F>(
        self: &Rc<Self>,
        slot: &mut Slot<impl Fn(Rc<Self>, Event) -> F + 'static, F>,
        event: Event,
    ) where
        F: Future<Output = ()> + 'static,
    {
        if self.core().stopping.get() {
            return self.core().count(|counters| counters.events_dropped += 1);
        }
        self.core().count(|counters| {
            counters.events += 1;
            counters.messages_in += u64::from(matches!(event.what, What::Message(_)));
        });
        let id = event.client.id();
        if !self.may_start_at_once(id) {
            return self.enqueue(id, event);
        }
        if let Some(waiting) = slot.run((slot.handle)(Rc::clone(self), event)) {
            self.queues.borrow_mut().run(id);
            glommio::spawn_local(Rc::clone(self).finish(id, waiting)).detach();
        }
    }

    /// Whether nothing is in front of an event of this client that has just been read.
    fn may_start_at_once(&self, client: ClientId) -> bool {
        let queues = self.queues.borrow();
        self.may_run_more(&queues)
            && !queues.contains(client)
            && !queues.has_line(client.gateway)
            && self.is_open(client.gateway)
    }

    fn may_run_more(&self, queues: &Queues<Event>) -> bool {
        queues.running() < self.core().config.max_concurrent_events.max(1)
    }

    /// Has the starter look. Whoever is in line only because so many handlers run follows one of them.
    fn wake_starter(&self) {
        let queues = self.queues.borrow();
        if queues.has_lines()
            && self.may_run_more(&queues)
            && let Some(starter) = self.starter.borrow_mut().take()
        {
            starter.wake();
        }
    }

    /// Whether events of this gateway's clients may be started, as far as what is queued towards gateways is concerned.
    fn is_open(&self, gateway: SocketAddrV4) -> bool {
        self.core().backlog.lets_start() && !self.core().is_behind(gateway)
    }

    fn enqueue(&self, id: ClientId, event: Event) {
        let size = event.size;
        self.queues.borrow_mut().push(id, event, size);
        self.wake_starter();
    }

    /// Runs a handler that waits to its end, then events whose turn it is: the client's next ones, or others that waited
    /// because so many handlers ran.
    async fn finish(self: Rc<Self>, mut id: ClientId, waiting: impl Future<Output = ()>) {
        waiting.await;
        while let Some((next, event)) = self.next(id) {
            id = next;
            Self::handle(Rc::clone(&self), event).await;
        }
    }

    /// The event that takes the place of the client's one, which has ended.
    fn next(&self, ended: ClientId) -> Option<(ClientId, Event)> {
        let next = self.queues.borrow_mut().next(ended, |gateway| self.is_open(gateway));
        self.wake_starter();
        self.wake_waiters();
        next
    }

    /// Starts events that waited for a gateway to take what it was sent. For ever: to be run beside the links.
    pub(super) async fn start_waiting(self: Rc<Self>) {
        let mut slot = Slot::new(Self::handle);
        loop {
            for _ in 0..STARTS_PER_TURN {
                let (id, event) = poll_fn(|cx| self.poll_start(cx)).await;
                if let Some(waiting) = slot.run(Self::handle(Rc::clone(&self), event)) {
                    glommio::spawn_local(Rc::clone(&self).finish(id, waiting)).detach();
                } else {
                    self.queues.borrow_mut().end(id);
                }
                self.wake_waiters();
            }
            // The links have something to send.
            sleep(Duration::from_nanos(1)).await;
        }
    }

    fn poll_start(&self, cx: &mut Context<'_>) -> Poll<(ClientId, Event)> {
        let mut queues = self.queues.borrow_mut();
        if self.may_run_more(&queues)
            && let Some(start) = queues.start(|gateway| self.is_open(gateway))
        {
            return Poll::Ready(start);
        }
        if queues.has_lines() {
            self.core().backlog.listen(cx);
        }
        *self.starter.borrow_mut() = Some(cx.waker().clone());
        drop(queues);
        // A gateway that has taken something may be read again.
        self.wake_waiters();
        Poll::Pending
    }

    /// Drops what waits, since there is no more time for it.
    pub(super) fn give_up_waiting(&self) {
        let dropped = self.queues.borrow_mut().clear();
        if dropped > 0 {
            self.core().count(|counters| counters.events_dropped += dropped as u64);
            warn!(core = self.core().index, dropped, "events were read and had no time to be handled");
        }
    }

    /// One event's handler, with the client's session made sure of before it and stored after it.
    pub(super) async fn handle(self: Rc<Self>, event: Event) {
        let Event { client, what, .. } = event;
        let (name, ends) = (what.name(), matches!(what, What::Close));
        if self.is_in_doubt(&client, &what) {
            // In a box: it is rare and large, and every event pays for the size of this future.
            Box::pin(self.refresh(&client)).await;
        }
        match caught(self.call(&client, what)).await {
            // The client of a close is gone: its session is not stored (WIRE.md §7).
            Ok(()) if ends => {}
            Ok(()) => self.store_session(&client),
            Err(panic) => {
                self.core().count(|counters| counters.panics += 1);
                error!(client = %client.id(), "{name} panicked: {panic}");
            }
        }
        if ends {
            self.core().sessions.forget(client.id());
        }
    }

    /// Whether the session that came with the event may be from before this core's own write. A new client is told from
    /// an earlier one of its number, of whose end nobody may have told.
    fn is_in_doubt(&self, client: &Client, what: &What) -> bool {
        let sessions = &self.core().sessions;
        if sessions.is_empty() {
            return false;
        }
        match what {
            What::WebsocketConnect(_) | What::Message(_) => {
                client.with_stored_session(|stored| sessions.is_in_doubt(client.id(), stored))
            }
            What::Connect => {
                sessions.forget(client.id());
                false
            }
            What::Close => false,
        }
    }

    async fn refresh(&self, client: &Client) {
        if let Some(session) = self.core().current_session(client.id()).await {
            client.refresh_session(session);
        }
    }

    fn store_session(&self, client: &Client) {
        let sessions = &self.core().sessions;
        if let Some(session) = client.changed_session() {
            self.gateway.store_session(client.id(), &session);
        } else if !sessions.is_empty() {
            client.with_stored_session(|seen| sessions.handled(client.id(), seen));
        }
    }

    async fn call(&self, client: &Client, what: What) {
        match what {
            What::Connect => self.events.on_connect(&self.gateway, client).await,
            What::WebsocketConnect(request) => {
                self.events.on_websocket_connect(&self.gateway, client, &request).await;
            }
            What::Message(message) => self.events.on_message(&self.gateway, client, message).await,
            What::Close => self.events.on_close(&self.gateway, client).await,
        }
    }

    /// Whether more may be read from a gateway.
    fn has_room_for(&self, gateway: SocketAddrV4) -> bool {
        if self.reads_all() {
            return true;
        }
        let queues = self.queues.borrow();
        let in_line = queues.in_line(gateway);
        self.has_room(&queues) && (in_line.bytes < LINK_WAITING_BYTES_MAX || self.is_open(gateway))
    }

    /// Whether more may be read at all. What waits for one gateway to take something counts there.
    fn has_room(&self, queues: &Queues<Event>) -> bool {
        let mut waiting = queues.waiting();
        if self.core().backlog.lets_start() {
            waiting.take(queues.in_lines(|gateway| self.core().is_behind(gateway)));
        }
        queues.running() + waiting.events < self.core().config.max_concurrent_events.max(1)
            && waiting.bytes < WAITING_BYTES_MAX
    }

    /// Ready when more may be read from a gateway.
    pub(super) async fn room_for(&self, gateway: SocketAddrV4) {
        self.wait_until(|| self.has_room_for(gateway)).await;
    }

    /// Clients of whom an event runs or waits.
    pub(super) fn busy(&self) -> HashSet<ClientId> {
        self.queues.borrow().clients().collect()
    }

    /// Ready when fewer than `count` clients have anything to do.
    pub(super) async fn fewer_busy_than(&self, count: usize) {
        self.wait_until(|| self.queues.borrow().client_count() < count).await;
    }

    /// Something has changed that reading, or the end, may wait for.
    pub(super) fn wake_waiters(&self) {
        let mut waiters = self.waiters.borrow_mut();
        if !waiters.is_empty() && (self.reads_all() || self.has_room(&self.queues.borrow())) {
            waiters.drain(..).for_each(Waker::wake);
        }
    }

    /// Whether links are read whatever waits. A gateway sends nothing behind DRAINED, so what is read is bounded by what
    /// it holds; and once the core has stopped, only answers come.
    fn reads_all(&self) -> bool {
        self.core().draining.has_begun() || self.core().stopping.get()
    }

    async fn wait_until(&self, condition: impl Fn() -> bool) {
        poll_fn(|cx| {
            if condition() {
                return Poll::Ready(());
            }
            let mut waiters = self.waiters.borrow_mut();
            if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
                waiters.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// A handler's future that waits, where it was first polled.
type Place<F> = Pin<Box<Option<F>>>;

/// The memory that handlers' futures run in, used again by the next one unless a handler waits.
pub(super) struct Slot<H, F> {
    handle: H,
    place: Place<F>,
}

impl<H, F: Future<Output = ()> + 'static> Slot<H, F> {
    pub(super) fn new<E>(handle: H) -> Slot<H, F>
    where
        H: Fn(Rc<Dispatch<E>>, Event) -> F,
    {
        Slot { handle, place: Box::pin(None) }
    }

    /// Polls `future` once; returns it if it waits.
    fn run(&mut self, future: F) -> Option<impl Future<Output = ()> + use<H, F>> {
        self.place.set(Some(future));
        // Whoever polls next brings the waker that counts.
        let mut cx = Context::from_waker(Waker::noop());
        if poll_place(&mut self.place, &mut cx).is_ready() {
            return None;
        }
        let mut waiting = std::mem::replace(&mut self.place, Box::pin(None));
        Some(poll_fn(move |cx| poll_place(&mut waiting, cx)))
    }
}

/// Polls what is in `place` and empties it when that has ended.
fn poll_place<F: Future<Output = ()>>(place: &mut Place<F>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(future) = place.as_mut().as_pin_mut() else {
        return Poll::Ready(());
    };
    let polled = future.poll(cx);
    if polled.is_ready() {
        place.set(None);
    }
    polled
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
