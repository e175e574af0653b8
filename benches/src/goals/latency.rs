//! One client with one message in flight: through gateway and worker, and through two bare programs on `uring`.

use cluster::Cluster;

use super::harness::{Harness, Measurement, echo_flags, in_turns, path_pids, target};
use super::{Bound, Goal, Scenario};
use crate::bare::Bare;
use crate::watch::Stopped;

/// Both paths.
pub(super) struct Latency {
    hop: Bare,
    end: Bare,
    cluster: Cluster,
}

impl Latency {
    pub(super) fn start(harness: &Harness<'_>) -> Latency {
        let end = Bare::start(harness.cpus, "echo", &[]);
        let hop = Bare::start(harness.cpus, "relay", &[end.address()]);
        Latency { hop, end, cluster: harness.cluster(1) }
    }
}

impl Scenario for Latency {
    fn columns(&self) -> Vec<&'static str> {
        vec!["bare p50 µs", "p50 µs", "ratio", "bare CPU µs", "CPU µs"]
    }

    fn goals(&self) -> Vec<Goal> {
        vec![Goal { what: "p50 as a multiple of two bare hops'", column: 2, bound: Bound::AtMost(1.3) }]
    }

    fn round(&mut self, harness: &Harness<'_>, index: usize) -> Result<Vec<f64>, Stopped> {
        let (bare_pids, pids) = ([self.hop.id(), self.end.id()], path_pids(&mut self.cluster));
        let flags = |target: &str| echo_flags(target, harness.setup.conns, "--depth 1");
        let (bare, path) = in_turns(
            index,
            || harness.measure(&flags(&self.hop.target()), &bare_pids),
            || harness.measure(&flags(&target(&self.cluster)), &pids),
        )?;
        let p50 = |side: &Measurement| side.p50_p99_us().0;
        let cpu = [bare.cpu_us_per_echo(), path.cpu_us_per_echo()];
        Ok(vec![p50(&bare), p50(&path), p50(&path) / p50(&bare), cpu[0], cpu[1]])
    }
}
