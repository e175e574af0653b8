//! Many clients, each with its messages in flight: CPU of gateway and worker together, against a bare echo on `uring`.

use cluster::Cluster;

use super::harness::{Harness, echo_flags, in_turns, path_pids, target};
use super::{Bound, Goal, Scenario};
use crate::bare::Bare;
use crate::watch::Stopped;

/// Both servers: one hop, raw TCP; two hops, websocket.
pub(super) struct Echo {
    bare: Bare,
    cluster: Cluster,
}

impl Echo {
    pub(super) fn start(harness: &Harness<'_>) -> Echo {
        Echo { bare: Bare::start(harness.cpus, "echo", &[]), cluster: harness.cluster(1) }
    }
}

impl Scenario for Echo {
    fn columns(&self) -> Vec<&'static str> {
        vec!["bare µs", "gateway µs", "worker µs", "ratio", "bare busy %", "busy %", "bare/s", "echoes/s"]
    }

    fn goals(&self) -> Vec<Goal> {
        let what = "CPU of gateway and worker as a multiple of the bare echo's";
        vec![Goal { what, column: 3, bound: Bound::AtMost(1.7) }]
    }

    fn round(&mut self, harness: &Harness<'_>, index: usize) -> Result<Vec<f64>, Stopped> {
        let (bare, pids) = (&self.bare, path_pids(&mut self.cluster));
        let depth = format!("--depth {}", harness.setup.depth);
        let flags = |target: &str| echo_flags(target, harness.setup.conns, &depth);
        let (bare, path) = in_turns(
            index,
            || harness.measure(&flags(&bare.target()), &[bare.id()]),
            || harness.measure(&flags(&target(&self.cluster)), &pids),
        )?;
        let [gateway_us, worker_us] = path.cpu_us_each(path.echoes());
        let (bare_us, ratio) = (bare.cpu_us_per_echo(), path.cpu_us_per_echo() / bare.cpu_us_per_echo());
        let busy = [bare.busy_percent(), path.busy_percent()];
        let rate = [&bare, &path].map(|side| side.outcome.measured.received_per_second);
        Ok(vec![bare_us, gateway_us, worker_us, ratio, busy[0], busy[1], rate[0], rate[1]])
    }
}
