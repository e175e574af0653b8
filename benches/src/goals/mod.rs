//! Scenarios end to end, each with a goal: a ratio to what bare programs on `uring` take for the same in the same run, or
//! a bound.
//!
//! Servers run on one CPU and the load generator on another. A round measures both sides of a comparison, in turns the
//! one and the other first; the figure that is judged is the median of the rounds. Server CPU is what the kernel
//! accounts to the processes between the ends of the load generator's measured phase.
//!
//! A scenario is one file: what is run, what a round measures, what that is judged by, and the round itself.

mod beside;
mod bound;
pub(crate) mod echo;
mod embedded;
mod empty;
pub(crate) mod fanout;
mod figures;
pub(crate) mod harness;
mod hostile;
mod idle;
pub(crate) mod latency;
mod load;
pub(crate) mod rate;
mod scraped;
mod sleep;
mod tls;

use serde::Serialize;

use self::harness::Harness;
use crate::watch::Stopped;

pub use figures::{Bound, Figures, Goal, Verdict};

/// All scenarios.
pub const SCENARIOS: [&Scenario; 41] = [
    &echo::ECHO,
    &echo::ECHO_100,
    &embedded::EMBEDDED,
    &embedded::EMBEDDED_100,
    &embedded::EMBEDDED_1,
    &embedded::BUSY_POLL,
    &load::LOAD_2000,
    &load::LOAD_10000,
    &load::LOAD_40000,
    &load::LOAD_HALF,
    &latency::LATENCY,
    &rate::RATE,
    &rate::RATE_60,
    &fanout::BROADCAST,
    &fanout::BROADCAST_900,
    &fanout::BROADCAST_10000,
    &fanout::BURST,
    &fanout::BURST_10000,
    &beside::BESIDE,
    &idle::IDLE,
    &scraped::SCRAPED,
    &bound::BOUND,
    &empty::EMPTY,
    &sleep::SLEEP,
    &hostile::BYTES,
    &hostile::BYTES_2,
    &hostile::BYTES_5,
    &hostile::BARE,
    &hostile::BARE_5,
    &hostile::PINGS,
    &hostile::PONGS,
    &hostile::FRAGMENTS,
    &hostile::HEADERS,
    &hostile::QUERIES,
    &hostile::CONNECTIONS,
    &hostile::HANDSHAKES,
    &hostile::MESSAGES,
    &tls::TLS,
    &tls::TLS_100,
    &tls::TLS_HANDSHAKE,
    &tls::TLS_RESUMED,
];

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Setup {
    /// How often.
    pub rounds: usize,
    /// Clients; idle and beside: those that idle beside the echo.
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

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// As on the command line.
    pub name: &'static str,
    /// What is run unless something else is asked for.
    pub usual: Setup,
    /// What a round measures, with units.
    pub(crate) columns: &'static [&'static str],
    /// What the columns are judged by.
    pub(crate) goals: &'static [Goal],
    /// Starts the servers.
    pub(crate) start: for<'a> fn(&'a Harness<'_>) -> Result<Round<'a>, Stopped>,
}

/// Measures once, in the order of the columns, with servers that run as long as it is there. It is told how many rounds
/// were before.
pub(crate) type Round<'a> = Box<dyn FnMut(usize) -> Result<Vec<f64>, Stopped> + 'a>;

impl Setup {
    /// Of most scenarios.
    const USUAL: Setup = Setup {
        rounds: 5,
        conns: 1000,
        few: 10_000,
        depth: 1,
        size: 64,
        hold_seconds: 3.0,
        warmup_seconds: 1.0,
    };
}

impl Scenario {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.into_iter().find(|scenario| scenario.name == name)
    }

    /// Those that a word on the command line means: the scenario of this name with its variants, which are named NAME-…; or
    /// `all`.
    pub fn group(word: &str) -> Vec<&'static Scenario> {
        let is_meant = |scenario: &&Scenario| {
            let variant = scenario.name.strip_prefix(word);
            word == "all" || variant.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        SCENARIOS.into_iter().filter(is_meant).collect()
    }

    /// Starts the servers and runs all rounds. `stop` is asked often whether the user wants the end; `print` gets a line of
    /// the table at a time.
    ///
    /// # Errors
    /// The user wants the end, memory runs out, or the load generator fails: one line that says what.
    ///
    /// # Panics
    /// A program does not start, with its output.
    pub fn run(
        &self,
        setup: Setup,
        stop: &dyn Fn() -> bool,
        print: impl FnMut(&str),
    ) -> Result<Figures, String> {
        let harness = Harness::new(setup, stop);
        self.run_rounds(setup, (self.start)(&harness)?, print)
    }

    /// Runs all rounds.
    pub(crate) fn run_rounds(
        &self,
        setup: Setup,
        mut round: Round<'_>,
        mut print: impl FnMut(&str),
    ) -> Result<Figures, Stopped> {
        print(&figures::heading(self.columns));
        let mut rounds = Vec::with_capacity(setup.rounds);
        for index in 0..setup.rounds {
            let values = round(index)?;
            assert_eq!(values.len(), self.columns.len());
            print(&figures::row(&(index + 1).to_string(), self.columns, &values));
            rounds.push(values);
        }
        Ok(Figures::new(self, setup, rounds))
    }
}
