//! Making the io_uring: what the kernel must offer, and one clear sentence when it does not.

use std::io;

use io_uring::IoUring;
use thiserror::Error;

use crate::config::{Config, SOCKETS_MAX};

/// Why there is no ring, and what to change.
#[derive(Debug, Error)]
pub enum SetupError {
    /// Before 6.1 some of the needed flags do not exist.
    #[error("Linux {release} is too old: io_uring with deferred task work needs 6.1 or newer")]
    KernelTooOld {
        /// As `uname -r` says.
        release: String,
    },
    /// Forbidden by sysctl, or by a container's seccomp profile.
    #[error(
        "io_uring is not allowed here: set `sysctl kernel.io_uring_disabled=0`, and in a container allow the io_uring system calls in its seccomp profile"
    )]
    Forbidden,
    /// The kernel has no io_uring, or a container hides it.
    #[error(
        "this kernel has no io_uring: use one built with CONFIG_IO_URING, and in a container allow the io_uring system calls in its seccomp profile"
    )]
    Missing,
    /// The queues or the file table do not fit.
    #[error(
        "not enough memory for an io_uring: raise the limit of locked memory (`ulimit -l`, LimitMEMLOCK= in systemd) or lower the number of sockets ({sockets_max})"
    )]
    Memory {
        /// As configured.
        sockets_max: u32,
    },
    /// The file table may have as many entries as one process may have open files.
    #[error(
        "{sockets_max} sockets need as many open files for each ring, but the limit is {soft}: raise it (`ulimit -n {sockets_max}`, LimitNOFILE= in systemd) or lower the number of sockets"
    )]
    OpenFiles {
        /// As configured.
        sockets_max: u32,
        /// The soft limit.
        soft: u64,
    },
    /// A configured value is out of its range.
    #[error("ring configuration: {0}")]
    Config(&'static str),
    /// Anything else.
    #[error("cannot {step} the io_uring: {source}")]
    Other {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Raises the soft limit of open files to the hard limit, which needs no privilege, and returns it. A ring can have
/// as many sockets.
///
/// # Errors
/// What the kernel says; the limit is then as it was.
pub fn raise_nofile_limit() -> io::Result<u64> {
    let mut limit = nofile_limit()?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is valid for the call, which only reads it.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => Ok(limit.rlim_cur),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A ring as configured, with an empty file table.
pub(crate) fn build(config: &Config) -> Result<IoUring, SetupError> {
    check(config)?;
    check_kernel()?;
    check_open_files(config)?;
    let mut builder = IoUring::builder();
    if !config.busy_poll.is_zero() {
        builder.setup_taskrun_flag();
    }
    let ring = builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(config.completions)
        .dontfork()
        .build(config.entries)
        .map_err(|error| explain(error, "set up", config))?;
    let submitter = ring.submitter();
    let sparse = submitter.register_files_sparse(config.sockets_max);
    sparse.map_err(|error| explain(error, "register the sockets of", config))?;
    // Only shutdowns go to kernel worker threads; without a bound many closes at once would start hundreds.
    let workers = submitter.register_iowq_max_workers(&mut [WORKERS, WORKERS]);
    workers.map_err(|error| explain(error, "bound the workers of", config))?;
    Ok(ring)
}

/// Whether a file leaves the kernel as soon as its slot is released. Before 6.13 it stays until every operation
/// that began earlier, on any socket, is done; see `close`.
pub(crate) fn releases_at_once() -> bool {
    kernel_release().and_then(|release| version(&release)).is_none_or(|version| version >= (6, 13))
}

fn check(config: &Config) -> Result<(), SetupError> {
    let bad = |what| Err(SetupError::Config(what));
    if config.sockets_max == 0 || config.sockets_max > SOCKETS_MAX {
        return bad("sockets_max must be 1 to 1048576");
    }
    if !config.entries.is_power_of_two() || config.entries > 32_768 {
        return bad("entries must be a power of two up to 32768");
    }
    if !config.completions.is_power_of_two()
        || config.completions / 2 < config.entries
        || config.completions > 65_536
    {
        return bad("completions must be a power of two, from twice entries to 65536");
    }
    if config.recv_buffers == 0 || config.recv_buffer_size == 0 || config.recv_buffer_size > 1 << 24 {
        return bad("there must be a receive buffer, of 1 byte to 16 MiB");
    }
    if config.recv_size_max == 0 {
        return bad("recv_size_max must be at least 1");
    }
    if config.accepts_in_flight == 0 {
        return bad("accepts_in_flight must be at least 1");
    }
    Ok(())
}

fn check_kernel() -> Result<(), SetupError> {
    match kernel_release() {
        Some(release) if version(&release).is_some_and(|version| version < (6, 1)) => {
            Err(SetupError::KernelTooOld { release })
        }
        _ => Ok(()),
    }
}

fn check_open_files(config: &Config) -> Result<(), SetupError> {
    let limit =
        nofile_limit().map_err(|source| SetupError::Other { step: "ask for the limits of", source })?;
    if u64::from(config.sockets_max) > limit.rlim_cur {
        return Err(SetupError::OpenFiles { sockets_max: config.sockets_max, soft: limit.rlim_cur });
    }
    Ok(())
}

fn explain(error: io::Error, step: &'static str, config: &Config) -> SetupError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => SetupError::Forbidden,
        Some(libc::ENOSYS) => SetupError::Missing,
        Some(libc::ENOMEM) => SetupError::Memory { sockets_max: config.sockets_max },
        _ => SetupError::Other { step, source: error },
    }
}

fn nofile_limit() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is valid and unshared for the call, which fills it.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}

fn kernel_release() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|release| release.trim().to_owned())
}

