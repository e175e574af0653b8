//! What goes wrong in a run, drawn from a seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use crate::proxy::End;

/// One thing that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// SIGKILL of a worker; another one starts later.
    Kill {
        /// Which worker.
        worker: usize,
        /// How long until then.
        down: Duration,
    },
    /// SIGSTOP of a worker, and SIGCONT.
    Freeze {
        /// Which worker.
        worker: usize,
        /// How long it stands still.
        lasting: Duration,
    },
    /// SIGTERM of a worker; another one starts when it has ended.
    Restart {
        /// Which worker.
        worker: usize,
    },
    /// A new worker starts, and when it is ready the old one gets SIGTERM.
    Reload {
        /// Which worker.
        worker: usize,
    },
    /// The end of one link.
    End {
        /// Any number, see [`Proxy::end`](crate::proxy::Proxy::end).
        link: usize,
        /// How.
        end: End,
    },
    /// One link swallows everything.
    Swallow {
        /// As above.
        link: usize,
        /// How long.
        lasting: Duration,
    },
    /// One link passes on a few bytes at a time.
    Trickle {
        /// As above.
        link: usize,
        /// How long.
        lasting: Duration,
    },
    /// One link passes on everything later.
    Delay {
        /// As above.
        link: usize,
        /// How long.
        lasting: Duration,
        /// How much later.
        by: Duration,
    },
    /// SIGKILL of the register; another one starts later.
    Register {
        /// How long until then.
        down: Duration,
    },
    /// SIGSTOP of a gateway, and SIGCONT.
    FreezeGateway {
        /// Which gateway.
        gateway: usize,
        /// How long it stands still.
        lasting: Duration,
    },
    /// SIGKILL of a gateway; another one starts later at its addresses.
    KillGateway {
        /// Which gateway.
        gateway: usize,
        /// How long until then.
        down: Duration,
    },
    /// SIGTERM of a gateway; another one starts at its addresses when it has ended.
    RestartGateway {
        /// Which gateway.
        gateway: usize,
    },
}

/// The kinds of faults, as `--faults` names them.
pub const NAMES: [&str; 13] = [
    "kill",
    "freeze",
    "restart",
    "reload",
    "cut",
    "reset",
    "swallow",
    "trickle",
    "delay",
    "kill-register",
    "kill-gateway",
    "freeze-gateway",
    "restart-gateway",
];

impl Fault {
    /// Its kind, of [`NAMES`].
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill",
            Fault::Freeze { .. } => "freeze",
            Fault::Restart { .. } => "restart",
            Fault::Reload { .. } => "reload",
            Fault::End { end: End::Cut, .. } => "cut",
            Fault::End { end: End::Reset, .. } => "reset",
            Fault::Swallow { .. } => "swallow",
            Fault::Trickle { .. } => "trickle",
            Fault::Delay { .. } => "delay",
            Fault::Register { .. } => "kill-register",
            Fault::KillGateway { .. } => "kill-gateway",
            Fault::FreezeGateway { .. } => "freeze-gateway",
            Fault::RestartGateway { .. } => "restart-gateway",
        }
    }

    /// How long it goes on by itself.
    fn lasting(self) -> Duration {
        match self {
            Fault::Kill { down: lasting, .. }
            | Fault::Register { down: lasting }
            | Fault::KillGateway { down: lasting, .. }
            | Fault::Freeze { lasting, .. }
            | Fault::FreezeGateway { lasting, .. }
            | Fault::Swallow { lasting, .. }
            | Fault::Trickle { lasting, .. }
            | Fault::Delay { lasting, .. } => lasting,
            Fault::Restart { .. }
            | Fault::Reload { .. }
            | Fault::End { .. }
            | Fault::RestartGateway { .. } => Duration::ZERO,
        }
    }
}

/// A fault and its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planned {
    /// Since the load began.
    pub at: Duration,
    /// What happens.
    pub fault: Fault,
}

/// What goes wrong in a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long.
    pub span: Duration,
    /// The names of the faults that may happen, of [`NAMES`].
    pub names: Vec<String>,
    /// How long something may stand still at most.
    pub longest: Duration,
    /// Until when each fault is alone: the next one waits until its consequences are over.
    pub apart: Duration,
}

impl Plan {
    /// Draws single faults and pairs. The first few are those named, one after the other, so that a short run has them all.
    pub fn draw(&self, seed: u64) -> Vec<Planned> {
        let mut rng = Rng::with_seed(seed);
        let mut order: Vec<&str> = self.names.iter().map(String::as_str).collect();
        rng.shuffle(&mut order);
        let mut planned = Vec::new();
        let mut at = FIRST;
        while at < self.span {
            let name = order.pop().unwrap_or_else(|| self.any_name(&mut rng));
            let fault = self.one(name, &mut rng);
            planned.push(Planned { at, fault });
            if at < self.apart {
                at += fault.lasting() + CONSEQUENCES;
            } else if rng.u32(..100) < PAIRS_PERCENT {
                let behind = Duration::from_millis(rng.u64(..1500));
                let fault = self.one(self.any_name(&mut rng), &mut rng);
                planned.push(Planned { at: at + behind, fault });
            }
            at += Duration::from_millis(rng.u64(PAUSE_MS));
        }
        planned.sort_by_key(|planned| planned.at);
        planned
    }

