//! How often values were how large.

/// Counts of values by size: as many as there were up to each of twenty bounds, and beyond the last. One thread alone
/// writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Histogram {
    scale: Scale,
    /// By the first bound that is not below the value; the last: beyond all.
    counts: [u64; BOUNDS + 1],
    /// Of all values.
    sum: u64,
}

/// What the values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Microseconds, told in seconds: from 10 µs to 30 s.
    Time,
    /// How many of something: from 1 to half a million.
    Count,
}

impl Histogram {
    /// Of nothing yet.
    pub const fn new(scale: Scale) -> Histogram {
        Histogram { scale, counts: [0; BOUNDS + 1], sum: 0 }
    }

    /// One more value: microseconds, or how many.
    pub fn record(&mut self, value: u64) {
        let bounds = self.scale.bounds();
        self.counts[bounds.partition_point(|bound| *bound < value)] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// The values of another one of the same scale, too.
    pub(crate) fn add(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all values, in the unit that is told.
    pub(crate) fn total(&self) -> f64 {
        self.scale.told(self.sum)
    }

    /// Each bound in the unit that is told, with how many values were not above it.
    pub(crate) fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.scale.bounds().iter().map(|bound| self.scale.told(*bound));
        bounds.zip(self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }
}

impl Scale {
    fn bounds(self) -> &'static [u64; BOUNDS] {
        match self {
            Scale::Time => &TIMES_US,
            Scale::Count => &COUNTS,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "it is for people, and exact below 2^53")]
    fn told(self, value: u64) -> f64 {
        match self {
            Scale::Time => value as f64 / 1e6,
            Scale::Count => value as f64,
        }
    }
}

const BOUNDS: usize = 20;

const TIMES_US: [u64; BOUNDS] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

const COUNTS: [u64; BOUNDS] = {
    let mut counts = [0; BOUNDS];
    let mut at = 0;
    while at < BOUNDS {
        counts[at] = 1 << at;
        at += 1;
    }
    counts
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_up_to_its_bound() {
        let mut times = Histogram::new(Scale::Time);
        for us in [0, 10, 11, 1_000_000, u64::MAX] {
            times.record(us);
        }
        let cumulated: Vec<(f64, u64)> = times.cumulated().collect();
        assert_eq!((cumulated[0], cumulated[1]), ((0.000_01, 2), (0.000_025, 3)));
        assert_eq!((cumulated[14].1, cumulated[15], cumulated[19]), (3, (1.0, 4), (30.0, 4)));
        assert_eq!(times.count(), 5);
    }

    #[test]
    fn two_are_as_one_that_had_the_values_of_both() {
        let [mut one, mut other, mut both] = [Histogram::new(Scale::Time); 3];
        [10, 7_000_000_000].into_iter().for_each(|us| one.record(us));
        [10, 7_000_000_000, 900].into_iter().for_each(|us| both.record(us));
        other.record(900);
        one.add(&other);
        assert_eq!(one, both);
    }

    #[test]
    fn bounds_grow() {
        for bounds in [TIMES_US, COUNTS] {
            assert!(bounds.is_sorted_by(|one, next| one < next));
        }
        let mut counts = Histogram::new(Scale::Count);
        [1, 2, 3].into_iter().for_each(|count| counts.record(count));
        assert_eq!(counts.cumulated().take(3).collect::<Vec<_>>(), [(1.0, 1), (2.0, 2), (4.0, 3)]);
        assert_eq!(counts.total(), 6.0);
    }
}
