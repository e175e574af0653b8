//! The end of a core, with nothing queued left behind.

use std::rc::Rc;
use std::time::Duration;

use tracing::warn;

use super::tasks::{LocalFuture, TaskId};
use super::{Runtime, Shared};
use crate::config::{STOP_CLOSE_TIMEOUT, STOP_STEP_TIMEOUT};
use crate::time::timeout;

impl Runtime {
    pub(super) fn begin_stop(&self) -> TaskId {
        let (shared, on_stop) = (Rc::clone(&self.shared), self.handlers.stop());
        self.shared.tasks.spawn(|id| Box::pin(end(shared, on_stop, id)))
    }
}

/// Hands the clients over, lets running handlers and `on_stop` finish, and sends what is queued. Each step is limited
/// in time.
async fn end(shared: Rc<Shared>, on_stop: LocalFuture, id: TaskId) {
    let core = &shared.core;
    // No gateway is new to a core that ends.
    core.borrow_mut().leave_registers();
    let drain_timeout = core.borrow().config.drain_timeout;
    core.borrow_mut().begin_hand_over(shared.now());
    step("handlers still run", drain_timeout, shared.until(|core| core.has_handed_over())).await;
    core.borrow_mut().give_up_waiting();
    step("on_stop still runs", STOP_STEP_TIMEOUT, on_stop).await;
    // What it holds is not done when it is dropped.
    core.borrow_mut().give_up_held();
    // A future that is dropped may spawn another, so this is not done once.
    while shared.tasks.count() > 1 {
        shared.tasks.cancel_others(id);
        shared.tasks.run(|| false);
    }
    core.borrow_mut().leave_queries();
    core.borrow_mut().say_done_now();
    step("a gateway takes no more", STOP_STEP_TIMEOUT, shared.until(|core| core.is_all_said())).await;
    core.borrow_mut().finish_links();
    step("a gateway takes no more", STOP_STEP_TIMEOUT, shared.until(|core| core.are_links_finished())).await;
    // A socket closed with unread data is reset, and the reset may overtake what was sent.
    step(
        "a gateway does not close its end",
        STOP_CLOSE_TIMEOUT,
        shared.until(|core| core.are_links_closed()),
    )
    .await;
    core.borrow_mut().close_links();
    shared.is_over.set(true);
}

async fn step(late: &str, limit: Duration, work: impl Future<Output = ()>) {
    if timeout(limit, work).await.is_none() {
        warn!("stopping without waiting longer: {late}");
    }
}
