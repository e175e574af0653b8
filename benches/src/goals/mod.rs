//! Scenarios end to end, each with a goal: a ratio to what bare programs on `uring` take for the same in the same run, or
//! a bound.
//!
//! Servers run on one CPU and the load generator on another. A round measures both sides of a comparison, in turns the
//! one and the other first; the figure that is judged is the median of the rounds. Server CPU is what the kernel
//! accounts to the processes between the ends of the load generator's measured phase.

mod bound;
mod echo;
mod empty;
pub(crate) mod fanout;
mod figures;
pub(crate) mod harness;
mod idle;
mod latency;
mod rate;
mod sleep;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::harness::Harness;
use crate::watch::Stopped;

pub use figures::{Bound, Figures, Goal, Verdict};

/// Which scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Many clients with one message in flight each: CPU against a bare echo.
    Echo,
    /// One client, one message in flight: p50 against two hops of bare programs.
    Latency,
    /// Half of the saturated rate, by the clock: p99.
    Rate,
    /// Broadcasts one by one: CPU per delivery against a bare send loop.
    Broadcast,
    /// Twenty broadcasts at once: CPU per delivery.
    Burst,
    /// An echo among many idle clients against one among few: CPU per message.
    Idle,
    /// Clients with uid, group and session: memory.
    Bound,
    /// No clients: CPU.
    Empty,
    /// Handlers that sleep: how late that ends.
    Sleep,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// How often.
    pub rounds: usize,
    /// Clients; idle: those that idle beside the echo.
    pub conns: usize,
    /// Idle: those that idle on the side it is compared with.
    pub few: usize,
    /// Echo: messages in flight per client.
    pub depth: u32,
    /// Bytes of a message.
    pub size: usize,
    /// Seconds that are measured of each.
    pub hold_seconds: f64,
    /// Seconds of load before.
    pub warmup_seconds: f64,
}

/// A scenario, its servers running.
pub(crate) trait Scenario {
    /// What a round measures, with units.
    fn columns(&self) -> Vec<&'static str>;

    /// What the columns are judged by.
    fn goals(&self) -> Vec<Goal>;

    /// Measures once. `index` counts the rounds.
    fn round(&mut self, harness: &Harness<'_>, index: usize) -> Result<Vec<f64>, Stopped>;
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 9] = [
        Kind::Echo,
        Kind::Latency,
        Kind::Rate,
        Kind::Broadcast,
        Kind::Burst,
        Kind::Idle,
        Kind::Bound,
        Kind::Empty,
        Kind::Sleep,
    ];

    /// As on the command line.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// What is run unless something else is asked for.
    pub fn setup(self) -> Setup {
        let (rounds, conns, hold_seconds) = match self {
            Kind::Echo => (5, 1000, 4.0),
            Kind::Latency => (5, 1, 3.0),
            Kind::Burst => (5, 900, 3.0),
            Kind::Idle => (5, 100_000, 3.0),
            Kind::Bound => (1, 50_000, 3.0),
            Kind::Empty => (5, 0, 10.0),
            Kind::Rate | Kind::Broadcast | Kind::Sleep => (5, 1000, 3.0),
        };
        Setup { rounds, conns, few: conns.min(10_000), depth: 1, size: 64, hold_seconds, warmup_seconds: 1.0 }
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Kind, ()> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// Starts the servers and runs all rounds. `stop` is asked often whether the user wants the end; `print` gets a line of the
/// table at a time.
///
/// # Errors
/// The user wants the end, memory runs out, or the load generator fails: one line that says what.
///
/// # Panics
/// A program does not start, with its output.
pub fn run(
    kind: Kind,
    setup: Setup,
    stop: &dyn Fn() -> bool,
    mut print: impl FnMut(&str),
) -> Result<Figures, String> {
    let harness = Harness::new(setup, stop);
    let mut scenario: Box<dyn Scenario> = match kind {
        Kind::Echo => Box::new(echo::Echo::start(&harness)),
        Kind::Latency => Box::new(latency::Latency::start(&harness)),
        Kind::Rate => Box::new(rate::Rate(harness.cluster(1))),
        Kind::Broadcast => Box::new(fanout::Fanout::start(&harness, 1)),
        Kind::Burst => Box::new(fanout::Fanout::start(&harness, fanout::BURST)),
        Kind::Idle => Box::new(idle::Idle::start(&harness)?),
        Kind::Bound => Box::new(bound::Bind),
        Kind::Empty => Box::new(empty::Empty::start(&harness)),
        Kind::Sleep => Box::new(sleep::Sleep::start(&harness)),
    };
    run_rounds(&kind.name(), scenario.as_mut(), &harness, &mut print)
}

/// Runs all rounds of a scenario.
pub(crate) fn run_rounds(
    name: &str,
    scenario: &mut dyn Scenario,
    harness: &Harness<'_>,
    print: &mut impl FnMut(&str),
) -> Result<Figures, Stopped> {
    let columns = scenario.columns();
    print(&figures::heading(&columns));
    let mut rounds = Vec::with_capacity(harness.setup.rounds);
    for index in 0..harness.setup.rounds {
        let round = scenario.round(harness, index)?;
        assert_eq!(round.len(), columns.len());
        print(&figures::row(&(index + 1).to_string(), &columns, &round));
        rounds.push(round);
    }
    Ok(Figures::new(name, harness.setup, &columns, rounds, &scenario.goals()))
}
