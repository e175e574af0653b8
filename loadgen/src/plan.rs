//! What a run will do, worked out before anything starts: who connects where, from which core, and what then.
//! Owns every check of the command line that needs more than one flag.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use crate::config::{CORES_MAX, DESTINATIONS_MAX, SIZE_MAX, SIZE_MIN, SPARE_SOCKETS, SPREAD_MAX};
use crate::flags::{Flags, Scenario};
use crate::target::{Scheme, Target};

/// What the machine allows.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The CPUs that threads are pinned to, at least one.
    pub cpus: Vec<usize>,
    /// Open files, which bound the sockets of one thread.
    pub open_files: u64,
}

/// A run, ready to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Connections in all, at least one.
    pub conns: usize,
    /// The CPU of each core's thread; at most one core per connection.
    pub cpus: Vec<usize>,
    /// Connection `i` goes to destination `i` modulo their number.
    pub destinations: Vec<Target>,
    /// What the clients do.
    pub workload: Workload,
    /// Bytes of a message.
    pub size: usize,
    /// How long is measured.
    pub hold: Duration,
    /// How long there is load before.
    pub warmup: Duration,
    /// Connections opened a second, in all.
    pub ramp: f64,
    /// How long connect and handshake may take.
    pub timeout: Duration,
}

/// What the clients do.
#[derive(Clone, PartialEq, Debug)]
pub enum Workload {
    /// Be there, answer pings.
    Idle,
    /// Send, and await the same back.
    Echo(Load),
    /// Receive what a sender of our own has the gateways send to all.
    Broadcast(Broadcast),
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

/// The sending side of a broadcast.
#[derive(Clone, PartialEq, Debug)]
pub struct Broadcast {
    /// HOST:PORT of the register that knows the gateways.
    pub register: String,
    /// Its secret and theirs, empty for none.
    pub secret_key: String,
    /// Broadcasts a second, above zero.
    pub per_second: f64,
}

/// Why there is no plan, as one line that says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

impl Plan {
    /// Works a command line out.
    ///
    /// # Errors
    /// Flags that do not go together, or more than the machine allows.
    pub fn new(flags: &Flags, machine: &Machine) -> Result<Plan, PlanError> {
        require(flags.conns > 0, "--conns 0: at least one is needed")?;
        require(
            (SIZE_MIN..=SIZE_MAX).contains(&flags.size),
            format!("--size {}: {SIZE_MIN} to {SIZE_MAX} bytes (a message holds its time stamp)", flags.size),
        )?;
        let ramp = positive("--ramp", flags.ramp.0)?;
        let workload = workload(flags)?;
        let warmup = match workload {
            Workload::Echo(_) => seconds("--warmup", flags.warmup)?,
            Workload::Idle | Workload::Broadcast(_) => Duration::ZERO,
        };
        Ok(Plan {
            conns: flags.conns,
            cpus: cores(flags, machine)?,
            destinations: destinations(flags)?,
            workload,
            size: flags.size,
            hold: seconds("--hold", flags.hold)?,
            warmup,
            ramp,
            timeout: seconds("--timeout", flags.timeout)?,
        })
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.cpus.len()
    }

    /// The connections of a core, by their number in the run.
    pub fn share(&self, core: usize) -> Range<usize> {
        let first = |core: usize| self.conns * core / self.cores();
        first(core)..first(core + 1)
    }

    /// Slots that a core's ring needs.
    pub fn sockets(&self, core: usize) -> usize {
        self.share(core).len() + SPARE_SOCKETS
    }

    /// Whether every server is on this machine.
    pub fn is_local(&self) -> bool {
        self.destinations.iter().all(|target| target.address.ip().is_loopback())
    }

    /// Sockets of a connection on this machine: its own, and the server's if that is here too.
    pub fn ends(&self) -> u64 {
        1 + u64::from(self.is_local())
    }

