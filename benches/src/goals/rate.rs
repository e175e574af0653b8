//! The rate at which the servers' CPU is full, and the latency by the clock at half of it, and where 60 % of that CPU is in use.

use super::harness::{Harness, Side, path};
use super::{Goal, Round, Scenario, Setup};
use crate::watch::Stopped;

pub(crate) const RATE: Scenario = Scenario {
    name: "rate",
    usual: Setup::USUAL,
    columns: &["saturated/s", "CPU busy %", "messages/s", "busy %", "p50 ms", "p99 ms", "unanswered"],
    goals: &[
        Goal::at_most("p99 in ms at half of the saturated rate", 5, 5.0),
        Goal::at_most("messages unanswered", 6, 0.0),
    ],
    start: |harness| start(harness, |_, _, saturated| Ok(saturated / 2.0)),
};

pub(crate) const RATE_60: Scenario = Scenario {
    name: "rate-60",
    goals: &[
        Goal::at_most("p99 in ms at the rate that takes 60 % of the servers' CPU", 5, 2.0),
        Goal::at_most("messages unanswered", 6, 0.0),
    ],
    start: |harness| start(harness, rate_at_60_percent),
    ..RATE
};

/// `choose` says, for a server and the rate at which that is full, at which rate it is measured.
fn start<'a>(
    harness: &'a Harness<'_>,
    choose: fn(&Harness<'_>, &Side, f64) -> Result<f64, Stopped>,
) -> Result<Round<'a>, Stopped> {
    let mut cluster = harness.cluster(1);
    Ok(Box::new(move |_| {
        let path = path(&mut cluster);
        let full = harness.echo(&path, harness.setup.conns, "--depth 1")?;
        let part = harness.echo_at(&path, choose(harness, &path, full.per_second())?)?;
        let (p50, p99) = part.p50_p99_us();
        let busy = [&full, &part].map(|side| side.busy_percent());
        let unanswered = part.outcome.measured.unanswered as f64;
        Ok(vec![full.per_second(), busy[0], part.per_second(), busy[1], p50 / 1e3, p99 / 1e3, unanswered])
    }))
}

/// Looked for by halving: the less a message costs the more come together, so CPU grows with the rate, but not in a line.
fn rate_at_60_percent(harness: &Harness<'_>, side: &Side, saturated: f64) -> Result<f64, Stopped> {
    let (mut low, mut high) = (0.0, saturated);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        let is_below = harness.echo_at(side, middle)?.busy_percent() < 60.0;
        *(if is_below { &mut low } else { &mut high }) = middle;
    }
    Ok(f64::midpoint(low, high))
}

/// How often the range of rates is halved: to a thirty-second of the saturated one.
const HALVINGS: usize = 5;
