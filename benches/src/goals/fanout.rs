//! Broadcasts, one by one or twenty at once: CPU of the gateway per delivery, against a bare loop that sends as many bytes
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
    goals: &[Goal::at_most("CPU per delivery as a multiple of a bare send loop's", 2, 1.15)],
    start: |harness| start(harness, 1),
};

pub(crate) const BURST: Scenario = Scenario {
    name: "burst",
    usual: Setup { conns: 900, ..Setup::USUAL },
    columns: COLUMNS,
    goals: &[
        Goal::at_most("CPU per delivery in µs", 1, 0.35),
        Goal::at_least("messages that a client gets at once", 4, BROADCASTS_OF_BURST as f64 * 0.99),
    ],
    start: |harness| start(harness, BROADCASTS_OF_BURST),
};

const COLUMNS: &[&str] = &["bare µs", "gateway µs", "ratio", "deliveries/s", "in one receive"];

/// `burst` broadcasts at once.
fn start<'a>(harness: &'a Harness<'_>, burst: usize) -> Result<Round<'a>, Stopped> {
    let bytes = burst * frame_size(harness.setup.size);
    let arguments = [bytes.to_string(), period(burst).to_string()];
    let bare = Bare::start(harness.cpus, "broadcast", &arguments.each_ref().map(String::as_str));
    let mut cluster = harness.cluster(1);
    Ok(Box::new(move |index| {
        let idle = format!("--scenario idle --conns {}", harness.setup.conns);
        let sides = [(bare.side(), idle), load(harness, &mut cluster, burst)];
        let [bare, gateway] = in_turns(index, sides, |(side, flags)| harness.measure(&side, &flags))?;
        let us = [&bare, &gateway].map(|side| side.cpu_us_per(deliveries(harness, side)));
        let measured = &gateway.outcome.measured;
        let rate = deliveries(harness, &gateway) / measured.seconds;
        let at_once = measured.received as f64 / measured.receives.max(1) as f64;
        Ok(vec![us[0], us[1], us[1] / us[0], rate, at_once])
    }))
}

/// The gateway, whose CPU counts, and the load generator's flags for broadcasts, `burst` at once.
pub(crate) fn load(harness: &Harness<'_>, cluster: &mut Cluster, burst: usize) -> (Side, String) {
    let (conns, register) = (harness.setup.conns, cluster.register_address());
    let rate = burst as f64 / period(burst);
    let flags =
        format!("--scenario broadcast --conns {conns} --register {register} --burst {burst} --rate {rate}");
    (Side { target: target(cluster), pids: vec![cluster.gateway(0).id()] }, flags)
}

/// How many messages have come; at least one.
pub(crate) fn deliveries(harness: &Harness<'_>, measured: &Measurement) -> f64 {
    (measured.outcome.measured.bytes_in / frame_size(harness.setup.size) as u64).max(1) as f64
}

/// Bytes of a websocket frame to a client.
fn frame_size(body: usize) -> usize {
    body + if body < 126 { 2 } else { 4 }
}

/// Seconds from one broadcast, or burst, to the next: so that the CPU is neither full nor mostly idle.
fn period(burst: usize) -> f64 {
    if burst == 1 { 0.01 } else { 0.05 }
}

/// Broadcasts of a burst.
pub(crate) const BROADCASTS_OF_BURST: usize = 20;
