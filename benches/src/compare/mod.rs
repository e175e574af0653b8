//! Two builds of the programs beside each other: what a message costs with the one as a multiple of what it costs with the
//! other.
//!
//! A pair measures both, in turns the one and the other first. Each measurement has processes of its own: how well memory
//! lies in them is luck, which must not stay with one side. Load generator and driver are this tree's on both sides.
//! The figure is CPU time, in steps of 10 ms, and never wall time, which tells more of what else the machine does.

mod figures;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use cluster::Cluster;
use cluster::wait::Stopwatch;
use serde::{Deserialize, Serialize};

use crate::cpus::Cpus;
use crate::goals;
use crate::goals::fanout;
use crate::goals::stage::{Driven, Stage, in_turns, path_cpu_time, target};
use crate::watch::{Stopped, Watch};

pub use figures::{Figures, Pair, Row, heading, line};

/// Most that the build under test may cost, as a multiple of the other one.
pub const RATIO_MAX: f64 = 1.03;

/// Scenarios that are run unless others are asked for.
pub const USUAL: [Scenario; 4] = [Scenario::Echo, Scenario::Broadcast, Scenario::Burst, Scenario::Latency];

/// What messages do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// Many clients, each with one message in flight: the servers' CPU is full.
    Echo,
    /// Many clients at a rate that leaves the CPU idle most of the time.
    Rate,
    /// One client with one message in flight: each message wakes both programs.
    Latency,
    /// Broadcasts one by one.
    Broadcast,
    /// Twenty broadcasts at once.
    Burst,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Pairs of each scenario.
    pub rounds: usize,
    /// Clients; `None`: what the scenario usually has.
    pub conns: Option<usize>,
    /// Bytes of a message.
    pub size: usize,
    /// Seconds that are measured of each side.
    pub hold_seconds: f64,
    /// Seconds of load before.
    pub warmup_seconds: f64,
}

/// Folders with the programs `register`, `gateway` and `worker`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Builds {
    /// What is compared with.
    pub before: PathBuf,
    /// What is judged.
    pub after: PathBuf,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { rounds: 10, conns: None, size: 64, hold_seconds: 3.0, warmup_seconds: 1.0 }
    }
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

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 5] =
        [Scenario::Echo, Scenario::Rate, Scenario::Latency, Scenario::Broadcast, Scenario::Burst];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Echo => "echo",
            Scenario::Rate => "rate",
            Scenario::Latency => "latency",
            Scenario::Broadcast => "broadcast",
            Scenario::Burst => "burst",
        }
    }

    fn conns(self) -> usize {
        match self {
            Scenario::Echo | Scenario::Rate | Scenario::Broadcast => 1000,
            Scenario::Latency => 1,
            Scenario::Burst => 900,
        }
    }

    /// What the load generator is told.
    fn flags(self, cluster: &Cluster, conns: usize) -> String {
        let echo =
            |pace: &str| format!("--scenario echo {pace} --conns {conns} --target {}", target(cluster));
        match self {
            Scenario::Echo | Scenario::Latency => echo("--depth 1"),
            Scenario::Rate => echo(&format!("--rate {RATE}")),
            Scenario::Broadcast => fanout::flags(cluster, conns, 1),
            Scenario::Burst => fanout::flags(cluster, conns, fanout::BURST),
        }
    }

    /// CPU time so far of those through whom the messages go.
    fn cpu_time(self, cluster: &mut Cluster) -> Duration {
        match self {
            Scenario::Echo | Scenario::Rate | Scenario::Latency => path_cpu_time(cluster),
            Scenario::Broadcast | Scenario::Burst => cluster.gateway(0).cpu_time(),
        }
    }

    fn messages(self, driven: &Driven, size: usize) -> f64 {
        match self {
            Scenario::Echo | Scenario::Rate | Scenario::Latency => driven.outcome.measured.received as f64,
            Scenario::Broadcast | Scenario::Burst => fanout::deliveries(driven, size),
        }
    }

    /// Microseconds of CPU per message with the programs of a folder: CPU per second between two looks at it, by messages per
    /// second. On a busy machine the looks come late, and are not as far apart as the ends of what the load generator measures.
    fn measure(self, stage: &Stage<'_>, programs: &Path) -> Result<f64, Stopped> {
        let mut cluster = stage.start(Cluster::builder().programs(programs));
        // The worker's link: then the register knows the gateway, which the load generator asks it for.
        cluster.await_links(0, 0, 1);
        let flags = self.flags(&cluster, stage.setup.conns);
        let (clock, mut looks) = (Stopwatch::start(), Vec::new());
        let driven = stage.drive(&flags, || {
            looks.push(clock.elapsed());
            self.cpu_time(&mut cluster)
        })?;
        let [from, to] = looks[..] else { unreachable!("CPU time is looked at before and after") };
        if driven.outcome.measured.received == 0 {
            return Err(format!("{}: no message came through", self.name()));
        }
        let messages = self.messages(&driven, stage.setup.size) / driven.outcome.measured.seconds;
        Ok(driven.cpu_us.max(CPU_STEP_US) / (to - from).as_secs_f64() / messages)
    }
}

