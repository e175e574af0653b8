//! The rate at which the servers' CPU is full, and the latency at half of it, by the clock.

use cluster::Cluster;

use super::stage::{Stage, path_cpu_time, target};
use super::{Bound, Goal, Scenario};
use crate::watch::Stopped;

/// Gateway and worker.
pub struct Rate(Cluster);

impl Rate {
    pub fn start(stage: &Stage<'_>) -> Rate {
        Rate(stage.cluster(1))
    }
}

impl Scenario for Rate {
    fn columns(&self) -> Vec<&'static str> {
        vec!["saturated/s", "CPU busy %", "half of it/s", "p50 ms", "p99 ms", "unanswered"]
    }

    fn goals(&self) -> Vec<Goal> {
        vec![
            Goal { what: "p99 in ms at half of the saturated rate", column: 4, bound: Bound::AtMost(5.0) },
            Goal { what: "messages unanswered", column: 5, bound: Bound::AtMost(0.0) },
        ]
    }

    fn round(&mut self, stage: &Stage<'_>, _: usize) -> Result<Vec<f64>, Stopped> {
        let Rate(cluster) = self;
        let flags = format!("--scenario echo --conns {} --target {}", stage.setup.conns, target(cluster));
        let full = stage.drive(&format!("{flags} --depth 1"), || path_cpu_time(cluster))?;
        let saturated = full.outcome.measured.received_per_second;
        let busy = full.cpu_us / 1e4 / full.outcome.measured.seconds;
        let half = saturated / 2.0;
        let half = stage.drive(&format!("{flags} --rate {half:.1}"), || path_cpu_time(cluster))?.outcome;
        let (p50, p99) = half.latency_us.map_or((0.0, 0.0), |us| (us.p50, us.p99));
        let (rate, unanswered) = (half.measured.received_per_second, half.measured.unanswered);
        Ok(vec![saturated, busy, rate, p50 / 1e3, p99 / 1e3, unanswered as f64])
    }
}
