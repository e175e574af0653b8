//! The echo with gateway and worker in one thread, against a bare echo on `uring` and against both apart.

use std::process::Command;

use cluster::own_address;
use cluster::process::{Process, binary_path};

use super::harness::{Harness, Side, in_turns, path};
use super::{Goal, Round, Scenario, Setup};
use crate::bare::Bare;
use crate::cpus;
use crate::watch::Stopped;

pub(crate) const EMBEDDED: Scenario = Scenario {
    name: "embedded",
    usual: Setup { hold_seconds: 4.0, ..Setup::USUAL },
    columns: &["bare µs", "embedded µs", "apart µs", "ratio", "bare/s", "embedded/s", "apart/s"],
    goals: &[Goal::at_most("CPU in one thread as a multiple of the bare echo's", 3, 1.1)],
    start,
};

pub(crate) const EMBEDDED_100: Scenario =
    Scenario { name: "embedded-100", usual: Setup { conns: 100, ..EMBEDDED.usual }, ..EMBEDDED };

/// Every message wakes the thread.
pub(crate) const EMBEDDED_1: Scenario = Scenario {
    name: "embedded-1",
    usual: Setup { conns: 1, ..EMBEDDED.usual },
    goals: &[Goal::at_most("CPU in one thread per echo, µs", 1, 45.0)],
    ..EMBEDDED
};

/// What `--busy-poll` buys and costs: one message at a time, and a thread that does not sleep between.
pub(crate) const BUSY_POLL: Scenario = Scenario {
    name: "busy-poll",
    usual: Setup { conns: 1, ..Setup::USUAL },
    columns: &["p50 µs", "busy p50 µs", "ratio", "CPU µs", "busy CPU µs"],
    goals: &[Goal::at_most("p50 as a multiple of that of a thread that sleeps", 2, 1.0)],
    start: start_busy,
};

/// One that sleeps, and one that does not for longer than a client takes.
fn start_busy<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let [sleeps, busy] = ["0", "1000"].map(|micros| Embedded::start(harness, &["--busy-poll", micros]));
    Ok(Box::new(move |index| {
        let sides = [sleeps.side(), busy.side()];
        let sides = in_turns(index, sides, |side| harness.echo(&side, harness.setup.conns, "--depth 1"))?;
        let [p50, busy_p50] = sides.each_ref().map(|side| side.p50_p99_us().0);
        let [cpu, busy_cpu] = sides.each_ref().map(|side| side.cpu_us_per_echo());
        Ok(vec![p50, busy_p50, busy_p50 / p50, cpu, busy_cpu])
    }))
}

/// Raw TCP; websocket for both others.
fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let bare = Bare::start(harness.cpus, "echo", &[]);
    let embedded = Embedded::start(harness, &[]);
    let mut cluster = harness.cluster(1);
    let pace = format!("--depth {}", harness.setup.depth);
    Ok(Box::new(move |index| {
        let sides = [bare.side(), embedded.side(), path(&mut cluster)];
        let sides = in_turns(index, sides, |side| harness.echo(&side, harness.setup.conns, &pace))?;
        let us = sides.each_ref().map(|side| side.cpu_us_per_echo());
        let rate = sides.each_ref().map(|side| side.outcome.measured.received_per_second);
        Ok([&us[..], &[us[1] / us[0]], &rate].concat())
    }))
}

/// The program `ringway`, with the app that echoes. Dropped, it is killed.
struct Embedded {
    process: Process,
    target: String,
}

impl Embedded {
    fn start(harness: &Harness<'_>, flags: &[&str]) -> Embedded {
        let ip = own_address();
        let target = format!("ws://{ip}:8282");
        let mut command = Command::new(binary_path("ringway"));
        command.args(["--app", "echo", "--count", "1", "--listen", &target, "--page", &format!("{ip}:8080")]);
        command.args(flags);
        let process = cpus::on(harness.cpus.server, || Process::spawn("ringway", command));
        process.await_ready("ringway");
        Embedded { process, target }
    }

    fn side(&self) -> Side {
        Side { target: self.target.clone(), pids: vec![self.process.id()], admin: Vec::new() }
    }
}