    /// Ports that the fullest destination takes.
    pub fn ports_per_destination(&self) -> u64 {
        self.conns.div_ceil(self.destinations.len()) as u64
    }
}

fn workload(flags: &Flags) -> Result<Workload, PlanError> {
    let rate = flags.rate.map(|rate| positive("--rate", rate)).transpose()?;
    match (flags.scenario, flags.depth, rate) {
        (Scenario::Idle, None, None) => Ok(Workload::Idle),
        (Scenario::Idle, ..) => Err(PlanError("idle clients send nothing: no --depth, no --rate".into())),
        (Scenario::Echo, Some(0), _) => Err(PlanError("--depth 0: nothing would ever be sent".into())),
        (Scenario::Echo, Some(_), Some(_)) => {
            Err(PlanError("--depth sends when answers come, --rate by the clock: give one of them".into()))
        }
        (Scenario::Echo, depth, None) => Ok(Workload::Echo(Load::Closed { depth: depth.unwrap_or(1) })),
        (Scenario::Echo, None, Some(per_second)) => Ok(Workload::Echo(Load::Open { per_second })),
        (Scenario::Broadcast, Some(_), _) => Err(PlanError("broadcasts go by --rate, not by --depth".into())),
        (Scenario::Broadcast, None, rate) => Ok(Workload::Broadcast(Broadcast {
            register: flags.register.clone(),
            secret_key: flags.secret_key.clone(),
            per_second: rate.unwrap_or(1.0),
        })),
    }
}

/// As many cores as asked for, or as CPUs, or as the open files make necessary; pinned round robin.
fn cores(flags: &Flags, machine: &Machine) -> Result<Vec<usize>, PlanError> {
    let sockets_max = usize::try_from(machine.open_files.min(1 << 20)).unwrap_or(usize::MAX);
    let needed = flags.conns.div_ceil(sockets_max.saturating_sub(SPARE_SOCKETS).max(1));
    let count = flags.count.unwrap_or(machine.cpus.len().max(needed.min(CORES_MAX)));
    require((1..=CORES_MAX).contains(&count), format!("--count {count}: 1 to {CORES_MAX} threads"))?;
    Ok((0..count.min(flags.conns)).map(|index| machine.cpus[index % machine.cpus.len()]).collect())
}

fn destinations(flags: &Flags) -> Result<Vec<Target>, PlanError> {
    let targets = &flags.target.0;
    let destinations: Vec<Target> = match flags.spread {
        None => targets.clone(),
        Some(count) => {
            require(
                (1..=SPREAD_MAX).contains(&count),
                format!("--spread {count}: 1 to {SPREAD_MAX} addresses of 127.0.0.0"),
            )?;
            targets.iter().map(|target| spread(target, count)).collect::<Result<Vec<_>, _>>()?.concat()
        }
    };
    require(destinations.len() <= DESTINATIONS_MAX, "more than 65536 destinations")?;
    Ok(destinations)
}

/// The same listener under 127.0.0.1 to 127.0.0.`count`.
fn spread(target: &Target, count: u8) -> Result<Vec<Target>, PlanError> {
    require(
        target.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST),
        format!("--spread is for targets at 127.0.0.1, not {}", target.address),
    )?;
    let at = |octet| SocketAddr::from(([127, 0, 0, octet], target.address.port()));
    Ok((1..=count).map(|octet| Target { address: at(octet), ..target.clone() }).collect())
}

impl Workload {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Workload::Idle => "idle",
            Workload::Echo(_) => "echo",
            Workload::Broadcast(_) => "broadcast",
        }
    }
}

impl Target {
    /// As the report names it.
    pub fn url(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Websocket => "ws",
            Scheme::Text => "text",
            Scheme::Frame => "frame",
            Scheme::Tcp => "tcp",
        };
        format!("{scheme}://{}", self.address)
    }
}

fn seconds(flag: &str, value: f64) -> Result<Duration, PlanError> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| PlanError(format!("{flag} {value}: not a number of seconds")))
}

fn positive(flag: &str, value: f64) -> Result<f64, PlanError> {
    require(value.is_finite() && value > 0.0, format!("{flag} {value}: must be above 0")).map(|()| value)
}

