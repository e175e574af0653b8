//! The result of a run: values for programs (JSON), a table and a page for people.

mod page;
mod table;

use std::net::IpAddr;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::Nanos;
use crate::failure::Failures;
use crate::measure::{Churned, histogram};
use crate::plan::{Load, Plan, Workload};
use crate::run::{Collected, Progress};
use crate::sender::Sent;
use crate::target::Target;

/// What the control thread knows beyond what the cores counted.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The user ended the run.
    pub interrupted: bool,
    /// How long was measured; zero if the run ended before.
    pub measured: Duration,
    /// When that began.
    pub measured_from: Nanos,
    /// What the sender of broadcasts or room messages did.
    pub sent: Option<Sent>,
}

/// The result of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What was asked for.
    pub setup: Setup,
    /// Ended by the user: what follows is what was so far.
    pub interrupted: bool,
    /// What became of the connections.
    pub connections: Connections,
    /// What happened in the measured phase.
    pub measured: Measured,
    /// Of the messages that were meant for the measured phase, from the moment they were meant to be sent; none if
    /// none came back. Churn: of the connections, from the moment they were meant to begin until they were open, the
    /// handshake included.
    pub latency_us: Option<Latency>,
    /// Of broadcasts and room messages: none in other scenarios.
    pub fanout: Option<Fanout>,
    /// Of clients that came and left: none in other scenarios.
    pub churn: Option<Churn>,
    /// How it went, second by second.
    pub seconds: Vec<Second>,
}

/// How a run was getting on at a moment, and in about a second before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// The moment, in seconds since the run began.
    pub at_seconds: f64,
    /// Connections open then.
    pub connected: u64,
    /// Connections that could not be made so far.
    pub failed: u64,
    /// Connections that were open and ended so far, not by leaving.
    pub lost: u64,
    /// Messages received (churn: clients that came) per second.
    pub rate: f64,
    /// Median latency in microseconds; none if nothing was timed.
    pub p50_us: Option<f64>,
    /// Its 99th percentile.
    pub p99_us: Option<f64>,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// `idle`, `echo`, `broadcast`, `rooms` or `churn`.
    pub scenario: String,
    /// Every destination.
    pub targets: Vec<String>,
    /// Addresses they were reached from; empty: the system chose.
    pub sources: Vec<IpAddr>,
    /// Threads.
    pub cores: usize,
    /// Closed loop: messages in flight per connection.
    pub depth: Option<u32>,
    /// By the clock: messages (churn: clients) a second.
    pub rate_per_second: Option<f64>,
    /// Rooms: clients in a room.
    pub room_size: Option<usize>,
    /// Bytes of a message.
    pub size: usize,
    /// Seconds to be measured.
    pub hold_seconds: f64,
    /// Seconds of load before.
    pub warmup_seconds: f64,
    /// Connections to be opened a second.
    pub ramp_per_second: f64,
}

/// What became of the connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connections {
    /// Asked for.
    pub asked: u64,
    /// Ready for messages at some time.
    pub opened: u64,
    /// Never ready, by cause.
    pub failures: Failures,
    /// Ready, and ended before the run did, by cause.
    pub losses: Failures,
    /// Until all were made or had failed.
    pub ramp_seconds: f64,
    /// Opened in that time.
    pub opened_per_second: f64,
}

/// What happened in the measured phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// How long it was.
    pub seconds: f64,
    /// When it began, in seconds since the run did.
    pub from_seconds: f64,
    /// Messages that were meant to be sent in it.
    pub sent: u64,
    /// Messages that came back in it: echoes, or deliveries of broadcasts.
    pub received: u64,
    /// The latter per second.
    pub received_per_second: f64,
    /// Echo: messages meant to be sent in it that never came back, also not in the two seconds after it.
    pub unanswered: u64,
    /// Bytes received in it, TCP payload.
    pub bytes_in: u64,
    /// Bytes sent in it, TCP payload.
    pub bytes_out: u64,
    /// In the whole run: messages that were not the generator's own.
    pub strays: u64,
    /// In the whole run: messages not sent, since too much waited in front of a full socket.
    pub unsent: u64,
    /// In the whole run: pings answered.
    pub pings: u64,
}

