//! Server CPU per echo: gateway and worker together, against a bare echo on `ring`.
//!
//! Both servers run on one CPU, the load on another. A round drives one and then the other, in turns the first; server
//! CPU is what the kernel accounts to the processes between the two ends of the load generator's measured phase,
//! in steps of 10 ms, divided by the echoes of that phase. The bar is a ratio of the two in the same round, so that
//! it does not depend on the machine.

mod figures;
mod servers;

use serde::{Deserialize, Serialize};

use self::servers::{Path, Server};
use crate::bare::Bare;
use crate::cpus::Cpus;

pub use figures::{Figures, Round, Sample, heading, line};

/// Most that gateway and worker together may cost, as a multiple of the bare echo.
pub const RATIO_MAX: f64 = 1.7;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Comparisons.
    pub rounds: usize,
    /// Connections.
    pub conns: usize,
    /// Messages in flight per connection.
    pub depth: u32,
    /// Bytes of a message.
    pub size: usize,
    /// Seconds that are measured of each; 3 at least for figures worth keeping.
    pub hold_seconds: f64,
    /// Seconds of load before.
    pub warmup_seconds: f64,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { rounds: 5, conns: 1000, depth: 1, size: 64, hold_seconds: 4.0, warmup_seconds: 1.0 }
    }
}

/// Starts the servers, runs all rounds, and calls `on_round` after each.
///
/// # Panics
/// A program does not start or ends on its own, with its output.
pub fn run(setup: Setup, mut on_round: impl FnMut(usize, &Round)) -> Figures {
    let cpus = Cpus::of_this_process();
    let bare = Bare::start(cpus, "echo", &[]);
    let mut path = Path::start(cpus);
    let mut rounds = Vec::with_capacity(setup.rounds);
    for index in 0..setup.rounds {
        let round = if index % 2 == 0 {
            let bare = servers::drive(&setup, cpus, &mut Server::Bare(&bare));
            Round { bare, path: servers::drive(&setup, cpus, &mut Server::Path(&mut path)) }
        } else {
            let path = servers::drive(&setup, cpus, &mut Server::Path(&mut path));
            Round { bare: servers::drive(&setup, cpus, &mut Server::Bare(&bare)), path }
        };
        on_round(index, &round);
        rounds.push(round);
    }
    Figures::new(setup, rounds)
}
