//! What the clients of a core do once they are connected. A generator decides which client sends when, and what a message
//! means; it owns no socket and no clock.

mod churn;
mod deliveries;
mod echo;

use std::collections::HashMap;
use std::mem;

pub(crate) use churn::Churn;
pub(crate) use echo::Echo;

use crate::client::{Client, Clients};
use crate::clock::Nanos;
use crate::flags::Scenario;
use crate::measure::{Delivery, Measure, Phase};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::stamp;

/// One core's part of a step.
#[derive(Debug)]
pub(crate) enum Generator {
    /// Clients stay connected.
    Idle,
    /// Clients send, and await the same back.
    Echo(Echo),
    /// Clients receive what the sender has the gateways send. The deliveries since they were last taken, so few.
    Fanout(Vec<Delivery>),
    /// Clients connect and leave.
    Churn(Churn),
}

impl Generator {
    /// The part of core number `core` in a step, within `phase`.
    pub(crate) fn new(plan: &Plan, step: usize, core: usize, phase: Phase) -> Generator {
        let asked = &plan.steps[step];
        match asked.scenario {
            Scenario::Idle => Generator::Idle,
            Scenario::Echo => {
                let (senders, turn) = (plan.senders(step, core), plan.turn(step, core));
                Generator::Echo(Echo::new(asked, phase, senders, turn))
            }
            Scenario::Broadcast | Scenario::Rooms => Generator::Fanout(Vec::new()),
            Scenario::Churn => {
                let span = phase.load_from..phase.until;
                let arrivals = Pace::share(span, asked.per_second(), core, plan.cores());
                Generator::Churn(Churn { arrivals, pending: HashMap::new() })
            }
        }
    }

    /// Nothing is to begin from `until` on, earlier than was planned.
    pub(crate) fn end(&mut self, until: Nanos) {
        match self {
            Generator::Echo(echo) => echo.end(until),
            Generator::Churn(churn) => churn.arrivals.end(until),
            Generator::Idle | Generator::Fanout(_) => {}
        }
    }

    /// Sends what is due, a bounded number of messages.
    pub(crate) fn drive(&mut self, now: Nanos, clients: &mut Clients, send: impl FnMut(&mut Client, Nanos)) {
        if let Generator::Echo(echo) = self {
            echo.drive(now, clients, send);
        }
    }

    /// When [`Generator::drive`] will have something to do; none if it waits for messages only.
    pub(crate) fn next_at(&self) -> Option<Nanos> {
        if let Generator::Echo(echo) = self { echo.next_at() } else { None }
    }

    /// The churn, where clients connect and leave.
    pub(crate) fn churn(&mut self) -> Option<&mut Churn> {
        if let Generator::Churn(churn) = self { Some(churn) } else { None }
    }

    /// When the next client is to connect, beyond those of the start.
    pub(crate) fn next_arrival_at(&self) -> Option<Nanos> {
        if let Generator::Churn(churn) = self { churn.arrivals.next_at() } else { None }
    }

    /// A message of a server. Returns whether its client is to send the next one.
    pub(crate) fn on_message(&mut self, now: Nanos, body: &[u8], size: usize, measure: &mut Measure) -> bool {
        let stamp = stamp::read(body, size).filter(|stamp| *stamp <= now);
        match (self, stamp) {
            (Generator::Idle | Generator::Churn(_), _) | (_, None) => measure.counters.strays += 1,
            (Generator::Echo(echo), Some(stamp)) => {
                measure.on_answered(now, stamp);
                return echo.wants_next(now);
            }
            (Generator::Fanout(deliveries), Some(stamp)) => {
                measure.on_received(now, stamp);
                deliveries::count(deliveries, now, stamp);
            }
        }
        false
    }

    /// Takes the deliveries since the last call.
    pub(crate) fn take_deliveries(&mut self) -> Vec<Delivery> {
        if let Generator::Fanout(deliveries) = self { mem::take(deliveries) } else { Vec::new() }
    }
}
