//! An echo among many idle clients, and one among few: what a message costs must not depend on who is silent.

use cluster::Cluster;

use super::stage::{Driven, Stage, in_turns, path_cpu_time, target};
use super::{Bound, Goal, Scenario};
use crate::load::Load;
use crate::shards::shards;
use crate::watch::Stopped;

/// Both crowds.
pub struct Idle {
    few: Crowd,
    many: Crowd,
}

/// A cluster and its idle clients.
struct Crowd {
    cluster: Cluster,
    _idle: Load,
}

impl Idle {
    pub fn start(stage: &Stage<'_>) -> Result<Idle, Stopped> {
        let shards = shards(stage.setup.conns, program::raise_open_files(), 1);
        let crowd = |conns| Crowd::start(stage, shards, conns);
        Ok(Idle { few: crowd(stage.setup.few)?, many: crowd(stage.setup.conns)? })
    }
}

impl Crowd {
    fn start(stage: &Stage<'_>, shards: usize, conns: usize) -> Result<Crowd, Stopped> {
        let cluster = stage.cluster(shards);
        let flags = format!(
            "--conns {conns} --target {} --source {} --hold {IDLE_SECONDS} --timeout 60",
            target(&cluster),
            sources(0, conns)
        );
        let mut idle = Load::start("idle", Some(stage.cpus.load), &flags);
        idle.await_measuring(&stage.watch, || ())?;
        Ok(Crowd { cluster, _idle: idle })
    }

    fn echo(&mut self, stage: &Stage<'_>) -> Result<Driven, Stopped> {
        let flags =
            format!("--scenario echo --depth 1 --conns {ECHO_CONNS} --target {}", target(&self.cluster));
        stage.drive(&flags, || path_cpu_time(&mut self.cluster))
    }
}

/// Addresses of this machine that so many connections to one port come from; the first `skip` are others'.
pub fn sources(skip: usize, conns: usize) -> String {
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

    fn round(&mut self, stage: &Stage<'_>, index: usize) -> Result<Vec<f64>, Stopped> {
        let (few, many) = in_turns(index, || self.few.echo(stage), || self.many.echo(stage))?;
        let us = |driven: Driven| driven.cpu_us / driven.outcome.measured.received.max(1) as f64;
        let (few, many) = (us(few), us(many));
        Ok(vec![few, many, many / few])
    }
}

/// Connections that echo.
const ECHO_CONNS: usize = 1000;

/// Far longer than any run.
const IDLE_SECONDS: u32 = 36_000;

/// Ports that Linux hands out fast towards one address and port.
const CONNS_PER_SOURCE: usize = 14_000;
