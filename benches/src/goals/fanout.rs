//! Broadcasts, one by one or several at once: CPU of the gateway per delivery, against a bare loop that sends as many bytes
//! to as many sockets.

use cluster::Cluster;

use super::harness::{Harness, Measurement, Side, in_turns, target};
use super::{Goal, Round, Scenario, Setup};
use crate::bare::Bare;
use crate::watch::Stopped;

pub(crate) const BROADCAST: Scenario = Scenario {
    name: "broadcast",
    usual: Setup::USUAL,
    columns: COLUMNS,
    goals: &[RATIO],
    start: |harness| start(harness, SINGLE),
};

pub(crate) const BROADCAST_900: Scenario = Scenario {
    name: "broadcast-900",
    usual: Setup { conns: 900, ..Setup::USUAL },
    goals: &[RATIO, us_at_most(3.8)],
    ..BROADCAST
};

pub(crate) const BROADCAST_10000: Scenario = Scenario {
    name: "broadcast-10000",
    usual: Setup { conns: 10_000, ..Setup::USUAL },
    goals: &[RATIO, us_at_most(5.1)],
    start: |harness| start(harness, Broadcasts { at_once: 1, period_seconds: 0.1 }),
    ..BROADCAST
};

pub(crate) const BURST: Scenario = Scenario {
    name: "burst",
    usual: Setup { conns: 900, ..Setup::USUAL },
    columns: COLUMNS,
    goals: &[
        us_at_most(0.22),
        Goal::at_least("messages that a client gets at once", 4, BURST_OF_20.at_once as f64 * 0.99),
    ],
    start: |harness| start(harness, BURST_OF_20),
};

pub(crate) const BURST_10000: Scenario = Scenario {
    name: "burst-10000",
    usual: Setup { conns: 10_000, ..Setup::USUAL },
    goals: &[us_at_most(1.15)],
    start: |harness| start(harness, Broadcasts { at_once: 5, period_seconds: 0.2 }),
    ..BURST
};

/// Broadcasts that leave together, again and again: so often that the CPU is neither full nor mostly idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broadcasts {
    at_once: usize,
    /// From the first ones to the next.
    period_seconds: f64,
}

/// One by one.
pub(crate) const SINGLE: Broadcasts = Broadcasts { at_once: 1, period_seconds: 0.01 };

/// Twenty at once.
pub(crate) const BURST_OF_20: Broadcasts = Broadcasts { at_once: 20, period_seconds: 0.05 };

const RATIO: Goal = Goal::at_most("CPU per delivery as a multiple of a bare send loop's", 2, 1.15);

const fn us_at_most(us: f64) -> Goal {
    Goal::at_most("CPU per delivery in µs", 1, us)
}

const COLUMNS: &[&str] = &["bare µs", "gateway µs", "ratio", "deliveries/s", "in one receive"];

fn start<'a>(harness: &'a Harness<'_>, broadcasts: Broadcasts) -> Result<Round<'a>, Stopped> {
    let bytes = broadcasts.at_once * frame_size(harness.setup.size);
    let arguments = [bytes.to_string(), broadcasts.period_seconds.to_string()];
    let bare = Bare::start(harness.cpus, "broadcast", &arguments.each_ref().map(String::as_str));
    let mut cluster = harness.cluster(1);
    Ok(Box::new(move |index| {
        let idle = format!("--scenario idle --conns {}", harness.setup.conns);
        let sides = [(bare.side(), idle), load(harness, &mut cluster, broadcasts)];
        let [bare, gateway] = in_turns(index, sides, |(side, flags)| harness.measure(&side, &flags))?;
        let us = [&bare, &gateway].map(|side| side.cpu_us_per(deliveries(harness, side)));
        let measured = &gateway.outcome.measured;
        let rate = deliveries(harness, &gateway) / measured.seconds;
        let at_once = measured.received as f64 / measured.receives.max(1) as f64;
        Ok(vec![us[0], us[1], us[1] / us[0], rate, at_once])
    }))
}

/// The gateway, whose CPU counts, and the load generator's flags for broadcasts.
pub(crate) fn load(harness: &Harness<'_>, cluster: &mut Cluster, broadcasts: Broadcasts) -> (Side, String) {
    let (conns, register) = (harness.setup.conns, cluster.register_address());
    let Broadcasts { at_once, period_seconds } = broadcasts;
    let rate = at_once as f64 / period_seconds;
    let flags =
        format!("--scenario broadcast --conns {conns} --register {register} --burst {at_once} --rate {rate}");
    (Side { target: target(cluster), pids: vec![cluster.gateway(0).id()], admin: Vec::new() }, flags)
}

/// How many messages have come; at least one.
pub(crate) fn deliveries(harness: &Harness<'_>, measured: &Measurement) -> f64 {
    (measured.outcome.measured.bytes_in / frame_size(harness.setup.size) as u64).max(1) as f64
}

/// Bytes of a websocket frame to a client.
fn frame_size(body: usize) -> usize {
    body + if body < 126 { 2 } else { 4 }
}
