//! Broadcasts, one by one or twenty at once: CPU of the gateway per delivery, against a bare loop that sends as many bytes
//! to as many sockets.

use cluster::Cluster;

use super::harness::{Harness, Measurement, in_turns, target};
use super::{Bound, Goal, Scenario};
use crate::bare::Bare;
use crate::watch::Stopped;

/// Both senders.
pub(crate) struct Fanout {
    bare: Bare,
    cluster: Cluster,
    /// Messages at once.
    burst: usize,
}

impl Fanout {
    /// `burst` broadcasts at once.
    pub(crate) fn start(harness: &Harness<'_>, burst: usize) -> Fanout {
        let bytes = burst * frame_size(harness.setup.size);
        let seconds = period(burst).to_string();
        Fanout {
            bare: Bare::start(harness.cpus, "broadcast", &[&bytes.to_string(), &seconds]),
            cluster: harness.cluster(1),
            burst,
        }
    }
}

impl Scenario for Fanout {
    fn columns(&self) -> Vec<&'static str> {
        vec!["bare µs", "gateway µs", "ratio", "deliveries/s", "in one receive"]
    }

    fn goals(&self) -> Vec<Goal> {
        if self.burst == 1 {
            return vec![Goal {
                what: "CPU per delivery as a multiple of a bare send loop's",
                column: 2,
                bound: Bound::AtMost(1.15),
            }];
        }
        vec![
            Goal { what: "CPU per delivery in µs", column: 1, bound: Bound::AtMost(0.35) },
            Goal {
                what: "messages that a client gets at once",
                column: 4,
                bound: Bound::AtLeast(BURST as f64 * 0.99),
            },
        ]
    }

    fn round(&mut self, harness: &Harness<'_>, index: usize) -> Result<Vec<f64>, Stopped> {
        let conns = harness.setup.conns;
        let bare_flags = format!("--scenario idle --conns {conns} --target {}", self.bare.target());
        let flags = flags(&self.cluster, conns, self.burst);
        let (bare_pid, gateway_pid) = (self.bare.id(), self.cluster.gateway(0).id());
        let (bare, gateway) = in_turns(
            index,
            || harness.measure(&bare_flags, &[bare_pid]),
            || harness.measure(&flags, &[gateway_pid]),
        )?;
        let us = |side: &Measurement| side.cpu_us_per(deliveries(side, harness.setup.size));
        let (measured, deliveries) = (&gateway.outcome.measured, deliveries(&gateway, harness.setup.size));
        let at_once = measured.received as f64 / measured.receives.max(1) as f64;
        Ok(vec![us(&bare), us(&gateway), us(&gateway) / us(&bare), deliveries / measured.seconds, at_once])
    }
}

/// The load generator's flags for broadcasts to `conns` clients, `burst` at once.
pub(crate) fn flags(cluster: &Cluster, conns: usize, burst: usize) -> String {
    format!(
        "--scenario broadcast --conns {conns} --target {} --register {} --burst {burst} --rate {}",
        target(cluster),
        cluster.register_address(),
        burst as f64 / period(burst),
    )
}

/// How many messages of `size` bytes have come; at least one.
pub(crate) fn deliveries(measured: &Measurement, size: usize) -> f64 {
    (measured.outcome.measured.bytes_in / frame_size(size) as u64).max(1) as f64
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
pub(crate) const BURST: usize = 20;
