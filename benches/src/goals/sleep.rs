//! How late a handler's sleep ends: in a worker that has nothing else to do, and in one whose core is full of messages.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use cluster::process::{Process, cpu_time};
use cluster::wait::{Deadline, LIMIT, Stopwatch};
use cluster::{Cluster, Listen};

use super::harness::{Harness, echo_flags, target};
use super::{Bound, Goal, Scenario};
use crate::load::Load;
use crate::watch::Stopped;
use crate::{cpus, programs};

/// A gateway, and a worker whose handlers sleep and say how late that ended (`src/bin/sleep-worker.rs`).
pub(super) struct Sleep {
    cluster: Cluster,
    worker: Process,
}

impl Sleep {
    /// The worker has a CPU to itself, as far as there are two: gateway and load generator share the other, so that the
    /// lateness is the worker's own.
    pub(super) fn start(harness: &Harness<'_>) -> Sleep {
        let builder = Cluster::builder().workers(0).listen(&[Listen::Websocket, Listen::Text]);
        let cluster = cpus::on(harness.cpus.load, || builder.start());
        let flags = format!("--count 1 --no-master --register-address {}", cluster.register_address());
        let mut command = std::process::Command::new(programs::sleep_worker());
        command.args(flags.split(' '));
        let worker = cpus::on(harness.cpus.server, || Process::spawn("sleep-worker", command));
        worker.await_ready("sleep-worker");
        cluster.await_links(0, 0, 1);
        Sleep { cluster, worker }
    }

    /// How late the sleeps of some seconds ended, in ms: that which 99 % did not exceed, and the longest.
    fn lateness(&self, harness: &Harness<'_>) -> Result<[f64; 2], Stopped> {
        let deadline = Deadline::after(Duration::from_secs_f64(harness.setup.hold_seconds));
        let mut clients = [(); CLIENTS].map(|()| connect(self.cluster.address(0, Listen::Text)));
        let (mut late_us, mut line) = (Vec::new(), String::new());
        while !deadline.is_over() {
            harness.watch.pause(Duration::ZERO)?;
            for (index, client) in clients.iter_mut().enumerate() {
                let ms = 1 + (late_us.len() + index) % SLEEP_MS_MAX;
                writeln!(client.get_mut(), "sleep {ms}").map_err(|error| error.to_string())?;
            }
            for client in &mut clients {
                line.clear();
                client.read_line(&mut line).map_err(|error| error.to_string())?;
                let late: f64 = line.trim_end().parse().map_err(|_| format!("not a lateness: {line}"))?;
                late_us.push(late);
            }
        }
        late_us.sort_by(f64::total_cmp);
        let at = |share: f64| late_us[((late_us.len() - 1) as f64 * share) as usize] / 1e3;
        Ok([at(0.99), at(1.0)])
    }
}

impl Scenario for Sleep {
    fn columns(&self) -> Vec<&'static str> {
        vec!["idle p99 ms", "idle max ms", "loaded p99 ms", "loaded max ms", "loaded busy %"]
    }

    fn goals(&self) -> Vec<Goal> {
        vec![
            Goal { what: "longest lateness in ms when idle", column: 1, bound: Bound::AtMost(1.0) },
            Goal { what: "p99 of the lateness in ms when loaded", column: 2, bound: Bound::AtMost(6.0) },
        ]
    }

    fn round(&mut self, harness: &Harness<'_>, _: usize) -> Result<Vec<f64>, Stopped> {
        let [p99, max] = self.lateness(harness)?;
        let flags = echo_flags(&target(&self.cluster), harness.setup.conns, "--depth 4 --hold 3600");
        let mut load = Load::start("load", Some(harness.cpus.load), &flags);
        load.await_measuring(&harness.watch, || ())?;
        let (clock, before) = (Stopwatch::start(), cpu_time(self.worker.id()));
        let [loaded_p99, loaded_max] = self.lateness(harness)?;
        let busy = (cpu_time(self.worker.id()) - before).as_secs_f64() / clock.elapsed().as_secs_f64();
        Ok(vec![p99, max, loaded_p99, loaded_max, busy * 100.0])
    }
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    stream.set_read_timeout(Some(LIMIT)).expect("a read timeout can be set");
    BufReader::new(stream)
}

/// Clients whose handlers sleep at the same time.
const CLIENTS: usize = 10;

/// The longest sleep.
const SLEEP_MS_MAX: usize = 20;
