//! What every scenario has at hand: what is to be run, on which CPUs, and one run of the load generator.

use std::time::Duration;

use cluster::Listen;
use cluster::{Builder, Cluster};
use loadgen::{Outcome, Report};

use super::Setup;
use crate::cpus::{self, Cpus};
use crate::load::Load;
use crate::watch::{Stopped, Watch};

/// Where scenarios are played.
pub struct Stage<'a> {
    /// What is run.
    pub setup: Setup,
    /// Where.
    pub cpus: Cpus,
    /// For every wait.
    pub watch: Watch<'a>,
}

/// One run of the load generator.
pub struct Driven {
    /// What it saw.
    pub outcome: Outcome,
    /// CPU of the server in the measured phase, in microseconds.
    pub cpu_us: f64,
}

impl Stage<'_> {
    /// Lets the load generator run with `flags`; `cpu_time` tells what the server has used so far.
    pub fn drive(&self, flags: &str, mut cpu_time: impl FnMut() -> Duration) -> Result<Driven, Stopped> {
        let Setup { size, hold_seconds, warmup_seconds, .. } = self.setup;
        let flags =
            format!("{flags} --count 1 --size {size} --hold {hold_seconds} --warmup {warmup_seconds}");
        let mut load = Load::start("load", Some(self.cpus.load), &flags);
        load.await_measuring(&self.watch, || ())?;
        let before = cpu_time();
        load.await_measured(&self.watch)?;
        let cpu_us = (cpu_time() - before).as_secs_f64() * 1e6;
        let mut report = load.finish(&self.watch)?;
        all_there(&report)?;
        Ok(Driven { outcome: report.steps.swap_remove(0), cpu_us })
    }

    /// A register, a gateway with so many shards, and a worker, on the servers' CPU.
    pub fn cluster(&self, shards: usize) -> Cluster {
        let shards = u16::try_from(shards).expect("no more shards than ports");
        self.start(Cluster::builder().shards(shards))
    }

    /// The same with more said about it. Without a master, whose CPU time would be read for the worker's.
    pub fn start(&self, builder: Builder) -> Cluster {
        cpus::on(self.cpus.server, || builder.app("echo").worker_flags(&["--no-master"]).start())
    }
}

/// Where a cluster's websocket clients connect.
pub fn target(cluster: &Cluster) -> String {
    format!("ws://{}", cluster.address(0, Listen::Websocket))
}

/// CPU time of gateway and worker.
pub fn path_cpu_time(cluster: &mut Cluster) -> Duration {
    cluster.gateway(0).cpu_time() + cluster.worker(0).cpu_time()
}

/// Runs both sides of a comparison, in odd rounds the second one first.
pub fn in_turns<A, B>(
    index: usize,
    one: impl FnOnce() -> Result<A, Stopped>,
    other: impl FnOnce() -> Result<B, Stopped>,
) -> Result<(A, B), Stopped> {
    if index.is_multiple_of(2) {
        let one = one()?;
        Ok((one, other()?))
    } else {
        let other = other()?;
        Ok((one()?, other))
    }
}

fn all_there(report: &Report) -> Result<(), Stopped> {
    let connections = &report.connections;
    match connections.failures.total() + connections.losses.total() {
        0 => Ok(()),
        _ => Err(format!("connections failed or were lost: {report}")),
    }
}
