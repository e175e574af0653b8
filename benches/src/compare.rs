//! Two builds of the programs beside each other: what a message costs with the one as a multiple of what it costs with the
//! other.
//!
//! A round measures both, in turns the one and the other first. Each measurement has processes of its own: how well memory
//! lies in them is luck, which must not stay with one side. Load generator and driver are this tree's on both sides.
//! The figure is CPU time, and never wall time, which says more about what else the machine does.

use std::path::{Path, PathBuf};

use cluster::Cluster;
use serde::Serialize;

use crate::goals::fanout;
use crate::goals::harness::{Harness, echo_flags, in_turns, path_pids, target};
use crate::goals::{Bound, Figures, Goal, Kind, Scenario, Setup, run_rounds};
use crate::watch::Stopped;

/// Most that the build under test may cost, as a multiple of the other one.
pub const RATIO_MAX: f64 = 1.03;

/// Scenarios that two builds can be compared by; the last one only if it is asked for.
pub const KINDS: [Kind; 5] = [Kind::Echo, Kind::Broadcast, Kind::Burst, Kind::Latency, Kind::Rate];

/// Folders with the programs `register`, `gateway` and `worker`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Builds {
    /// What is compared with.
    pub before: PathBuf,
    /// What is judged.
    pub after: PathBuf,
}

/// A scenario of [`KINDS`] with both builds.
struct Comparison<'a> {
    kind: Kind,
    builds: &'a Builds,
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

impl Comparison<'_> {
    /// Microseconds of CPU per message with the programs of a folder.
    fn measure(&self, harness: &Harness<'_>, programs: &Path) -> Result<f64, Stopped> {
        let mut cluster = harness.start(Cluster::builder().programs(programs));
        // The worker's link: then the register knows the gateway, which the load generator asks it for.
        cluster.await_links(0, 0, 1);
        let (pids, conns) = (path_pids(&mut cluster), harness.setup.conns);
        let echo = |pace: &str| echo_flags(&target(&cluster), conns, pace);
        let (flags, pids) = match self.kind {
            Kind::Broadcast => (fanout::flags(&cluster, conns, 1), &pids[..1]),
            Kind::Burst => (fanout::flags(&cluster, conns, fanout::BURST), &pids[..1]),
            Kind::Rate => (echo(&format!("--rate {RATE}")), &pids[..]),
            _ => (echo("--depth 1"), &pids[..]),
        };
        let measured = harness.measure(&flags, pids)?;
        if measured.outcome.measured.received == 0 {
            return Err(format!("{}: no message came through", self.kind.name()));
        }
        Ok(match self.kind {
            Kind::Broadcast | Kind::Burst => {
                measured.cpu_us_per(fanout::deliveries(&measured, harness.setup.size))
            }
            _ => measured.cpu_us_per_echo(),
        })
    }
}

impl Scenario for Comparison<'_> {
    fn columns(&self) -> Vec<&'static str> {
        vec!["before µs", "after µs", "ratio"]
    }

    /// The median of the rounds' ratios is judged, not the ratio of the medians: what disturbs both sides of a round
    /// cancels out.
    fn goals(&self) -> Vec<Goal> {
        let what = "CPU per message as a multiple of that before";
        vec![Goal { what, column: 2, bound: Bound::AtMost(RATIO_MAX) }]
    }

    fn round(&mut self, harness: &Harness<'_>, index: usize) -> Result<Vec<f64>, Stopped> {
        let (before, after) = in_turns(
            index,
            || self.measure(harness, &self.builds.before),
            || self.measure(harness, &self.builds.after),
        )?;
        Ok(vec![before, after, after / before])
    }
}

/// Runs all rounds of scenarios of [`KINDS`], each with a setup. `stop` is asked often whether the user wants the end;
/// `print` gets a line of the table at a time.
///
/// # Errors
/// The user wants the end, a program is missing, memory runs out, or the load generator fails: one line that says what.
///
/// # Panics
/// A program does not start, with its output.
pub fn run(
    kinds: &[(Kind, Setup)],
    builds: &Builds,
    stop: &dyn Fn() -> bool,
    mut print: impl FnMut(&str),
) -> Result<Vec<Figures>, String> {
    builds.check()?;
    let mut all = Vec::with_capacity(kinds.len());
    for (kind, setup) in kinds {
        let figures = run_rounds(
            &kind.name(),
            &mut Comparison { kind: *kind, builds },
            &Harness::new(*setup, stop),
            &mut print,
        )?;
        print(figures.to_string().trim_end());
        all.push(figures);
    }
    Ok(all)
}

/// What a build is made of.
const PROGRAMS: [&str; 3] = ["register", "gateway", "worker"];

/// Messages a second that leave a CPU idle for most of the time, so that many of them wake somebody.
const RATE: u32 = 10_000;

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
