//! Futures that run beside the handlers, for as long as the core runs.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use glommio::Task;
use hashbrown::HashMap;
use tracing::error;

use super::Core;
use super::panic::caught;
use crate::{Gateway, time};

/// The futures of one core that have not ended.
#[derive(Debug, Default)]
pub(super) struct Background {
    tasks: RefCell<HashMap<u64, Task<()>>>,
    next_id: Cell<u64>,
}

impl Gateway {
    /// Runs `future` on this core, beside the handlers, until it ends or the core stops.
    ///
    /// When the core stops, the future is dropped after [`Events::on_stop`](crate::Events::on_stop); what it has sent
    /// until then is delivered. A panic in it is logged and counted, and ends nothing else. To wait, it has
    /// [`time::sleep`](crate::time::sleep); a future that computes for long without awaiting holds up its core.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use ringway_worker::{Client, Events, Gateway, Message, time};
    ///
    /// struct Reminder;
    ///
    /// impl Events for Reminder {
    ///     async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
    ///         let (gateway, client) = (gateway.clone(), client.id());
    ///         gateway.clone().spawn(async move {
    ///             time::sleep(Duration::from_secs(60)).await;
    ///             gateway.send_to_client(client, message);
    ///         });
    ///     }
    /// }
    /// ```
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Spawned {
        self.core().spawn(future)
    }

    /// Does `work` again and again on this core, `period` after the last time ended, until the core stops or
    /// [`Spawned::cancel`] ends it. A panic costs that one time.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use ringway_worker::Gateway;
    /// # async fn on_start(gateway: &Gateway) {
    /// let to_all = gateway.clone();
    /// gateway.every(Duration::from_secs(10), async move || to_all.send_to_all("tick"));
    /// # }
    /// ```
    pub fn every(&self, period: Duration, work: impl AsyncFn() + 'static) -> Spawned {
        let core = Rc::clone(self.core());
        self.spawn(async move {
            loop {
                time::sleep(period).await;
                core.watch(work()).await;
            }
        })
    }
}

/// What [`Gateway::spawn`] and [`Gateway::every`] have started. It goes on when this is dropped.
#[derive(Clone)]
pub struct Spawned {
    core: Rc<Core>,
    id: u64,
}

impl Spawned {
    /// Ends it, where it waits. Nothing happens if it has ended.
    pub fn cancel(&self) {
        let task = self.core.background.tasks.borrow_mut().remove(&self.id);
        // Dropping the handle is what cancels the task.
        drop(task);
    }

    /// Whether it has ended or was cancelled.
    pub fn is_over(&self) -> bool {
        !self.core.background.tasks.borrow().contains_key(&self.id)
    }
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").field("core", &self.core.index).field("id", &self.id).finish()
    }
}

impl Core {
    fn spawn(self: &Rc<Self>, future: impl Future<Output = ()> + 'static) -> Spawned {
        let id = self.background.next_id.get();
        self.background.next_id.set(id + 1);
        let core = Rc::clone(self);
        let task = glommio::spawn_local(async move {
            core.watch(future).await;
            // This task ends by itself; dropping its handle would cancel it while it runs.
            if let Some(task) = core.background.tasks.borrow_mut().remove(&id) {
                task.detach();
            }
        });
        self.background.tasks.borrow_mut().insert(id, task);
        Spawned { core: Rc::clone(self), id }
    }

    /// Runs a future to its end or its panic.
    async fn watch(&self, future: impl Future<Output = ()>) {
        if let Err(panic) = caught(future).await {
            self.count(|counters| counters.panics += 1);
            error!(core = self.index, "a spawned future panicked: {panic}");
        }
    }
}

impl Background {
    /// Drops all futures, where they wait.
    pub(super) async fn cancel(&self) {
        // A future that is dropped may spawn another, so this is not one pass over a list.
        while let Some(task) = self.take_one() {
            task.cancel().await;
        }
    }

    fn take_one(&self) -> Option<Task<()>> {
        let mut tasks = self.tasks.borrow_mut();
        let id = *tasks.keys().next()?;
        tasks.remove(&id)
    }
}
