//! The only place where the clock is read: nanoseconds since the run began, the same on all cores.

use std::time::{Duration, Instant};

/// A moment, in nanoseconds since the run began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Nanos(pub u64);

impl Nanos {
    /// A moment that never comes.
    pub(crate) const MAX: Nanos = Nanos(u64::MAX);

    /// The moment `later` after this one.
    pub(crate) fn plus(self, later: Duration) -> Nanos {
        Nanos(self.0.saturating_add(later.as_nanos() as u64))
    }

    /// The next moment that is a multiple of `period`.
    pub(crate) fn next_multiple(self, period: Duration) -> Nanos {
        let period = period.as_nanos() as u64;
        Nanos((self.0 / period + 1) * period)
    }

    /// How long ago `earlier` was; zero if it was not yet.
    pub(crate) fn since(self, earlier: Nanos) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A clock that all threads of a run share by copying it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that shows zero now.
    #[expect(clippy::disallowed_methods, reason = "a load generator measures time; only here it is read")]
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    /// What it shows.
    pub(crate) fn now(&self) -> Nanos {
        Nanos(self.0.elapsed().as_nanos() as u64)
    }
}
