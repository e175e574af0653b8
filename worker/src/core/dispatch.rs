//! Gives events to handlers: those of one client in order, those of different clients concurrently.
//!
//! A handler is polled once where its event was read. Most end there, and nothing is kept. One that waits becomes a
//! task, and later events of its client queue up behind it. So memory is held only for clients whose handlers wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use protocol::ClientId;
use protocol::client::Kind;
use protocol::inner::{FLAG_BINARY, FLAG_TEXT, Frame, WebsocketRequest};
use protocol::php::DecodeError;
use tracing::error;

use super::panic::caught;
use super::{Core, Status};
use crate::config::WAITING_BYTES_MAX;
use crate::{Client, Events, Gateway, Message};

/// What happened to a client.
#[derive(Debug)]
pub(super) struct Event {
    client: Client,
    what: What,
    /// What it holds while it waits, in bytes: session and body.
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
        Event { client: Client::new(frame), what, size: frame.ext.len() + frame.body.len() }
    }
}

/// Gives the events of one core to its handlers.
pub(super) struct Dispatch<E> {
    events: E,
    gateway: Gateway,
    /// Clients whose handler waits, with the events behind it.
    running: RefCell<HashMap<ClientId, VecDeque<Event>>>,
    /// Handlers and events in `running`.
    held: Cell<usize>,
    /// Bytes of the events in `running`.
    held_bytes: Cell<usize>,
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
            running: RefCell::default(),
            held: Cell::new(0),
            held_bytes: Cell::new(0),
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
        let handlers_running = self.running.borrow().len();
        Status {
            links: core.links.connected_count(),
            handlers_running,
            events_waiting: self.held.get() - handlers_running,
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
            return;
        }
        self.core().count(|counters| {
            counters.events += 1;
            counters.messages_in += u64::from(matches!(event.what, What::Message(_)));
        });
        let id = event.client.id();
        // Nothing waits at all: the usual case needs no look-up.
        if self.held.get() > 0 && self.running.borrow().contains_key(&id) {
            return self.enqueue(id, event);
        }
        if let Some(waiting) = slot.run((slot.handle)(Rc::clone(self), event)) {
            self.running.borrow_mut().insert(id, VecDeque::new());
            self.held.set(self.held.get() + 1);
            glommio::spawn_local(Rc::clone(self).finish(id, waiting)).detach();
        }
    }

    fn enqueue(&self, id: ClientId, event: Event) {
        self.held.set(self.held.get() + 1);
        self.held_bytes.set(self.held_bytes.get() + event.size);
        let mut running = self.running.borrow_mut();
        running.get_mut(&id).expect("the caller saw the client's queue").push_back(event);
    }

    /// Runs a handler that waits to its end, then the events behind it.
    async fn finish(self: Rc<Self>, id: ClientId, waiting: impl Future<Output = ()>) {
        waiting.await;
        while let Some(event) = self.next(id) {
            Self::handle(Rc::clone(&self), event).await;
        }
    }

    /// The client's next event, or `None` when there is none and its queue is gone.
    fn next(&self, id: ClientId) -> Option<Event> {
        let mut running = self.running.borrow_mut();
        let event = running.get_mut(&id).and_then(VecDeque::pop_front);
        if event.is_none() {
            running.remove(&id);
        }
        // One handler has ended: either it was the client's last, or the next event now counts as the running one.
        self.held.set(self.held.get() - 1);
        self.held_bytes.set(self.held_bytes.get() - event.as_ref().map_or(0, |event| event.size));
        if self.has_room() {
            self.waiters.borrow_mut().drain(..).for_each(Waker::wake);
        }
        event
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

    fn has_room(&self) -> bool {
        self.held.get() < self.core().config.max_concurrent_events.max(1)
            && self.held_bytes.get() < WAITING_BYTES_MAX
    }

    /// Ready when more may be read. There are no more events once the core stops, only answers.
    pub(super) async fn room(&self) {
        self.wait_until(|| self.has_room() || self.core().stopping.get()).await;
    }

    /// Clients whose handlers run.
    pub(super) fn busy(&self) -> HashSet<ClientId> {
        self.running.borrow().keys().copied().collect()
    }

    /// Ready when fewer than `count` clients have a handler running.
    pub(super) async fn fewer_running_than(&self, count: usize) {
        self.wait_until(|| self.running.borrow().len() < count).await;
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
