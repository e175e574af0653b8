//! What runs on a core: the handlers of its events, what they spawn, and their time. Without IO.
//!
//! [`Runtime`] joins a [`Core`](crate::core) and the user's [`Events`]. Whoever has sockets and a clock drives it, as
//! `crate::driver` does on `uring`, and a simulation on nothing: hand in what happened, call [`Runtime::turn`], do what
//! [`Runtime::take_actions`] says, send what [`Runtime::take_dirty`] names, do nothing until [`Runtime::next_at`].

mod background;
#[cfg(feature = "tokio")]
mod bridge;
#[cfg(not(feature = "tokio"))]
#[path = "no_bridge.rs"]
mod bridge;
mod handlers;
mod hold;
mod panic;
mod session_query;
mod shared;
mod stop;
mod tasks;
mod timing;

use std::cell::Ref;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use crate::core::{Action, ConnId, Core, Setup, Status};
use crate::{Events, Gateway};
pub use background::Spawned;
pub(crate) use bridge::Bridge;
#[cfg(feature = "tokio")]
pub use bridge::Bridged;
use handlers::{Handlers, handlers};
pub use hold::Hold;
pub(crate) use shared::{Question, Shared};
use tasks::TaskId;
pub(crate) use timing::sleep;

/// A core and what runs on it.
pub struct Runtime {
    shared: Rc<Shared>,
    handlers: Box<dyn Handlers>,
    /// Hands the clients over and ends, once it was told to.
    ending: Option<TaskId>,
}

/// What a runtime needs of its host.
pub struct Host {
    /// Time since any moment, as it is now.
    pub clock: Box<dyn Fn() -> Duration>,
    /// Ends the host's wait, from any thread: something woke a task.
    pub wake: Box<dyn Fn() + Send + Sync>,
}

/// What connections are to be sent, for as long as nothing else happens.
pub struct Unsent<'a>(Ref<'a, Core>);

impl Unsent<'_> {
    /// What one of them is to be sent next.
    pub fn of(&self, conn: ConnId) -> &[u8] {
        self.0.unsent(conn)
    }
}

impl Runtime {
    /// A core that begins: it runs `on_start`, and asks its registers when that is done.
    pub fn new<E: Events>(setup: Setup, host: Host, make_events: impl FnOnce() -> E) -> Runtime {
        Runtime::with_bridge(setup, host, Bridge::new(&[]), make_events)
    }

    pub(crate) fn with_bridge<E: Events>(
        setup: Setup,
        host: Host,
        bridge: Bridge,
        make_events: impl FnOnce() -> E,
    ) -> Runtime {
        let shared = Rc::new(Shared::new(setup, host, bridge));
        shared.core.borrow_mut().answers_handshakes = E::ANSWERS_HANDSHAKES;
        let handlers = shared.enter(|| handlers(make_events(), Gateway::new(Rc::clone(&shared))));
        let runtime = Runtime { shared, handlers: Box::new(handlers), ending: None };
        runtime.start();
        runtime
    }

    /// The addresses of a register that were to be looked up are known, or cannot be had.
    pub fn on_looked_up(&mut self, index: usize, found: io::Result<Vec<SocketAddr>>) {
        self.shared.core.borrow_mut().on_looked_up(self.shared.now(), index, found);
    }

    /// The gateways that registers list or links lead to, the longest known first.
    pub fn gateways(&self) -> Vec<SocketAddrV4> {
        self.shared.core.borrow().gateways()
    }

    /// Whether all of them are connected and have said that they are ours.
    pub fn is_greeted(&self) -> bool {
        let core = self.shared.core.borrow();
        core.gateways().into_iter().all(|gateway| core.is_ours(gateway))
    }

    /// A connection stands.
    pub fn on_connected(&mut self, conn: ConnId) {
        self.shared.core.borrow_mut().on_connected(self.shared.now(), conn);
    }

