//! So many a second, in the long run and at once.

use std::str::FromStr;

use crate::Millis;

/// How much may come a second, and how much at once: `N`, or `N:BURST`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Permits that come back in a second.
    pub per_second: u32,
    /// Permits that there are at most.
    pub burst: u32,
}

/// The permits of one peer. They come back at a steady rate until all are there, which the default has.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Bucket {
    /// Thousandths of permits that are gone: more than there are, if something large was taken.
    spent: u64,
    /// When that was so.
    at: Millis,
}

impl Rate {
    /// How long it takes until all permits are there again, in ms.
    pub(crate) fn refill_ms(self) -> u64 {
        (u64::from(self.burst) * THOUSANDTHS).div_ceil(u64::from(self.per_second))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || format!("`{text}` is no rate: like 20, or 20:100 where 100 may come at once");
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(wrong);
        let (per_second, burst) = text.split_once(':').unwrap_or((text, text));
        Ok(Rate { per_second: number(per_second)?, burst: number(burst)? })
    }
}

impl Bucket {
    /// Takes one permit, if there is one.
    pub(crate) fn take(&mut self, rate: Rate, now: Millis) -> bool {
        let is_there = self.wait_ms(rate, now, 1).is_none();
        if is_there {
            self.spend(rate, now, 1);
        }
        is_there
    }

    /// Takes permits, whether they are there or not: those that are not are owed.
    pub(crate) fn spend(&mut self, rate: Rate, now: Millis, permits: u64) {
        self.refill(rate, now);
        self.spent = self.spent.saturating_add(permits.saturating_mul(THOUSANDTHS));
    }

    /// In how many ms nothing is owed any more and so many permits are there; `None`: now.
    pub(crate) fn wait_ms(&mut self, rate: Rate, now: Millis, permits: u64) -> Option<u64> {
        self.refill(rate, now);
        let most = u64::from(rate.burst).saturating_sub(permits) * THOUSANDTHS;
        let missing = self.spent.saturating_sub(most);
        (missing > 0).then(|| missing.div_ceil(u64::from(rate.per_second)))
    }

    /// Whether all permits are there.
    pub(crate) fn is_full(&mut self, rate: Rate, now: Millis) -> bool {
        self.refill(rate, now);
        self.spent == 0
    }

    /// Shards begin to count time at their own starts: where one is behind, no time has passed.
    fn refill(&mut self, rate: Rate, now: Millis) {
        // A permit a second is a thousandth a ms.
        let back = now.since(self.at).saturating_mul(rate.per_second.into());
        self.spent = self.spent.saturating_sub(back);
        self.at = self.at.max(now);
    }
}

/// Of a permit.
const THOUSANDTHS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    fn rate(text: &str) -> Option<(u32, u32)> {
        text.parse::<Rate>().ok().map(|Rate { per_second, burst }| (per_second, burst))
    }

    #[test]
    fn a_rate_is_a_number_or_two() {
        assert_eq!(rate("20"), Some((20, 20)));
        assert_eq!(rate("20:100"), Some((20, 100)));
        for wrong in ["", "0", "-1", "1.5", "20:", ":5", "20:0", "20:5:1", "much", "4294967296"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket, from: u64, ms: u64| {
            (from..from + ms).filter(|now| bucket.take(RATE, Millis(*now))).count()
        };
        assert_eq!(taken(&mut bucket, 5_000, 1), 1);
        assert_eq!(taken(&mut bucket, 5_000, 10_000), 2 + 99, "a burst of 3, and one each 100 ms");
        assert!(!bucket.is_full(RATE, Millis(15_000)));
        assert!(bucket.is_full(RATE, Millis(15_000 + RATE.refill_ms())));
    }

    #[test]
    fn never_more_than_burst_and_rate_allow_in_any_window() {
        let mut random = fastrand::Rng::with_seed(13);
        for _ in 0..200 {
            let rate = Rate { per_second: random.u32(1..2_000), burst: random.u32(1..500) };
            let (mut bucket, mut now, mut taken) =
                (Bucket::default(), Millis(random.u64(..1 << 40)), Vec::new());
            for _ in 0..2_000 {
                now = now.plus(random.u64(..20));
                if bucket.take(rate, now) {
                    taken.push(now);
                } else {
                    let wait = bucket.wait_ms(rate, now, 1).expect("it has none");
                    assert!(
                        bucket.wait_ms(rate, now.plus(wait), 1).is_none(),
                        "the wait that was said is enough"
                    );
                    bucket.at = now;
                    bucket.spent = bucket.spent.saturating_add(wait * u64::from(rate.per_second));
                }
            }
            for (first, start) in taken.iter().enumerate().step_by(97) {
                for (last, end) in taken.iter().enumerate().skip(first) {
                    let allowed =
                        u64::from(rate.burst) + end.since(*start) * u64::from(rate.per_second) / 1_000 + 1;
                    assert!((last - first + 1) as u64 <= allowed, "{rate:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_owed_is_waited_for() {
        let mut bucket = Bucket::default();
        bucket.spend(RATE, Millis(0), 13);
        assert_eq!(bucket.wait_ms(RATE, Millis(0), 0), Some(1_000));
        assert_eq!(bucket.wait_ms(RATE, Millis(0), 1), Some(1_100));
        assert_eq!(bucket.wait_ms(RATE, Millis(1_000), 0), None);
    }

    #[test]
    fn a_clock_that_is_behind_brings_nothing_back() {
        let mut bucket = Bucket::default();
        assert!((0..3).all(|_| bucket.take(RATE, Millis(1_000))));
        assert!(!bucket.take(RATE, Millis(500)));
        assert!(!bucket.take(RATE, Millis(1_050)));
        assert!(bucket.take(RATE, Millis(1_100)));
    }
}
