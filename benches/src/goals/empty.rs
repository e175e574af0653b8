//! What programs cost that have nothing to do: a cluster without clients.

use std::time::Duration;

use super::harness::{CpuMeter, Harness, path};
use super::{Goal, Round, Scenario, Setup};
use crate::watch::Stopped;

pub(crate) const EMPTY: Scenario = Scenario {
    name: "empty",
    usual: Setup { conns: 0, hold_seconds: 10.0, ..Setup::USUAL },
    columns: &["shard %", "worker core %", "register %"],
    goals: &[Goal::at_most("% of a core that a shard takes", 0, 0.03)],
    start,
};

/// A gateway of several shards, so that what its process has once counts little; a worker with one core; a register.
fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let mut cluster = harness.cluster(SHARDS);
    Ok(Box::new(move |_| {
        let mut pids = path(&mut cluster).pids;
        pids.push(cluster.register().id());
        harness.watch.pause(Duration::from_secs_f64(harness.setup.warmup_seconds))?;
        let meter = CpuMeter::start(&pids);
        harness.watch.pause(Duration::from_secs_f64(harness.setup.hold_seconds))?;
        let mut percent: Vec<f64> = meter.cores().iter().map(|cores| cores * 100.0).collect();
        percent[0] /= SHARDS as f64;
        Ok(percent)
    }))
}

/// Shards of the gateway.
const SHARDS: usize = 8;