/// A distribution of times in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many there are.
    pub count: u64,
    /// The shortest.
    pub min: f64,
    /// On average.
    pub mean: f64,
    /// Half are at most this.
    pub p50: f64,
    /// 90 % are.
    pub p90: f64,
    /// 99 % are.
    pub p99: f64,
    /// 99.9 % are.
    pub p999: f64,
    /// All are.
    pub max: f64,
    /// The whole distribution, quantiles ascending.
    pub curve: Vec<Quantile>,
}

/// A point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The share of all, 0 to 1.
    pub quantile: f64,
    /// At most this, in microseconds.
    pub us: f64,
}

/// What came of broadcasts or room messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fanout {
    /// Messages sent.
    pub messages: u64,
    /// Those that reached every client they were for: of a broadcast, those who were there at the end.
    pub complete: u64,
    /// How often they were received, all together.
    pub deliveries: u64,
    /// Per second of delivering. Broadcast: from the moment each was meant to be sent until its last receiver has it;
    /// rooms, whose messages overlap: of the measured phase.
    pub deliveries_per_second: f64,
    /// From the moment a message was meant to be sent until its last receiver has it; none if nobody received any.
    pub last_receiver_us: Option<Latency>,
    /// Why there were no more messages, if not all were sent.
    pub error: Option<String>,
}

/// Clients that came and left by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churn {
    /// Connections begun.
    pub begun: u64,
    /// Those that were ready for messages.
    pub made: u64,
    /// Those that never were, by cause.
    pub failures: Failures,
    /// Those of which nothing was known at the end.
    pub unsettled: u64,
    /// Clients that left, by closing.
    pub left: u64,
}

impl Report {
    /// Puts together what is known.
    pub fn new(plan: &Plan, collected: &Collected, facts: &Facts) -> Report {
        Report {
            setup: Setup::new(plan),
            interrupted: facts.interrupted,
            connections: Connections::new(plan, collected),
            measured: Measured::new(plan, collected, facts),
            latency_us: Latency::new(collected.latency()),
            fanout: facts.sent.as_ref().map(|sent| Fanout::new(plan, collected, facts, sent)),
            churn: matches!(plan.workload, Workload::Churn { .. })
                .then(|| Churn::new(&collected.counters().churn)),
            seconds: collected.seconds().to_vec(),
        }
    }

    /// Whether any connection could be made.
    pub fn any_connected(&self) -> bool {
        self.connections.opened > 0
    }

