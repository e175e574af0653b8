//! One step of a run: what the clients do, how many of them, for how long. Owns the checks of what is asked of a step.

use std::time::Duration;

use program::Refusal;
use serde::{Deserialize, Serialize};

use crate::config::{BURST_MAX, SIZE_MAX, SIZE_MIN};
use crate::flags::{Flags, Scenario, StepFlags};

/// One step, ready to be carried out. The report has it as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What the clients do.
    pub scenario: Scenario,
    /// How many clients send, at most as many as there are; the others stay connected and answer pings.
    pub clients: usize,
    /// Closed loop: messages in flight per connection, at least one. A client sends whenever there are less.
    pub depth: Option<u32>,
    /// By the clock, whatever the server does: messages (churn: clients) a second, of all connections together, above zero.
    pub rate_per_second: Option<f64>,
    /// Broadcasts, rooms: messages that leave at once, at least one.
    pub burst: Option<usize>,
    /// Rooms: clients in a room at most, above zero.
    pub room_size: Option<usize>,
    /// Bytes of a message.
    pub size: usize,
    /// Seconds to be measured.
    pub hold_seconds: f64,
    /// Seconds of load before.
    pub warmup_seconds: f64,
}

impl Step {
    /// The step that `asked` describes. What it leaves open is as the command line says.
    pub(crate) fn new(flags: &Flags, asked: &StepFlags) -> Result<Step, Refusal> {
        let size = asked.size.unwrap_or(flags.size);
        require(
            (SIZE_MIN..=SIZE_MAX).contains(&size),
            format!("--size {size}: {SIZE_MIN} to {SIZE_MAX} bytes (a message holds its time stamp)"),
        )?;
        let clients = asked.clients.unwrap_or(flags.conns);
        require(
            (1..=flags.conns).contains(&clients),
            format!("clients={clients}: 1 to {} (--conns)", flags.conns),
        )?;
        let scenario = asked.scenario;
        let is_echo = scenario == Scenario::Echo;
        require(
            asked.clients.is_none() || is_echo,
            "clients= is for echo: in all other scenarios it is all of them",
        )?;
        let is_rooms = scenario == Scenario::Rooms;
        require(asked.room_size.is_none() || is_rooms, "--room-size is for --scenario rooms")?;
        require(asked.room_size != Some(0), "--room-size 0: nobody would ever receive anything")?;
        require(
            asked.burst.is_none() || scenario.is_fanout(),
            "--burst is for --scenario broadcast and rooms",
        )?;
        let burst = asked.burst.unwrap_or(1);
        require((1..=BURST_MAX).contains(&burst), format!("--burst {burst}: 1 to {BURST_MAX} messages"))?;
        let (depth, rate_per_second) = load(asked)?;
        let warmup = if is_echo { asked.warmup.unwrap_or(flags.warmup) } else { Duration::ZERO };
        Ok(Step {
            scenario,
            clients,
            depth,
            rate_per_second,
            burst: scenario.is_fanout().then_some(burst),
            room_size: is_rooms.then_some(asked.room_size.unwrap_or(10)),
            size,
            hold_seconds: asked.hold.unwrap_or(flags.hold).as_secs_f64(),
            warmup_seconds: warmup.as_secs_f64(),
        })
    }

    /// The rate of what goes by the clock.
    pub(crate) fn per_second(&self) -> f64 {
        self.rate_per_second.expect("only idle clients and closed loops have no rate")
    }
}

/// Depth and rate. A step that is not idle has one of them.
fn load(asked: &StepFlags) -> Result<(Option<u32>, Option<f64>), Refusal> {
    match (asked.scenario, asked.depth, asked.rate) {
        (Scenario::Idle, None, None) => Ok((None, None)),
        (Scenario::Idle, ..) => refuse("idle clients send nothing: no --depth, no --rate"),
        (Scenario::Echo, Some(0), _) => refuse("--depth 0: nothing would ever be sent"),
        (Scenario::Echo, Some(_), Some(_)) => {
            refuse("--depth sends when answers come, --rate by the clock: give one of them")
        }
        (Scenario::Echo, depth, None) => Ok((depth.or(Some(1)), None)),
        (Scenario::Echo, None, rate) => Ok((None, rate)),
        (_, Some(_), _) => refuse("--depth is for echo, everything else goes by --rate"),
        (Scenario::Broadcast | Scenario::Rooms, None, rate) => Ok((None, rate.or(Some(1.0)))),
        (Scenario::Churn, None, rate) => Ok((None, rate.or(Some(100.0)))),
    }
}

/// Refuses the command line unless `holds`.
pub(crate) fn require(holds: bool, otherwise: impl Into<String>) -> Result<(), Refusal> {
    if holds { Ok(()) } else { refuse(otherwise) }
}

/// Refuses the command line.
pub(crate) fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Usage(why.into()))
}
