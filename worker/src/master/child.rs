//! The worker process under a master: how it knows, and how it reports.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crossbeam_channel::Receiver;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::plan::Side;
use super::report::Report;
use crate::core::Told;

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

/// Its value: our process id, the side, and what the process may expect.
pub(super) fn mark(side: Side, patient: bool) -> String {
    format!("{} {side:?} {}", std::process::id(), if patient { "patient" } else { "first" })
}

impl Child {
    /// `None`: this process has no master. Ends with its master from here on.
    ///
    /// # Errors
    /// Its master is gone already.
    pub(crate) fn of_environment() -> io::Result<Option<Child>> {
        let Ok(mark) = std::env::var(MARK) else { return Ok(None) };
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let [master, side, patient] = mark.split(' ').collect::<Vec<_>>()[..] else { return Ok(None) };
        let parent = getppid().map_or(0, |pid| pid.as_raw_pid());
        if master != parent.to_string() {
            return Err(io::Error::other(format!("the master that started this process, {master}, is gone")));
        }
        let side = if side == "B" { Side::B } else { Side::A };
        // The master has put one end of a pair there.
        let master = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Some(Child { side, patient: patient == "patient", master }))
    }

    /// The first half of the worker key: two processes of one name, one taking over from the other, need two.
    pub(crate) fn key_name(&self, name: &str) -> String {
        match self.side {
            Side::A => name.to_owned(),
            Side::B => format!("{name}~"),
        }
    }

    /// Tells the master what the cores tell, as long as both live. `core_count` cores tell of their gateways.
    pub(crate) fn report(mut self, core_count: usize, told: &Receiver<Told>) {
        let mut cores: HashMap<usize, BTreeSet<SocketAddrV4>> = HashMap::new();
        for told in told {
            let report = match told {
                Told::Ready => Report::Ready,
                Told::Gateways(core, gateways) => {
                    cores.insert(core, gateways.into_iter().collect());
                    Report::Gateways(in_all(core_count, &cores))
                }
            };
            if self.master.write_all(report.line().as_bytes()).is_err() {
                return;
            }
        }
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
    fn a_gateway_counts_when_all_cores_have_it() {
        let [a, b] = ["10.0.0.1:2900", "10.0.0.2:2900"].map(|gateway| gateway.parse().unwrap());
        let mut cores = HashMap::from([(0, BTreeSet::from([a, b]))]);
        assert_eq!(in_all(2, &cores), BTreeSet::new());
        cores.insert(1, BTreeSet::from([b]));
        assert_eq!(in_all(2, &cores), BTreeSet::from([b]));
    }
}
