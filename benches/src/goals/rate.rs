//! The rate at which the servers' CPU is full, and the latency at half of it, by the clock.

use super::harness::{Harness, path};
use super::{Goal, Round, Scenario, Setup};
use crate::watch::Stopped;

pub(crate) const RATE: Scenario = Scenario {
    name: "rate",
    usual: Setup::USUAL,
    columns: &["saturated/s", "CPU busy %", "half of it/s", "p50 ms", "p99 ms", "unanswered"],
    goals: &[
        Goal::at_most("p99 in ms at half of the saturated rate", 4, 5.0),
        Goal::at_most("messages unanswered", 5, 0.0),
    ],
    start,
};

fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let mut cluster = harness.cluster(1);
    Ok(Box::new(move |_| {
        let path = path(&mut cluster);
        let full = harness.echo(&path, harness.setup.conns, "--depth 1")?;
        let saturated = full.outcome.measured.received_per_second;
        let half = harness.echo(&path, harness.setup.conns, &format!("--rate {:.1}", saturated / 2.0))?;
        let ((p50, p99), measured) = (half.p50_p99_us(), &half.outcome.measured);
        let (rate, unanswered) = (measured.received_per_second, measured.unanswered as f64);
        Ok(vec![saturated, full.busy_percent(), rate, p50 / 1e3, p99 / 1e3, unanswered])
    }))
}
