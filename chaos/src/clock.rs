//! The clock that a run shares with its workers. The only place of this crate that reads it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time since a run began, in every process of it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Since the epoch of Unix.
    began: Duration,
}

impl Clock {
    /// A run begins now.
    pub fn start() -> Clock {
        Clock { began: since_epoch() }
    }

    /// The clock of a run that began earlier, in another process.
    pub fn of_run(began_us: u64) -> Clock {
        Clock { began: Duration::from_micros(began_us) }
    }

    /// What the other processes are told.
    pub fn began_us(&self) -> u128 {
        self.began.as_micros()
    }

    /// Since the run began.
    pub fn now(&self) -> Duration {
        since_epoch().saturating_sub(self.began)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a run lasts by the wall clock, and processes have no other in common"
)]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
