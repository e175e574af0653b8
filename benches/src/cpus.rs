//! Which CPU what runs on: the server on one, the load on another, so that each has a core to itself.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cpus {
    /// Where servers run.
    pub server: usize,
    /// Where the load comes from; the same if there is only one CPU.
    pub load: usize,
}

impl Cpus {
    /// The first two that this process may use.
    pub(crate) fn of_this_process() -> Cpus {
        let allowed = program::allowed_cpus();
        Cpus { server: allowed[0], load: *allowed.get(1).unwrap_or(&allowed[0]) }
    }
}

/// Runs `start` on one CPU. The processes that it starts stay there, as their threads do.
pub(crate) fn on<T>(cpu: usize, start: impl FnOnce() -> T) -> T {
    let Ok(before) = sched_getaffinity(None) else { return start() };
    let mut only = CpuSet::new();
    only.set(cpu);
    // A sandbox that does not let a process choose its CPU costs precision, nothing else.
    let _ = sched_setaffinity(None, &only);
    let started = start();
    let _ = sched_setaffinity(None, &before);
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stay_where_they_were_started() {
        let cpus = Cpus::of_this_process();
        let inside = on(cpus.server, program::allowed_cpus);
        assert_eq!(inside, [cpus.server]);
        assert!(program::allowed_cpus().contains(&cpus.load));
    }
}
