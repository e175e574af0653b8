//! One thread per core: an executor pinned to its CPU, a ring, and the core's share of the clients.
//!
//! * [`driver`]: what the clients do, without IO.
//! * [`outbox`]: what leaves in one turn.
//! * [`pump`]: the loop between ring and driver.
//! * [`writer`]: how what leaves is encoded.

mod channel;
mod driver;
mod outbox;
mod pump;
mod writer;

use std::sync::Arc;

use crossbeam_channel::Sender;
use glommio::ExecutorJoinHandle;

use self::pump::Pump;
use crate::clock::Clock;
use crate::plan::Plan;

pub(crate) use channel::{Command, Reported};

/// The control thread's end of a core.
pub(crate) struct Core {
    commands: Sender<Command>,
    thread: ExecutorJoinHandle<()>,
}

impl Core {
    /// Starts core number `index`. It begins to connect at once, and sends what it counts to `reports`.
    ///
    /// # Errors
    /// The thread or its executor cannot be had.
    pub(crate) fn start(
        index: usize,
        plan: Arc<Plan>,
        clock: Clock,
        reports: Sender<Reported>,
    ) -> Result<Core, String> {
        let (commands, inbox) = crossbeam_channel::unbounded();
        let cpu = plan.cpus[index];
        let work = move || async move {
            let pump = Pump::new(index, plan, clock, reports.clone(), inbox);
            // The control thread waits for this; it is gone only if it failed itself.
            let _ = reports.send(pump.map(Pump::run).map_err(|error| error.to_string()));
        };
        let thread = program::start_executor(&format!("loadgen-{index}"), Some(cpu), work)
            .map_err(|error| format!("cannot start a thread on CPU {cpu}: {error}"))?;
        Ok(Core { commands, thread })
    }

    /// Sends a command; a core that has ended does not receive it.
    pub(crate) fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Its executor failed.
    pub(crate) fn join(self) -> Result<(), String> {
        drop(self.commands);
        self.thread.join().map_err(|error| format!("a thread failed: {error}"))
    }
}
