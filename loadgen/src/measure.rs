//! What a core counts and times. Owns no clock: moments are passed in.

use std::ops::AddAssign;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use uring::Stats;

use crate::clock::Nanos;
use crate::config::{LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN};
use crate::failure::Failures;

/// The moments of a step, the same on all cores. `load_from <= from <= until`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    /// Messages are sent from here on.
    pub load_from: Nanos,
    /// The measured phase begins.
    pub from: Nanos,
    /// The measured phase ends, and nothing new is sent.
    pub until: Nanos,
}

impl Phase {
    /// Whether a moment is measured.
    pub(crate) fn contains(&self, moment: Nanos) -> bool {
        self.from <= moment && moment < self.until
    }

    /// Ends the phase at `until`, earlier than was planned.
    pub(crate) fn end(&mut self, until: Nanos) {
        self.until = self.until.min(until);
    }
}

/// Implements `+=` field by field.
macro_rules! add_fields {
    ($counts:ty: $($field:ident),+) => {
        impl AddAssign for $counts {
            fn add_assign(&mut self, more: $counts) {
                $(self.$field += more.$field;)+
            }
        }
    };
}

/// Plain counts of one core, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Connections that were ready for messages at some time.
    pub opened: u64,
    /// Connections that never were, by cause.
    pub failures: Failures,
    /// Connections that were ready and ended before the run did, by cause.
    pub losses: Failures,
    /// Messages sent.
    pub sent: u64,
    /// Messages of this program that came.
    pub received: u64,
    /// Messages sent that came back, or are not waited for any more since their step is over.
    pub answered: u64,
    /// Messages that are not of this program.
    pub strays: u64,
    /// Messages not sent, because too much waited in front of a full socket.
    pub unsent: u64,
    /// Pings answered.
    pub pings: u64,
    /// Connections beyond those of the start, made by the clock.
    pub churn: ChurnCounters,
    /// What falls into the measured phase of this step.
    pub phase: Traffic,
}

/// Clients that connect and leave by the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChurnCounters {
    /// Connections begun.
    pub begun: u64,
    /// Connections that are or were ready for messages.
    pub made: u64,
    /// Those of them whose TLS handshake was a short one, by a ticket.
    pub resumed: u64,
    /// Connections that never were, by cause.
    pub failures: Failures,
    /// Clients that left.
    pub left: u64,
}

add_fields!(ChurnCounters: begun, made, resumed, failures, left);

impl ChurnCounters {
    /// Connections neither made nor failed yet.
    pub(crate) fn pending(&self) -> u64 {
        self.begun.saturating_sub(self.made + self.failures.total())
    }
}

/// Traffic of the measured phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Messages that were meant to be sent in it.
    pub sent: u64,
    /// Messages of this program that came in it, whenever they were sent.
    pub received: u64,
    /// Bytes received in it, of whatever kind.
    pub bytes_in: u64,
    /// Bytes sent in it, of whatever kind.
    pub bytes_out: u64,
    /// Receives that brought bytes in it.
    pub receives: u64,
}

add_fields!(Traffic: sent, received, bytes_in, bytes_out, receives);

add_fields!(Counters: opened, failures, losses, sent, received, answered, strays, unsent, pings, churn, phase);

impl Counters {
    /// Connections of which it is known whether they could be made.
    pub(crate) fn settled(&self) -> u64 {
        self.opened + self.failures.total()
    }

    /// Connections that are open.
    pub(crate) fn connected(&self) -> u64 {
        (self.opened + self.churn.made).saturating_sub(self.losses.total() + self.churn.left)
    }

    /// Messages in flight whose answer is awaited, if the connections last, and connections not made yet.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.answered) + self.churn.pending()
    }
}

/// Who received one message, and when the last of them did: at one core, or at several together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Delivery {
    /// When the message was meant to be sent, which names it.
    pub stamp: Nanos,
    /// Clients that received it.
    pub receivers: u64,
    /// When the last of them did.
    pub last_at: Nanos,
}

impl Delivery {
    /// Adds what another core, or the same one later, counted of the same message.
    pub(crate) fn add(&mut self, more: Delivery) {
        debug_assert_eq!(self.stamp, more.stamp);
        self.receivers += more.receivers;
        self.last_at = self.last_at.max(more.last_at);
    }
}

/// What a core reports to the control thread now and then.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Index of the core.
    pub core: usize,
    /// When it was taken.
    pub at: Nanos,
    /// Index of the step.
    pub step: usize,
    /// Counts since the run began.
    pub counters: Counters,
    /// When the last connection of the start was made or failed.
    pub settled_at: Nanos,
    /// Latencies in nanoseconds of the messages since the last sample that were meant for the measured phase; none if
    /// there were none.
    pub latency: Option<Histogram<u64>>,
    /// Deliveries of broadcasts and room messages since the last sample.
    pub deliveries: Vec<Delivery>,
}

