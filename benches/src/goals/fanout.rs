//! Broadcasts, one by one or twenty at once: CPU of the gateway per delivery, against a bare loop that sends as many bytes
//! to as many sockets.

use cluster::Cluster;

use super::stage::{Driven, Stage, in_turns, target};
use super::{Bound, Goal, Scenario};
use crate::bare::Bare;
use crate::watch::Stopped;

/// Both senders.
pub struct Fanout {
    bare: Bare,
    cluster: Cluster,
    /// Messages at once.
    burst: usize,
}

impl Fanout {
    /// One broadcast at a time.
    pub fn single(stage: &Stage<'_>) -> Fanout {
        Fanout::start(stage, 1)
    }

    /// Several at once.
    pub fn burst(stage: &Stage<'_>) -> Fanout {
        Fanout::start(stage, BURST)
    }

    fn start(stage: &Stage<'_>, burst: usize) -> Fanout {
        let bytes = burst * frame_size(stage.setup.size);
        let seconds = period(burst).to_string();
        Fanout {
            bare: Bare::start(stage.cpus, "broadcast", &[&bytes.to_string(), &seconds]),
            cluster: stage.cluster(1),
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

    fn round(&mut self, stage: &Stage<'_>, index: usize) -> Result<Vec<f64>, Stopped> {
        let Fanout { bare, cluster, burst } = self;
        let (burst, conns) = (*burst, stage.setup.conns);
        let bare_flags = format!("--scenario idle --conns {conns} --target tcp://{}", bare.address());
        let flags = flags(cluster, conns, burst);
        let (bare, gateway) = in_turns(
            index,
            || stage.drive(&bare_flags, || bare.cpu_time()),
            || stage.drive(&flags, || cluster.gateway(0).cpu_time()),
        )?;
        let deliveries = |driven: &Driven| deliveries(driven, stage.setup.size);
        let us = |driven: &Driven| driven.cpu_us / deliveries(driven);
        let measured = &gateway.outcome.measured;
        Ok(vec![
            us(&bare),
            us(&gateway),
            us(&gateway) / us(&bare),
            deliveries(&gateway) / measured.seconds,
            measured.received as f64 / measured.receives.max(1) as f64,
        ])
    }
}

/// What the load generator is told for broadcasts to `conns` clients, `burst` at once.
pub fn flags(cluster: &Cluster, conns: usize, burst: usize) -> String {
    format!(
        "--scenario broadcast --conns {conns} --target {} --register {} --burst {burst} --rate {}",
        target(cluster),
        cluster.register_address(),
        burst as f64 / period(burst),
    )
}

/// How many messages of `size` bytes have come; at least one.
pub fn deliveries(driven: &Driven, size: usize) -> f64 {
    (driven.outcome.measured.bytes_in / frame_size(size) as u64).max(1) as f64
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
pub const BURST: usize = 20;