    /// As JSON, with a line end.
    ///
    /// # Errors
    /// None is known; the encoder's type has one.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

impl Setup {
    fn new(plan: &Plan) -> Setup {
        let (depth, rate_per_second) = match &plan.workload {
            Workload::Idle => (None, None),
            Workload::Echo(Load::Closed { depth }) => (Some(*depth), None),
            Workload::Echo(Load::Open { per_second }) | Workload::Churn { per_second } => {
                (None, Some(*per_second))
            }
            Workload::Cast(cast) => (None, Some(cast.per_second)),
        };
        Setup {
            scenario: plan.workload.name().to_owned(),
            targets: plan.destinations.iter().map(Target::url).collect(),
            sources: plan.sources.clone(),
            cores: plan.cores(),
            depth,
            rate_per_second,
            room_size: plan.room_size(),
            size: plan.size,
            hold_seconds: plan.hold.as_secs_f64(),
            warmup_seconds: plan.warmup.as_secs_f64(),
            ramp_per_second: plan.ramp,
        }
    }
}

impl Connections {
    fn new(plan: &Plan, collected: &Collected) -> Connections {
        let counters = collected.counters();
        let ramp = counters.settled_at.since(Nanos::default());
        Connections {
            asked: plan.conns as u64,
            opened: counters.opened,
            failures: counters.failures,
            losses: counters.losses,
            ramp_seconds: ramp.as_secs_f64(),
            opened_per_second: per_second(counters.opened, ramp),
        }
    }
}

impl Measured {
    fn new(plan: &Plan, collected: &Collected, facts: &Facts) -> Measured {
        let counters = collected.counters();
        let unanswered = match plan.workload {
            Workload::Echo(_) => counters.phase.sent.saturating_sub(collected.latency().len()),
            Workload::Idle | Workload::Cast(_) | Workload::Churn { .. } => 0,
        };
        Measured {
            seconds: facts.measured.as_secs_f64(),
            from_seconds: facts.measured_from.since(Nanos::default()).as_secs_f64(),
            sent: counters.phase.sent,
            received: counters.phase.received,
            received_per_second: per_second(counters.phase.received, facts.measured),
            unanswered,
            bytes_in: counters.phase.bytes_in,
            bytes_out: counters.phase.bytes_out,
            strays: counters.strays,
            unsent: counters.unsent,
            pings: counters.pings,
        }
    }
}

impl Latency {
    /// Of nanoseconds; none if there are none.
    fn new(ns: &Histogram<u64>) -> Option<Latency> {
        if ns.is_empty() {
            return None;
        }
        let at = |quantile| ns.value_at_quantile(quantile) as f64 / 1e3;
        Some(Latency {
            count: ns.len(),
            min: ns.min() as f64 / 1e3,
            mean: ns.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ns.max() as f64 / 1e3,
            curve: curve(ns),
        })
    }
}

/// Up to the highest quantile that more than one value is beyond, and the highest value.
fn curve(ns: &Histogram<u64>) -> Vec<Quantile> {
    let inner = QUANTILES.iter().copied().filter(|quantile| (1.0 - quantile) * ns.len() as f64 > 1.0);
    let point = |quantile| Quantile { quantile, us: ns.value_at_quantile(quantile) as f64 / 1e3 };
    inner.chain([1.0]).map(point).collect()
}

impl Second {
    /// What a progress told at `now`.
    pub fn new(now: Nanos, progress: &Progress) -> Second {
        let latency_us = progress.latency_us;
        Second {
            at_seconds: now.since(Nanos::default()).as_secs_f64(),
            connected: progress.connected,
            failed: progress.failed,
            lost: progress.lost,
            rate: progress.rate,
            p50_us: latency_us.map(|(p50, _)| p50),
            p99_us: latency_us.map(|(_, p99)| p99),
        }
    }
}

impl Fanout {
    fn new(plan: &Plan, collected: &Collected, facts: &Facts, sent: &Sent) -> Fanout {
        let there = collected.counters().connected();
        let (mut last, mut delivering) = (histogram(), Duration::ZERO);
        let (mut complete, mut deliveries) = (0, 0);
        for message in &sent.messages {
            let Some(round) = collected.round(message) else { continue };
            let until_last = round.last_at.since(round.stamp);
            last.saturating_record(until_last.as_nanos() as u64);
            delivering += until_last;
            complete += u64::from(round.receivers >= message.members.unwrap_or(there));
            deliveries += round.receivers;
        }
        let time = if plan.room_size().is_some() { facts.measured } else { delivering };
        Fanout {
            messages: sent.messages.len() as u64,
            complete,
            deliveries,
            deliveries_per_second: per_second(deliveries, time),
            last_receiver_us: Latency::new(&last),
            error: sent.error.clone(),
        }
    }
}

impl Churn {
    fn new(churned: &Churned) -> Churn {
        let Churned { begun, made, failures, left } = *churned;
        Churn { begun, made, failures, unsettled: churned.under_way(), left }
    }
}

/// Zero in no time.
fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// Where a distribution is looked at, closer towards its end.
const QUANTILES: [f64; 28] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99, 0.993,
    0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 0.99995, 0.99998, 0.99999,
];

#[cfg(test)]
mod tests;
