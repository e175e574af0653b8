//! The result of a run: values for programs (JSON), a table and a page for people.

mod latency;
mod page;
mod table;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::failure::Failures;
use crate::measure::ChurnCounters;
use crate::step::Step;

pub use latency::{Latency, Quantile};

/// The result of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What was asked for.
    pub setup: Setup,
    /// Ended by the user: what follows is what was so far.
    pub interrupted: bool,
    /// The connections, made, failed and lost.
    pub connections: Connections,
    /// The server's memory; none if it is on another machine, or belongs to another user.
    pub server: Option<ServerMemory>,
    /// The steps in their order: the first one, and every other one that was begun.
    pub steps: Vec<Outcome>,
    /// Progress, second by second.
    pub seconds: Vec<Second>,
}

/// The result of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// What was asked for.
    pub setup: Step,
    /// What happened in the measured phase.
    pub measured: Measured,
    /// Latency of the messages of the measured phase, from the moment a message was meant to be sent; none if none came
    /// back. Churn: of the connections, from the moment one was meant to begin until it was open, the handshake included.
    pub latency_us: Option<Latency>,
    /// Broadcasts and room messages; none in other scenarios.
    pub fanout: Option<Fanout>,
    /// Churn: clients that connected and left; none in other scenarios.
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
    /// Messages received (churn: connections made) per second.
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

/// Connections made, failed and lost.
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
    /// Messages received per second.
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

/// The result of broadcasts or room messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fanout {
    /// Messages sent.
    pub messages: u64,
    /// Messages that reached every client they were for. A broadcast is for all clients connected at the end of the step.
    pub complete: u64,
    /// How often messages were received, all together.
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
    /// Clients connected at the end of the step.
    pub expected: u64,
    /// From the moment it was meant to be sent until its last receiver had it; none if nobody received it.
    pub last_receiver_us: Option<f64>,
}

/// Clients that connected and left by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churn {
    /// What was counted.
    #[serde(flatten)]
    pub counters: ChurnCounters,
    /// Connections that were neither ready nor failed at the end.
    pub unsettled: u64,
}

impl Report {
    /// The first step, which every report has.
    pub fn first(&self) -> &Outcome {
        &self.steps[0]
    }

    /// As JSON, with a line end.
    ///
    /// # Errors
    /// None is known; the encoder's type has one.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}
