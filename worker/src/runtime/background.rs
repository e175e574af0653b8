//! Futures that run beside the handlers, for as long as the core runs.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tracing::error;

use super::panic::caught;
use super::tasks::TaskId;
use super::{Shared, sleep};
use crate::Gateway;

impl Gateway {
    /// Runs `future` on this core, beside the handlers, until it ends or the core stops.
    ///
    /// When the core stops, the future is dropped after [`Events::on_stop`](crate::Events::on_stop); what it has sent
    /// until then is delivered. A panic in it is logged and counted, and ends nothing else. To wait, it has
    /// [`time::sleep`](crate::time::sleep); a future that computes for long without awaiting holds up its core. If the process
    /// dies, nobody goes on with it, unless it keeps a [`Client::hold`](crate::Client::hold) of the event whose handler spawned it.
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
        let shared = Rc::clone(self.shared());
        let id = self.shared().spawn(async move { shared.watch(future).await });
        Spawned { shared: Rc::clone(self.shared()), id }
    }

    /// Does `work` again and again on this core, `period` after the last time ended, until the core stops or
    /// [`Spawned::cancel`] ends it. A panic costs that one time. It belongs to no event: nobody goes on with it if the process dies.
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
        let shared = Rc::clone(self.shared());
        self.spawn(async move {
            loop {
                sleep(period).await;
                shared.watch(work()).await;
            }
        })
    }
}

/// What [`Gateway::spawn`] and [`Gateway::every`] have started. It goes on when this is dropped.
#[derive(Clone)]
pub struct Spawned {
    shared: Rc<Shared>,
    id: TaskId,
}

impl Spawned {
    /// Ends it, where it waits. Nothing happens if it has ended.
    pub fn cancel(&self) {
        self.shared.tasks.cancel(self.id);
    }

    /// Whether it has ended or was cancelled.
    pub fn is_over(&self) -> bool {
        !self.shared.tasks.is_running(self.id)
    }
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").field("core", &self.shared.index).field("id", &self.id).finish()
    }
}

impl Shared {
    /// Runs a future beside the others, from the next turn on.
    pub(super) fn spawn(self: &Rc<Self>, future: impl Future<Output = ()> + 'static) -> TaskId {
        let shared = Rc::clone(self);
        self.tasks.spawn(|id| {
            Box::pin(async move {
                future.await;
                shared.tasks.ended(id);
            })
        })
    }

    /// Runs a future to its end or its panic.
    async fn watch(&self, future: impl Future<Output = ()>) {
        if let Err(panic) = caught(future).await {
            self.core.borrow_mut().counters.panics += 1;
            error!(core = self.index, "a spawned future panicked: {panic}");
        }
    }
}
