//! How often a line of one kind may be logged, when a peer decides how often there is reason to.
//!
//! No clock is read: `now` is in ms, from whatever clock the caller has.

/// One kind of log line: so many in each period, and how many more there would have been.
///
/// Invariant: `said <= lines_max`.
#[derive(Clone, Debug)]
pub struct LogLimit {
    lines_max: u32,
    period_ms: u64,
    /// When the period ends that runs; a line after it begins the next.
    ends_ms: Option<u64>,
    said: u32,
    left_out: u64,
}

impl LogLimit {
    /// Lets `lines_max` lines through in each period, which begins with a line.
    pub const fn new(lines_max: u32, period_ms: u64) -> LogLimit {
        LogLimit { lines_max, period_ms, ends_ms: None, said: 0, left_out: 0 }
    }

    /// If a line may be logged now: how many were not since the last one that was. Else it is counted.
    pub fn admit(&mut self, now_ms: u64) -> Option<u64> {
        if self.ends_ms.is_none_or(|end| end <= now_ms) {
            self.ends_ms = Some(now_ms.saturating_add(self.period_ms));
            self.said = 0;
        }
        if self.said == self.lines_max {
            self.left_out += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// Whether lines were left out whose number nobody has been told.
    pub fn owes(&self) -> bool {
        self.left_out > 0
    }

    /// How many lines were left out, once the period in which they were is over.
    pub fn take_left_out(&mut self, now_ms: u64) -> Option<u64> {
        let is_over = self.ends_ms.is_some_and(|end| end <= now_ms);
        (is_over && self.owes()).then(|| std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_period_and_the_rest_is_counted() {
        let mut limit = LogLimit::new(2, 10_000);
        assert_eq!([100, 200, 300, 10_099].map(|now| limit.admit(now)), [Some(0), Some(0), None, None]);
        assert_eq!(
            limit.admit(10_100),
            Some(2),
            "the next period begins, and says what the last has left out"
        );
        assert_eq!(limit.admit(10_200), Some(0));
        assert!(!limit.owes());
    }

    #[test]
    fn what_was_left_out_is_told_once_its_period_is_over() {
        let mut limit = LogLimit::new(1, 10_000);
        assert_eq!(limit.take_left_out(0), None);
        for now in 0..1_000 {
            limit.admit(now);
        }
        assert_eq!(limit.take_left_out(9_999), None);
        assert!(limit.owes());
        assert_eq!(limit.take_left_out(10_000), Some(999));
        assert_eq!(limit.take_left_out(10_000), None);
        assert_eq!(limit.admit(10_001), Some(0));
    }
}
