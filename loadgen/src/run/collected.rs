//! What the cores counted, merged.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::clock::Nanos;
use crate::measure::{Counters, Sample, histogram};
use crate::scenario::Round;

/// Everything that was told so far.
#[derive(Debug)]
pub struct Collected {
    /// The last counts of each core.
    cores: Vec<Counters>,
    /// Latencies of the measured phase in nanoseconds.
    latency: Histogram<u64>,
    /// Those since the last progress.
    fresh: Histogram<u64>,
    /// By stamp.
    rounds: BTreeMap<Nanos, Round>,
    /// When the last progress was told, and messages received by then.
    last: (Nanos, u64),
}

/// How a run is getting on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Seconds since its beginning.
    pub seconds: u64,
    /// Connections that are open.
    pub connected: u64,
    /// Connections that could not be made.
    pub failed: u64,
    /// Connections that were open and ended.
    pub lost: u64,
    /// Messages received per second, since the last progress.
    pub rate: f64,
    /// Latency in microseconds, median and 99th percentile, since the last progress; none if nothing was timed.
    pub latency_us: Option<(f64, f64)>,
}

impl Collected {
    /// Nothing yet from `cores` cores.
    pub fn new(cores: usize) -> Collected {
        Collected {
            cores: vec![Counters::default(); cores],
            latency: histogram(),
            fresh: histogram(),
            rounds: BTreeMap::new(),
            last: (Nanos::default(), 0),
        }
    }

    /// Takes a core's sample in.
    pub fn add(&mut self, sample: Sample) {
        self.cores[sample.core] = sample.counters;
        if let Some(latency) = &sample.latency {
            for sum in [&mut self.latency, &mut self.fresh] {
                sum.add(latency).expect("all histograms have the same bounds");
            }
        }
        for round in sample.rounds {
            self.rounds.entry(round.stamp).and_modify(|known| known.add(round)).or_insert(round);
        }
    }

    /// All cores together.
    pub fn counters(&self) -> Counters {
        self.cores.iter().fold(Counters::default(), |mut sum, counters| {
            sum += *counters;
            sum
        })
    }

    /// Latencies of the measured phase in nanoseconds.
    pub fn latency(&self) -> &Histogram<u64> {
        &self.latency
    }

    /// What came of the broadcasts, in order of their stamps.
    pub fn rounds(&self) -> impl Iterator<Item = &Round> {
        self.rounds.values()
    }

    /// Whether `count` broadcasts reached everybody who is there.
    pub fn is_delivered(&self, count: usize) -> bool {
        let counters = self.counters();
        let there = counters.opened - counters.losses.total();
        self.rounds.len() >= count && self.rounds.values().all(|round| round.receivers >= there)
    }

    /// How the run is getting on, since the last call.
    pub fn progress(&mut self, now: Nanos) -> Progress {
        let counters = self.counters();
        let (last_at, last_received) = std::mem::replace(&mut self.last, (now, counters.received));
        let elapsed = now.since(last_at).as_secs_f64().max(f64::MIN_POSITIVE);
        let us = |quantile| self.fresh.value_at_quantile(quantile) as f64 / 1e3;
        let latency_us = (!self.fresh.is_empty()).then(|| (us(0.5), us(0.99)));
        self.fresh.reset();
        Progress {
            seconds: now.since(Nanos::default()).as_secs(),
            connected: counters.opened - counters.losses.total(),
            failed: counters.failures.total(),
            lost: counters.losses.total(),
            rate: (counters.received - last_received) as f64 / elapsed,
            latency_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(core: usize, received: u64, latencies: &[u64], rounds: &[(u64, u64, u64)]) -> Sample {
        let mut latency = histogram();
        latencies.iter().for_each(|ns| latency.record(*ns).unwrap());
        let rounds = rounds.iter().map(|&(stamp, receivers, last_at)| Round {
            stamp: Nanos(stamp),
            receivers,
            last_at: Nanos(last_at),
        });
        let counters = Counters { opened: 2, received, ..Counters::default() };
        let latency = (!latencies.is_empty()).then_some(latency);
        Sample { core, counters, latency, rounds: rounds.collect() }
    }

    #[test]
    fn counts_are_the_last_of_each_core_and_latencies_the_sum_of_all() {
        let mut collected = Collected::new(2);
        collected.add(sample(0, 5, &[1_000, 2_000], &[]));
        collected.add(sample(1, 7, &[3_000], &[]));
        collected.add(sample(0, 9, &[], &[]));
        assert_eq!((collected.counters().received, collected.latency().len()), (16, 3));
    }

    #[test]
    fn rounds_of_the_cores_are_one() {
        let mut collected = Collected::new(2);
        collected.add(sample(0, 0, &[], &[(10, 2, 15), (20, 1, 21)]));
        collected.add(sample(1, 0, &[], &[(10, 2, 17)]));
        assert!(collected.is_delivered(0) == collected.is_delivered(2));
        collected.add(sample(0, 0, &[], &[(20, 1, 25)]));
        collected.add(sample(1, 0, &[], &[(20, 2, 24)]));
        assert!(collected.is_delivered(2) && !collected.is_delivered(3));
        assert_eq!(collected.rounds().map(|round| round.last_at.0).collect::<Vec<_>>(), [17, 25]);
    }

    #[test]
    fn progress_is_of_the_last_second() {
        let mut collected = Collected::new(1);
        collected.add(sample(0, 1_000, &[5_000], &[]));
        let first = collected.progress(Nanos(1_000_000_000));
        assert_eq!((first.rate, first.connected), (1_000.0, 2));
        assert!(first.latency_us.is_some());
        collected.add(sample(0, 1_500, &[], &[]));
        let second = collected.progress(Nanos(2_000_000_000));
        assert_eq!((second.rate, second.latency_us, second.seconds), (500.0, None, 2));
    }
}
