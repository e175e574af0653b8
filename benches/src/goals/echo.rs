//! Many clients, each with its messages in flight: CPU of gateway and worker together, against a bare echo on `uring`.

use super::harness::{Harness, in_turns, path};
use super::{Goal, Round, Scenario, Setup};
use crate::bare::Bare;
use crate::watch::Stopped;

pub(crate) const ECHO: Scenario = Scenario {
    name: "echo",
    usual: Setup { hold_seconds: 4.0, ..Setup::USUAL },
    columns: &["bare µs", "gateway µs", "worker µs", "ratio", "bare busy %", "busy %", "bare/s", "echoes/s"],
    goals: &[at_most(1.05)],
    start,
};

pub(crate) const ECHO_100: Scenario = Scenario {
    name: "echo-100",
    usual: Setup { conns: 100, ..ECHO.usual },
    // With fewer clients a turn serves fewer.
    goals: &[at_most(1.15)],
    ..ECHO
};

const fn at_most(ratio: f64) -> Goal {
    Goal::at_most("CPU of gateway and worker as a multiple of the bare echo's", 3, ratio)
}

/// One hop, raw TCP; two hops, websocket.
fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let bare = Bare::start(harness.cpus, "echo", &[]);
    let mut cluster = harness.cluster(1);
    let pace = format!("--depth {}", harness.setup.depth);
    Ok(Box::new(move |index| {
        let sides = [bare.side(), path(&mut cluster)];
        let [bare, path] = in_turns(index, sides, |side| harness.echo(&side, harness.setup.conns, &pace))?;
        let each = path.cpu_us_each(path.echoes());
        let us = [&bare, &path].map(|side| side.cpu_us_per_echo());
        let busy = [&bare, &path].map(|side| side.busy_percent());
        let rate = [&bare, &path].map(|side| side.per_second());
        Ok(vec![us[0], each[0], each[1], us[1] / us[0], busy[0], busy[1], rate[0], rate[1]])
    }))
}
