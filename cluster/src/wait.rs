//! Waiting with a limit. The only place of this crate that reads the clock.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Far above what a loaded machine needs, for a limit that is
/// reached is a failure, never a measurement.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long [`wait_until`] lies still between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Looks at `condition` until it gives a value, and panics with `what` after [`LIMIT`].
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(LIMIT);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(!deadline.is_over(), "waited {LIMIT:?} in vain for {what}");
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Looks at `condition` for [`LIMIT`] at most, and tells whether it came true: for what may take longer than that, and is then
/// waited for again.
pub fn waited_for(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Deadline::after(LIMIT);
    while !deadline.is_over() {
        if condition() {
            return true;
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
    false
}

/// A moment after which waiting is over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `limit` from now.
    pub fn after(limit: Duration) -> Deadline {
        Deadline(now() + limit)
    }

    /// What is left until then.
    pub fn left(&self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    /// Whether it has passed.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// Tells how long something took, for people to read: no test may depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Stopwatch {
        Stopwatch(now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        now() - self.0
    }
}

#[expect(clippy::disallowed_methods, reason = "a test gives up by the wall clock, and only here")]
fn now() -> Instant {
    Instant::now()
}
