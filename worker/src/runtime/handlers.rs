//! One event's handler: polled where its event was read, and made a task if it waits.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use protocol::ClientId;
use protocol::inner::{HandshakeAnswer, WebsocketRequest};
use tracing::error;

use super::panic::caught;
use super::tasks::LocalFuture;
use super::{Runtime, Shared};
use crate::core::{Event, Ticket, What};
use crate::{Client, Events, Gateway};

/// The user's `Events`, whatever their type.
pub(super) trait Handlers {
    /// Polls the handler of an event that was just read, once. If it waits, it goes on as a task.
    fn start_fresh(&mut self, event: Event);

    /// The same of an event that had waited for its turn.
    fn start_waiting(&mut self, client: ClientId, event: Event);

    /// Runs `on_start`; a core that cannot start is given up.
    fn start(&self) -> LocalFuture;

    /// Runs `on_stop`.
    fn stop(&self) -> LocalFuture;
}

/// Handlers for `events`.
pub(super) fn handlers<E: Events>(events: E, gateway: Gateway) -> impl Handlers {
    let dispatch = Rc::new(Dispatch { events, gateway });
    Slot { dispatch, handle: Dispatch::handle, place: Box::pin(None) }
}

/// Gives the events of one core to its handlers.
struct Dispatch<E> {
    events: E,
    gateway: Gateway,
}

/// A handler's future that waits, where it was first polled.
type Place<F> = Pin<Box<Option<F>>>;

/// The memory that handlers' futures run in, used again by the next one unless a handler waits.
struct Slot<E, H, F> {
    dispatch: Rc<Dispatch<E>>,
    handle: H,
    place: Place<F>,
}

impl<E, H, F> Handlers for Slot<E, H, F>
where
    E: Events,
    H: Fn(Rc<Dispatch<E>>, Event) -> F,
    F: Future<Output = ()> + 'static,
{
    fn start_fresh(&mut self, event: Event) {
        let (client, ticket) = (event.client.id(), event.ticket());
        match self.poll_once(event) {
            Some(waiting) => {
                self.dispatch.shared().core.borrow_mut().handler_waits(client);
                self.go_on(client, ticket, waiting);
            }
            None => self.dispatch.shared().core.borrow_mut().event_done(ticket),
        }
    }

    fn start_waiting(&mut self, client: ClientId, event: Event) {
        let ticket = event.ticket();
        match self.poll_once(event) {
            Some(waiting) => {
                self.dispatch.shared().core.borrow_mut().end_poll();
                self.go_on(client, ticket, waiting);
            }
            None => self.dispatch.shared().core.borrow_mut().handler_ended(client, ticket),
        }
    }

    fn start(&self) -> LocalFuture {
        let dispatch = Rc::clone(&self.dispatch);
        Box::pin(async move {
            if let Err(why) = dispatch.events.try_start(&dispatch.gateway).await {
                let core = dispatch.shared().index;
                program::give_up(format_args!("the start of core {core} failed: {why}"));
            }
        })
    }

    fn stop(&self) -> LocalFuture {
        let dispatch = Rc::clone(&self.dispatch);
        Box::pin(async move {
            if let Err(panic) = caught(dispatch.events.on_stop(&dispatch.gateway)).await {
                dispatch.shared().core.borrow_mut().counters.panics += 1;
                error!(core = dispatch.shared().index, "on_stop panicked: {panic}");
            }
        })
    }
}

