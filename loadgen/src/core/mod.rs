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

use crossbeam_channel::{Receiver, Sender};
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
        let work = move || async move { work(index, plan, clock, &reports, inbox) };
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

fn work(
    index: usize,
    plan: Arc<Plan>,
    clock: Clock,
    reports: &Sender<Reported>,
    commands: Receiver<Command>,
) {
    let last = match Pump::new(index, plan, clock, reports, commands) {
        Ok(pump) => {
            Ok(pump.run().unwrap_or_else(|error| program::give_up(format_args!("the ring broke: {error}"))))
        }
        Err(error) => Err(error.to_string()),
    };
    // The control thread waits for this; it is gone only if it failed itself.
    let _ = reports.send(last);
}
