//! What a run will do, worked out before anything starts: who connects where, from which core, and what then.
//! Owns every check of the command line that needs more than one flag.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use crate::config::{
    CORES_MAX, DESTINATIONS_MAX, PENDING_MAX, PORT_REST, PORT_REST_LOCAL, SIZE_MAX, SIZE_MIN, SPARE_SOCKETS,
    SPREAD_MAX,
};
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
    /// Where connections go; see [`Plan::route`].
    pub destinations: Vec<Target>,
    /// Where they come from; empty: the system chooses.
    pub sources: Vec<IpAddr>,
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
            Workload::Idle | Workload::Cast(_) | Workload::Churn { .. } => Duration::ZERO,
        };
        let destinations = destinations(flags)?;
        Ok(Plan {
            conns: flags.conns,
            cpus: cores(flags, machine)?,
            sources: sources(flags, &destinations)?,
            destinations,
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

    /// The destination of connection `number`, by its index, and its source. The destinations take turns, and when all
    /// had theirs, the sources: every pair of them gets as many connections.
    pub fn route(&self, number: usize) -> (usize, Option<IpAddr>) {
        let round = number / self.destinations.len();
        let source = round.checked_rem(self.sources.len()).map(|index| self.sources[index]);
        (number % self.destinations.len(), source)
    }

    /// Slots that a core's ring needs.
    pub fn sockets(&self, core: usize) -> usize {
        self.share(core).len() + self.spare_sockets()
    }

    /// Those of them that are not for the core's share: sockets that ended, and who comes before somebody left.
    pub fn spare_sockets(&self) -> usize {
        SPARE_SOCKETS + if matches!(self.workload, Workload::Churn { .. }) { PENDING_MAX } else { 0 }
    }

    /// Clients in a room; none without rooms.
    pub fn room_size(&self) -> Option<usize> {
        match self.workload {
            Workload::Cast(Cast { audience: Audience::Rooms { size }, .. }) => Some(size),
            _ => None,
        }
    }

    /// Whether every server is on this machine.
    pub fn is_local(&self) -> bool {
        self.destinations.iter().all(|target| target.address.ip().is_loopback())
    }

    /// Sockets of a connection on this machine: its own, and the server's if that is here too.
    pub fn ends(&self) -> u64 {
        1 + u64::from(self.is_local())
    }

    /// Ports that the fullest destination takes of each source address, with those of clients that left shortly before.
    pub fn ports_per_destination(&self) -> u64 {
        let resting = match self.workload {
            Workload::Churn { per_second } if self.is_local() => per_second * PORT_REST_LOCAL,
            Workload::Churn { per_second } => per_second * PORT_REST,
            Workload::Idle | Workload::Echo(_) | Workload::Cast(_) => 0.0,
        };
        (self.conns as u64 + resting as u64)
            .div_ceil((self.destinations.len() * self.sources.len().max(1)) as u64)
    }
}

fn workload(flags: &Flags) -> Result<Workload, PlanError> {
    let rate = flags.rate.map(|rate| positive("--rate", rate)).transpose()?;
    require(
        flags.room_size.is_none() || flags.scenario == Scenario::Rooms,
        "--room-size is for --scenario rooms",
    )?;
    match (flags.scenario, flags.depth, rate) {
        (Scenario::Idle, None, None) => Ok(Workload::Idle),
        (Scenario::Idle, ..) => Err(PlanError("idle clients send nothing: no --depth, no --rate".into())),
        (Scenario::Echo, Some(0), _) => Err(PlanError("--depth 0: nothing would ever be sent".into())),
        (Scenario::Echo, Some(_), Some(_)) => {
            Err(PlanError("--depth sends when answers come, --rate by the clock: give one of them".into()))
        }
        (Scenario::Echo, depth, None) => Ok(Workload::Echo(Load::Closed { depth: depth.unwrap_or(1) })),
        (Scenario::Echo, None, Some(per_second)) => Ok(Workload::Echo(Load::Open { per_second })),
        (_, Some(_), _) => Err(PlanError("--depth is for echo, everything else goes by --rate".into())),
        (Scenario::Broadcast, None, rate) => Ok(cast(flags, Audience::Everybody, rate)),
        (Scenario::Rooms, None, rate) => {
            let size = flags.room_size.unwrap_or(10);
            require(size > 0, "--room-size 0: nobody would ever receive anything")?;
            Ok(cast(flags, Audience::Rooms { size }, rate))
        }
        (Scenario::Churn, None, rate) => Ok(Workload::Churn { per_second: rate.unwrap_or(100.0) }),
    }
}

fn cast(flags: &Flags, audience: Audience, rate: Option<f64>) -> Workload {
    let cluster = Cluster { register: flags.register.clone(), secret_key: flags.secret_key.clone() };
    Workload::Cast(Cast { cluster, audience, per_second: rate.unwrap_or(1.0) })
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

/// As many as given, of the family of every destination.
fn sources(flags: &Flags, destinations: &[Target]) -> Result<Vec<IpAddr>, PlanError> {
    let sources = flags.source.as_ref().map_or(Vec::new(), |sources| sources.0.clone());
    for source in &sources {
        let other = destinations.iter().find(|target| target.address.is_ipv4() != source.is_ipv4());
        if let Some(target) = other {
            return Err(PlanError(format!(
                "--source {source} cannot reach {}: IPv4 and IPv6",
                target.address
            )));
        }
    }
    Ok(sources)
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
            Workload::Cast(Cast { audience: Audience::Everybody, .. }) => "broadcast",
            Workload::Cast(Cast { audience: Audience::Rooms { .. }, .. }) => "rooms",
            Workload::Churn { .. } => "churn",
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
    use std::collections::BTreeSet;

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
        assert_eq!(
            plan_on(&Machine { cpus: vec![0], open_files: 10 }, "--conns 2000").unwrap().cores(),
            CORES_MAX
        );
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
    fn every_pair_of_source_and_destination_gets_as_many() {
        let plan_of = |line: &str| plan(line).unwrap();
        let pairs = plan_of("--conns 12 --source 127.0.0.1,127.0.0.2,127.0.0.3 --spread 2");
        let routes: BTreeSet<_> = (0..6).map(|number| pairs.route(number)).collect();
        assert_eq!((routes.len(), pairs.route(6), pairs.ports_per_destination()), (6, pairs.route(0), 2));
        assert_eq!(plan_of("--spread 2").route(5), (1, None));
        let other = plan("--source ::1").unwrap_err();
        assert!(other.contains("--source ::1 cannot reach 127.0.0.1:8282"), "{other}");
    }

    #[test]
    fn workloads() {
        let workload = |line: &str| plan(line).unwrap().workload;
        assert_eq!(workload(""), Workload::Idle);
        assert_eq!(workload("--scenario echo"), Workload::Echo(Load::Closed { depth: 1 }));
        assert_eq!(workload("--scenario echo --rate 50"), Workload::Echo(Load::Open { per_second: 50.0 }));
        assert!(
            matches!(workload("--scenario broadcast --rate 2"), Workload::Cast(cast) if cast.per_second == 2.0)
        );
        assert!(matches!(
            workload("--scenario rooms --room-size 5"),
            Workload::Cast(Cast { audience: Audience::Rooms { size: 5 }, .. })
        ));
        assert_eq!(workload("--scenario churn"), Workload::Churn { per_second: 100.0 });
        let churn = plan("--scenario churn --rate 500").unwrap();
        assert_eq!(
            (churn.ports_per_destination(), churn.sockets(0)),
            (1_500, 500 + SPARE_SOCKETS + PENDING_MAX)
        );
        let far = plan("--scenario churn --rate 500 --target ws://192.0.2.1:1").unwrap();
        assert_eq!(far.ports_per_destination(), 31_000);
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
            "--scenario rooms --depth 3",
            "--scenario rooms --room-size 0",
            "--scenario broadcast --room-size 3",
            "--scenario churn --depth 3",
            "--ramp 0/s",
            "--hold -1",
            "--timeout inf",
        ] {
            let error = plan(line).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{line}: {error}");
        }
    }
}
