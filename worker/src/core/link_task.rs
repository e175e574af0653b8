//! What keeps a command link up: connect, serve, connect again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_lite::future;
use glommio::timer::sleep;
use protocol::inner::{Cmd, Frame, FrameError, Refused};
use protocol::pulse::{LOOK_PERIOD_MS, Sign};
use tracing::{debug, info, warn};

use super::connect::connect;
use super::dispatch::{Dispatch, Event, Slot};
use super::link::Link;
use super::reconnect::Reconnect;
use super::standing::{State, Trouble};
use super::wire::Inbox;
use super::{Core, Told};
use crate::Events;
use crate::config::{ESTABLISHED_AGE, HELLO_TIMEOUT, READ_SIZE, SHORT_LINK_AGE, TAKEN_LINK_AGE};

thread_local! {
    /// Where all links of a core read to: a read and the handling of what it gave are one step, so one is enough.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into());
}

/// Serves one gateway until no register lists it and its connection is gone.
pub(super) async fn run<E: Events>(dispatch: Rc<Dispatch<E>>, link: Rc<Link>) {
    let core = dispatch.core();
    let clock = program::Uptime::start();
    let mut reconnect = Reconnect::default();
    loop {
        match connect(link.address()).await {
            // A core that hands its clients over must not get new ones.
            Ok(_) if core.draining.has_begun() => break,
            Ok(stream) => {
                link.attach(stream, &core.hello());
                let End { why, fate } = serve(&dispatch, &link).await;
                link.detach();
                let was_up = link.up.get();
                core.set_up(&link, false);
                core.draining.wake();
                let refused = link.refused.take();
                // A name may be free in a moment, and then the worker serves; else it ends.
                if refused.is_none_or(|refused| refused == Refused::Key) {
                    attempted(&dispatch, &link);
                }
                match (refused, fate) {
                    (Some(refused), _) => reconnect.refused(refused, clock.elapsed()),
                    (None, Fate::Short) => reconnect.lost(false),
                    (None, Fate::Lasted) => reconnect.lost(true),
                    (None, Fate::Mute) => {
                        link.set_mute();
                        reconnect.mute();
                    }
                }
                match refused {
                    Some(refused) => {
                        core.on_refused(&link, refused, reconnect.is_name_taken(clock.elapsed()));
                    }
                    None => tell_lost(core, &link, &reconnect, was_up, &End { why, fate }),
                }
            }
            Err(error) => {
                if core.standing.is_news(link.address(), State::Unreachable) {
                    warn!(gateway = %link.address(), "cannot connect to gateway, trying on: {error}");
                }
                reconnect.unreachable();
                attempted(&dispatch, &link);
            }
        }
        if link.listed.get() && !core.draining.has_begun() {
            let wait = async {
                sleep(reconnect.delay()).await;
                false
            };
            let relisted = async {
                link.relisted().await;
                true
            };
            if future::or(relisted, wait).await {
                reconnect.relisted();
            }
        }
        if !link.listed.get() || core.draining.has_begun() {
            break;
        }
    }
    if core.standing.has_left(link.address()) {
        info!(gateway = %link.address(), "gateway left");
    }
    core.links.remove(link.address());
    // This task ends by itself; dropping its handle would cancel it while it runs.
    if let Some(task) = link.task.borrow_mut().take() {
        task.detach();
    }
}

/// An attempt to have a link has come to an end, well or not.
fn attempted<E: Events>(dispatch: &Dispatch<E>, link: &Link) {
    link.attempted.set(true);
    dispatch.check_ready();
}

impl Core {
    /// A gateway of ours has said why it does not take a link.
    fn on_refused(&self, link: &Link, why: Refused, is_name_taken: bool) {
        let (gateway, name) = (link.address(), &self.config.name);
        if !self.standing.is_new_trouble(gateway, Trouble::Refused(why)) {
            debug!(%gateway, core = self.index, "refused again: {why:?}");
        } else {
            match why {
                Refused::Key => warn!(
                    %gateway,
                    "the gateway refuses the secret key: give both the same --secret-key; trying less often"
                ),
                Refused::Name => warn!(
                    %gateway,
                    "another worker named '{name}' is connected to the gateway from this machine: give each its own \
                     --name; trying on"
                ),
                Refused::NameLeaving => info!(
                    %gateway,
                    "waiting for the worker named '{name}' that hands its clients over"
                ),
            }
        }
        if is_name_taken && !self.established.get() {
            // Nobody need be interested.
            let _ = self.report.send(Told::NameTaken);
        }
    }
}

/// What the gateway did not say has to be guessed.
fn tell_lost(core: &Core, link: &Link, reconnect: &Reconnect, was_up: bool, end: &End) {
    let (gateway, name, why) = (link.address(), &core.config.name, &end.why);
    let trouble = if was_up { Trouble::ClosedSoon } else { Trouble::ClosedAtOnce };
    if reconnect.is_to_be_told() && core.standing.is_new_trouble(gateway, trouble) {
        match trouble {
            Trouble::ClosedAtOnce => warn!(
                %gateway,
                "the gateway closes every link at once, as it does when the secret key is not its own: compare \
                 --secret-key; trying less often"
            ),
            _ => warn!(
                %gateway,
                "the gateway closes every link soon after it was opened, trying less often: is another worker named \
                 '{name}' running on this machine (give each its own --name)?"
            ),
        }
    } else if was_up && core.standing.is_news(gateway, State::Lost) {
        warn!(%gateway, core = core.index, "lost gateway: {why}");
    } else if !was_up && end.fate == Fate::Mute && core.standing.is_news(gateway, State::Unreachable) {
        warn!(%gateway, core = core.index, "no gateway, trying on: {why}");
    } else {
        debug!(%gateway, core = core.index, "lost gateway: {why}");
    }
}