/// An empty histogram of latencies in nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS)
        .expect("the bounds are constants in order")
}

/// The counting of one core.
#[derive(Debug)]
pub(crate) struct Measure {
    /// Counts since the run began.
    pub counters: Counters,
    /// When the last connection of the start was made or failed.
    pub settled_at: Nanos,
    latency: Histogram<u64>,
    /// Index of the step.
    pub step: usize,
    /// Of the step; before the first step one that never comes.
    pub phase: Phase,
    /// What the ring had counted before the measured phase.
    before: Stats,
}

impl Measure {
    /// Nothing counted yet.
    pub(crate) fn new() -> Measure {
        Measure {
            counters: Counters::default(),
            settled_at: Nanos::default(),
            latency: histogram(),
            step: 0,
            phase: Phase { load_from: Nanos::MAX, from: Nanos::MAX, until: Nanos::MAX },
            before: Stats::default(),
        }
    }

    /// A step begins. What was counted of the step before must have been taken.
    pub(crate) fn begin(&mut self, step: usize, phase: Phase) {
        (self.step, self.phase) = (step, phase);
        self.counters.phase = Traffic::default();
        self.counters.answered = self.counters.sent;
    }

    /// A message was sent that was meant to be sent at `intended`.
    pub(crate) fn on_sent(&mut self, intended: Nanos) {
        self.counters.sent += 1;
        self.counters.phase.sent += u64::from(self.phase.contains(intended));
    }

    /// A message that was meant to be sent at `intended` came.
    pub(crate) fn on_received(&mut self, now: Nanos, intended: Nanos) {
        self.counters.received += 1;
        self.counters.phase.received += u64::from(self.phase.contains(now));
        self.time(now, intended);
    }

    /// A message came back to the client that had sent it.
    pub(crate) fn on_answered(&mut self, now: Nanos, intended: Nanos) {
        self.counters.answered += 1;
        self.on_received(now, intended);
    }

    /// A connection is open that was meant to begin at `intended`.
    pub(crate) fn on_connected(&mut self, now: Nanos, intended: Nanos, is_resumed: bool) {
        self.counters.churn.made += 1;
        self.counters.churn.resumed += u64::from(is_resumed);
        self.time(now, intended);
    }

    /// Takes the ring's counts at a moment; called at least once per turn.
    pub(crate) fn on_stats(&mut self, now: Nanos, stats: Stats) {
        if self.phase.contains(now) {
            let (traffic, before) = (&mut self.counters.phase, self.before);
            traffic.bytes_in = stats.bytes_in - before.bytes_in;
            traffic.bytes_out = stats.bytes_out - before.bytes_out;
            traffic.receives = stats.receives - before.receives;
        } else if now < self.phase.from {
            self.before = stats;
        }
    }

    /// Takes the latencies since the last call.
    pub(crate) fn take_latency(&mut self) -> Option<Histogram<u64>> {
        (!self.latency.is_empty()).then(|| std::mem::replace(&mut self.latency, histogram()))
    }

    fn time(&mut self, now: Nanos, intended: Nanos) {
        if self.phase.contains(intended) {
            self.latency.saturating_record(now.since(intended).as_nanos() as u64);
        }
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
        assert_eq!(measure.counters.in_flight(), 1);
        // The next step does not wait for it, and counts its own.
        measure.begin(1, Phase { load_from: Nanos(0), from: Nanos(30_000), until: Nanos(40_000) });
        assert_eq!((measure.counters.in_flight(), measure.step), (0, 1));
        measure.phase.end(Nanos(35_000));
        for intended in [34_000, 36_000] {
            measure.on_sent(Nanos(intended));
        }
        assert_eq!((measure.counters.phase.sent, measure.counters.in_flight()), (1, 2));
    }

    #[test]
    fn bytes_of_the_phase_are_those_between_its_ends() {
        let mut measure = Measure::new();
        measure.begin(0, Phase { load_from: Nanos(0), from: Nanos(10), until: Nanos(20) });
        for (now, bytes) in [(5, 100), (11, 300), (15, 500), (19, 600), (21, 900)] {
            let stats =
                Stats { bytes_in: bytes, bytes_out: 2 * bytes, receives: bytes / 100, ..Stats::default() };
            measure.on_stats(Nanos(now), stats);
        }
        let Traffic { bytes_in, bytes_out, receives, .. } = measure.counters.phase;
        assert_eq!((bytes_in, bytes_out, receives), (500, 1000, 5));
    }
}
