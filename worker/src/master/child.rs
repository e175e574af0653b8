//! The worker process under a master: how it knows, and how it reports.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::plan::Side;
use super::report::Report;
use crate::core::Notice;

/// A process that a master has started.
#[derive(Debug)]
pub(crate) struct Child {
    side: Side,
    /// Another process of this worker may still hold what this one wants.
    pub(crate) patient: bool,
    master: UnixStream,
}

/// The environment variable by which a process knows that it has a master.
pub(super) const MARK: &str = "RINGWAY_WORKER_MASTER";

/// Its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// The master's process id.
    master: String,
    side: Side,
    /// Another process of this worker may still hold what this one wants.
    patient: bool,
    /// What makes a worker's own name, if it was given none: the master's and all its processes' (see [`crate::name`]).
    /// `None`: the master is an old one, which has no such name.
    pub(crate) digits: Option<String>,
}

impl Mark {
    /// For a process that this one is to start.
    pub(super) fn new(side: Side, patient: bool) -> Mark {
        let name = crate::name::own("");
        Mark { master: std::process::id().to_string(), side, patient, digits: Some(name[1..].to_owned()) }
    }

    /// `None`: whoever started this process is no master, or gone.
    pub(crate) fn of_environment() -> Option<Mark> {
        Mark::parse(&std::env::var(MARK).ok()?).filter(|mark| mark.master == parent().to_string())
    }

    fn parse(words: &str) -> Option<Mark> {
        let mut words = words.split(' ');
        let (master, side, patient) = (words.next()?, words.next()?, words.next()?);
        Some(Mark {
            master: master.to_owned(),
            side: if side == "B" { Side::B } else { Side::A },
            patient: patient == "patient",
            digits: words.next().map(str::to_owned),
        })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Mark { master, side, patient, digits } = self;
        write!(f, "{master} {side:?} {}", if *patient { "patient" } else { "first" })?;
        digits.iter().try_for_each(|digits| write!(f, " {digits}"))
    }
}

fn parent() -> i32 {
    getppid().map_or(0, |pid| pid.as_raw_pid())
}

impl Child {
    /// `None`: this process has no master. Ends with its master from here on.
    ///
    /// # Errors
    /// Its master is gone already.
    pub(crate) fn of_environment() -> io::Result<Option<Child>> {
        let Ok(mark) = std::env::var(MARK) else { return Ok(None) };
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let Some(Mark { master, side, patient, .. }) = Mark::parse(&mark) else { return Ok(None) };
        if master != parent().to_string() {
            return Err(io::Error::other(format!("the master that started this process, {master}, is gone")));
        }
        // The master has put one end of a pair there.
        let master = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Some(Child { side, patient, master }))
    }

    /// The first half of the worker key: two processes of one name, one taking over from the other, need two.
    pub(crate) fn key_name(&self, name: &str) -> String {
        match self.side {
            Side::A => name.to_owned(),
            Side::B => format!("{name}~"),
        }
    }

    /// What passes on to the master what the cores tell; `core_count` cores tell of their gateways.
    pub(crate) fn reporter(self, core_count: usize) -> Reporter {
        Reporter { master: self.master, core_count, cores: HashMap::new(), alive: BTreeSet::new() }
    }
}

/// Tells a master what the cores tell, as long as both live.
#[derive(Debug)]
pub(crate) struct Reporter {
    master: UnixStream,
    core_count: usize,
    cores: HashMap<usize, BTreeSet<SocketAddrV4>>,
    /// Which cores have turned since the master heard that all have.
    alive: BTreeSet<usize>,
}

impl Reporter {
    pub(crate) fn pass_on(&mut self, notice: Notice) {
        let report = match notice {
            Notice::Ready => Report::Ready,
            Notice::Alive(core) => {
                self.alive.insert(core);
                if self.alive.len() == self.core_count {
                    self.alive.clear();
                    self.tell(&Report::AllAlive);
                }
                Report::Alive
            }
            Notice::Gateways(core, gateways) => {
                self.cores.insert(core, gateways.into_iter().collect());
                Report::Gateways(in_all(self.core_count, &self.cores))
            }
            // The exit code will say it.
            Notice::NameTaken => return,
        };
        self.tell(&report);
    }

    fn tell(&mut self, report: &Report) {
        // Without its master this process ends anyhow.
        let _ = self.master.write_all(report.line().as_bytes());
    }
}

fn in_all(count: usize, cores: &HashMap<usize, BTreeSet<SocketAddrV4>>) -> BTreeSet<SocketAddrV4> {
    let Some(first) = cores.values().next().filter(|_| cores.len() == count) else {
        return BTreeSet::new();
    };
    first.iter().filter(|gateway| cores.values().all(|core| core.contains(gateway))).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Mark::new(Side::B, true);
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark.clone()));
        assert_eq!(Some(crate::name::own("chat")), mark.digits.map(|digits| format!("chat-{digits}")));
        let old = Mark { master: "7".to_owned(), side: Side::A, patient: false, digits: None };
        assert_eq!((Mark::parse("7 A first"), Mark::parse("7 A")), (Some(old), None));
    }

    #[test]
    fn all_are_alive_when_each_has_said_so_again() {
        let (master, heard) = UnixStream::pair().unwrap();
        let child = Child { side: Side::A, patient: false, master };
        let mut reporter = child.reporter(2);
        for core in [0, 0, 1, 1, 0] {
            reporter.pass_on(Notice::Alive(core));
        }
        drop(reporter);
        let told = io::read_to_string(heard).unwrap();
        assert_eq!(told, "alive\nalive\nall-alive\nalive\nalive\nall-alive\nalive\n");
    }

    #[test]
    fn a_gateway_counts_when_all_cores_have_it() {
        let [a, b] = ["10.0.0.1:2900", "10.0.0.2:2900"].map(|gateway| gateway.parse().unwrap());
        let mut cores = HashMap::from([(0, BTreeSet::from([a, b]))]);
        assert_eq!(in_all(2, &cores), BTreeSet::new());
        cores.insert(1, BTreeSet::from([b]));
        assert_eq!(in_all(2, &cores), BTreeSet::from([b]));
    }
}
