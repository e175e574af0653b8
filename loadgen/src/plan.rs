//! What a run will do, worked out before anything starts: connections, their cores and destinations, and the steps.
//! Owns every check of the command line that needs more than one flag.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;

use program::Refusal;
use tls::Connector;
use uring::SOCKETS_MAX;

use crate::check::System;
use crate::config::{
    CORES_MAX, DESTINATIONS_MAX, PENDING_ALL_MAX, PENDING_MAX, PORT_REST, PORT_REST_LOCAL, SPARE_SOCKETS,
    SPREAD_MAX, STEPS_MAX,
};
use crate::flags::{Flags, Scenario};
use crate::step::{Step, refuse, require};
use crate::target::Target;

/// A run, ready to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The command line. Where it asks for what follows here, this is what it means.
    pub flags: Flags,
    /// The CPU of each core's thread; at most one core per connection.
    pub cpus: Vec<usize>,
    /// Where connections go to; see [`Plan::route`].
    pub destinations: Vec<Target>,
    /// How sessions begin with the destinations that have TLS.
    pub connector: Option<Connector>,
    /// What the clients do, one after the other; at least one.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Works a command line out.
    ///
    /// # Errors
    /// Flags that do not go together, more than the machine allows, or a file that is not there.
    pub fn new(flags: &Flags, system: &System) -> Result<Plan, Refusal> {
        require(flags.conns > 0, "--conns 0: at least one is needed")?;
        let destinations = destinations(flags)?;
        check_sources(flags, &destinations)?;
        Ok(Plan {
            flags: flags.clone(),
            cpus: cores(flags, system)?,
            connector: connector(flags, &destinations)?,
            destinations,
            steps: steps(flags)?,
        })
    }

    /// Connections of one core that may be pending at once.
    pub(crate) fn pending_max(&self) -> usize {
        (PENDING_ALL_MAX / self.cores().max(1)).clamp(1, PENDING_MAX)
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.cpus.len()
    }

    /// The connections of a core, by their number in the run.
    pub fn share(&self, core: usize) -> Range<usize> {
        let first = |core: usize| self.flags.conns * core / self.cores();
        first(core)..first(core + 1)
    }

    /// The destination of connection `number`, by its index, and its source. The destinations take turns, and when all
    /// had theirs, the sources: every pair of them gets as many connections.
    pub fn route(&self, number: usize) -> (usize, Option<IpAddr>) {
        let (sources, round) = (&self.flags.source, number / self.destinations.len());
        let source = round.checked_rem(sources.len()).map(|index| sources[index]);
        (number % self.destinations.len(), source)
    }

    /// Slots that a core's ring needs.
    pub fn sockets(&self, core: usize) -> usize {
        self.share(core).len() + self.spare_sockets()
    }

    /// Slots beyond those of the core's share: for sockets that ended, and for churn, where a client connects before another
    /// one leaves.
    pub fn spare_sockets(&self) -> usize {
        SPARE_SOCKETS + if self.churn().is_some() { PENDING_MAX } else { 0 }
    }

    /// How many clients of a core send in a step.
    pub fn senders(&self, step: usize, core: usize) -> usize {
        let first = |core: usize| self.steps[step].clients * core / self.cores();
        first(core + 1) - first(core)
    }

    /// Index of a core among those that send in a step, and their count: a core without senders must not take a turn.
    pub fn turn(&self, step: usize, core: usize) -> (usize, usize) {
        let (clients, cores) = (self.steps[step].clients, self.cores());
        if clients < cores { (clients * core / cores, clients) } else { (core, cores) }
    }

    /// Churn: clients that connect and leave per second; none without a step of it.
    fn churn(&self) -> Option<f64> {
        self.steps.iter().find(|step| step.scenario == Scenario::Churn).map(Step::per_second)
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
        let rest_seconds = if self.is_local() { PORT_REST_LOCAL } else { PORT_REST };
        let resting = self.churn().map_or(0.0, |per_second| per_second * rest_seconds);
        (self.flags.conns as u64 + resting as u64)
            .div_ceil((self.destinations.len() * self.flags.source.len().max(1)) as u64)
    }
}

