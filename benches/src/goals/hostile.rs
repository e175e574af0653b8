//! Clients that mean harm, beside others: what those wait for an answer while some do one thing as fast as they can, against what
//! they wait without that, in the same round.

use std::process::Command;
use std::time::Duration;

use cluster::process::Process;
use cluster::wait::Stopwatch;
use cluster::{Cluster, Listen};

use super::harness::{Harness, Side, path, target};
use super::{Goal, Round, Scenario, Setup};
use crate::watch::Stopped;
use crate::{cpus, programs};

pub(crate) const BYTES: Scenario = Scenario {
    name: "hostile-bytes",
    usual: Setup { rounds: 3, conns: 50, ..Setup::USUAL },
    columns: &[
        "quiet p50 ms",
        "quiet p99 ms",
        "p50 ms",
        "p99 ms",
        "of what it may",
        "max ms",
        "unanswered",
        "attacks/s",
        "busy %",
    ],
    goals: &[
        Goal::at_most("p99 of others, as a multiple of twice that without attackers and 5 ms more", 4, 1.0),
        Goal::at_most("messages of others unanswered", 6, 0.0),
    ],
    start: |harness| start(harness, "bytes", 1),
};

pub(crate) const BYTES_2: Scenario =
    Scenario { name: "hostile-bytes-2", start: |harness| start(harness, "bytes", 2), ..BYTES };

pub(crate) const BYTES_5: Scenario =
    Scenario { name: "hostile-bytes-5", start: |harness| start(harness, "bytes", 5), ..BYTES };

pub(crate) const BARE: Scenario =
    Scenario { name: "hostile-bare", start: |harness| start_bare(harness, 1), ..BYTES };

pub(crate) const BARE_5: Scenario =
    Scenario { name: "hostile-bare-5", start: |harness| start_bare(harness, 5), ..BYTES };

pub(crate) const PINGS: Scenario =
    Scenario { name: "hostile-pings", start: |harness| start(harness, "pings", 5), ..BYTES };

pub(crate) const PONGS: Scenario =
    Scenario { name: "hostile-pongs", start: |harness| start(harness, "pongs", 5), ..BYTES };

pub(crate) const FRAGMENTS: Scenario =
    Scenario { name: "hostile-fragments", start: |harness| start(harness, "fragments", 5), ..BYTES };

pub(crate) const HEADERS: Scenario =
    Scenario { name: "hostile-headers", start: |harness| start(harness, "headers", 1), ..BYTES };

pub(crate) const QUERIES: Scenario =
    Scenario { name: "hostile-queries", start: |harness| start(harness, "queries", 1), ..BYTES };

/// A flood from one address where each may have so many clients.
pub(crate) const CONNECTIONS: Scenario = Scenario {
    name: "hostile-connections",
    start: |harness| start_limited(harness, "connections", &["--max-clients-per-address", "200"]),
    ..BYTES
};

/// The same where so many may come from each in a second.
pub(crate) const HANDSHAKES: Scenario = Scenario {
    name: "hostile-handshakes",
    start: |harness| start_limited(harness, "handshakes", &["--handshakes-per-address", "50:500"]),
    ..BYTES
};

/// Far more messages than each client may send.
pub(crate) const MESSAGES: Scenario = Scenario {
    name: "hostile-messages",
    start: |harness| start_limited(harness, "bytes", &["--messages-per-second", "100"]),
    ..BYTES
};

fn start_limited<'a>(
    harness: &'a Harness<'_>,
    kind: &'static str,
    flags: &[&str],
) -> Result<Round<'a>, Stopped> {
    let mut cluster = harness.start(Cluster::builder().gateway_flags(flags));
    Ok(Box::new(move |_| {
        let side = path(&mut cluster);
        measure(harness, &cluster, &side, kind, FLOODERS)
    }))
}

fn start<'a>(harness: &'a Harness<'_>, kind: &'static str, attackers: usize) -> Result<Round<'a>, Stopped> {
    let mut cluster = harness.cluster(1);
    Ok(Box::new(move |_| {
        let side = path(&mut cluster);
        measure(harness, &cluster, &side, kind, attackers)
    }))
}

