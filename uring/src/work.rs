//! How long the thread works between two waits, and how much it gets at once: measured every so often.

use crate::clock::Clock;
use crate::config::WORK_SAMPLED;
use crate::ring::Ring;

/// What a thread did from the end of a wait to the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Work {
    /// How long that took, in microseconds.
    pub time_us: u64,
    /// Completions that the wait brought, and those that came meanwhile.
    pub completions: u64,
}

/// Counts what is done.
#[derive(Debug, Default)]
pub(crate) struct WorkMeter {
    completions: u64,
    /// How often there was something to do.
    count: u32,
    sample: Option<Work>,
}

impl WorkMeter {
    pub(crate) fn begin(&mut self, completions: usize) {
        self.completions += completions as u64;
    }

    /// The thread is about to wait, or to look what has come meanwhile.
    pub(crate) fn end(&mut self, clock: &Clock) {
        if self.completions == 0 {
            return;
        }
        self.count = self.count.wrapping_add(1);
        if self.count.is_multiple_of(WORK_SAMPLED) {
            self.sample = Some(Work { time_us: clock.since_read_us(), completions: self.completions });
        }
        self.completions = 0;
    }
}

impl Ring {
    /// What was last measured, once: one turn in 64 that had something to do.
    pub fn take_work(&mut self) -> Option<Work> {
        self.work.sample.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_turn_in_64_with_something_to_do_is_measured() {
        let (mut meter, clock) = (WorkMeter::default(), Clock::new(Duration::ZERO, Duration::MAX));
        for _ in 0..63 {
            meter.begin(1);
            meter.end(&clock);
            meter.end(&clock);
        }
        assert_eq!(meter.sample, None);
        meter.begin(2);
        meter.begin(3);
        meter.end(&clock);
        assert_eq!(meter.sample.map(|work| work.completions), Some(5));
    }
}
