//! The only place where a clock is read: milliseconds since the ring was made, cached for a turn.

use std::time::{Duration, Instant};

/// A cached monotonic clock and the next tick.
pub(crate) struct Clock {
    origin: Instant,
    now_ms: u64,
    tick_ms: u64,
    next_tick_ms: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is where time enters the program")]
    pub(crate) fn new(tick: Duration) -> Clock {
        let tick_ms = tick.as_millis() as u64;
        Clock { origin: Instant::now(), now_ms: 0, tick_ms, next_tick_ms: tick_ms }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(crate) fn read(&mut self) {
        self.now_ms = self.origin.elapsed().as_millis() as u64;
    }

    /// How long a wait may last so that the tick is not late.
    pub(crate) fn until_tick(&self) -> Duration {
        if self.tick_ms == 0 {
            return Duration::MAX;
        }
        Duration::from_millis(self.next_tick_ms.saturating_sub(self.now_ms))
    }

    /// Whether the period passed. Ticks missed by a late caller are not made up for.
    pub(crate) fn tick_due(&mut self) -> bool {
        let due = self.tick_ms != 0 && self.now_ms >= self.next_tick_ms;
        if due {
            self.next_tick_ms = self.now_ms + self.tick_ms;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_come_once_per_period_and_are_not_made_up_for() {
        let mut clock = Clock::new(Duration::from_millis(10));
        clock.now_ms = 9;
        assert!(!clock.tick_due());
        assert_eq!(clock.until_tick(), Duration::from_millis(1));
        clock.now_ms = 45;
        assert!(clock.tick_due());
        assert!(!clock.tick_due());
        assert_eq!(clock.until_tick(), Duration::from_millis(10));
    }

    #[test]
    fn a_period_of_zero_means_no_ticks() {
        let mut clock = Clock::new(Duration::ZERO);
        clock.now_ms = 1_000_000;
        assert!(!clock.tick_due());
        assert_eq!(clock.until_tick(), Duration::MAX);
    }
}
