//! An echo among many idle clients, and one among few: what a message costs must not depend on who is silent.

use cluster::Cluster;

use super::harness::{Harness, Measurement, echo_flags, in_turns, path_pids, target};
use super::{Bound, Goal, Scenario};
use crate::load::Load;
use crate::shards::shards;
use crate::watch::Stopped;

/// Both clusters.
pub(super) struct Idle {
    few: IdleCluster,
    many: IdleCluster,
}

/// A cluster and its idle clients.
struct IdleCluster {
    cluster: Cluster,
    _idle: Load,
}

impl Idle {
    pub(super) fn start(harness: &Harness<'_>) -> Result<Idle, Stopped> {
        let shards = shards(harness.setup.conns, program::raise_open_files(), 1);
        let start = |conns| IdleCluster::start(harness, shards, conns);
        Ok(Idle { few: start(harness.setup.few)?, many: start(harness.setup.conns)? })
    }
}

impl IdleCluster {
    fn start(harness: &Harness<'_>, shards: usize, conns: usize) -> Result<IdleCluster, Stopped> {
        let cluster = harness.cluster(shards);
        let idle = hold(harness, &cluster, 0, conns)?;
        Ok(IdleCluster { cluster, _idle: idle })
    }

    fn echo(&mut self, harness: &Harness<'_>) -> Result<Measurement, Stopped> {
        let pids = path_pids(&mut self.cluster);
        harness.measure(&echo_flags(&target(&self.cluster), ECHO_CONNS, "--depth 1"), &pids)
    }
}

/// So many clients that idle until their load generator is dropped, from addresses behind the first `skip`.
pub(super) fn hold(
    harness: &Harness<'_>,
    cluster: &Cluster,
    skip: usize,
    conns: usize,
) -> Result<Load, Stopped> {
    let (target, sources) = (target(cluster), sources(skip, conns));
    let flags =
        format!("--conns {conns} --target {target} --source {sources} --hold {IDLE_SECONDS} --timeout 60");
    let mut load = Load::start("idle", Some(harness.cpus.load), &flags);
    load.await_measuring(&harness.watch, || ())?;
    Ok(load)
}

/// Addresses of this machine that so many connections to one port come from; the first `skip` are others'.
fn sources(skip: usize, conns: usize) -> String {
    let octets = (1..255).skip(skip).take(conns.div_ceil(CONNS_PER_SOURCE));
    octets.map(|octet| format!("127.0.1.{octet}")).collect::<Vec<_>>().join(",")
}

impl Scenario for Idle {
    fn columns(&self) -> Vec<&'static str> {
        vec!["µs among few", "µs among many", "ratio"]
    }

    fn goals(&self) -> Vec<Goal> {
        vec![Goal {
            what: "CPU per echo among many idle clients as a multiple of that among few",
            column: 2,
            bound: Bound::AtMost(1.2),
        }]
    }

    fn round(&mut self, harness: &Harness<'_>, index: usize) -> Result<Vec<f64>, Stopped> {
        let (few, many) = in_turns(index, || self.few.echo(harness), || self.many.echo(harness))?;
        let (few, many) = (few.cpu_us_per_echo(), many.cpu_us_per_echo());
        Ok(vec![few, many, many / few])
    }
}

/// Connections that echo.
const ECHO_CONNS: usize = 1000;

/// Far longer than any run.
const IDLE_SECONDS: u32 = 36_000;

/// Ports that Linux hands out fast towards one address and port.
const CONNS_PER_SOURCE: usize = 14_000;
