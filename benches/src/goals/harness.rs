//! What every scenario has at hand: what is to be run, on which CPUs, and one run of the load generator.

use std::net::SocketAddrV4;
use std::time::Duration;

use cluster::process::cpu_time;
use cluster::wait::Stopwatch;
use cluster::{Builder, Cluster, Listen};
use loadgen::Outcome;

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

/// Who is measured: where the load goes, and the processes whose CPU counts.
pub(crate) struct Side {
    /// For the load generator.
    pub target: String,
    /// Of the server.
    pub pids: Vec<u32>,
    /// Where processes tell how many system calls they make; empty if nobody wants to know.
    pub admin: Vec<SocketAddrV4>,
}

/// One run of the load generator.
pub(crate) struct Measurement {
    /// What it saw.
    pub outcome: Outcome,
    /// How much of a core each process of the server used in the measured phase.
    cores: Vec<f64>,
    /// System calls of each process a second, of those that tell.
    calls: Vec<f64>,
}

/// CPU of processes from a moment on.
pub(crate) struct CpuMeter<'a> {
    pids: &'a [u32],
    before: Vec<Duration>,
    clock: Stopwatch,
}

/// System calls of processes from a moment on.
struct CallMeter<'a> {
    admin: &'a [SocketAddrV4],
    before: Vec<u64>,
    clock: Stopwatch,
}

impl Measurement {
    /// CPU of each process, in microseconds per message of so many.
    pub(crate) fn cpu_us_each(&self, messages: f64) -> Vec<f64> {
        let us = self.outcome.measured.seconds * 1e6 / messages;
        self.cores.iter().map(|cores| cores * us).collect()
    }

    /// CPU of all processes, in microseconds per message of so many.
    pub(crate) fn cpu_us_per(&self, messages: f64) -> f64 {
        self.cpu_us_each(messages).iter().sum()
    }

    /// CPU of all processes, in microseconds per message that came back.
    pub(crate) fn cpu_us_per_echo(&self) -> f64 {
        self.cpu_us_per(self.echoes())
    }

    /// System calls of each process that tells, per message that came back.
    pub(crate) fn calls_each(&self) -> Vec<f64> {
        let seconds = self.outcome.measured.seconds / self.echoes();
        self.calls.iter().map(|calls| calls * seconds).collect()
    }

    /// Messages that came back; at least one.
    pub(crate) fn echoes(&self) -> f64 {
        self.outcome.measured.received.max(1) as f64
    }

    /// Messages that came back a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.outcome.measured.received_per_second
    }

    /// How busy one CPU was with the processes, in percent.
    pub(crate) fn busy_percent(&self) -> f64 {
        self.cores.iter().sum::<f64>() * 100.0
    }

    /// Median latency and the one that 99 % did not exceed, in microseconds.
    pub(crate) fn p50_p99_us(&self) -> (f64, f64) {
        self.outcome.latency_us.as_ref().map_or((0.0, 0.0), |us| (us.p50, us.p99))
    }
}

impl CpuMeter<'_> {
    /// From now on.
    pub(crate) fn start(pids: &[u32]) -> CpuMeter<'_> {
        let before = pids.iter().map(|pid| cpu_time(*pid)).collect();
        CpuMeter { pids, before, clock: Stopwatch::start() }
    }

    /// How much of a core each process has used until now.
    pub(crate) fn cores(&self) -> Vec<f64> {
        let seconds = self.clock.elapsed().as_secs_f64();
        let used = self.pids.iter().zip(&self.before).map(|(pid, before)| cpu_time(*pid) - *before);
        used.map(|used| used.as_secs_f64() / seconds).collect()
    }
}

impl CallMeter<'_> {
    /// From now on.
    fn start(admin: &[SocketAddrV4]) -> Result<CallMeter<'_>, Stopped> {
        Ok(CallMeter { admin, before: calls(admin)?, clock: Stopwatch::start() })
    }

    /// How many each process has made a second until now.
    fn per_second(&self) -> Result<Vec<f64>, Stopped> {
        let seconds = self.clock.elapsed().as_secs_f64();
        let made = calls(self.admin)?.into_iter().zip(&self.before).map(|(after, before)| after - before);
        Ok(made.map(|calls| calls as f64 / seconds).collect())
    }
}

