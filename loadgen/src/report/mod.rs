//! The result of a run: values for programs (JSON), a table and a page for people.

mod latency;
pub mod page;
mod table;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Nanos;
use crate::config::BROADCASTS_KEPT;
use crate::failure::Failures;
use crate::measure::{Churned, histogram};
use crate::plan::Plan;
use crate::run::{Collected, Progress};
use crate::sender::{Message, Sent};
use crate::server::Server;
use crate::step::{Load, Step, Workload};
use crate::target::Target;

pub use latency::{Latency, Quantile};

/// What the control thread knows beyond what the cores counted.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The user ended the run.
    pub interrupted: bool,
    /// The steps that were begun.
    pub steps: Vec<StepFacts>,
    /// The server's memory, if it is on this machine.
    pub server: Option<ServerMemory>,
}

/// What the control thread knows of a step.
#[derive(Clone, Debug, Default)]
pub struct StepFacts {
    /// How long was measured; zero if it ended before.
    pub measured: Duration,
    /// When that began.
    pub measured_from: Nanos,
    /// Connections that were open at its end.
    pub there: u64,
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
    /// The server's memory; none if it is on another machine, or belongs to another user.
    pub server: Option<ServerMemory>,
    /// What the clients did, one after the other: the first step, and those of the others that were begun.
    pub steps: Vec<Outcome>,
    /// How it went, second by second.
    pub seconds: Vec<Second>,
}

/// What came of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// What was asked for.
    pub setup: StepSetup,
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
}

/// Bytes that the server's processes had resident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMemory {
    /// Which processes.
    pub pids: Vec<u32>,
    /// Before the first connection.
    pub first_bytes: u64,
    /// The most that was seen.
    pub most_bytes: u64,
    /// What was seen last.
    pub last_bytes: u64,
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
    /// Bytes that the server's processes had resident; none if they are not known.
    pub server_bytes: Option<u64>,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Every destination.
    pub targets: Vec<String>,
    /// Addresses they were reached from; empty: the system chose.
    pub sources: Vec<IpAddr>,
    /// Threads.
    pub cores: usize,
    /// Connections to be opened a second.
    pub ramp_per_second: f64,
}

/// What was asked for in a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepSetup {
    /// `idle`, `echo`, `broadcast`, `rooms` or `churn`.
    pub scenario: String,
    /// Clients that send; the others are just there.
    pub clients: u64,
    /// Closed loop: messages in flight per connection.
    pub depth: Option<u32>,
    /// By the clock: messages (churn: clients) a second.
    pub rate_per_second: Option<f64>,
    /// Broadcasts, rooms: messages that leave at once.
    pub burst: Option<usize>,
    /// Rooms: clients in a room.
    pub room_size: Option<usize>,
    /// Bytes of a message.
    pub size: usize,
    /// Seconds to be measured.
    pub hold_seconds: f64,
    /// Seconds of load before.
    pub warmup_seconds: f64,
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
    /// Receives that brought bytes in it: with several messages in each there are fewer than messages.
    pub receives: u64,
    /// The latter per second.
    pub received_per_second: f64,
    /// Echo: messages meant to be sent in it that never came back, also not in the time after it (`--drain`).
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

/// What came of broadcasts or room messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fanout {
    /// Messages sent.
    pub messages: u64,
    /// Those that reached every client they were for: of a broadcast, those who were there at the end of the step.
    pub complete: u64,
    /// How often they were received, all together.
    pub deliveries: u64,
    /// Per second of delivering. Broadcast: from the moment each was meant to be sent until its last receiver has it;
    /// rooms, whose messages overlap: of the measured phase.
    pub deliveries_per_second: f64,
    /// From the moment a message was meant to be sent until its last receiver has it; none if nobody received any.
    pub last_receiver_us: Option<Latency>,
    /// Each broadcast, in order, the first thousand; of room messages there are too many.
    pub broadcasts: Vec<Broadcast>,
    /// Why there were no more messages, if not all were sent.
    pub error: Option<String>,
}

/// One broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broadcast {
    /// When it was meant to be sent, in seconds since the run began.
    pub at_seconds: f64,
    /// Clients that received it.
    pub delivered: u64,
    /// Clients that were there at the end of the step.
    pub expected: u64,
    /// From the moment it was meant to be sent until its last receiver had it; none if nobody received it.
    pub last_receiver_us: Option<f64>,
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
        let not_begun = [StepFacts::default()];
        let begun = if facts.steps.is_empty() { &not_begun } else { facts.steps.as_slice() };
        let of_step = |(index, facts)| Outcome::new(plan, collected, index, facts);
        Report {
            setup: Setup::new(plan),
            interrupted: facts.interrupted,
            connections: Connections::new(plan, collected),
            server: facts.server.clone(),
            steps: begun.iter().enumerate().map(of_step).collect(),
            seconds: collected.seconds().to_vec(),
        }
    }

    /// The first step, which every report has.
    pub fn first(&self) -> &Outcome {
        &self.steps[0]
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
        Setup {
            targets: plan.destinations.iter().map(Target::url).collect(),
            sources: plan.sources.clone(),
            cores: plan.cores(),
            ramp_per_second: plan.ramp,
        }
    }
}

