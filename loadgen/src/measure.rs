//! What a core counts, and how it tells. Owns no clock: moments are passed in.

use std::ops::AddAssign;

use hdrhistogram::Histogram;

use crate::clock::Nanos;
use crate::config::{LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN};
use crate::failure::Failures;
use crate::scenario::Round;

/// When what happens in a step; the same moments on all cores. `load_from <= from <= until`.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// Messages are sent from here on.
    pub load_from: Nanos,
    /// The measured phase begins.
    pub from: Nanos,
    /// It ends, and nothing new is sent.
    pub until: Nanos,
}

impl Phase {
    /// Whether a moment is measured.
    pub fn contains(&self, moment: Nanos) -> bool {
        self.from <= moment && moment < self.until
    }
}

/// Plain counts of one core, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were ready for messages at some time.
    pub opened: u64,
    /// Connections that never were, by cause.
    pub failures: Failures,
    /// Connections that were and ended before the run did, by cause.
    pub losses: Failures,
    /// When the last connection was made or failed.
    pub settled_at: Nanos,
    /// Messages sent.
    pub sent: u64,
    /// Messages of ours that came.
    pub received: u64,
    /// Messages sent that came back, or are not waited for any more since their step is over.
    pub answered: u64,
    /// Messages that are not ours.
    pub strays: u64,
    /// Messages not sent, because too much waited in front of a full socket.
    pub unsent: u64,
    /// Pings answered.
    pub pings: u64,
    /// Clients that came beyond those of the start, and that left.
    pub churn: Churned,
    /// What falls into the measured phase of this step.
    pub phase: Traffic,
}

/// Clients that came and left by the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Churned {
    /// Connections begun.
    pub begun: u64,
    /// Those that are or were ready for messages.
    pub made: u64,
    /// Those that never were, by cause.
    pub failures: Failures,
    /// Clients that left.
    pub left: u64,
}

impl Churned {
    /// Connections neither made nor failed yet.
    pub fn under_way(&self) -> u64 {
        self.begun.saturating_sub(self.made + self.failures.total())
    }
}

/// Traffic of the measured phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that were meant to be sent in it.
    pub sent: u64,
    /// Messages of ours that came back in it, whenever they were sent.
    pub received: u64,
    /// Bytes received in it, of whatever kind.
    pub bytes_in: u64,
    /// Bytes sent in it, of whatever kind.
    pub bytes_out: u64,
    /// Receives that brought bytes in it.
    pub receives: u64,
}

impl Counters {
    /// Connections of which it is known whether they could be made.
    pub fn settled(&self) -> u64 {
        self.opened + self.failures.total()
    }

    /// Connections that are open.
    pub fn connected(&self) -> u64 {
        (self.opened + self.churn.made).saturating_sub(self.losses.total() + self.churn.left)
    }

    /// Messages whose answer is awaited, if the connections last, and connections on the way.
    pub fn under_way(&self) -> u64 {
        self.sent.saturating_sub(self.answered) + self.churn.under_way()
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, more: Counters) {
        self.opened += more.opened;
        self.failures += more.failures;
        self.losses += more.losses;
        self.settled_at = self.settled_at.max(more.settled_at);
        self.sent += more.sent;
        self.received += more.received;
        self.answered += more.answered;
        self.strays += more.strays;
        self.unsent += more.unsent;
        self.pings += more.pings;
        self.churn.begun += more.churn.begun;
        self.churn.made += more.churn.made;
        self.churn.failures += more.churn.failures;
        self.churn.left += more.churn.left;
        self.phase += more.phase;
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.sent += more.sent;
        self.received += more.received;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
        self.receives += more.receives;
    }
}

/// What a core tells the control thread now and then.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which core.
    pub core: usize,
    /// When it was taken.
    pub at: Nanos,
    /// In which step.
    pub step: usize,
    /// From the beginning on.
    pub counters: Counters,
    /// In nanoseconds, of the messages since the last sample that were meant for the measured phase; none if there
    /// were none.
    pub latency: Option<Histogram<u64>>,
    /// What came of messages that others sent since the last sample.
    pub rounds: Vec<Round>,
}

/// An empty histogram of latencies in nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS)
        .expect("the bounds are constants that go")
}

/// The counting of one core.
#[derive(Debug)]
pub struct Measure {
    /// So far.
    pub counters: Counters,
    latency: Histogram<u64>,
    step: usize,
    phase: Option<Phase>,
    /// What the ring had counted before the measured phase.
    before: Bytes,
}

/// What a ring has counted by some moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Receives that brought bytes.
    pub receives: u64,
}

impl Measure {
    /// Nothing counted yet.
    pub fn new() -> Measure {
        Measure {
            counters: Counters::default(),
            latency: histogram(),
            step: 0,
            phase: None,
            before: Bytes::default(),
        }
    }

