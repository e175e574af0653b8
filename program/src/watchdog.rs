//! Owns the answer to a service manager that ends a process which does not say in time that it goes on, as systemd does for
//! `WatchdogSec=`.

use std::env;
use std::time::Duration;

use crate::notify::{NOTIFY_SOCKET, tell};

/// A watchdog that waits for this process to say that it goes on. Times are since any moment, the same one for all calls.
#[derive(Debug)]
pub struct Watchdog {
    period: Duration,
    due: Duration,
}

impl Watchdog {
    /// `None`: nobody watches this process.
    pub fn of_environment() -> Option<Watchdog> {
        env::var_os(NOTIFY_SOCKET)?;
        let of = |name| env::var(name).ok();
        let limit = limit(of("WATCHDOG_USEC").as_deref(), of("WATCHDOG_PID").as_deref(), std::process::id())?;
        Some(Watchdog { period: limit / 3, due: Duration::ZERO })
    }

    /// How often it is told: a third of the time after which it ends the process, so that it may be told late once.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// When it is to be told the next time.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// Tells that the process goes on, if it is time.
    pub fn feed(&mut self, now: Duration) {
        if now >= self.due {
            self.due = now + self.period;
            tell("WATCHDOG=1");
        }
    }
}

/// What the variables say to the process of this id: how long the watchdog waits. A program may have got them from another one
/// that was meant.
fn limit(microseconds: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let is_meant = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let limit = Duration::from_micros(microseconds?.parse().ok()?);
    (is_meant && !limit.is_zero()).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_meant_is_watched() {
        let half = Some(Duration::from_millis(30_500));
        for (microseconds, pid, expected) in [
            (Some("30500000"), Some("17"), half),
            (Some("30500000"), None, half),
            (Some("30500000"), Some("16"), None),
            (Some("30500000"), Some(""), None),
            (Some("0"), Some("17"), None),
            (Some("soon"), Some("17"), None),
            (None, Some("17"), None),
        ] {
            assert_eq!(limit(microseconds, pid, 17), expected, "{microseconds:?} {pid:?}");
        }
    }
}