impl Outcome {
    fn new(plan: &Plan, collected: &Collected, index: usize, facts: &StepFacts) -> Outcome {
        let step = &plan.steps[index];
        let churns = matches!(step.workload, Workload::Churn { .. });
        Outcome {
            setup: StepSetup::new(step),
            measured: Measured::new(step, collected, index, facts),
            latency_us: Latency::new(collected.latency(index)),
            fanout: facts.sent.as_ref().map(|sent| Fanout::new(step, collected, facts, sent)),
            churn: churns.then(|| Churn::new(&collected.counters().churn)),
        }
    }
}

impl StepSetup {
    fn new(step: &Step) -> StepSetup {
        let (depth, rate_per_second, burst) = match &step.workload {
            Workload::Idle => (None, None, None),
            Workload::Echo(Load::Closed { depth }) => (Some(*depth), None, None),
            Workload::Echo(Load::Open { per_second }) | Workload::Churn { per_second } => {
                (None, Some(*per_second), None)
            }
            Workload::Cast(cast) => (None, Some(cast.per_second), Some(cast.burst)),
        };
        StepSetup {
            scenario: step.workload.name().to_owned(),
            clients: step.clients as u64,
            depth,
            rate_per_second,
            burst,
            room_size: step.workload.room_size(),
            size: step.size,
            hold_seconds: step.hold.as_secs_f64(),
            warmup_seconds: step.warmup.as_secs_f64(),
        }
    }
}

impl ServerMemory {
    /// What its processes have now; none if they are gone.
    pub fn now(server: &Server) -> Option<ServerMemory> {
        let bytes = server.resident_bytes()?;
        let pids = server.pids().to_vec();
        Some(ServerMemory { pids, first_bytes: bytes, most_bytes: bytes, last_bytes: bytes })
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
    fn new(step: &Step, collected: &Collected, index: usize, facts: &StepFacts) -> Measured {
        let (counters, traffic) = (collected.counters(), collected.traffic(index));
        let unanswered = match step.workload {
            Workload::Echo(_) => traffic.sent.saturating_sub(collected.latency(index).len()),
            Workload::Idle | Workload::Cast(_) | Workload::Churn { .. } => 0,
        };
        Measured {
            seconds: facts.measured.as_secs_f64(),
            from_seconds: facts.measured_from.since(Nanos::default()).as_secs_f64(),
            sent: traffic.sent,
            received: traffic.received,
            receives: traffic.receives,
            received_per_second: per_second(traffic.received, facts.measured),
            unanswered,
            bytes_in: traffic.bytes_in,
            bytes_out: traffic.bytes_out,
            strays: counters.strays,
            unsent: counters.unsent,
            pings: counters.pings,
        }
    }
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
            server_bytes: progress.server_bytes,
        }
    }
}

impl Fanout {
    fn new(step: &Step, collected: &Collected, facts: &StepFacts, sent: &Sent) -> Fanout {
        let (mut last, mut delivering) = (histogram(), Duration::ZERO);
        let (mut complete, mut deliveries) = (0, 0);
        for message in &sent.messages {
            let Some(round) = collected.round(message) else { continue };
            let until_last = round.last_at.since(round.stamp);
            last.saturating_record(until_last.as_nanos() as u64);
            delivering += until_last;
            complete += u64::from(round.receivers >= message.members.unwrap_or(facts.there));
            deliveries += round.receivers;
        }
        let is_rooms = step.workload.room_size().is_some();
        let broadcast = |message| Broadcast::new(message, collected, facts.there);
        let kept = if is_rooms { 0 } else { BROADCASTS_KEPT };
        Fanout {
            messages: sent.messages.len() as u64,
            complete,
            deliveries,
            deliveries_per_second: per_second(deliveries, if is_rooms { facts.measured } else { delivering }),
            last_receiver_us: Latency::new(&last),
            broadcasts: sent.messages.iter().take(kept).map(broadcast).collect(),
            error: sent.error.clone(),
        }
    }
}

impl Broadcast {
    fn new(message: &Message, collected: &Collected, expected: u64) -> Broadcast {
        let round = collected.round(message);
        Broadcast {
            at_seconds: message.stamp.since(Nanos::default()).as_secs_f64(),
            delivered: round.map_or(0, |round| round.receivers),
            expected,
            last_receiver_us: round.map(|round| round.last_at.since(round.stamp).as_nanos() as f64 / 1e3),
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

#[cfg(test)]
mod tests;
