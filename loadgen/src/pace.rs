//! A steady rate as moments: when each of a row of events is due. Owns no clock, so a virtual one tests it.

use std::ops::Range;
use std::time::Duration;

use crate::clock::Nanos;

/// Events at a steady rate within a span of time. Their moments are fixed in advance: after a stall all events that were
/// missed are still due, each at the moment it was meant for.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    span: Range<Nanos>,
    period_ns: f64,
    taken: u64,
}

impl Pace {
    /// `per_second` events a second, which is above zero, the first at the start of `span`.
    pub(crate) fn new(span: Range<Nanos>, per_second: f64) -> Pace {
        Pace { span, period_ns: 1e9 / per_second, taken: 0 }
    }

    /// The share of number `index` of `count` participants in a common pace: they take turns.
    pub(crate) fn share(span: Range<Nanos>, per_second: f64, index: usize, count: usize) -> Pace {
        let offset = Duration::from_secs_f64(index as f64 / per_second);
        Pace::new(span.start.plus(offset)..span.end, per_second / count as f64)
    }

    /// Ends the span at `until`, earlier than was planned.
    pub(crate) fn end(&mut self, until: Nanos) {
        self.span.end = self.span.end.min(until);
    }

    /// When the next event is due; none after the last one.
    pub(crate) fn next_at(&self) -> Option<Nanos> {
        let at = Nanos(self.span.start.0 + (self.taken as f64 * self.period_ns) as u64);
        Some(at).filter(|at| *at < self.span.end)
    }

    /// Takes the next event if it is due, and returns the moment it was meant for.
    pub(crate) fn take(&mut self, now: Nanos) -> Option<Nanos> {
        let at = self.next_at().filter(|at| *at <= now)?;
        self.taken += 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn taken(pace: &mut Pace, now_ms: u64) -> Vec<u64> {
        std::iter::from_fn(|| pace.take(Nanos(now_ms * MS))).map(|at| at.0 / MS).collect()
    }

    #[test]
    fn events_are_due_at_the_moments_they_were_meant_for() {
        let mut pace = Pace::new(Nanos(5 * MS)..Nanos::MAX, 500.0);
        assert!(taken(&mut pace, 4).is_empty());
        assert_eq!(taken(&mut pace, 5), [5]);
        assert_eq!(taken(&mut pace, 10), [7, 9]);
        assert_eq!(pace.next_at(), Some(Nanos(11 * MS)));
        pace.end(Nanos(13 * MS));
        assert_eq!((taken(&mut pace, 99), pace.next_at()), (vec![11], None));
    }

    #[test]
    fn after_a_stall_all_that_was_missed_is_due() {
        let mut pace = Pace::new(Nanos(0)..Nanos::MAX, 1000.0);
        assert_eq!(taken(&mut pace, 100).len(), 101);
        assert_eq!(taken(&mut pace, 103), [101, 102, 103]);
    }

    #[test]
    fn participants_take_turns() {
        let mut paces = [0, 1, 2].map(|index| Pace::share(Nanos(0)..Nanos::MAX, 1000.0, index, 3));
        let mut all: Vec<u64> = paces.iter_mut().flat_map(|pace| taken(pace, 8)).collect();
        assert_eq!(taken(&mut paces[1], 12), [10]);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn rates_that_divide_nothing_do_not_drift() {
        let mut pace = Pace::new(Nanos(0)..Nanos::MAX, 3.0);
        let hour = 3600 * 1000;
        assert_eq!(taken(&mut pace, hour).len(), 3 * 3600 + 1);
    }
}
