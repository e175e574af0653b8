//! The only place where clocks are read: the time since the ring was made, cached for a turn; and whether the thread was held
//! up.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::HELD_UP_MS;

/// Tells what [`Ring::now`](crate::Ring::now) does, also while the ring delivers events. Inside, it is microseconds.
#[derive(Clone, Debug)]
pub struct Time(Rc<Cell<u64>>);

impl Time {
    /// Milliseconds since the ring was made, as of the last wait.
    pub fn now(&self) -> u64 {
        self.0.get() / 1_000
    }

    /// The same in microseconds.
    pub fn now_us(&self) -> u64 {
        self.0.get()
    }
}

/// A cached monotonic clock and the next tick.
pub(crate) struct Clock {
    origin: Instant,
    time: Time,
    tick_ms: u64,
    next_tick_ms: u64,
    /// When the thread was last seen to be awake.
    awake_ms: u64,
    held_up: bool,
    /// From which time between two reads on the second is late.
    late_ms: u64,
    is_late: bool,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is where time enters the program")]
    pub(crate) fn new(tick: Duration, late: Duration) -> Clock {
        let tick_ms = millis(tick);
        Clock {
            origin: Instant::now(),
            time: Time(Rc::default()),
            tick_ms,
            next_tick_ms: tick_ms,
            awake_ms: boot_time_ms(),
            held_up: false,
            late_ms: millis(late),
            is_late: false,
        }
    }

    pub(crate) fn time(&self) -> Time {
        self.time.clone()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.time.now()
    }

    pub(crate) fn read(&mut self) {
        let now_us = micros(self.origin.elapsed());
        self.is_late |= (now_us / 1_000).saturating_sub(self.now_ms()) >= self.late_ms;
        self.time.0.set(now_us);
    }

    /// Whether the clock was not read for a while since this was last asked.
    pub(crate) fn take_late(&mut self) -> bool {
        mem::take(&mut self.is_late)
    }

    /// Microseconds since it was last read.
    pub(crate) fn since_read_us(&self) -> u64 {
        micros(self.origin.elapsed()).saturating_sub(self.time.now_us())
    }

    /// Whether the thread was held up since it was last asked, in which it meant to wait for `wait`; or before, and has not
    /// caught up since.
    pub(crate) fn was_held_up(&mut self, wait: Duration) -> bool {
        self.look(boot_time_ms(), wait)
    }

    /// The thread has seen to what came while it was held up.
    pub(crate) fn caught_up(&mut self) {
        self.held_up = false;
    }

    /// As if the thread had been stopped for so long.
    #[cfg(test)]
    pub(crate) fn sleep_through(&mut self, time: Duration) {
        self.awake_ms = self.awake_ms.saturating_sub(millis(time));
    }

    fn look(&mut self, now_ms: u64, wait: Duration) -> bool {
        let wait_ms = millis(wait);
        let late_ms = now_ms.saturating_sub(self.awake_ms).saturating_sub(wait_ms);
        self.awake_ms = now_ms;
        self.held_up |= late_ms >= HELD_UP_MS;
        self.held_up
    }

    /// How long a wait may last so that the tick is not late.
    pub(crate) fn until_tick(&self) -> Duration {
        if self.tick_ms == 0 {
            return Duration::MAX;
        }
        Duration::from_millis(self.next_tick_ms.saturating_sub(self.now_ms()))
    }

    /// Whether the period passed. Ticks missed by a late caller are not made up for.
    pub(crate) fn tick_due(&mut self) -> bool {
        let due = self.tick_ms != 0 && self.now_ms() >= self.next_tick_ms;
        if due {
            self.next_tick_ms = self.now_ms() + self.tick_ms;
        }
        due
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Milliseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps.
fn boot_time_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours, which the call fills.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    // A kernel without it (none of those that have io_uring) just never finds the thread held up.
    if told == 0 { time.tv_sec.cast_unsigned() * 1_000 + time.tv_nsec.cast_unsigned() / 1_000_000 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_comes_back_much_later_than_it_meant_to_was_held_up_until_it_has_caught_up() {
        let mut clock = Clock::new(Duration::ZERO, Duration::MAX);
        let hour = Duration::from_secs(3_600);
        clock.awake_ms = 1_000;
        assert!(!clock.look(3_601_000, hour), "it meant to wait");
        assert!(!clock.look(3_601_000 + HELD_UP_MS - 1, Duration::ZERO));
        assert!(clock.look(3_601_000 + 2 * HELD_UP_MS, Duration::ZERO));
        assert!(clock.look(3_601_000 + 2 * HELD_UP_MS + 1, Duration::ZERO), "nobody has seen to it yet");
        clock.caught_up();
        assert!(!clock.look(3_601_000 + 2 * HELD_UP_MS + 2, Duration::ZERO));
    }

    #[test]
    fn the_boot_time_goes_on() {
        let before = boot_time_ms();
        assert!(before > 0 && boot_time_ms() >= before);
    }

    #[test]
    fn ticks_come_once_per_period_and_are_not_made_up_for() {
        let mut clock = Clock::new(Duration::from_millis(10), Duration::MAX);
        clock.time.0.set(9_999);
        assert!(!clock.tick_due());
        assert_eq!(clock.until_tick(), Duration::from_millis(1));
        clock.time.0.set(45_000);
        assert!(clock.tick_due());
        assert!(!clock.tick_due());
        assert_eq!(clock.until_tick(), Duration::from_millis(10));
    }

    #[test]
    fn a_period_of_zero_means_no_ticks() {
        let mut clock = Clock::new(Duration::ZERO, Duration::MAX);
        clock.time.0.set(1_000_000_000);
        assert!(!clock.tick_due());
        assert_eq!(clock.until_tick(), Duration::MAX);
    }
}