fn require(holds: bool, otherwise: impl Into<String>) -> Result<(), PlanError> {
    if holds { Ok(()) } else { Err(PlanError(otherwise.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::FromArgs;

    fn plan_on(machine: &Machine, line: &str) -> Result<Plan, String> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = Flags::from_args(&["loadgen"], &words).unwrap();
        Plan::new(&flags, machine).map_err(|error| error.to_string())
    }

    fn plan(line: &str) -> Result<Plan, String> {
        plan_on(&Machine { cpus: vec![4, 6], open_files: 20_000 }, line)
    }

    #[test]
    fn shares_are_even_and_complete() {
        for (conns, count) in [(1, 1), (10, 3), (1000, 7), (5, 5)] {
            let plan = plan(&format!("--conns {conns} --count {count}")).unwrap();
            let shares: Vec<_> = (0..plan.cores()).map(|core| plan.share(core)).collect();
            assert_eq!(shares.iter().cloned().flatten().collect::<Vec<_>>(), (0..conns).collect::<Vec<_>>());
            let sizes = shares.iter().map(ExactSizeIterator::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }

    #[test]
    fn threads_go_round_the_cpus() {
        assert_eq!(plan("").unwrap().cpus, [4, 6]);
        assert_eq!(plan("--count 3").unwrap().cpus, [4, 6, 4]);
        assert_eq!(plan("--conns 1").unwrap().cpus, [4]);
    }

    #[test]
    fn open_files_ask_for_threads() {
        assert_eq!(plan("--conns 1000000 --spread 36").unwrap().cores(), 51);
        assert_eq!(plan("--conns 1000000 --spread 36 --count 8").unwrap().cores(), 8);
        assert_eq!(plan_on(&Machine { cpus: vec![0], open_files: 10 }, "--conns 2000").unwrap().cores(), CORES_MAX);
    }

    #[test]
    fn connections_spread_over_destinations() {
        assert_eq!(plan("--conns 28000").unwrap().destinations.len(), 1);
        let spread = plan("--conns 1000000 --spread 36").unwrap().destinations;
        assert_eq!(spread[0].address.to_string(), "127.0.0.1:8282");
        assert_eq!(spread[35].address.to_string(), "127.0.0.36:8282");
        assert!(spread.iter().all(|destination| destination.host == "127.0.0.1:8282"));
        let two = "--conns 56000 --target ws://127.0.0.1:1,text://127.0.0.1:2";
        assert_eq!(plan(two).unwrap().destinations.len(), 2);
        assert_eq!(plan(two).unwrap().ports_per_destination(), 28_000);
        assert_eq!((plan(two).unwrap().ends(), plan("--target ws://192.0.2.1:1").unwrap().ends()), (2, 1));
        assert!(plan("--spread 3 --target ws://192.0.2.1:1").unwrap_err().contains("127.0.0.1"));
        assert!(plan("--spread 0").unwrap_err().contains("--spread 0"));
    }

    #[test]
    fn workloads() {
        let workload = |line: &str| plan(line).unwrap().workload;
        assert_eq!(workload(""), Workload::Idle);
        assert_eq!(workload("--scenario echo"), Workload::Echo(Load::Closed { depth: 1 }));
        assert_eq!(workload("--scenario echo --rate 50"), Workload::Echo(Load::Open { per_second: 50.0 }));
        assert!(
            matches!(workload("--scenario broadcast --rate 2"), Workload::Broadcast(cast) if cast.per_second == 2.0)
        );
        assert_eq!(plan("--scenario echo").unwrap().warmup, Duration::from_secs(1));
        assert_eq!(plan("--scenario broadcast").unwrap().warmup, Duration::ZERO);
    }

    #[test]
    fn what_does_not_go_is_said_in_one_line() {
        for line in [
            "--conns 0",
            "--count 0",
            "--count 1025",
            "--size 15",
            "--size 100000000",
            "--depth 1",
            "--scenario echo --depth 0",
            "--scenario echo --depth 1 --rate 1",
            "--scenario echo --rate 0",
            "--scenario echo --rate NaN",
            "--scenario broadcast --depth 3",
            "--ramp 0/s",
            "--hold -1",
            "--timeout inf",
        ] {
            let error = plan(line).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{line}: {error}");
        }
    }
}
