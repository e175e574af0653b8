//! Echo by the clock, at rates that leave the servers' CPU idle for a part of the time: what a message costs that comes alone
//! or with few others, in CPU and in system calls, against one and two hops of bare programs on `uring` at the same rate.

use cluster::Cluster;

use super::harness::{Harness, Side, in_turns, path};
use super::{Goal, Round, Scenario, Setup};
use crate::bare::{Bare, TwoHops};
use crate::watch::Stopped;

pub(crate) const LOAD_2000: Scenario = Scenario {
    name: "load-2000",
    usual: Setup { conns: 800, ..Setup::USUAL },
    columns: &[
        "messages/s",
        "1 hop µs",
        "2 hops µs",
        "gateway µs",
        "worker µs",
        "ratio",
        "gateway calls",
        "worker calls",
        "2 hops p99 ms",
        "p50 ms",
        "p99 ms",
    ],
    goals: &[Goal::at_most("CPU of gateway and worker as a multiple of two bare hops'", 5, 1.25)],
    start: |harness| start(harness, Some(2_000.0)),
};

pub(crate) const LOAD_10000: Scenario =
    Scenario { name: "load-10000", start: |harness| start(harness, Some(10_000.0)), ..LOAD_2000 };

pub(crate) const LOAD_40000: Scenario =
    Scenario { name: "load-40000", start: |harness| start(harness, Some(40_000.0)), ..LOAD_2000 };

/// Half of the rate at which gateway and worker are full.
pub(crate) const LOAD_HALF: Scenario =
    Scenario { name: "load-half", start: |harness| start(harness, None), ..LOAD_2000 };

fn start<'a>(harness: &'a Harness<'_>, per_second: Option<f64>) -> Result<Round<'a>, Stopped> {
    let (one, two) = (Bare::start(harness.cpus, "echo", &[]), TwoHops::start(harness.cpus));
    let mut cluster = harness.start(Cluster::builder().admin());
    Ok(Box::new(move |index| {
        let admin = cluster.admin_addresses().split_off(1);
        let path = Side { admin, ..path(&mut cluster) };
        let per_second = match per_second {
            Some(per_second) => per_second,
            None => harness.echo(&path, harness.setup.conns, "--depth 1")?.per_second() / 2.0,
        };
        let sides = [one.side(), two.side(), path];
        let [one, two, path] = in_turns(index, sides, |side| harness.echo_at(&side, per_second))?;
        let us = [&one, &two, &path].map(|side| side.cpu_us_per_echo());
        let (each, calls) = (path.cpu_us_each(path.echoes()), path.calls_each());
        let [(_, bare_p99), (p50, p99)] = [&two, &path].map(|side| side.p50_p99_us());
        let cost = [path.per_second(), us[0], us[1], each[0], each[1], us[2] / us[1], calls[0], calls[1]];
        Ok([cost.as_slice(), &[bare_p99, p50, p99].map(|us| us / 1e3)].concat())
    }))
}
