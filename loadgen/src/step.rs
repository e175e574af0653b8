//! One step of a run: what the clients do, how many of them, for how long. Owns the checks of what a step is asked for.

use std::time::Duration;

use crate::config::{BURST_MAX, SIZE_MAX, SIZE_MIN};
use crate::flags::{Flags, Scenario, StepFlags};
use crate::plan::{PlanError, positive, register, require, seconds};

/// One step, ready to be carried out.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What the clients do.
    pub workload: Workload,
    /// How many of them send, at most as many as there are; the others are there and answer pings.
    pub clients: usize,
    /// Bytes of a message.
    pub size: usize,
    /// How long is measured.
    pub hold: Duration,
    /// How long there is load before.
    pub warmup: Duration,
}

/// What the clients do.
#[derive(Clone, PartialEq, Debug)]
pub enum Workload {
    /// Be there, answer pings.
    Idle,
    /// Send, and await the same back.
    Echo(Load),
    /// Receive what a sender of our own has the gateways send.
    Cast(Cast),
    /// Come and go: each client that comes takes the place of one that leaves.
    Churn {
        /// Clients a second, above zero.
        per_second: f64,
    },
}

/// When a client sends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    /// Whenever less than `depth` messages are under way: as fast as the server answers.
    Closed {
        /// Messages under way per connection, at least one.
        depth: u32,
    },
    /// By the clock, whatever the server does, the connections in turn.
    Open {
        /// Messages a second, of all connections together, above zero.
        per_second: f64,
    },
}

/// The sending side of broadcasts and room messages.
#[derive(Clone, PartialEq, Debug)]
pub struct Cast {
    /// Whom it tells.
    pub cluster: Cluster,
    /// Who receives a message.
    pub audience: Audience,
    /// Messages a second, above zero.
    pub per_second: f64,
    /// Messages that leave at once, at least one.
    pub burst: usize,
}

/// Where the gateways are to be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    /// HOST:PORT of the register that knows them.
    pub register: String,
    /// Its secret and theirs, empty for none.
    pub secret_key: String,
}

/// Who receives a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    /// Every client of the gateways.
    Everybody,
    /// The rooms in turn.
    Rooms {
        /// Clients in a room at most, above zero.
        size: usize,
    },
}

impl Step {
    /// What `asked` says. What it leaves open is as the command line has it.
    pub(crate) fn new(flags: &Flags, asked: &StepFlags) -> Result<Step, PlanError> {
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
        require(
            asked.clients.is_none() || asked.scenario == Scenario::Echo,
            "clients= is for echo: in all other scenarios it is all of them",
        )?;
        let workload = workload(flags, asked)?;
        let warmup = match workload {
            Workload::Echo(_) => seconds("--warmup", asked.warmup.unwrap_or(flags.warmup))?,
            Workload::Idle | Workload::Cast(_) | Workload::Churn { .. } => Duration::ZERO,
        };
        Ok(Step {
            workload,
            clients,
            size,
            hold: seconds("--hold", asked.hold.unwrap_or(flags.hold))?,
            warmup,
        })
    }
}

fn workload(flags: &Flags, asked: &StepFlags) -> Result<Workload, PlanError> {
    let rate = asked.rate.map(|rate| positive("--rate", rate)).transpose()?;
    require(
        asked.room_size.is_none() || asked.scenario == Scenario::Rooms,
        "--room-size is for --scenario rooms",
    )?;
    require(
        asked.burst.is_none() || matches!(asked.scenario, Scenario::Broadcast | Scenario::Rooms),
        "--burst is for --scenario broadcast and rooms",
    )?;
    match (asked.scenario, asked.depth, rate) {
        (Scenario::Idle, None, None) => Ok(Workload::Idle),
        (Scenario::Idle, ..) => {
            Err(PlanError::Usage("idle clients send nothing: no --depth, no --rate".into()))
        }
        (Scenario::Echo, Some(0), _) => Err(PlanError::Usage("--depth 0: nothing would ever be sent".into())),
        (Scenario::Echo, Some(_), Some(_)) => Err(PlanError::Usage(
            "--depth sends when answers come, --rate by the clock: give one of them".into(),
        )),
        (Scenario::Echo, depth, None) => Ok(Workload::Echo(Load::Closed { depth: depth.unwrap_or(1) })),
        (Scenario::Echo, None, Some(per_second)) => Ok(Workload::Echo(Load::Open { per_second })),
        (_, Some(_), _) => {
            Err(PlanError::Usage("--depth is for echo, everything else goes by --rate".into()))
        }
        (Scenario::Broadcast, None, rate) => cast(flags, asked, Audience::Everybody, rate),
        (Scenario::Rooms, None, rate) => {
            let size = asked.room_size.unwrap_or(10);
            require(size > 0, "--room-size 0: nobody would ever receive anything")?;
            cast(flags, asked, Audience::Rooms { size }, rate)
        }
        (Scenario::Churn, None, rate) => Ok(Workload::Churn { per_second: rate.unwrap_or(100.0) }),
    }
}

fn cast(
    flags: &Flags,
    asked: &StepFlags,
    audience: Audience,
    rate: Option<f64>,
) -> Result<Workload, PlanError> {
    let burst = asked.burst.unwrap_or(1);
    require((1..=BURST_MAX).contains(&burst), format!("--burst {burst}: 1 to {BURST_MAX} messages"))?;
    let cluster = Cluster { register: register(flags)?, secret_key: flags.secret_key.clone() };
    Ok(Workload::Cast(Cast { cluster, audience, per_second: rate.unwrap_or(1.0), burst }))
}

impl Workload {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Workload::Idle => "idle",
            Workload::Echo(_) => "echo",
            Workload::Cast(Cast { audience: Audience::Everybody, .. }) => "broadcast",
            Workload::Cast(Cast { audience: Audience::Rooms { .. }, .. }) => "rooms",
            Workload::Churn { .. } => "churn",
        }
    }

    /// Clients in a room; none without rooms.
    pub fn room_size(&self) -> Option<usize> {
        match self {
            Workload::Cast(Cast { audience: Audience::Rooms { size }, .. }) => Some(*size),
            _ => None,
        }
    }
}