    /// Bytes came. Handlers of events among them that may begin are polled before this returns, as far as there is time.
    pub fn on_bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        self.shared.core.borrow_mut().on_bytes(self.shared.look(), conn, bytes);
        let (shared, handlers) = (&self.shared, &mut self.handlers);
        shared.enter(|| {
            while let Some(event) = shared.next_fresh() {
                let (what, client) = (event.what.handler(), event.client.id());
                handlers.start_fresh(event);
                if shared.is_turn_over(what, Some(client)) {
                    shared.core.borrow_mut().defer_fresh();
                }
            }
        });
    }

    /// A connection ended, or could not be had. The host closes it when it is told so.
    pub fn on_end(&mut self, conn: ConnId, error: io::Error) {
        self.shared.core.borrow_mut().on_end(self.shared.now(), conn, error);
    }

    /// A connection whose last send fell short has room again.
    pub fn on_writable(&mut self, conn: ConnId) {
        self.shared.core.borrow_mut().writable(conn);
    }

    /// Does what is due, and runs what was woken. To be called after what happened was handed in, and at
    /// [`Runtime::next_at`].
    pub fn turn(&mut self) {
        let (shared, handlers) = (&self.shared, &mut self.handlers);
        let now = shared.look();
        shared.core.borrow_mut().on_time(now);
        shared.alarms.fire(now);
        shared.enter(|| {
            shared.begin_turn();
            shared.tasks.run(|| shared.is_turn_over("a handler that had waited, or what was spawned,", None));
            shared.begin_turn();
            while let Some((client, event)) = shared.next_waiting() {
                let what = event.what.handler();
                handlers.start_waiting(client, event);
                if shared.is_turn_over(what, Some(client)) {
                    break;
                }
            }
            shared.begin_turn();
        });
        shared.follow_up();
    }

    /// Whether there is something to do before anything happens.
    pub fn is_pending(&self) -> bool {
        let core = self.shared.core.borrow();
        self.shared.tasks.are_ready() || core.has_startable() || core.is_followed()
    }

    /// Whether nothing is to be done once all that is unsent is sent, before something comes or [`Runtime::next_at`].
    pub fn is_over_when_sent(&self) -> bool {
        !self.shared.tasks.are_ready() && self.shared.core.borrow().is_over_when_sent()
    }

    /// When [`Runtime::turn`] is to be called although nothing happened. `None`: never. Maybe a little early.
    pub fn next_at(&self) -> Option<Duration> {
        if self.is_pending() {
            return Some(self.shared.now());
        }
        let times = [self.shared.core.borrow().deadline(), self.shared.alarms.next()];
        times.into_iter().flatten().min()
    }

    /// Moves what the host is to do to `list`.
    pub fn take_actions(&mut self, list: &mut Vec<Action>) {
        self.shared.core.borrow_mut().take_actions(list);
    }

    /// Moves the connections that have something to send to `list`: [`Runtime::unsent`] has it. [`Runtime::on_sent`] is to
    /// follow for each.
    pub fn take_dirty(&mut self, list: &mut Vec<ConnId>) {
        self.shared.core.borrow_mut().take_dirty(list);
    }

    /// What connections are to be sent.
    pub fn unsent(&self) -> Unsent<'_> {
        Unsent(self.shared.core.borrow())
    }

    /// So much of that was sent. If it is not all, [`Runtime::on_writable`] is to follow when there is room.
    pub fn on_sent(&mut self, conn: ConnId, size: usize) {
        self.shared.core.borrow_mut().sent(conn, size);
    }

    /// Hands the clients over to other workers, lets running handlers and `on_stop` finish, each for a limited time, and
    /// sends what is queued. [`Runtime::is_over`] when that is done.
    pub fn stop(&mut self) {
        if self.ending.is_none() {
            self.ending = Some(self.begin_stop());
        }
    }

    /// Whether `on_start` has ended, and well.
    pub fn is_started(&self) -> bool {
        self.shared.core.borrow().is_started
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.shared.is_over.get()
    }

    /// The ring has worked for so long, in µs, on so much.
    pub fn on_work(&mut self, time_us: u64, completions: u64) {
        let measures = &mut self.shared.core.borrow_mut().measures;
        measures.turn_time.record(time_us);
        measures.turn_completions.record(completions);
    }

    /// How things are.
    pub fn status(&self) -> Status {
        self.shared.core.borrow().status()
    }
}

impl Drop for Runtime {
    /// Tasks hold the core, and the core those who are to wake them: so they are ended here, and not by each other.
    fn drop(&mut self) {
        let shared = Rc::clone(&self.shared);
        shared.enter(|| {
            shared.tasks.cancel_all();
            // Dropped when the core is not borrowed any more: it may be the last that keeps a future.
            let waiters = shared.core.borrow_mut().forget_waiters();
            drop(waiters);
            shared.alarms.clear();
            shared.tasks.run(|| false);
        });
    }
}

#[cfg(test)]
mod tests;