/// The step that the flags describe, and one for every `--then`. Churn is the last one, if there is any: it replaces the
/// clients that a later step would count on.
fn steps(flags: &Flags) -> Result<Vec<Step>, Refusal> {
    let first = flags.first_step();
    let steps: Vec<Step> = std::iter::once(&first)
        .chain(&flags.then)
        .map(|asked| Step::new(flags, asked))
        .collect::<Result<_, _>>()?;
    require(steps.len() <= STEPS_MAX, format!("--then: at most {} times", STEPS_MAX - 1))?;
    require(
        !steps[..steps.len() - 1].iter().any(|step| step.scenario == Scenario::Churn),
        "nothing can follow churn: --then churn is the last",
    )?;
    Ok(steps)
}

/// As many cores as asked for, or as CPUs, or as the open files make necessary; pinned round robin.
fn cores(flags: &Flags, system: &System) -> Result<Vec<usize>, Refusal> {
    let open_files = system.open_files.unwrap_or(u64::MAX);
    let sockets_max = usize::try_from(open_files.min(SOCKETS_MAX.into())).unwrap_or(usize::MAX);
    let needed = flags.conns.div_ceil(sockets_max.saturating_sub(SPARE_SOCKETS).max(1));
    let count = flags.count.unwrap_or(system.cpus.len().max(needed.min(CORES_MAX)));
    require((1..=CORES_MAX).contains(&count), format!("--count {count}: 1 to {CORES_MAX} threads"))?;
    Ok((0..count.min(flags.conns)).map(|index| system.cpus[index % system.cpus.len()]).collect())
}

