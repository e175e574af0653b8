//! An echo among many idle clients, and one among few: what a message costs must not depend on who is silent.

use cluster::Cluster;

use super::harness::{Harness, in_turns, path, target};
use super::{Goal, Round, Scenario, Setup};
use crate::load::Load;
use crate::shards::shards;
use crate::watch::Stopped;

pub(crate) const IDLE: Scenario = Scenario {
    name: "idle",
    usual: Setup { conns: 100_000, ..Setup::USUAL },
    columns: &["µs among few", "µs among many", "ratio"],
    goals: &[Goal::at_most("CPU per echo among many idle clients as a multiple of that among few", 2, 1.2)],
    start,
};

fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let shards = shards(harness.setup.conns, program::raise_open_files(), 1);
    let start = |conns| -> Result<_, Stopped> {
        let cluster = harness.cluster(shards);
        let idle = hold(harness, &cluster, 0, conns)?;
        Ok((cluster, idle))
    };
    let (mut few, mut many) = (start(harness.setup.few)?, start(harness.setup.conns)?);
    Ok(Box::new(move |index| {
        let [few, many] = in_turns(index, [&mut few, &mut many], |(cluster, _)| {
            let echo = harness.echo(&path(cluster), ECHO_CONNS, "--depth 1")?;
            Ok(echo.cpu_us_per_echo())
        })?;
        Ok(vec![few, many, many / few])
    }))
}

/// So many clients that idle until their load generator is dropped, from addresses behind the first `skip`.
pub(super) fn hold(
    harness: &Harness<'_>,
    cluster: &Cluster,
    skip: usize,
    conns: usize,
) -> Result<Load, Stopped> {
    hold_with(harness, cluster, skip, conns, "")
}

/// The same with more flags.
pub(super) fn hold_with(
    harness: &Harness<'_>,
    cluster: &Cluster,
    skip: usize,
    conns: usize,
    flags: &str,
) -> Result<Load, Stopped> {
    let (target, sources) = (target(cluster), sources(skip, conns));
    harness.load(&format!(
        "--conns {conns} --target {target} --source {sources} --hold {IDLE_SECONDS} --timeout 60 {flags}"
    ))
}

/// Addresses of this machine that so many connections to one port come from; the first `skip` are others'.
fn sources(skip: usize, conns: usize) -> String {
    let octets = (1..255).skip(skip).take(conns.div_ceil(CONNS_PER_SOURCE));
    octets.map(|octet| format!("127.0.1.{octet}")).collect::<Vec<_>>().join(",")
}

/// Connections that echo.
const ECHO_CONNS: usize = 1000;

/// Far longer than any run.
const IDLE_SECONDS: u32 = 36_000;

/// Ports that Linux hands out fast towards one address and port.
const CONNS_PER_SOURCE: usize = 14_000;
