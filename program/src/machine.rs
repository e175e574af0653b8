//! Owns the check, before anything starts, that this machine can run Ringway at all.

use std::fs;
use std::io::ErrorKind;

use rustix::process::Pid;
use rustix::thread::CpuSet;

use crate::kernel::{KERNEL_MIN, KernelVersion};
use crate::limits::{raise_memlock, raise_open_files};

/// Checks kernel version, io_uring and locked memory, and raises the limits of open files and locked memory as far
/// as the process may. Call it before the first executor.
///
/// # Errors
/// One sentence for [`crate::fail`] that says what is missing and what helps.
pub fn check_machine() -> Result<(), String> {
    check_kernel(KernelVersion::running())?;
    check_io_uring(
        fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok().as_deref(),
        may_use_restricted_io_uring,
    )?;
    raise_memlock()?;
    raise_open_files();
    uring::probe().map_err(|refused| explain_refusal(&refused))
}

/// What is said is for those who run a container: there it is the profile as a rule.
fn explain_refusal(refused: &uring::Refused) -> String {
    match refused.source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::Unsupported => format!(
            "io_uring is refused here ({refused}): a seccomp profile forbids it, as Docker's default does, or the kernel lacks \
             it; run the container with --security-opt seccomp=seccomp.json (deploy/seccomp.json; docs/OPERATIONS.md, \
             \"In containers\")"
        ),
        _ => format!("io_uring does not work here ({refused})"),
    }
}

/// How many CPUs this process may use: the default number of shards and executors.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The CPUs this process may run on, by number; at least one. Shards and executors are pinned to these.
pub fn allowed_cpus() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).map_or_else(
        |_| (0..cpus()).collect::<Vec<_>>(),
        |set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
    );
    if allowed.is_empty() { vec![0] } else { allowed }
}

/// Lets the calling thread run on all of `cpus`, numbers as [`allowed_cpus`] gives them. A thread that a pinned one has
/// started is pinned as that one is.
pub fn run_on(cpus: &[usize]) {
    set_affinity(None, cpus);
}

/// The same for all threads that this process has.
pub(crate) fn run_all_on(cpus: &[usize]) {
    run_on(cpus);
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ids = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    ids.filter_map(Pid::from_raw).for_each(|id| set_affinity(Some(id), cpus));
}

fn set_affinity(thread: Option<Pid>, cpus: &[usize]) {
    let mut set = CpuSet::new();
    cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| set.set(*cpu));
    // Refused only if none of them may be used any more, or the thread is gone; else it is better where it is.
    let _ = rustix::thread::sched_setaffinity(thread, &set);
}

fn check_kernel(running: Option<KernelVersion>) -> Result<(), String> {
    match running {
        Some(version) if version < KERNEL_MIN => {
            Err(format!("Linux {KERNEL_MIN} needed, this is {version}: upgrade the kernel"))
        }
        // A release that cannot be read is some custom build; the ring says no by itself if it must.
        Some(_) | None => Ok(()),
    }
}

/// `sysctl` is what kernel.io_uring_disabled holds: 0 all may, 1 only some may, 2 nobody may. Kernels before 6.6 have
/// no such file.
fn check_io_uring(sysctl: Option<&str>, may_restricted: impl FnOnce() -> bool) -> Result<(), String> {
    let value = sysctl.map_or("0", str::trim);
    if value == "0" || (value == "1" && may_restricted()) {
        return Ok(());
    }
    Err(format!(
        "io_uring is disabled here (kernel.io_uring_disabled = {value}): `sysctl kernel.io_uring_disabled=0` as root"
    ))
}

/// With the sysctl at 1, root and the members of kernel.io_uring_group may use io_uring.
fn may_use_restricted_io_uring() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let group = fs::read_to_string("/proc/sys/kernel/io_uring_group");
    let Some(group) = group.ok().and_then(|text| text.trim().parse::<u32>().ok()) else {
        return false;
    };
    let groups = rustix::process::getgroups().unwrap_or_default();
    groups.iter().any(|one| one.as_raw() == group) || rustix::process::getegid().as_raw() == group
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_process_may_run_somewhere() {
        // A quota may allow less time than there are CPUs.
        assert!(allowed_cpus().len() >= cpus());
    }

    #[test]
    fn old_kernels_are_refused() {
        let old = KernelVersion { major: 5, minor: 10 };
        assert_eq!(
            check_kernel(Some(old)),
            Err("Linux 6.1 needed, this is 5.10: upgrade the kernel".to_owned())
        );
        assert_eq!(check_kernel(Some(KERNEL_MIN)), Ok(()));
        assert_eq!(check_kernel(None), Ok(()));
    }

    #[test]
    fn the_io_uring_sysctl_is_obeyed() {
        assert_eq!(check_io_uring(None, || false), Ok(()));
        assert_eq!(check_io_uring(Some("0\n"), || false), Ok(()));
        assert_eq!(check_io_uring(Some("1\n"), || true), Ok(()));
        assert!(check_io_uring(Some("1\n"), || false).is_err());
        assert!(check_io_uring(Some("2\n"), || true).is_err());
    }

    #[test]
    fn a_refusal_is_one_line_that_helps() {
        for errno in [Errno::PERM, Errno::ACCESS, Errno::NOSYS] {
            let refused = uring::Refused { call: "io_uring_enter", source: errno.into() };
            let line = explain_refusal(&refused);
            let words = ["io_uring_enter", "seccomp", "--security-opt", "In containers"];
            assert!(words.iter().all(|word| line.contains(word)) && !line.contains('\n'), "{line}");
        }
        let other = uring::Refused { call: "io_uring_setup", source: Errno::NOMEM.into() };
        assert!(!explain_refusal(&other).contains("seccomp"));
    }

    #[test]
    fn there_is_a_cpu() {
        assert!(cpus() >= 1);
    }
}