impl FromStr for Scenario {
    type Err = ();

    fn from_str(name: &str) -> Result<Scenario, ()> {
        Scenario::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or(())
    }
}

/// Runs all pairs of all `scenarios`. `stop` is asked often whether the user wants the end; `tell` gets a line of the table
/// at a time.
///
/// # Errors
/// The user wants the end, a program is missing, memory runs out, or the load generator fails: one line that says what.
///
/// # Panics
/// A program does not start, with its output.
pub fn run(
    scenarios: &[Scenario],
    setup: Setup,
    builds: &Builds,
    stop: &dyn Fn() -> bool,
    mut tell: impl FnMut(&str),
) -> Result<Figures, String> {
    builds.check()?;
    tell(&heading());
    let mut rows = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        let stage = stage(*scenario, setup, stop);
        let mut pairs = Vec::with_capacity(setup.rounds);
        for index in 0..setup.rounds {
            let (before_us, after_us) = in_turns(
                index,
                || scenario.measure(&stage, &builds.before),
                || scenario.measure(&stage, &builds.after),
            )?;
            let pair = Pair { before_us, after_us };
            tell(&line(scenario.name(), index, &pair));
            pairs.push(pair);
        }
        rows.push(Row::new(scenario.name(), pairs));
    }
    let name = |directory: &Path| directory.display().to_string();
    Ok(Figures { setup, before: name(&builds.before), after: name(&builds.after), rows })
}

fn stage(scenario: Scenario, setup: Setup, stop: &dyn Fn() -> bool) -> Stage<'_> {
    let Setup { rounds, size, hold_seconds, warmup_seconds, .. } = setup;
    let conns = setup.conns.unwrap_or(scenario.conns());
    Stage {
        setup: goals::Setup { rounds, conns, few: 0, size, hold_seconds, warmup_seconds },
        cpus: Cpus::of_this_process(),
        watch: Watch::new(stop, conns),
    }
}

/// What a build is made of.
const PROGRAMS: [&str; 3] = ["register", "gateway", "worker"];

/// Messages a second that leave a CPU idle for most of the time, so that many of them wake somebody.
const RATE: u32 = 10_000;

/// In microseconds. Less than one step of what the kernel accounts counts as one.
const CPU_STEP_US: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_names() {
        assert!(Scenario::ALL.into_iter().all(|scenario| scenario.name().parse() == Ok(scenario)));
        assert_eq!("million".parse::<Scenario>(), Err(()));
    }

    #[test]
    fn a_folder_without_programs_is_named() {
        let builds = Builds { before: "/nowhere".into(), after: "/nowhere".into() };
        let why = run(&Scenario::ALL, Setup::default(), &builds, &|| false, |_| ()).unwrap_err();
        assert_eq!(why, "/nowhere has no program `register`");
    }
}
