//! What handlers, tasks and the host of one core share: the core itself, between their turns.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use protocol::client::Kind;
use protocol::inner::Frame;
use protocol::{ClientId, LogLimit};
use tracing::warn;

use super::tasks::Tasks;
use super::timing::Alarms;
use super::{Bridge, Host};
use crate::config::{HELD_UP, HELD_UP_LOG_LINES, HELD_UP_LOG_PERIOD_MS, TURN_TIME};
use crate::core::{Asked, ByName, Core, Event, QuestionId, Setup};

/// What handlers, tasks and the host of one core share. The core is never borrowed while any of them runs.
pub(crate) struct Shared {
    pub(crate) core: RefCell<Core>,
    pub(super) tasks: Tasks,
    pub(super) alarms: Alarms,
    pub(super) is_over: Cell<bool>,
    /// When no more handlers are to begin before others had their turn; `None` before the first.
    turn_ends: Cell<Option<Duration>>,
    /// When the clock was last looked at.
    looked: Cell<Duration>,
    slow_log: RefCell<LogLimit>,
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "without tokio there is no way to it"))]
    pub(super) bridge: Bridge,
    clock: Box<dyn Fn() -> Duration>,
    pub(crate) index: usize,
    pub(crate) query_timeout: Duration,
}

thread_local! {
    /// Whose handlers and tasks run.
    static CURRENT: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

impl Shared {
    pub(super) fn new(setup: Setup, host: Host, bridge: Bridge) -> Shared {
        Shared {
            index: setup.index,
            query_timeout: setup.config.query_timeout,
            core: RefCell::new(Core::new(setup)),
            tasks: Tasks::new(host.wake),
            alarms: Alarms::default(),
            is_over: Cell::new(false),
            turn_ends: Cell::new(None),
            looked: Cell::default(),
            slow_log: RefCell::new(LogLimit::new(HELD_UP_LOG_LINES, HELD_UP_LOG_PERIOD_MS)),
            bridge,
            clock: host.clock,
        }
    }

    /// The one whose handler or task runs.
    ///
    /// # Panics
    /// None does.
    pub(super) fn current() -> Rc<Shared> {
        CURRENT.with_borrow(Option::clone).expect("only what runs on a worker's core can sleep there")
    }

    /// Runs what belongs to this core.
    pub(super) fn enter<T>(self: &Rc<Self>, run: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(Rc::clone(self)));
        let result = run();
        CURRENT.set(before);
        result
    }

    pub(super) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// The time, from which on the next handler's is counted.
    pub(super) fn look(&self) -> Duration {
        let now = self.now();
        self.looked.set(now);
        now
    }

    /// A handler has begun, of this client's event, or a future was polled. Whether that has gone on for so long, since the
    /// first after [`Shared::begin_turn`], that others are to have their turn.
    pub(super) fn is_turn_over(&self, what: &'static str, client: Option<ClientId>) -> bool {
        let begun = self.looked.get();
        let now = self.look();
        let held_up = now.saturating_sub(begun);
        if held_up >= HELD_UP {
            self.tell_slow(what, client, held_up, now);
        }
        let ends = self.turn_ends.get().unwrap_or(now + TURN_TIME);
        self.turn_ends.set(Some(ends));
        now >= ends
    }

    fn tell_slow(&self, what: &str, client: Option<ClientId>, held_up: Duration, now: Duration) {
        self.core.borrow_mut().counters.slow_handlers += 1;
        let Some(left_out) = self.slow_log.borrow_mut().admit(protocol::millis(now)) else { return };
        let (core, ms) = (self.index, held_up.as_millis());
        let client = client.map(tracing::field::display);
        warn!(
            core,
            client, ms, left_out, "{what} held up its core: what computes for long belongs on another thread"
        );
    }

    /// A handler that began then has ended.
    pub(super) fn note_handler_time(&self, began: Duration) {
        let time = self.now().saturating_sub(began).as_micros();
        let time = u64::try_from(time).unwrap_or(u64::MAX);
        self.core.borrow_mut().measures.handler_time.record(time);
    }

    pub(super) fn begin_turn(&self) {
        self.turn_ends.set(None);
    }

    pub(super) fn next_fresh(&self) -> Option<Event> {
        self.core.borrow_mut().start_fresh()
    }

    pub(super) fn next_waiting(&self) -> Option<(ClientId, Event)> {
        self.core.borrow_mut().start_waiting()
    }

    /// Wakes who waits for something that has changed.
    pub(super) fn follow_up(&self) {
        let waiters = self.core.borrow_mut().follow_up();
        waiters.into_iter().for_each(Waker::wake);
    }

    /// Ready when the core is such. It is looked at whenever something has changed that somebody may wait for.
    pub(crate) async fn until(&self, is_such: impl Fn(&Core) -> bool) {
        poll_fn(|cx| {
            let mut core = self.core.borrow_mut();
            if is_such(&core) {
                return Poll::Ready(());
            }
            core.listen(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Asks a gateway, behind what was asked before. `by_name` is for what it may not know: ours know every command.
    pub(crate) fn ask(
        self: &Rc<Self>,
        gateway: SocketAddrV4,
        frame: &Rc<[u8]>,
        by_name: Option<&Rc<ByName>>,
    ) -> Question {
        let mut core = self.core.borrow_mut();
        let by_name = by_name.filter(|_| !core.is_ours(gateway));
        let id = core.ask(self.now(), gateway, frame, by_name);
        Question { shared: Rc::clone(self), id }
    }
}

impl Shared {
    /// Sends a message, and asks what becomes of it.
    pub(crate) fn send_reported(
        self: &Rc<Self>,
        gateway: SocketAddrV4,
        frame: &Frame<'_>,
        kind: Kind,
    ) -> Question {
        let id = self.core.borrow_mut().command_reported(self.now(), gateway, frame, kind);
        Question { shared: Rc::clone(self), id }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("core", &self.index).finish_non_exhaustive()
    }
}

/// A question that was asked. Dropping it gives the answer up.
#[derive(Debug)]
pub(crate) struct Question {
    shared: Rc<Shared>,
    id: QuestionId,
}

impl Question {
    /// Ready when the answer is there, or will never be.
    pub(crate) async fn answered(&self) {
        poll_fn(|cx| {
            let answered = self.shared.core.borrow_mut().poll_answer(self.id, cx.waker());
            if answered { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// What has become of it until now.
    pub(crate) fn into_asked(self) -> Asked {
        self.shared.core.borrow_mut().take_answer(self.id)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let now = self.shared.now();
        self.shared.core.borrow_mut().give_up_question(now, self.id);
    }
}
