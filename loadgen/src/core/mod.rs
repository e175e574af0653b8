//! One thread per core: an executor pinned to its CPU, a ring, and the core's share of the clients.
//!
//! * [`driver`]: what the clients do, without IO.
//! * [`outbox`]: what leaves in one turn.
//! * [`pump`]: the loop between ring and driver.

mod driver;
mod outbox;
mod pump;
mod random;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use glommio::ExecutorJoinHandle;

use crate::clock::{Clock, Nanos};
use crate::measure::{Phase, Sample};
use crate::plan::Plan;

/// What the control thread tells a core.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    /// Which step follows, and when to send and to measure.
    Begin(usize, Phase),
    /// The step ends at this moment, earlier than was planned.
    End(Nanos),
    /// Tell the last counts and end.
    Stop,
}

/// What a core tells the control thread.
#[derive(Debug)]
pub enum Told {
    /// What was counted.
    Sample(Sample),
    /// The last counts; the core has ended.
    Ended(Sample),
    /// It cannot go on, for the reason in one line.
    Failed(String),
}

/// What a core needs to know.
#[derive(Clone, Debug)]
struct Seat {
    index: usize,
    plan: Arc<Plan>,
    clock: Clock,
    told: Sender<Told>,
}

/// The control thread's end of a core.
pub struct Core {
    commands: Sender<Command>,
    thread: ExecutorJoinHandle<()>,
}

impl Core {
    /// Starts core number `index`. It begins to connect at once, and tells what comes of it.
    ///
    /// # Errors
    /// The thread or its executor cannot be had.
    pub fn start(index: usize, plan: Arc<Plan>, clock: Clock, told: Sender<Told>) -> Result<Core, String> {
        let (commands, orders) = crossbeam_channel::unbounded();
        let cpu = plan.cpus[index];
        let seat = Seat { index, plan, clock, told };
        let name = format!("loadgen-{index}");
        let thread = program::start_executor(&name, Some(cpu), move || async move { work(seat, orders) })
            .map_err(|error| format!("cannot start a thread on CPU {cpu}: {error}"))?;
        Ok(Core { commands, thread })
    }

    /// Tells it something; a core that has ended does not listen.
    pub fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Its executor failed.
    pub fn join(self) -> Result<(), String> {
        drop(self.commands);
        self.thread.join().map_err(|error| format!("a thread failed: {error}"))
    }
}

fn work(seat: Seat, orders: Receiver<Command>) {
    let told = seat.told.clone();
    let ended = match pump::Pump::new(seat, orders) {
        Ok(pump) => {
            Ok(pump.run().unwrap_or_else(|error| program::give_up(format_args!("the ring broke: {error}"))))
        }
        Err(error) => Err(error.to_string()),
    };
    // The control thread waits for this; it is gone only if it failed itself.
    let _ = told.send(ended.map_or_else(Told::Failed, Told::Ended));
}