fn destinations(flags: &Flags) -> Result<Vec<Target>, Refusal> {
    let targets = &flags.target;
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

/// How TLS sessions begin; none where no destination has TLS.
fn connector(flags: &Flags, destinations: &[Target]) -> Result<Option<Connector>, Refusal> {
    let Some(target) = destinations.iter().find(|target| target.tls) else { return Ok(None) };
    let connector = match (&flags.tls_ca, flags.tls_insecure) {
        (Some(_), true) => return refuse("--tls-ca and --tls-insecure: one of them is enough"),
        (Some(file), false) => Connector::trusting("--tls-ca", Path::new(file))
            .map_err(|error| Refusal::Environment(error.to_string()))?,
        (None, true) => Connector::insecure(),
        (None, false) => {
            let why = "say who vouches for its certificate by --tls-ca, or --tls-insecure to trust anybody";
            return refuse(format!("target {}: {why}", target.url()));
        }
    };
    for target in destinations.iter().filter(|target| target.tls) {
        let why = || format!("target {}: no certificate could be for this host", target.url());
        require(connector.connect(target.name()).is_ok(), why())?;
    }
    Ok(Some(if flags.tls_resume { connector.resuming() } else { connector }))
}

/// Sources are of the family of every destination.
fn check_sources(flags: &Flags, destinations: &[Target]) -> Result<(), Refusal> {
    for source in &flags.source {
        let other = destinations.iter().find(|target| target.address.is_ipv4() != source.is_ipv4());
        if let Some(Target { address, .. }) = other {
            return refuse(format!("--source {source} cannot reach {address}: IPv4 and IPv6"));
        }
    }
    Ok(())
}

/// The same listener under 127.0.0.1 to 127.0.0.`count`.
fn spread(target: &Target, count: u8) -> Result<Vec<Target>, Refusal> {
    require(
        target.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST),
        format!("--spread is for targets at 127.0.0.1, not {}", target.address),
    )?;
    let at = |octet| SocketAddr::from(([127, 0, 0, octet], target.address.port()));
    Ok((1..=count).map(|octet| Target { address: at(octet), ..target.clone() }).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use argh::FromArgs;

    fn plan_on(system: &System, line: &str) -> Result<Plan, String> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags =
            Flags::from_args(&["loadgen"], &words).map_err(|exit| exit.output.trim_end().to_owned())?;
        Plan::new(&flags, system).map_err(|error| error.to_string())
    }

    fn system(cpus: &[usize], open_files: u64) -> System {
        System { cpus: cpus.to_vec(), open_files: Some(open_files), ..System::default() }
    }

    fn plan(line: &str) -> Result<Plan, String> {
        plan_on(&system(&[4, 6], 20_000), line)
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
        assert_eq!(plan_on(&system(&[0], 10), "--conns 2000").unwrap().cores(), CORES_MAX);
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
        let step = |line: &str| plan(line).unwrap().steps.swap_remove(0);
        let load = |line: &str| (step(line).scenario, step(line).depth, step(line).rate_per_second);
        assert_eq!(load(""), (Scenario::Idle, None, None));
        assert_eq!(load("--scenario echo"), (Scenario::Echo, Some(1), None));
        assert_eq!(load("--scenario echo --rate 50"), (Scenario::Echo, None, Some(50.0)));
        assert_eq!(load("--scenario broadcast --rate 2"), (Scenario::Broadcast, None, Some(2.0)));
        let rooms = step("--scenario rooms --room-size 5");
        assert_eq!((rooms.scenario, rooms.room_size, rooms.burst), (Scenario::Rooms, Some(5), Some(1)));
        assert_eq!(load("--scenario churn"), (Scenario::Churn, None, Some(100.0)));
        let churn = plan("--scenario churn --rate 500").unwrap();
        assert_eq!(
            (churn.ports_per_destination(), churn.sockets(0)),
            (1_500, 500 + SPARE_SOCKETS + PENDING_MAX)
        );
        let far = plan("--scenario churn --rate 500 --target ws://192.0.2.1:1").unwrap();
        assert_eq!(far.ports_per_destination(), 31_000);
        assert_eq!(plan("--scenario echo").unwrap().steps[0].warmup_seconds, 1.0);
        assert_eq!(plan("--scenario broadcast").unwrap().steps[0].warmup_seconds, 0.0);
    }

    #[test]
    fn steps_follow_each_other() {
        let plan = plan("--conns 10 --hold 5 --then echo,clients=3,hold=2,size=99 --then broadcast,burst=4")
            .unwrap();
        let [idle, echo, broadcast] = plan.steps.as_slice() else { panic!("three steps") };
        let seen = [idle, echo].map(|step| (step.scenario, step.clients, step.hold_seconds, step.size));
        assert_eq!(seen, [(Scenario::Idle, 10, 5.0, 64), (Scenario::Echo, 3, 2.0, 99)]);
        assert_eq!(
            (broadcast.scenario, broadcast.burst, broadcast.hold_seconds),
            (Scenario::Broadcast, Some(4), 5.0)
        );
        assert_eq!([0, 1].map(|core| plan.senders(1, core)), [1, 2]);
        assert_eq!([0, 1].map(|core| plan.senders(0, core)), [5, 5]);
        assert_eq!([0, 1].map(|core| plan.turn(0, core)), [(0, 2), (1, 2)]);
        let few = self::plan("--conns 10 --count 5 --then echo,clients=2").unwrap();
        let senders = (0..5).filter(|core| few.senders(1, *core) > 0);
        assert_eq!(senders.map(|core| few.turn(1, core)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
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
            "--burst 2",
            "--scenario broadcast --burst 0",
            "--then echo,clients=0",
            "--conns 5 --then echo,clients=6",
            "--then idle,clients=6",
            "--scenario churn --then idle",
            "--drain -1",
            "--ramp 0/s",
            "--hold -1",
            "--timeout inf",
        ] {
            let error = plan(line).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{line}: {error}");
        }
    }
}
