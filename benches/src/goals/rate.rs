//! The rate at which the servers' CPU is full, and the latency at half of it, by the clock.

use cluster::Cluster;

use super::harness::{Harness, echo_flags, path_pids, target};
use super::{Bound, Goal, Scenario};
use crate::watch::Stopped;

/// Gateway and worker.
pub(super) struct Rate(pub Cluster);

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

    fn round(&mut self, harness: &Harness<'_>, _: usize) -> Result<Vec<f64>, Stopped> {
        let pids = path_pids(&mut self.0);
        let run =
            |pace: &str| harness.measure(&echo_flags(&target(&self.0), harness.setup.conns, pace), &pids);
        let full = run("--depth 1")?;
        let saturated = full.outcome.measured.received_per_second;
        let half = run(&format!("--rate {:.1}", saturated / 2.0))?;
        let ((p50, p99), measured) = (half.p50_p99_us(), &half.outcome.measured);
        let (rate, unanswered) = (measured.received_per_second, measured.unanswered as f64);
        Ok(vec![saturated, full.busy_percent(), rate, p50 / 1e3, p99 / 1e3, unanswered])
    }
}
