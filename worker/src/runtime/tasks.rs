//! The futures that run on one core: a list of them, and a queue of those to be polled.
//!
//! They belong to one thread, and any thread may wake them: wakes go through a channel, and through the host's own waker
//! if they come from another thread, so that no wait of the host misses them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use async_task::{Runnable, Task};
use crossbeam_channel::{Receiver, Sender, unbounded};
use hashbrown::HashMap;

use crate::config::POLLS_PER_TURN;

/// Names a future that was spawned, and never another one.
pub(super) type TaskId = u64;

/// The futures of one core that have not ended.
pub(super) struct Tasks {
    running: RefCell<HashMap<TaskId, Task<()>>>,
    next_id: Cell<TaskId>,
    ready: Receiver<Runnable>,
    schedule: Arc<Schedule>,
}

struct Schedule {
    owner: ThreadId,
    ready: Sender<Runnable>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Tasks {
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Tasks {
        let (send, ready) = unbounded();
        let schedule = Schedule { owner: thread::current().id(), ready: send, wake };
        Tasks { running: RefCell::default(), next_id: Cell::new(0), ready, schedule: Arc::new(schedule) }
    }

    /// Runs a future, from the next [`Tasks::run`] on, until it ends or is cancelled. It says by [`Tasks::ended`] that it has.
    pub(super) fn spawn(&self, future: impl FnOnce(TaskId) -> LocalFuture) -> TaskId {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let schedule = Arc::clone(&self.schedule);
        let (runnable, task) = async_task::spawn_local(future(id), move |runnable| schedule.put(runnable));
        self.running.borrow_mut().insert(id, task);
        runnable.schedule();
        id
    }

    /// A future ends by itself. Its handle is not dropped: that would cancel it while it runs.
    pub(super) fn ended(&self, id: TaskId) {
        let task = self.running.borrow_mut().remove(&id);
        task.into_iter().for_each(Task::detach);
    }

    /// Drops a future, where it waits. Nothing happens if it has ended.
    pub(super) fn cancel(&self, id: TaskId) {
        let task = self.running.borrow_mut().remove(&id);
        // Dropping the handle is what cancels it.
        drop(task);
    }

    /// Drops all futures but one, where they wait, at the next [`Tasks::run`].
    pub(super) fn cancel_others(&self, id: TaskId) {
        let others: Vec<_> = self.running.borrow_mut().extract_if(|other, _| *other != id).collect();
        drop(others);
    }

    /// Drops all futures, where they wait, at the next [`Tasks::run`].
    pub(super) fn cancel_all(&self) {
        let all = std::mem::take(&mut *self.running.borrow_mut());
        drop(all);
    }

    /// Whether a future has not ended and was not cancelled.
    pub(super) fn is_running(&self, id: TaskId) -> bool {
        self.running.borrow().contains_key(&id)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.running.borrow().len()
    }

    /// Whether [`Tasks::run`] has something to do.
    pub(super) fn are_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Polls those that were woken, and those that they wake, a bounded number, until it is time for others.
    pub(super) fn run(&self, is_time: impl Fn() -> bool) {
        for _ in 0..POLLS_PER_TURN {
            let Ok(runnable) = self.ready.try_recv() else { return };
            runnable.run();
            if is_time() {
                return;
            }
        }
    }
}

/// What [`Tasks::spawn`] takes.
pub(super) type LocalFuture = std::pin::Pin<Box<dyn Future<Output = ()>>>;

impl Schedule {
    fn put(&self, runnable: Runnable) {
        if let Err(unsent) = self.ready.send(runnable) {
            // The core is gone, and with it the thread that alone may drop the future.
            std::mem::forget(unsent.into_inner());
        } else if thread::current().id() != self.owner {
            (self.wake)();
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("count", &self.count()).finish_non_exhaustive()
    }
}
