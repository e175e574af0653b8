//! Scenarios end to end, each with a goal: a ratio to what bare programs on `ring` take for the same in the same run, or
//! a bound.
//!
//! Servers run on one CPU and the load generator on another. A round measures both sides of a comparison, in turns the
//! one and the other first; the figure that is judged is the median of the rounds. Server CPU is what the kernel
//! accounts to the processes between the ends of the load generator's measured phase, in steps of 10 ms.

mod bound;
pub(crate) mod fanout;
mod figures;
mod idle;
mod latency;
mod rate;
pub(crate) mod stage;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::stage::Stage;
use crate::cpus::Cpus;
use crate::watch::{Stopped, Watch};

pub use figures::{Bound, Figures, Goal, Verdict};

/// Which scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
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
    /// Bytes of a message.
    pub size: usize,
    /// Seconds that are measured of each.
    pub hold_seconds: f64,
    /// Seconds of load before.
    pub warmup_seconds: f64,
}

/// A scenario, its servers running.
trait Scenario {
    /// What a round measures, with units.
    fn columns(&self) -> Vec<&'static str>;

    /// What the columns are judged by.
    fn goals(&self) -> Vec<Goal>;

    /// Measures once. `index` counts the rounds.
    fn round(&mut self, stage: &Stage<'_>, index: usize) -> Result<Vec<f64>, Stopped>;
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] =
        [Kind::Latency, Kind::Rate, Kind::Broadcast, Kind::Burst, Kind::Idle, Kind::Bound];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Latency => "latency",
            Kind::Rate => "rate",
            Kind::Broadcast => "broadcast",
            Kind::Burst => "burst",
            Kind::Idle => "idle",
            Kind::Bound => "bound",
        }
    }

    /// What is run unless something else is asked for.
    pub fn setup(self) -> Setup {
        let usual =
            Setup { rounds: 5, conns: 1000, few: 0, size: 64, hold_seconds: 3.0, warmup_seconds: 1.0 };
        match self {
            Kind::Latency => Setup { conns: 1, ..usual },
            Kind::Rate | Kind::Broadcast => usual,
            Kind::Burst => Setup { conns: 900, ..usual },
            Kind::Idle => Setup { conns: 100_000, few: 10_000, ..usual },
            Kind::Bound => Setup { rounds: 1, conns: 50_000, ..usual },
        }
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Kind, ()> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// Starts the servers and runs all rounds. `stop` is asked often whether the user wants the end; `tell` gets a line of the
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
    mut tell: impl FnMut(&str),
) -> Result<Figures, String> {
    let watch = Watch::new(stop, setup.conns + setup.few);
    let stage = Stage { setup, cpus: Cpus::of_this_process(), watch };
    let mut scenario: Box<dyn Scenario> = match kind {
        Kind::Latency => Box::new(latency::Latency::start(&stage)),
        Kind::Rate => Box::new(rate::Rate::start(&stage)),
        Kind::Broadcast => Box::new(fanout::Fanout::single(&stage)),
        Kind::Burst => Box::new(fanout::Fanout::burst(&stage)),
        Kind::Idle => Box::new(idle::Idle::start(&stage)?),
        Kind::Bound => Box::new(bound::Bind),
    };
    let columns = scenario.columns();
    tell(&figures::heading(&columns));
    let mut rounds = Vec::with_capacity(setup.rounds);
    for index in 0..setup.rounds {
        let round = scenario.round(&stage, index)?;
        assert_eq!(round.len(), columns.len());
        tell(&figures::line(index, &round));
        rounds.push(round);
    }
    Ok(Figures::new(kind.name(), setup, &columns, rounds, &scenario.goals()))
}
