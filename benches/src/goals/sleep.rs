//! How late a handler's sleep ends: in a worker that has nothing else to do, and in one whose core is full of messages.

use std::time::Duration;

use cluster::conn::Conn;
use cluster::process::Process;
use cluster::wait::Deadline;
use cluster::{Cluster, Listen};

use super::harness::{CpuMeter, Harness, target};
use super::{Goal, Round, Scenario, Setup};
use crate::watch::Stopped;
use crate::{cpus, programs};

pub(crate) const SLEEP: Scenario = Scenario {
    name: "sleep",
    usual: Setup::USUAL,
    columns: &["idle p99 ms", "idle max ms", "loaded p99 ms", "loaded max ms", "loaded busy %"],
    goals: &[
        Goal::at_most("longest lateness in ms when idle", 1, 1.0),
        Goal::at_most("p99 of the lateness in ms when loaded", 2, 6.0),
    ],
    start,
};

/// A gateway, and a worker whose handlers sleep and say how late that ended (`src/bin/sleep-worker.rs`). The worker has a CPU
/// to itself, as far as there are two: gateway and load generator share the other, so that the lateness is the worker's
/// own.
fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let builder = Cluster::builder().workers(0).listen(&[Listen::Websocket, Listen::Text]);
    let cluster = cpus::on(harness.cpus.load, || builder.start());
    let flags = format!("--count 1 --no-master --register-address {}", cluster.register_address());
    let mut command = std::process::Command::new(programs::sleep_worker());
    command.args(flags.split(' '));
    let worker = cpus::on(harness.cpus.server, || Process::spawn("sleep-worker", command));
    worker.await_ready("sleep-worker");
    cluster.await_links(0, 0, 1);
    Ok(Box::new(move |_| {
        let [p99, max] = lateness(harness, &cluster)?;
        let (conns, target) = (harness.setup.conns, target(&cluster));
        let _load = harness
            .load(&format!("--scenario echo --depth 4 --conns {conns} --target {target} --hold 3600"))?;
        let pids = [worker.id()];
        let meter = CpuMeter::start(&pids);
        let [loaded_p99, loaded_max] = lateness(harness, &cluster)?;
        Ok(vec![p99, max, loaded_p99, loaded_max, meter.cores()[0] * 100.0])
    }))
}

/// How late the sleeps of some seconds ended, in ms: that which 99 % did not exceed, and the longest.
fn lateness(harness: &Harness<'_>, cluster: &Cluster) -> Result<[f64; 2], Stopped> {
    let deadline = Deadline::after(Duration::from_secs_f64(harness.setup.hold_seconds));
    let mut clients = [(); CLIENTS].map(|()| Conn::connect(cluster.address(0, Listen::Text)));
    let mut late_us: Vec<f64> = Vec::new();
    while !deadline.is_over() {
        harness.watch.pause(Duration::ZERO)?;
        for (index, client) in clients.iter_mut().enumerate() {
            let ms = 1 + (late_us.len() + index) % SLEEP_MS_MAX;
            client.write(format!("sleep {ms}\n").as_bytes());
        }
        for client in &mut clients {
            let line = client.read(line).ok_or("the gateway closed a connection")?;
            late_us.push(line.parse().map_err(|_| format!("not a lateness: {line}"))?);
        }
    }
    late_us.sort_by(f64::total_cmp);
    let at = |share: f64| late_us[((late_us.len() - 1) as f64 * share) as usize] / 1e3;
    Ok([at(0.99), at(1.0)])
}

/// The first line of `bytes`, and its size.
fn line(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((String::from_utf8_lossy(&bytes[..end]).into_owned(), end + 1))
}

/// Clients whose handlers sleep at the same time.
const CLIENTS: usize = 10;

/// The longest sleep.
const SLEEP_MS_MAX: usize = 20;
