//! Echoes beside broadcasts: what a client waits for an answer while everybody is told something, again and again.

use super::harness::{Harness, path};
use super::idle::hold_with;
use super::{Goal, Round, Scenario, Setup};
use crate::median::median;
use crate::shards::shards;
use crate::watch::Stopped;

pub(crate) const BESIDE: Scenario = Scenario {
    name: "beside",
    usual: Setup { conns: 15_000, ..Setup::USUAL },
    columns: &["p50 ms", "p99 ms", "max ms", "unanswered", "broadcast ms", "not reached"],
    goals: &[
        Goal::at_most("p50 in ms of echoes beside broadcasts", 0, 100.0),
        Goal::at_most("p99 in ms of echoes beside broadcasts", 1, 500.0),
        Goal::at_most("messages unanswered", 3, 0.0),
        Goal::at_most("clients that a broadcast did not reach", 5, 0.0),
    ],
    start,
};

fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let conns = harness.setup.conns;
    let mut cluster = harness.cluster(shards(conns, program::raise_open_files(), 1));
    let register = cluster.register_address();
    Ok(Box::new(move |_| {
        let told =
            format!("--scenario broadcast --register {register} --rate {RATE} --size {BROADCAST_SIZE}");
        let mut told = hold_with(harness, &cluster, 0, conns, &told)?;
        let echo = harness.echo(&path(&mut cluster), ECHO_CONNS, &format!("--rate {ECHO_RATE}"))?;
        told.interrupt();
        let mut report = told.finish(&harness.watch)?;
        let told = report.steps.swap_remove(0).fanout.ok_or("no broadcasts were reported")?.broadcasts;
        let missing: u64 = told.iter().map(|one| one.expected.saturating_sub(one.delivered)).sum();
        let last_ms = told.iter().filter_map(|one| one.last_receiver_us).map(|us| us / 1e3).collect();
        let (p50, p99) = echo.p50_p99_us();
        let max = echo.outcome.latency_us.as_ref().map_or(0.0, |us| us.max);
        let unanswered = echo.outcome.measured.unanswered as f64;
        Ok(vec![p50 / 1e3, p99 / 1e3, max / 1e3, unanswered, median(last_ms), missing as f64])
    }))
}

/// Broadcasts a second: there is nearly always one on its way.
const RATE: u32 = 10;

/// Not as long as an echo, so that they are told apart.
const BROADCAST_SIZE: usize = 128;

/// Clients that echo, and their messages a second.
const ECHO_CONNS: usize = 100;
const ECHO_RATE: u32 = 1000;
