//! Owns the limits of the process: locked memory and open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Locked memory in bytes below which glommio starts no executor. Kernels from 5.12 on do not count rings as locked
/// memory, so the limit is one for each executor, not to be multiplied by their number.
pub const MEMLOCK_MIN: u64 = 512 * 1024;

/// Raises the soft limit of open files to the hard one and returns it; `u64::MAX` is no limit.
pub fn raise_open_files() -> u64 {
    raise_to_hard(Resource::Nofile)
}

/// Raises the soft limit of locked memory to the hard one, or, where the process may, to [`MEMLOCK_MIN`].
///
/// # Errors
/// One sentence with advice if the limit stays below [`MEMLOCK_MIN`].
pub fn raise_memlock() -> Result<(), String> {
    let limit = raise_to_hard(Resource::Memlock);
    if limit >= MEMLOCK_MIN {
        return Ok(());
    }
    let enough = Rlimit { current: Some(MEMLOCK_MIN), maximum: Some(MEMLOCK_MIN) };
    setrlimit(Resource::Memlock, enough).map_err(|_| {
        format!(
            "may lock only {} KiB of memory, {} KiB needed: `ulimit -l unlimited` in the shell, or \
             LimitMEMLOCK=infinity in the systemd unit",
            limit / 1024,
            MEMLOCK_MIN / 1024
        )
    })
}

fn raise_to_hard(resource: Resource) -> u64 {
    let Rlimit { current, maximum } = getrlimit(resource);
    if current == maximum {
        return current.unwrap_or(u64::MAX);
    }
    // Raising the soft limit up to the hard one is always allowed, but a sandbox may say no: then it stays.
    let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
    getrlimit(resource).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_raised_to_the_hard_limit() {
        let raised = raise_open_files();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        assert_eq!(raised, current.unwrap_or(u64::MAX));
    }
}
