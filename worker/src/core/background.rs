//! Futures that run beside the handlers, for as long as the core runs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use glommio::Task;
use hashbrown::HashMap;
use tracing::error;

use super::Core;
use super::panic::caught;
use crate::Gateway;

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
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.core().spawn(future);
    }
}

impl Core {
    fn spawn(self: &Rc<Self>, future: impl Future<Output = ()> + 'static) {
        let id = self.background.next_id.get();
        self.background.next_id.set(id + 1);
        let core = Rc::clone(self);
        let task = glommio::spawn_local(async move {
            if let Err(panic) = caught(future).await {
                core.count(|counters| counters.panics += 1);
                error!(core = core.index, "a spawned future panicked: {panic}");
            }
            // This task ends by itself; dropping its handle would cancel it while it runs.
            if let Some(task) = core.background.tasks.borrow_mut().remove(&id) {
                task.detach();
            }
        });
        self.background.tasks.borrow_mut().insert(id, task);
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
