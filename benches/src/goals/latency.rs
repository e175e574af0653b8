//! One client with one message in flight: through gateway and worker, and through two bare programs on `ring`.

use cluster::Cluster;

use super::stage::{Stage, in_turns, path_cpu_time, target};
use super::{Bound, Goal, Scenario};
use crate::bare::Bare;
use crate::watch::Stopped;

/// Both paths.
pub struct Latency {
    hop: Bare,
    end: Bare,
    cluster: Cluster,
}

impl Latency {
    pub fn start(stage: &Stage<'_>) -> Latency {
        let end = Bare::start(stage.cpus, "echo", &[]);
        Latency { hop: Bare::start(stage.cpus, "relay", &[end.address()]), end, cluster: stage.cluster(1) }
    }
}

impl Scenario for Latency {
    fn columns(&self) -> Vec<&'static str> {
        vec!["bare p50 µs", "p50 µs", "ratio", "bare CPU µs", "CPU µs"]
    }

    fn goals(&self) -> Vec<Goal> {
        vec![Goal { what: "p50 as a multiple of two bare hops'", column: 2, bound: Bound::AtMost(1.3) }]
    }

    fn round(&mut self, stage: &Stage<'_>, index: usize) -> Result<Vec<f64>, Stopped> {
        let Latency { hop, end, cluster } = self;
        let conns = stage.setup.conns;
        let (bare_at, path_at) = (hop.address(), target(cluster));
        let flags = |target: &str| format!("--scenario echo --depth 1 --conns {conns} --target {target}");
        let (bare, path) = in_turns(
            index,
            || stage.drive(&flags(&format!("tcp://{bare_at}")), || hop.cpu_time() + end.cpu_time()),
            || stage.drive(&flags(&path_at), || path_cpu_time(cluster)),
        )?;
        let p50 = |driven: &super::stage::Driven| driven.outcome.latency_us.as_ref().map_or(0.0, |us| us.p50);
        let cpu =
            |driven: &super::stage::Driven| driven.cpu_us / driven.outcome.measured.received.max(1) as f64;
        Ok(vec![p50(&bare), p50(&path), p50(&path) / p50(&bare), cpu(&bare), cpu(&path)])
    }
}
