//! Two builds of the programs beside each other: what a message costs with the one as a multiple of what it costs with the
//! other.
//!
//! A round measures both, in turns the one and the other first. Each measurement has processes of its own: how well memory
//! lies in them is luck, which must not stay with one side. Load generator and driver are this tree's on both sides.
//! The figure is CPU time, and never wall time, which says more about what else the machine does.

use std::path::{Path, PathBuf};

use cluster::Cluster;
use serde::Serialize;

use crate::goals::harness::{Harness, in_turns, path};
use crate::goals::{Figures, Goal, Scenario, Setup, echo, fanout, latency, rate};
use crate::watch::Stopped;

/// Scenarios that two builds can be compared by; the last one only if it is asked for.
pub const SCENARIOS: [Compared; 5] = [
    Compared { scenario: &echo::ECHO, load: Load::Echo("--depth 1") },
    Compared { scenario: &fanout::BROADCAST, load: Load::Broadcasts(fanout::SINGLE) },
    Compared { scenario: &fanout::BURST, load: Load::Broadcasts(fanout::BURST_OF_20) },
    Compared { scenario: &latency::LATENCY, load: Load::Echo("--depth 1") },
    // Leaves a CPU idle for most of the time, so that many messages wake somebody.
    Compared { scenario: &rate::RATE, load: Load::Echo("--rate 10000") },
];

/// A scenario, and what is measured with both builds.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// With its own goals, which do not count here.
    pub scenario: &'static Scenario,
    load: Load,
}

#[derive(Clone, Copy, Debug)]
enum Load {
    /// At a pace.
    Echo(&'static str),
    /// And the gateway's CPU alone.
    Broadcasts(fanout::Broadcasts),
}

/// Most that the build under test may cost, as a multiple of the other one.
pub const RATIO_MAX: f64 = 1.03;

const COLUMNS: [&str; 3] = ["before µs", "after µs", "ratio"];

/// The median of the rounds' ratios is judged, not the ratio of the medians: what disturbs both sides of a round cancels
/// out.
const GOAL: Goal = Goal::at_most("CPU per message as a multiple of that before", 2, RATIO_MAX);

/// Folders with the programs `register`, `gateway` and `worker`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Builds {
    /// What is compared with.
    pub before: PathBuf,
    /// What is judged.
    pub after: PathBuf,
}

impl Builds {
    fn check(&self) -> Result<(), String> {
        for directory in [&self.before, &self.after] {
            if let Some(missing) = PROGRAMS.iter().find(|program| !directory.join(program).is_file()) {
                return Err(format!("{} has no program `{missing}`", directory.display()));
            }
        }
        Ok(())
    }
}

impl Compared {
    /// Microseconds of CPU per message with the programs of a folder.
    fn measure(&self, harness: &Harness<'_>, programs: &Path) -> Result<f64, Stopped> {
        let mut cluster = harness.start(Cluster::builder().programs(programs));
        // The worker's link: then the register knows the gateway, which the load generator asks it for.
        cluster.await_links(0, 0, 1);
        let (measured, messages) = match self.load {
            Load::Echo(pace) => {
                let echo = harness.echo(&path(&mut cluster), harness.setup.conns, pace)?;
                let echoes = echo.echoes();
                (echo, echoes)
            }
            Load::Broadcasts(broadcasts) => {
                let (side, flags) = fanout::load(harness, &mut cluster, broadcasts);
                let delivered = harness.measure(&side, &flags)?;
                let deliveries = fanout::deliveries(harness, &delivered);
                (delivered, deliveries)
            }
        };
        match measured.outcome.measured.received {
            0 => Err(format!("{}: no message came through", self.scenario.name)),
            _ => Ok(measured.cpu_us_per(messages)),
        }
    }
}

/// Runs all rounds of scenarios, each with a setup. `stop` is asked often whether the user wants the end; `print` gets a line
/// of the table at a time.
///
/// # Errors
/// The user wants the end, a program is missing, memory runs out, or the load generator fails: one line that says what.
///
/// # Panics
/// A program does not start, with its output.
pub fn run(
    scenarios: &[(Compared, Setup)],
    builds: &Builds,
    stop: &dyn Fn() -> bool,
    mut print: impl FnMut(&str),
) -> Result<Vec<Figures>, String> {
    builds.check()?;
    let mut all = Vec::with_capacity(scenarios.len());
    for (compared, setup) in scenarios {
        let harness = Harness::new(*setup, stop);
        let judged = Scenario { columns: &COLUMNS, goals: &[GOAL], ..*compared.scenario };
        let round = |index| {
            let sides = [&builds.before, &builds.after];
            let [before, after] = in_turns(index, sides, |build| compared.measure(&harness, build))?;
            Ok(vec![before, after, after / before])
        };
        let figures = judged.run_rounds(*setup, Box::new(round), &mut print)?;
        print(figures.to_string().trim_end());
        all.push(figures);
    }
    Ok(all)
}

/// What a build is made of.
const PROGRAMS: [&str; 3] = ["register", "gateway", "worker"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_programs_is_named() {
        let builds = Builds { before: "/nowhere".into(), after: "/nowhere".into() };
        let why = run(&[], &builds, &|| false, |_| ()).unwrap_err();
        assert_eq!(why, "/nowhere has no program `register`");
    }
}
