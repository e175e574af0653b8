//! What every scenario has at hand: what is to be run, on which CPUs, and one run of the load generator.

use cluster::process::cpu_time;
use cluster::wait::Stopwatch;
use cluster::{Builder, Cluster, Listen};
use loadgen::{Outcome, Report};

use super::Setup;
use crate::cpus::{self, Cpus};
use crate::load::Load;
use crate::watch::{Stopped, Watch};

/// Where scenarios run.
pub(crate) struct Harness<'a> {
    /// What is run.
    pub setup: Setup,
    /// Where.
    pub cpus: Cpus,
    /// For every wait.
    pub watch: Watch<'a>,
}

/// One run of the load generator.
pub(crate) struct Measurement {
    /// What it saw.
    pub outcome: Outcome,
    /// CPU of each process of the server in the measured phase, in microseconds.
    cpu_us: Vec<f64>,
}

impl Measurement {
    /// CPU of each process, in microseconds per message of so many.
    pub(crate) fn cpu_us_each<const N: usize>(&self, messages: f64) -> [f64; N] {
        std::array::from_fn(|index| self.cpu_us[index] / messages)
    }

    /// CPU of all processes, in microseconds per message of so many.
    pub(crate) fn cpu_us_per(&self, messages: f64) -> f64 {
        self.cpu_us.iter().sum::<f64>() / messages
    }

    /// CPU of all processes, in microseconds per message that came back.
    pub(crate) fn cpu_us_per_echo(&self) -> f64 {
        self.cpu_us_per(self.echoes())
    }

    /// Messages that came back; at least one.
    pub(crate) fn echoes(&self) -> f64 {
        self.outcome.measured.received.max(1) as f64
    }

    /// How busy one CPU was with the processes, in percent.
    pub(crate) fn busy_percent(&self) -> f64 {
        self.cpu_us_per(self.outcome.measured.seconds * 1e4)
    }

    /// Median latency and the one that 99 % did not exceed, in microseconds.
    pub(crate) fn p50_p99_us(&self) -> (f64, f64) {
        self.outcome.latency_us.as_ref().map_or((0.0, 0.0), |us| (us.p50, us.p99))
    }
}

impl<'a> Harness<'a> {
    /// `stop` is asked often whether the user wants the end.
    pub(crate) fn new(setup: Setup, stop: &'a dyn Fn() -> bool) -> Harness<'a> {
        Harness { setup, cpus: Cpus::of_this_process(), watch: Watch::new(stop, setup.conns + setup.few) }
    }

    /// Lets the load generator run with `flags` against a server that is these processes.
    ///
    /// CPU is taken as CPU per second between two looks at the processes: on a busy machine the looks come late, and are not
    /// as far apart as the ends of what the load generator measures.
    pub(crate) fn measure(&self, flags: &str, pids: &[u32]) -> Result<Measurement, Stopped> {
        let Setup { size, hold_seconds, warmup_seconds, .. } = self.setup;
        let flags =
            format!("{flags} --count 1 --size {size} --hold {hold_seconds} --warmup {warmup_seconds}");
        let mut load = Load::start("load", Some(self.cpus.load), &flags);
        load.await_measuring(&self.watch, || ())?;
        let clock = Stopwatch::start();
        let before: Vec<_> = pids.iter().map(|pid| cpu_time(*pid)).collect();
        load.await_measured(&self.watch)?;
        let used = pids.iter().zip(before).map(|(pid, before)| cpu_time(*pid) - before);
        let used: Vec<f64> = used.map(|used| used.as_secs_f64() * 1e6).collect();
        let elapsed = clock.elapsed().as_secs_f64();
        let mut report = load.finish(&self.watch)?;
        all_connected(&report)?;
        let outcome = report.steps.swap_remove(0);
        let share = outcome.measured.seconds / elapsed;
        Ok(Measurement { outcome, cpu_us: used.iter().map(|us| us * share).collect() })
    }

    /// A register, a gateway with so many shards, and a worker, on the servers' CPU.
    pub(crate) fn cluster(&self, shards: usize) -> Cluster {
        let shards = u16::try_from(shards).expect("no more shards than ports");
        self.start(Cluster::builder().shards(shards))
    }

    /// The same with more said about it. Without a master, whose CPU time would be read for the worker's.
    pub(crate) fn start(&self, builder: Builder) -> Cluster {
        cpus::on(self.cpus.server, || builder.app("echo").worker_flags(&["--no-master"]).start())
    }
}

/// Where a cluster's websocket clients connect.
pub(crate) fn target(cluster: &Cluster) -> String {
    format!("ws://{}", cluster.address(0, Listen::Websocket))
}

/// The flags for an echo of `conns` clients.
pub(crate) fn echo_flags(target: &str, conns: usize, pace: &str) -> String {
    format!("--scenario echo {pace} --conns {conns} --target {target}")
}

/// Gateway and worker.
pub(crate) fn path_pids(cluster: &mut Cluster) -> [u32; 2] {
    [cluster.gateway(0).id(), cluster.worker(0).id()]
}

/// Runs both sides of a comparison, in odd rounds the second one first.
pub(crate) fn in_turns<T>(
    index: usize,
    one: impl FnOnce() -> Result<T, Stopped>,
    other: impl FnOnce() -> Result<T, Stopped>,
) -> Result<(T, T), Stopped> {
    if index.is_multiple_of(2) {
        let one = one()?;
        Ok((one, other()?))
    } else {
        let other = other()?;
        Ok((one()?, other))
    }
}

fn all_connected(report: &Report) -> Result<(), Stopped> {
    let connections = &report.connections;
    match connections.failures.total() + connections.losses.total() {
        0 => Ok(()),
        _ => Err(format!("connections failed or were lost: {report}")),
    }
}
