//! The two servers, and one run of the load generator against one of them.

use std::process::Command;
use std::time::Duration;

use cluster::process::Process;
use cluster::wait::wait_until;
use cluster::{Cluster, Listen};
use loadgen::Report;

use super::{Sample, Setup};
use crate::bare::Bare;
use crate::cpus::{self, Cpus};
use crate::programs;

/// Register, gateway with one shard, and worker with one core.
pub struct Path {
    cluster: Cluster,
}

/// Who is driven.
pub enum Server<'a> {
    /// One hop, raw TCP.
    Bare(&'a Bare),
    /// Two hops, websocket.
    Path(&'a mut Path),
}

impl Path {
    /// Starts all three and waits until they serve.
    pub fn start(cpus: Cpus) -> Path {
        Path {
            cluster: cpus::on(cpus.server, || {
                Cluster::builder().app("echo").worker_flags(&["--no-master"]).start()
            }),
        }
    }
}

impl Server<'_> {
    fn target(&self) -> String {
        match self {
            Server::Bare(bare) => format!("tcp://{}", bare.address()),
            Server::Path(path) => format!("ws://{}", path.cluster.address(0, Listen::Websocket)),
        }
    }

    /// CPU time of each process so far.
    fn cpu_times(&mut self) -> Vec<Duration> {
        match self {
            Server::Bare(bare) => vec![bare.cpu_time()],
            Server::Path(path) => vec![path.cluster.gateway(0).cpu_time(), path.cluster.worker(0).cpu_time()],
        }
    }
}

/// Drives a server once.
pub fn drive(setup: &Setup, cpus: Cpus, server: &mut Server<'_>) -> Sample {
    let json = std::env::temp_dir().join(format!("ringway-bench-{}.json", std::process::id()));
    let mut command = Command::new(programs::loadgen());
    command.args(["--scenario", "echo", "--count", "1", "--target", &server.target()]);
    command.args(["--conns", &setup.conns.to_string(), "--depth", &setup.depth.to_string()]);
    command.args(["--size", &setup.size.to_string(), "--hold", &setup.hold_seconds.to_string()]);
    command.args(["--warmup", &setup.warmup_seconds.to_string()]).arg("--json").arg(&json);
    let mut load = cpus::on(cpus.load, || Process::spawn("loadgen", command));
    await_line(&mut load, "loadgen measuring");
    let before = server.cpu_times();
    await_line(&mut load, "loadgen measured");
    let after = server.cpu_times();
    let status = load.await_exit();
    assert!(status.success(), "loadgen ended with {status}\n{}", load.output());
    let report = std::fs::read_to_string(&json).expect("loadgen wrote its report");
    // What stays behind in the directory for temporary files does no harm.
    let _ = std::fs::remove_file(&json);
    let report: Report = serde_json::from_str(&report).expect("the report is of this workspace");
    let cpu = before.iter().zip(after).map(|(before, after)| after - *before).collect();
    sample(&report, cpu)
}

fn sample(report: &Report, cpu: Vec<Duration>) -> Sample {
    let Some(latency) = &report.first().latency_us else { panic!("no echo came back: {report}") };
    assert!(
        report.connections.failures.total() + report.connections.losses.total() == 0,
        "connections failed or were lost: {report}"
    );
    Sample {
        echoes: report.first().measured.received,
        seconds: report.first().measured.seconds,
        cpu_seconds: cpu.iter().map(Duration::as_secs_f64).collect(),
        p50_us: latency.p50,
        p99_us: latency.p99,
    }
}

fn await_line(load: &mut Process, start: &str) {
    wait_until(start, || {
        assert!(load.is_running(), "loadgen ended early\n{}", load.output());
        load.stdout().lines().any(|line| line.starts_with(start)).then_some(())
    });
}
