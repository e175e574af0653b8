//! A service manager's watchdog, which hears of a process while its data threads turn.

use std::io;
use std::thread;
use std::time::Duration;

use program::Watchdog;
use tracing::{info, warn};

use crate::Instance;
use crate::liveness::{Liveness, TURN_TIMEOUT};

/// Has the service manager know, if its watchdog waits for that, that the process goes on: from a thread of its own, and only
/// while every data thread has turned of late. So a process is ended and started again in which one hangs.
///
/// # Errors
/// The thread cannot be had.
pub fn feed_watchdog(instance: Instance) -> io::Result<()> {
    let Some(watchdog) = Watchdog::of_environment() else { return Ok(()) };
    program::spawn_vital("watchdog", move || feed(watchdog, &instance)).map(drop)
}

/// Ends when a data thread has ended, with which the process does.
fn feed(mut watchdog: Watchdog, instance: &Instance) {
    let parts = instance.parts();
    let timeout = watchdog.period().min(TURN_TIMEOUT);
    let mut liveness = Liveness::new(parts.len(), timeout, instance.uptime());
    let mut was_well = true;
    while !liveness.has_ended() {
        let now = instance.uptime();
        liveness.look(parts, now);
        let faults = liveness.faults(parts, now);
        let is_well = faults.is_empty();
        if is_well {
            watchdog.feed(now);
        }
        if was_well && !is_well && !liveness.has_ended() {
            warn!("the service manager's watchdog is not fed: {}", faults.join(", "));
        } else if is_well && !was_well {
            info!("the service manager's watchdog is fed again");
        }
        was_well = is_well;
        // An answer is taken with the next question.
        thread::sleep(LOOK_PERIOD.min(timeout / 4));
    }
}

/// How often data threads are asked.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
