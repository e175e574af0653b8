//! What the clients of a core do once they are connected. A scenario decides who sends when, and what a message means;
//! it owns no socket and no clock.

mod churn;
mod echo;
mod rounds;

pub use churn::Churn;
pub use echo::Echo;
pub use rounds::{Round, Rounds};

use crate::client::{Client, Clients};
use crate::clock::Nanos;
use crate::measure::{Measure, Phase};
use crate::plan::Plan;
use crate::stamp;
use crate::step::Workload;

/// One core's part of the workload.
#[derive(Debug)]
pub enum Scenario {
    /// Be there.
    Idle,
    /// Send, and await the same back.
    Echo(Echo),
    /// Receive what others send.
    Cast(Rounds),
    /// Come and go.
    Churn(Churn),
}

impl Scenario {
    /// The part of core number `core` in a step.
    pub fn new(plan: &Plan, step: usize, core: usize) -> Scenario {
        match &plan.steps[step].workload {
            Workload::Idle => Scenario::Idle,
            Workload::Echo(load) => {
                Scenario::Echo(Echo::new(*load, plan.talkers(step, core), plan.turn(step, core)))
            }
            Workload::Cast(_) => Scenario::Cast(Rounds::default()),
            Workload::Churn { per_second } => Scenario::Churn(Churn::new(*per_second, core, plan.cores())),
        }
    }

    /// Says when it is to send.
    pub fn begin(&mut self, phase: Phase) {
        match self {
            Scenario::Echo(echo) => echo.begin(phase),
            Scenario::Churn(churn) => churn.begin(phase),
            Scenario::Idle | Scenario::Cast(_) => {}
        }
    }

    /// Says that it is to send no more from `until` on, earlier than was planned.
    pub fn end(&mut self, until: Nanos) {
        match self {
            Scenario::Echo(echo) => echo.end(until),
            Scenario::Churn(churn) => churn.end(until),
            Scenario::Idle | Scenario::Cast(_) => {}
        }
    }

    /// Sends what is due, a bounded number of messages.
    pub fn drive(&mut self, now: Nanos, clients: &mut Clients, send: impl FnMut(&mut Client, Nanos)) {
        if let Scenario::Echo(echo) = self {
            echo.drive(now, clients, send);
        }
    }

    /// When [`Scenario::drive`] will have something to do; none if it waits for messages only.
    pub fn next_at(&self) -> Option<Nanos> {
        match self {
            Scenario::Echo(echo) => echo.next_at(),
            Scenario::Idle | Scenario::Cast(_) | Scenario::Churn(_) => None,
        }
    }

    /// Who comes and goes, where somebody does.
    pub fn churn(&mut self) -> Option<&mut Churn> {
        if let Scenario::Churn(churn) = self { Some(churn) } else { None }
    }

    /// When the next client is to come, beyond those that were there from the start.
    pub fn next_comer_at(&self) -> Option<Nanos> {
        if let Scenario::Churn(churn) = self { churn.next_at() } else { None }
    }

    /// A message of a server. Returns whether its client is to send the next one.
    pub fn on_message(&mut self, now: Nanos, body: &[u8], size: usize, measure: &mut Measure) -> bool {
        let stamp = stamp::read(body, size).filter(|stamp| *stamp <= now);
        match (self, stamp) {
            (Scenario::Idle | Scenario::Churn(_), _) | (_, None) => measure.counters.strays += 1,
            (Scenario::Echo(echo), Some(stamp)) => {
                measure.on_answered(now, stamp);
                return echo.wants_next(now);
            }
            (Scenario::Cast(rounds), Some(stamp)) => {
                measure.on_received(now, stamp);
                rounds.on_delivery(now, stamp);
            }
        }
        false
    }

    /// Takes what came of messages that others sent since the last call.
    pub fn take_rounds(&mut self) -> Vec<Round> {
        match self {
            Scenario::Cast(rounds) => rounds.take(),
            Scenario::Idle | Scenario::Echo(_) | Scenario::Churn(_) => Vec::new(),
        }
    }
}