/// Behind a worker that acknowledges nothing, as PHP's (`src/bin/bare-worker.rs`), 1-byte messages.
fn start_bare<'a>(harness: &'a Harness<'_>, attackers: usize) -> Result<Round<'a>, Stopped> {
    let mut cluster = harness.start(Cluster::builder().workers(0));
    let mut command = Command::new(programs::bare_worker());
    command.arg(cluster.inner_address(0, 0).to_string());
    let worker = cpus::on(harness.cpus.server, || Process::spawn("bare-worker", command));
    worker.await_ready("bare-worker");
    Ok(Box::new(move |_| {
        let pids = vec![cluster.gateway(0).id(), worker.id()];
        let side = Side { target: target(&cluster), pids, admin: Vec::new() };
        measure(harness, &cluster, &side, "bytes", attackers)
    }))
}

/// An echo by the clock, then the same with attackers beside it.
fn measure(
    harness: &Harness<'_>,
    cluster: &Cluster,
    side: &Side,
    kind: &str,
    attackers: usize,
) -> Result<Vec<f64>, Stopped> {
    let rate = harness.setup.conns as f64 * MESSAGES_PER_SECOND;
    let quiet = harness.echo_at(side, rate)?;
    let mut attack = Attack::start(harness, cluster, kind, attackers)?;
    let beside = harness.echo_at(side, rate)?;
    let attacks_per_second = attack.per_second()?;
    let (quiet_p50, quiet_p99) = quiet.p50_p99_us();
    let (p50, p99) = beside.p50_p99_us();
    let max = beside.outcome.latency_us.as_ref().map_or(0.0, |us| us.max);
    let unanswered = (quiet.outcome.measured.unanswered + beside.outcome.measured.unanswered) as f64;
    Ok(vec![
        quiet_p50 / 1e3,
        quiet_p99 / 1e3,
        p50 / 1e3,
        p99 / 1e3,
        p99 / (2.0 * quiet_p99 + MORE_US),
        max / 1e3,
        unanswered,
        attacks_per_second,
        beside.busy_percent(),
    ])
}

/// Attackers at work, in a process of their own. Dropped, it is killed.
struct Attack {
    process: Process,
    clock: Stopwatch,
    /// What they had done when the clock was started.
    before: f64,
}

impl Attack {
    /// On the load's CPU, of which they take what others leave.
    fn start(
        harness: &Harness<'_>,
        cluster: &Cluster,
        kind: &str,
        attackers: usize,
    ) -> Result<Attack, Stopped> {
        let mut command = programs::nice(&programs::attacker(), 19);
        let address = cluster.address(0, Listen::Websocket);
        command.args([kind, &attackers.to_string(), &address.to_string()]);
        let process = cpus::on(harness.cpus.load, || Process::spawn("attacker", command));
        let mut attack = Attack { process, clock: Stopwatch::start(), before: 0.0 };
        attack.before = harness.watch.until("the attack", ATTACK_LIMIT, || attack.done())?;
        attack.clock = Stopwatch::start();
        Ok(attack)
    }

    /// How often they have done it, once all have begun.
    fn done(&mut self) -> Result<Option<f64>, Stopped> {
        if !self.process.is_running() {
            return Err(format!("the attackers ended\n{}", self.process.output()));
        }
        let said = self.process.stdout();
        Ok(said.lines().rev().find_map(|line| line.strip_prefix("attacked ")?.parse().ok()))
    }

    /// How often a second, since they have begun.
    fn per_second(&mut self) -> Result<f64, Stopped> {
        let seconds = self.clock.elapsed().as_secs_f64();
        Ok((self.done()?.unwrap_or_default() - self.before) / seconds)
    }
}

/// Attackers of a flood.
const FLOODERS: usize = 4;

/// Of each of the others.
const MESSAGES_PER_SECOND: f64 = 20.0;

/// What attackers may add to twice the quiet p99, in µs.
const MORE_US: f64 = 5_000.0;

/// How long attackers may take to begin.
const ATTACK_LIMIT: Duration = Duration::from_secs(30);
