//! Owns the question what this process uses of the machine.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::memory::resident_bytes;

/// What a process uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// CPU time of all its threads, of user and system, since its start.
    pub cpu: Duration,
    /// Memory that is resident.
    pub resident_bytes: u64,
    /// Open files; sockets of a ring alone are none.
    pub open_files: u64,
}

/// What this process uses; `None`: the kernel does not tell.
pub fn usage() -> Option<Usage> {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = Duration::new(u64::try_from(cpu.tv_sec).ok()?, u32::try_from(cpu.tv_nsec).ok()?);
    // One of them is the listing itself.
    let open_files = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    let open_files = u64::try_from(open_files).ok()?;
    Some(Usage { cpu, resident_bytes: resident_bytes(std::process::id())?, open_files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something() {
        let usage = usage().unwrap();
        assert!(usage.cpu > Duration::ZERO && usage.resident_bytes > 0 && usage.open_files >= 3, "{usage:?}");
    }
}