    /// Which step follows, and when its measured phase is. What was counted of the step before must have been taken.
    pub fn begin(&mut self, step: usize, phase: Phase) {
        (self.step, self.phase) = (step, Some(phase));
        self.counters.phase = Traffic::default();
        self.counters.answered = self.counters.sent;
    }

    /// The measured phase ends earlier than was planned.
    pub fn end(&mut self, until: Nanos) {
        if let Some(phase) = &mut self.phase {
            phase.until = phase.until.min(until);
        }
    }

    /// Which step it is.
    pub fn step(&self) -> usize {
        self.step
    }

    /// A message was sent that was meant to be sent at `intended`.
    pub fn on_sent(&mut self, intended: Nanos) {
        self.counters.sent += 1;
        self.counters.phase.sent += u64::from(self.is_measured(intended));
    }

    /// A message that was meant to be sent at `intended` came.
    pub fn on_received(&mut self, now: Nanos, intended: Nanos) {
        self.counters.received += 1;
        self.counters.phase.received += u64::from(self.is_measured(now));
        self.time(now, intended);
    }

    /// A message of ours came back.
    pub fn on_answered(&mut self, now: Nanos, intended: Nanos) {
        self.counters.answered += 1;
        self.on_received(now, intended);
    }

    /// A connection is open that was meant to begin at `intended`.
    pub fn on_came(&mut self, now: Nanos, intended: Nanos) {
        self.counters.churn.made += 1;
        self.time(now, intended);
    }

    /// The ring's counts at some moment; called at least once per turn.
    pub fn on_bytes(&mut self, now: Nanos, bytes: Bytes) {
        match self.phase {
            Some(phase) if phase.contains(now) => {
                let (traffic, before) = (&mut self.counters.phase, self.before);
                traffic.bytes_in = bytes.bytes_in - before.bytes_in;
                traffic.bytes_out = bytes.bytes_out - before.bytes_out;
                traffic.receives = bytes.receives - before.receives;
            }
            Some(phase) if phase.until <= now => {}
            Some(_) | None => self.before = bytes,
        }
    }

    /// Takes the latencies since the last call.
    pub fn take_latency(&mut self) -> Option<Histogram<u64>> {
        (!self.latency.is_empty()).then(|| std::mem::replace(&mut self.latency, histogram()))
    }

    fn time(&mut self, now: Nanos, intended: Nanos) {
        if self.is_measured(intended) {
            self.latency.saturating_record(now.since(intended).as_nanos() as u64);
        }
    }

    fn is_measured(&self, moment: Nanos) -> bool {
        self.phase.is_some_and(|phase| phase.contains(moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_for_the_phase_is_timed_and_what_came_in_it_is_counted() {
        let mut measure = Measure::new();
        measure.begin(0, Phase { load_from: Nanos(0), from: Nanos(10_000), until: Nanos(20_000) });
        measure.on_sent(Nanos(5));
        for (intended, came) in [(9_000, 11_000), (10_000, 12_000), (19_000, 25_000), (20_000, 21_000)] {
            measure.on_sent(Nanos(intended));
            measure.on_answered(Nanos(came), Nanos(intended));
        }
        let Counters { sent, received, phase, .. } = measure.counters;
        assert_eq!((sent, received, phase.sent, phase.received), (5, 4, 2, 2));
        let latency = measure.take_latency().unwrap();
        assert_eq!((latency.len(), latency.max() / 1000), (2, 6));
        assert!(measure.take_latency().is_none());
        assert_eq!(measure.counters.under_way(), 1);
        // The next step does not wait for it, and counts its own.
        measure.begin(1, Phase { load_from: Nanos(0), from: Nanos(30_000), until: Nanos(40_000) });
        assert_eq!((measure.counters.under_way(), measure.step()), (0, 1));
        measure.end(Nanos(35_000));
        for intended in [34_000, 36_000] {
            measure.on_sent(Nanos(intended));
        }
        assert_eq!((measure.counters.phase.sent, measure.counters.under_way()), (1, 2));
    }

    #[test]
    fn bytes_of_the_phase_are_those_between_its_ends() {
        let mut measure = Measure::new();
        measure.begin(0, Phase { load_from: Nanos(0), from: Nanos(10), until: Nanos(20) });
        for (now, bytes) in [(5, 100), (11, 300), (15, 500), (19, 600), (21, 900)] {
            measure
                .on_bytes(Nanos(now), Bytes { bytes_in: bytes, bytes_out: 2 * bytes, receives: bytes / 100 });
        }
        let Traffic { bytes_in, bytes_out, receives, .. } = measure.counters.phase;
        assert_eq!((bytes_in, bytes_out, receives), (500, 1000, 5));
    }
}
