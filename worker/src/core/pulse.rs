//! Keeps an executor from sleeping on work.
//!
//! glommio 0.9 looks at its preemption timer before it runs the first task of a turn. If the thread is held up between
//! setting the timer and that look for as long as the timer takes, no task runs, and the executor takes that for
//! "there is none": it sleeps with tasks ready to run, until any event wakes it. A timer that fires now and then is
//! such an event. Two that take turns, because the task of one may be among those that were left.

use std::time::Duration;

use glommio::Task;
use glommio::timer::sleep;

use crate::config::PULSE_INTERVAL;

/// Starts the pulse of this executor.
pub(super) fn start() -> [Task<()>; 2] {
    [Duration::ZERO, PULSE_INTERVAL / 2].map(|offset| {
        glommio::spawn_local(async move {
            sleep(offset).await;
            loop {
                sleep(PULSE_INTERVAL).await;
            }
        })
    })
}
