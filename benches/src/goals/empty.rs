//! What programs cost that have nothing to do: a cluster without clients.

use std::time::Duration;

use cluster::Cluster;
use cluster::process::cpu_time;
use cluster::wait::Stopwatch;

use super::harness::{Harness, path_pids};
use super::{Bound, Goal, Scenario};
use crate::watch::Stopped;

/// A gateway of several shards, so that what its process has once counts little; a worker with one core; a register.
pub(super) struct Empty(Cluster);

impl Empty {
    pub(super) fn start(harness: &Harness<'_>) -> Empty {
        Empty(harness.cluster(SHARDS))
    }
}

impl Scenario for Empty {
    fn columns(&self) -> Vec<&'static str> {
        vec!["shard %", "worker core %", "register %"]
    }

    fn goals(&self) -> Vec<Goal> {
        vec![Goal { what: "% of a core that a shard takes", column: 0, bound: Bound::AtMost(0.03) }]
    }

    fn round(&mut self, harness: &Harness<'_>, _: usize) -> Result<Vec<f64>, Stopped> {
        let [gateway, worker] = path_pids(&mut self.0);
        let pids = [gateway, worker, self.0.register().id()];
        harness.watch.pause(Duration::from_secs_f64(harness.setup.warmup_seconds))?;
        let (clock, before) = (Stopwatch::start(), pids.map(cpu_time));
        harness.watch.pause(Duration::from_secs_f64(harness.setup.hold_seconds))?;
        let (after, elapsed) = (pids.map(cpu_time), clock.elapsed());
        let percent = |index: usize| {
            let used: Duration = after[index] - before[index];
            used.as_secs_f64() / elapsed.as_secs_f64() * 100.0
        };
        Ok(vec![percent(0) / SHARDS as f64, percent(1), percent(2)])
    }
}

/// Shards of the gateway.
const SHARDS: usize = 8;
