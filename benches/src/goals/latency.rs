//! One client with one message in flight: through gateway and worker, and through two bare programs on `uring`.

use super::harness::{Harness, in_turns, path};
use super::{Goal, Round, Scenario, Setup};
use crate::bare::TwoHops;
use crate::watch::Stopped;

pub(crate) const LATENCY: Scenario = Scenario {
    name: "latency",
    usual: Setup { conns: 1, ..Setup::USUAL },
    columns: &["bare p50 µs", "p50 µs", "ratio", "bare CPU µs", "CPU µs"],
    goals: &[
        Goal::at_most("p50 as a multiple of two bare hops'", 2, 1.0),
        Goal::at_most("CPU of gateway and worker in µs", 4, 45.0),
    ],
    start,
};

fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let bare = TwoHops::start(harness.cpus);
    let mut cluster = harness.cluster(1);
    Ok(Box::new(move |index| {
        let sides = [bare.side(), path(&mut cluster)];
        let sides = in_turns(index, sides, |side| harness.echo(&side, harness.setup.conns, "--depth 1"))?;
        let p50 = sides.each_ref().map(|side| side.p50_p99_us().0);
        let cpu = sides.each_ref().map(|side| side.cpu_us_per_echo());
        Ok(vec![p50[0], p50[1], p50[1] / p50[0], cpu[0], cpu[1]])
    }))
}