impl<E, H, F> Slot<E, H, F>
where
    E: Events,
    H: Fn(Rc<Dispatch<E>>, Event) -> F,
    F: Future<Output = ()> + 'static,
{
    /// Polls the handler of `event`; returns it if it waits.
    fn poll_once(&mut self, event: Event) -> Option<Place<F>> {
        self.place.set(Some((self.handle)(Rc::clone(&self.dispatch), event)));
        // Whoever polls next brings the waker that counts.
        let mut cx = Context::from_waker(Waker::noop());
        match poll_place(&mut self.place, &mut cx) {
            Poll::Ready(()) => None,
            Poll::Pending => Some(std::mem::replace(&mut self.place, Box::pin(None))),
        }
    }

    /// Runs a handler that waits to its end.
    fn go_on(&self, client: ClientId, ticket: Option<Ticket>, mut waiting: Place<F>) {
        let dispatch = Rc::clone(&self.dispatch);
        self.dispatch.shared().spawn(async move {
            poll_fn(|cx| {
                dispatch.shared().core.borrow_mut().begin_poll(ticket);
                let polled = poll_place(&mut waiting, cx);
                dispatch.shared().core.borrow_mut().end_poll();
                polled
            })
            .await;
            dispatch.shared().core.borrow_mut().handler_ended(client, ticket);
        });
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

impl<E: Events> Dispatch<E> {
    fn shared(&self) -> &Rc<Shared> {
        self.gateway.shared()
    }

    /// One event's handler, with the client's session made sure of before it and stored after it.
    async fn handle(self: Rc<Self>, event: Event) {
        let Event { client, what, .. } = event;
        let is_timed = self.shared().core.borrow_mut().measures.begin_handler();
        let began = is_timed.then(|| self.shared().now());
        let (name, ends) = (what.handler(), matches!(what, What::Close));
        let is_handshake = matches!(what, What::Handshake(_));
        if self.shared().core.borrow_mut().is_session_in_doubt(&client, &what) {
            // In a box: it is rare and large, and every event pays for the size of this future.
            Box::pin(self.refresh(&client)).await;
            if self.shared().core.borrow().is_taken_back(client.delivery()) {
                self.shared().core.borrow_mut().counters.events_returned += 1;
                return;
            }
        }
        match caught(self.call(&client, what)).await {
            // The client of a close is gone: its session is not stored (WIRE.md §7).
            Ok(()) if ends => {}
            Ok(()) => self.store_session(&client),
            Err(panic) => {
                self.shared().core.borrow_mut().counters.panics += 1;
                error!(client = %client.id(), "{name} panicked: {panic}");
                if is_handshake {
                    // If it had answered, that counts.
                    self.gateway.answer_handshake(client.id(), &HandshakeAnswer::refuse(500, ""));
                }
            }
        }
        if ends {
            self.shared().core.borrow_mut().forget_session(client.id());
        }
        if let Some(began) = began {
            self.shared().note_handler_time(began);
        }
    }

    async fn refresh(&self, client: &Client) {
        if let Some(session) = self.shared().current_session(client).await {
            client.refresh_session(session);
        }
    }

    fn store_session(&self, client: &Client) {
        if let Some(session) = client.changed_session() {
            self.gateway.store_session(client.id(), &session);
        }
        self.shared().core.borrow_mut().session_handled(client);
    }

    async fn call(&self, client: &Client, what: What) {
        match what {
            What::Connect => self.events.on_connect(&self.gateway, client).await,
            What::WebsocketConnect(request) => {
                self.events.on_websocket_connect(&self.gateway, client, &request).await;
            }
            // In a box, as refreshing is.
            What::Handshake(request) => Box::pin(self.answer(client, &request)).await,
            What::Message(message) => self.events.on_message(&self.gateway, client, message).await,
            What::Close => self.events.on_close(&self.gateway, client).await,
        }
    }
}

impl<E: Events> Dispatch<E> {
    /// Answers a handshake; who is let in has connected.
    async fn answer(&self, client: &Client, request: &WebsocketRequest) {
        let answer = self.events.on_handshake(&self.gateway, client, request).await;
        self.gateway.answer_handshake(client.id(), &answer);
        if answer.is_accepted() {
            self.events.on_websocket_connect(&self.gateway, client, request).await;
        }
    }
}

impl Runtime {
    /// Runs `on_start`, and asks the registers when it has ended well.
    pub(super) fn start(&self) {
        let (start, shared) = (self.handlers.start(), Rc::clone(&self.shared));
        self.shared.spawn(async move {
            start.await;
            shared.core.borrow_mut().start(shared.now());
        });
    }
}