/// How a connection ended.
struct End {
    why: io::Error,
    fate: Fate,
}

/// What its end says about the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The gateway closed it soon.
    Short,
    Lasted,
    /// The gateway fell silent, or said nothing.
    Mute,
}

/// Reads and sends until the connection ends.
async fn serve<E: Events>(dispatch: &Rc<Dispatch<E>>, link: &Rc<Link>) -> End {
    let fate = Cell::new(Fate::Short);
    let received_before = link.received();
    // Reading first: what its handlers queue is sent in the same turn.
    let read = read(dispatch, link);
    let send = poll_fn(|cx| link.poll_send(cx));
    let age = async {
        sleep(TAKEN_LINK_AGE).await;
        if !link.owes_hello(received_before) {
            dispatch.core().set_up(link, true);
            attempted(dispatch, link);
        }
        sleep(SHORT_LINK_AGE - TAKEN_LINK_AGE).await;
        fate.set(Fate::Lasted);
        sleep(HELLO_TIMEOUT.saturating_sub(SHORT_LINK_AGE)).await;
        while link.owes_hello(received_before) {
            if link.is_listened_to() {
                return mute(&fate, "it takes connections and says nothing");
            }
            sleep(Duration::from_millis(LOOK_PERIOD_MS)).await;
        }
        dispatch.core().set_up(link, true);
        attempted(dispatch, link);
        sleep(ESTABLISHED_AGE - SHORT_LINK_AGE).await;
        dispatch.core().established.set(true);
        future::pending().await
    };
    let end = future::or(read, send);
    let given_up = async {
        link.given_up().await;
        io::Error::other("too much was queued for it")
    };
    let watch = future::or(given_up, watch(dispatch.core(), link, &fate));
    let why = future::or(end, future::or(watch, age)).await;
    End { why, fate: fate.get() }
}

fn mute(fate: &Cell<Fate>, why: &str) -> io::Error {
    fate.set(Fate::Mute);
    io::Error::new(io::ErrorKind::TimedOut, why)
}

/// Pings, and says when the gateway is dead (WIRE.md §14).
async fn watch(core: &Core, link: &Link, fate: &Cell<Fate>) -> io::Error {
    loop {
        sleep(Duration::from_millis(LOOK_PERIOD_MS)).await;
        match link.look() {
            // A gateway that never pings is PHP's, on this machine: it cannot die unnoticed.
            Sign::Well | Sign::Unheard => {}
            Sign::Ping => link.ping(),
            Sign::Silent => {
                // The other connection there is no better off.
                core.query_links.give_up(link.address());
                return mute(fate, "it does not ping any more");
            }
        }
    }
}

async fn read<E: Events>(dispatch: &Rc<Dispatch<E>>, link: &Rc<Link>) -> io::Error {
    let mut inbox = Inbox::default();
    let mut slot = Slot::new(Dispatch::handle);
    loop {
        link.unread.set(true);
        dispatch.room_for(link.address()).await;
        link.unread.set(false);
        let size = poll_fn(|cx| {
            READ_BUFFER.with_borrow_mut(|buffer| {
                let size = match ready!(link.poll_read(cx, buffer)) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(size) => size,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                let fed = inbox.feed(&buffer[..size], |frame| take(dispatch, link, &mut slot, frame));
                Poll::Ready(fed.map(|()| size).map_err(|error| malformed(dispatch, error)))
            })
        })
        .await;
        match size {
            // A gateway that always has more must not keep this task from sending, nor the executor from looking for
            // other events, which it does when a task really waits.
            Ok(READ_SIZE) => sleep(Duration::from_nanos(1)).await,
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

fn malformed<E: Events>(dispatch: &Dispatch<E>, error: FrameError) -> io::Error {
    dispatch.core().count(|counters| counters.malformed += 1);
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Handles one frame. Commands that a worker does not know are ignored (WIRE.md §4, §14).
fn take<E, F>(
    dispatch: &Rc<Dispatch<E>>,
    link: &Link,
    slot: &mut Slot<impl Fn(Rc<Dispatch<E>>, Event) -> F + 'static, F>,
    frame: &Frame<'_>,
) where
    E: Events,
    F: Future<Output = ()> + 'static,
{
    let event = match Cmd::from_u8(frame.cmd) {
        Some(Cmd::OnMessage) => Event::message(frame),
        Some(Cmd::OnConnect) => Event::connect(frame),
        Some(Cmd::OnClose) => Event::close(frame),
        Some(Cmd::OnWebsocketConnect) => match Event::websocket_connect(frame) {
            Ok(event) => event,
            Err(error) => {
                dispatch.core().count(|counters| counters.bad_requests += 1);
                debug!(gateway = %link.address(), "unreadable websocket request: {error}");
                return;
            }
        },
        Some(Cmd::RingwayHello) => {
            dispatch.core().on_hello(link, frame.body);
            if link.up.get() {
                attempted(dispatch, link);
            }
            return;
        }
        Some(Cmd::RingwayPing) => return link.pinged(),
        Some(Cmd::Ping) => return link.php_pinged(),
        Some(Cmd::Drained) => return dispatch.core().on_drained(link, frame.body),
        _ => return,
    };
    dispatch.offer(slot, event);
}