/// System calls on the rings of each process since its start.
fn calls(admin: &[SocketAddrV4]) -> Result<Vec<u64>, Stopped> {
    let ask = |address: &SocketAddrV4| {
        let report = admin::fetch((*address).into(), None).map_err(|error| format!("{address}: {error}"))?;
        let count = report.rows.iter().map(|row| row.counters.get("ring_enters").copied());
        count.sum::<Option<u64>>().ok_or_else(|| format!("{address} does not count ring_enters"))
    };
    admin.iter().map(ask).collect()
}

impl<'a> Harness<'a> {
    /// `stop` is asked often whether the user wants the end.
    pub(crate) fn new(setup: Setup, stop: &'a dyn Fn() -> bool) -> Harness<'a> {
        Harness { setup, cpus: Cpus::of_this_process(), watch: Watch::new(stop, setup.conns + setup.few) }
    }

    /// Lets the load generator run with `flags` against a server.
    ///
    /// CPU is taken as CPU per second between two looks at the processes: on a busy machine the looks come late, and are not
    /// as far apart as the ends of what the load generator measures.
    pub(crate) fn measure(&self, side: &Side, flags: &str) -> Result<Measurement, Stopped> {
        let Setup { size, hold_seconds, warmup_seconds, .. } = self.setup;
        let mut load = self.load(&format!(
            "{flags} --target {} --count 1 --size {size} --hold {hold_seconds} --warmup {warmup_seconds}",
            side.target
        ))?;
        let (calls, meter) = (CallMeter::start(&side.admin)?, CpuMeter::start(&side.pids));
        load.await_measured(&self.watch)?;
        let (cores, calls) = (meter.cores(), calls.per_second()?);
        let mut report = load.finish(&self.watch)?;
        let connections = &report.connections;
        if connections.failures.total() + connections.losses.total() > 0 {
            return Err(format!("connections failed or were lost: {report}"));
        }
        Ok(Measurement { outcome: report.steps.swap_remove(0), cores, calls })
    }

    /// The same with an echo of `conns` clients.
    pub(crate) fn echo(&self, side: &Side, conns: usize, pace: &str) -> Result<Measurement, Stopped> {
        self.measure(side, &format!("--scenario echo {pace} --conns {conns}"))
    }

    /// The same with an echo by the clock, of the usual clients.
    pub(crate) fn echo_at(&self, side: &Side, per_second: f64) -> Result<Measurement, Stopped> {
        self.echo(side, self.setup.conns, &format!("--rate {per_second:.1}"))
    }

    /// A load generator, at the beginning of what it measures.
    pub(crate) fn load(&self, flags: &str) -> Result<Load, Stopped> {
        let mut load = Load::start("load", Some(self.cpus.load), flags);
        load.await_measuring(&self.watch, || ())?;
        Ok(load)
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

/// Gateway and worker.
pub(crate) fn path(cluster: &mut Cluster) -> Side {
    let pids = vec![cluster.gateway(0).id(), cluster.worker(0).id()];
    Side { target: target(cluster), pids, admin: Vec::new() }
}

/// Measures all sides of a comparison, in odd rounds the last one first.
pub(crate) fn in_turns<S, T, const N: usize>(
    index: usize,
    mut sides: [S; N],
    measure: impl FnMut(S) -> Result<T, Stopped>,
) -> Result<[T; N], Stopped> {
    let is_odd = !index.is_multiple_of(2);
    if is_odd {
        sides.reverse();
    }
    let mut measured: Vec<T> = sides.into_iter().map(measure).collect::<Result<_, _>>()?;
    if is_odd {
        measured.reverse();
    }
    Ok(measured.try_into().unwrap_or_else(|_| unreachable!("each side is measured once")))
}
