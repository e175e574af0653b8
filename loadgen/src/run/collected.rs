//! Merges what the cores counted.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use hdrhistogram::Histogram;

use crate::clock::Nanos;
use crate::config::SECONDS_MAX;
use crate::measure::{Counters, Delivery, Sample, Traffic, histogram};
use crate::report::Second;
use crate::sender::Message;

/// Everything that was reported so far.
#[derive(Debug)]
pub(super) struct Collected {
    /// The last counts of each core.
    cores: Vec<Counters>,
    /// When each core reported them.
    reported_at: Vec<Nanos>,
    /// When the last connection of the start was made or failed.
    pub settled_at: Nanos,
    /// What each step counted.
    pub steps: Vec<StepCounts>,
    /// Latencies since the last progress.
    recent: Histogram<u64>,
    /// By stamp.
    deliveries: BTreeMap<Nanos, Delivery>,
    /// The results of [`Collected::progress`].
    pub seconds: Vec<Second>,
    /// When the last progress was, and the count that its rate is made of.
    last: (Nanos, u64),
}

/// The measured phase of one step.
#[derive(Debug)]
pub(super) struct StepCounts {
    /// The last counts of each core.
    traffic: Vec<Traffic>,
    /// In nanoseconds.
    pub latency: Histogram<u64>,
}

impl Collected {
    /// Nothing yet from `cores` cores that go through `steps` steps.
    pub(super) fn new(cores: usize, steps: usize) -> Collected {
        let of_step = || StepCounts { traffic: vec![Traffic::default(); cores], latency: histogram() };
        Collected {
            cores: vec![Counters::default(); cores],
            reported_at: vec![Nanos::default(); cores],
            settled_at: Nanos::default(),
            steps: std::iter::repeat_with(of_step).take(steps).collect(),
            recent: histogram(),
            deliveries: BTreeMap::new(),
            seconds: Vec::new(),
            last: (Nanos::default(), 0),
        }
    }

    /// Takes a core's sample in.
    pub(super) fn add(&mut self, sample: Sample) {
        self.cores[sample.core] = sample.counters;
        self.reported_at[sample.core] = sample.at;
        self.settled_at = self.settled_at.max(sample.settled_at);
        let step = &mut self.steps[sample.step];
        step.traffic[sample.core] = sample.counters.phase;
        if let Some(latency) = &sample.latency {
            for sum in [&mut step.latency, &mut self.recent] {
                sum.add(latency).expect("all histograms have the same bounds");
            }
        }
        for more in sample.deliveries {
            self.deliveries.entry(more.stamp).and_modify(|known| known.add(more)).or_insert(more);
        }
    }

    /// All cores together.
    pub(super) fn counters(&self) -> Counters {
        sum(&self.cores)
    }

    /// Whether every message sent until `moment` is answered: every core has reported so since.
    pub(super) fn is_answered(&self, moment: Nanos) -> bool {
        self.reported_at.iter().all(|at| *at >= moment) && self.counters().in_flight() == 0
    }

    /// Traffic of the measured phase of a step, all cores together.
    pub(super) fn traffic(&self, step: usize) -> Traffic {
        sum(&self.steps[step].traffic)
    }

    /// The delivery of a message; none if no client received it.
    pub(super) fn delivery(&self, message: &Message) -> Option<&Delivery> {
        self.deliveries.get(&message.stamp)
    }

    /// Whether all messages reached every client they were for.
    pub(super) fn is_delivered(&self, messages: &[Message]) -> bool {
        let connected = self.counters().connected();
        messages.iter().all(|message| {
            let members = message.members.unwrap_or(connected);
            members == 0 || self.delivery(message).is_some_and(|delivery| delivery.receivers >= members)
        })
    }

    /// How the run is getting on, since the last call.
    pub(super) fn progress(&mut self, now: Nanos, server_bytes: Option<u64>) -> Second {
        let counters = self.counters();
        let count = counters.received + counters.churn.made;
        let (last_at, last_count) = std::mem::replace(&mut self.last, (now, count));
        let elapsed = now.since(last_at).as_secs_f64().max(f64::MIN_POSITIVE);
        let us = |quantile| {
            (!self.recent.is_empty()).then(|| self.recent.value_at_quantile(quantile) as f64 / 1e3)
        };
        let second = Second {
            at_seconds: now.since(Nanos::default()).as_secs_f64(),
            connected: counters.connected(),
            failed: counters.failures.total() + counters.churn.failures.total(),
            lost: counters.losses.total(),
            rate: (count - last_count) as f64 / elapsed,
            p50_us: us(0.5),
            p99_us: us(0.99),
            server_bytes,
        };
        self.recent.reset();
        if self.seconds.len() < SECONDS_MAX {
            self.seconds.push(second);
        }
        second
    }
}