/// Major and minor of a release such as `6.1.0-18-amd64`; none if it looks otherwise.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Kernel worker threads of each kind, for shutdowns. Other rings of the thread share them.
const WORKERS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_understood() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("5.15"), Some((5, 15)));
        assert_eq!(version("7"), None);
        assert_eq!(version(""), None);
        assert!((5, 19) < (6, 1) && (6, 12) < (6, 13));
    }

    #[test]
    fn errors_say_what_to_change_in_one_line() {
        let config = Config::default();
        for (code, words) in [
            (libc::EPERM, "kernel.io_uring_disabled=0"),
            (libc::ENOSYS, "CONFIG_IO_URING"),
            (libc::ENOMEM, "ulimit -l"),
            (libc::EINVAL, "cannot set up the io_uring"),
        ] {
            let text = explain(io::Error::from_raw_os_error(code), "set up", &config).to_string();
            assert!(text.contains(words) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn a_table_beyond_the_limit_of_open_files_is_refused_with_the_numbers() {
        let soft = nofile_limit().unwrap().rlim_cur;
        if soft >= u64::from(SOCKETS_MAX) {
            return;
        }
        let error = build(&Config { sockets_max: SOCKETS_MAX, ..Config::default() }).err().unwrap();
        assert!(error.to_string().contains(&format!("the limit is {soft}")), "{error}");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let fine = Config::default();
        for config in [
            Config { sockets_max: 0, ..fine.clone() },
            Config { sockets_max: SOCKETS_MAX + 1, ..fine.clone() },
            Config { entries: 100, ..fine.clone() },
            Config { completions: fine.entries, ..fine.clone() },
            Config { recv_buffers: 0, ..fine.clone() },
            Config { recv_buffer_size: 0, ..fine.clone() },
            Config { recv_size_max: 0, ..fine.clone() },
            Config { accepts_in_flight: 0, ..fine.clone() },
        ] {
            assert!(matches!(check(&config), Err(SetupError::Config(_))), "{config:?}");
        }
        assert!(check(&fine).is_ok());
    }
}
