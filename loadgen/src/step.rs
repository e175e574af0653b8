//! One step of a run: what the clients do, how many of them, for how long. Owns the checks of what is asked of a step.

use std::time::Duration;

use program::Refusal;

use crate::config::{BURST_MAX, SIZE_MAX, SIZE_MIN};
use crate::flags::{Flags, Scenario, StepFlags};

/// One step, ready to be carried out.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What the clients do.
    pub workload: Workload,
    /// How many clients send, at most as many as there are; the others stay connected and answer pings.
    pub clients: usize,
    /// Bytes of a message.
    pub size: usize,
    /// Length of the measured phase.
    pub hold: Duration,
    /// Length of the load before it.
    pub warmup: Duration,
}

/// What the clients do.
#[derive(Clone, PartialEq, Debug)]
pub enum Workload {
    /// Stay connected and answer pings.
    Idle,
    /// Send messages that the server sends back.
    Echo(Load),
    /// Receive what the sender of this program has the gateways send.
    Fanout(FanoutLoad),
    /// Connect and leave: each new client replaces one that leaves.
    Churn {
        /// New clients a second, above zero.
        per_second: f64,
    },
}

/// When a client sends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    /// Closed loop: a client sends whenever less than `depth` of its messages are in flight.
    Closed {
        /// Messages in flight per connection, at least one.
        depth: u32,
    },
    /// Open loop: messages are sent by the clock, whatever the server does, the connections in turn.
    Open {
        /// Messages a second, of all connections together, above zero.
        per_second: f64,
    },
}

/// The sending side of broadcasts and room messages.
#[derive(Clone, PartialEq, Debug)]
pub struct FanoutLoad {
    /// HOST:PORT of the register that knows the gateways.
    pub register: String,
    /// The secret of register and gateways, empty for none.
    pub secret_key: String,
    /// Clients in a room at most, above zero: messages go to the rooms in turn. None: every message goes to all clients.
    pub room_size: Option<usize>,
    /// Messages a second, above zero.
    pub per_second: f64,
    /// Messages that leave at once, at least one.
    pub burst: usize,
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
        let is_echo = asked.scenario == Scenario::Echo;
        require(
            asked.clients.is_none() || is_echo,
            "clients= is for echo: in all other scenarios it is all of them",
        )?;
        Ok(Step {
            workload: workload(flags, asked)?,
            clients,
            size,
            hold: asked.hold.unwrap_or(flags.hold),
            warmup: if is_echo { asked.warmup.unwrap_or(flags.warmup) } else { Duration::ZERO },
        })
    }
}

fn workload(flags: &Flags, asked: &StepFlags) -> Result<Workload, Refusal> {
    let StepFlags { scenario, depth, rate, room_size, burst, .. } = *asked;
    let is_rooms = scenario == Scenario::Rooms;
    require(room_size.is_none() || is_rooms, "--room-size is for --scenario rooms")?;
    require(room_size != Some(0), "--room-size 0: nobody would ever receive anything")?;
    let is_fanout = is_rooms || scenario == Scenario::Broadcast;
    require(burst.is_none() || is_fanout, "--burst is for --scenario broadcast and rooms")?;
    let burst = burst.unwrap_or(1);
    require((1..=BURST_MAX).contains(&burst), format!("--burst {burst}: 1 to {BURST_MAX} messages"))?;
    match (scenario, depth, rate) {
        (Scenario::Idle, None, None) => Ok(Workload::Idle),
        (Scenario::Idle, ..) => refuse("idle clients send nothing: no --depth, no --rate"),
        (Scenario::Echo, Some(0), _) => refuse("--depth 0: nothing would ever be sent"),
        (Scenario::Echo, Some(_), Some(_)) => {
            refuse("--depth sends when answers come, --rate by the clock: give one of them")
        }
        (Scenario::Echo, depth, None) => Ok(Workload::Echo(Load::Closed { depth: depth.unwrap_or(1) })),
        (Scenario::Echo, None, Some(per_second)) => Ok(Workload::Echo(Load::Open { per_second })),
        (_, Some(_), _) => refuse("--depth is for echo, everything else goes by --rate"),
        (Scenario::Broadcast | Scenario::Rooms, None, rate) => Ok(Workload::Fanout(FanoutLoad {
            register: flags.register.clone(),
            secret_key: flags.secret_key.clone(),
            room_size: is_rooms.then(|| room_size.unwrap_or(10)),
            per_second: rate.unwrap_or(1.0),
            burst,
        })),
        (Scenario::Churn, None, rate) => Ok(Workload::Churn { per_second: rate.unwrap_or(100.0) }),
    }
}

impl Workload {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Workload::Idle => "idle",
            Workload::Echo(_) => "echo",
            Workload::Fanout(FanoutLoad { room_size: None, .. }) => "broadcast",
            Workload::Fanout(FanoutLoad { room_size: Some(_), .. }) => "rooms",
            Workload::Churn { .. } => "churn",
        }
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