fn sum<T: AddAssign + Copy + Default>(parts: &[T]) -> T {
    parts.iter().fold(T::default(), |mut sum, part| {
        sum += *part;
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(core: usize, received: u64, latencies: &[u64], deliveries: &[(u64, u64, u64)]) -> Sample {
        let mut latency = histogram();
        latencies.iter().for_each(|ns| latency.record(*ns).unwrap());
        let deliveries = deliveries.iter().map(|&(stamp, receivers, last_at)| Delivery {
            stamp: Nanos(stamp),
            receivers,
            last_at: Nanos(last_at),
        });
        let counters = Counters { opened: 2, received, ..Counters::default() };
        let latency = (!latencies.is_empty()).then_some(latency);
        let (at, deliveries) = (Nanos(received), deliveries.collect());
        Sample { core, at, step: 0, counters, settled_at: at, latency, deliveries }
    }

    #[test]
    fn counts_are_the_last_of_each_core_and_latencies_the_sum_of_all() {
        let mut collected = Collected::new(2, 1);
        collected.add(sample(0, 5, &[1_000, 2_000], &[]));
        collected.add(sample(1, 7, &[3_000], &[]));
        collected.add(sample(0, 9, &[], &[]));
        assert_eq!((collected.counters().received, collected.steps[0].latency.len()), (16, 3));
        assert!(collected.is_answered(Nanos(7)) && !collected.is_answered(Nanos(8)));
    }

    #[test]
    fn steps_are_apart() {
        let mut collected = Collected::new(2, 2);
        let of = |core, step, sent| {
            let mut sample = sample(core, 0, &[1_000], &[]);
            sample.step = step;
            sample.counters.phase.sent = sent;
            sample
        };
        for sample in [of(0, 0, 5), of(1, 0, 7), of(0, 1, 1), of(1, 0, 8)] {
            collected.add(sample);
        }
        assert_eq!((collected.traffic(0).sent, collected.traffic(1).sent), (13, 1));
        assert_eq!((collected.steps[0].latency.len(), collected.steps[1].latency.len()), (3, 1));
    }

    #[test]
    fn deliveries_of_the_cores_are_added_up() {
        let mut collected = Collected::new(2, 1);
        collected.add(sample(0, 0, &[], &[(10, 2, 15), (20, 1, 21)]));
        collected.add(sample(1, 0, &[], &[(10, 2, 17)]));
        let messages = [10, 20].map(|stamp| Message { stamp: Nanos(stamp), members: None });
        let rooms = [(10, 4), (20, 3)];
        let rooms = rooms.map(|(stamp, members)| Message { stamp: Nanos(stamp), members: Some(members) });
        assert!(collected.is_delivered(&messages[..1]) && !collected.is_delivered(&messages));
        assert!(!collected.is_delivered(&rooms));
        collected.add(sample(0, 0, &[], &[(20, 1, 25)]));
        collected.add(sample(1, 0, &[], &[(20, 2, 24)]));
        assert!(collected.is_delivered(&messages) && collected.is_delivered(&rooms));
        let last: Vec<_> =
            messages.iter().map(|message| collected.delivery(message).unwrap().last_at.0).collect();
        assert_eq!(last, [17, 25]);
        let nobody = Message { stamp: Nanos(30), members: Some(0) };
        assert!(collected.is_delivered(&[nobody]) && collected.delivery(&nobody).is_none());
    }

    #[test]
    fn progress_is_of_the_last_second() {
        let mut collected = Collected::new(1, 1);
        collected.add(sample(0, 1_000, &[5_000], &[]));
        let first = collected.progress(Nanos(1_000_000_000), Some(7));
        assert_eq!((first.rate, first.connected), (1_000.0, 2));
        assert!(first.p50_us.is_some() && first.server_bytes == Some(7));
        collected.add(sample(0, 1_500, &[], &[]));
        let second = collected.progress(Nanos(2_000_000_000), None);
        assert_eq!((second.rate, second.p50_us, second.at_seconds), (500.0, None, 2.0));
        let rates: Vec<_> = collected.seconds.iter().map(|second| (second.at_seconds, second.rate)).collect();
        assert_eq!(rates, [(1.0, 1_000.0), (2.0, 500.0)]);
        assert!(collected.seconds[0].p99_us.is_some() && collected.seconds[1].p50_us.is_none());
    }
}