    fn any_name(&self, rng: &mut Rng) -> &str {
        &self.names[rng.usize(..self.names.len())]
    }

    fn one(&self, name: &str, rng: &mut Rng) -> Fault {
        let worker = rng.usize(..crate::cluster::WORKERS);
        let gateway = rng.usize(..crate::programs::GATEWAYS);
        let link = rng.usize(..1000);
        let down = Duration::from_millis(rng.u64(..2000));
        let lasting = self.standstill(rng);
        let by = Duration::from_millis(rng.u64(20..500));
        match name {
            "kill" => Fault::Kill { worker, down },
            "freeze" => Fault::Freeze { worker, lasting },
            "restart" => Fault::Restart { worker },
            "reload" => Fault::Reload { worker },
            "cut" => Fault::End { link, end: End::Cut },
            "reset" => Fault::End { link, end: End::Reset },
            "swallow" => Fault::Swallow { link, lasting },
            "trickle" => Fault::Trickle { link, lasting: lasting.min(TRICKLE_MAX) },
            "delay" => Fault::Delay { link, lasting, by },
            "kill-register" => Fault::Register { down },
            "kill-gateway" => Fault::KillGateway { gateway, down },
            "freeze-gateway" => Fault::FreezeGateway { gateway, lasting },
            "restart-gateway" => Fault::RestartGateway { gateway },
            name => unreachable!("{name} is none of NAMES"),
        }
    }

    /// Some are too short to be noticed, others too long not to be; none is between.
    fn standstill(&self, rng: &mut Rng) -> Duration {
        let ms = if rng.bool() {
            rng.u64(1000..4000)
        } else {
            rng.u64(NOTICED.as_millis() as u64 + 4000..self.longest.as_millis() as u64)
        };
        Duration::from_millis(ms)
    }
}

/// Until the first fault, and between one and the next.
const FIRST: Duration = Duration::from_secs(2);
const PAUSE_MS: std::ops::Range<u64> = 3000..7000;
/// For how long after its end a fault has consequences: links are given up, connected and asked again by then.
pub const CONSEQUENCES: Duration = Duration::from_secs(10);
/// How many faults have another one beside them, where they are not apart.
const PAIRS_PERCENT: u32 = 30;
/// A link that trickles falls behind.
const TRICKLE_MAX: Duration = Duration::from_secs(8);
/// From how long on who stands still, or is not heard, may be given up.
pub const NOTICED: Duration = Duration::from_millis(5500);

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill { worker, down } => write!(out, "SIGKILL of worker {worker}, {down:?} down"),
            Fault::Freeze { worker, lasting } => write!(out, "SIGSTOP of worker {worker} for {lasting:?}"),
            Fault::Restart { worker } => write!(out, "SIGTERM of worker {worker}, started again"),
            Fault::Reload { worker } => write!(out, "reload of worker {worker}"),
            Fault::End { link, end: End::Cut } => write!(out, "cut of link {link}"),
            Fault::End { link, end: End::Reset } => write!(out, "reset of link {link}"),
            Fault::Swallow { link, lasting } => write!(out, "link {link} swallows for {lasting:?}"),
            Fault::Trickle { link, lasting } => write!(out, "link {link} trickles for {lasting:?}"),
            Fault::Delay { link, lasting, by } => {
                write!(out, "link {link} is {by:?} late for {lasting:?}")
            }
            Fault::Register { down } => write!(out, "SIGKILL of the register, {down:?} down"),
            Fault::FreezeGateway { gateway, lasting } => {
                write!(out, "SIGSTOP of gateway {gateway} for {lasting:?}")
            }
            Fault::KillGateway { gateway, down } => {
                write!(out, "SIGKILL of gateway {gateway}, {down:?} down")
            }
            Fault::RestartGateway { gateway } => write!(out, "SIGTERM of gateway {gateway}, started again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_and_a_short_run_has_every_kind() {
        let plan = Plan {
            span: Duration::from_secs(75),
            names: names(),
            longest: Duration::from_secs(12),
            apart: Duration::ZERO,
        };
        assert_eq!(plan.draw(7), plan.draw(7));
        assert_ne!(plan.draw(7), plan.draw(8));
        let mut kinds: Vec<_> =
            plan.draw(7).iter().map(|planned| std::mem::discriminant(&planned.fault)).collect();
        kinds.dedup();
        assert!(kinds.len() >= 10, "{:?}", plan.draw(7));
    }

    #[test]
    fn faults_that_are_apart_are_over_before_the_next() {
        let span = Duration::from_secs(600);
        let planned = Plan { span, names: names(), longest: Duration::from_secs(30), apart: span }.draw(7);
        assert!(planned.len() > 20);
        for [one, next] in planned.array_windows() {
            assert!(one.at + one.fault.lasting() + CONSEQUENCES < next.at, "{one:?} {next:?}");
        }
    }

    #[test]
    fn each_kind_of_fault_is_drawn_by_its_name() {
        let plan = Plan { span: FIRST, names: names(), longest: Duration::from_secs(30), apart: FIRST };
        for name in NAMES {
            assert_eq!(plan.one(name, &mut Rng::with_seed(1)).name(), name);
        }
    }

    fn names() -> Vec<String> {
        NAMES.iter().map(|name| (*name).to_owned()).collect()
    }
}
