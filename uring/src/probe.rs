//! Whether the three system calls of io_uring may be made here: kernels, sysctls and seccomp profiles may refuse each.

use std::io;

use io_uring::{IoUring, opcode};
use thiserror::Error;

/// io_uring does not work here, and why.
#[derive(Debug, Error)]
#[error("{call}: {source}")]
pub struct Refused {
    /// The system call.
    pub call: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

/// Makes each system call once, as a [`Ring`](crate::Ring) does: sets a small io_uring up, registers a file table with it,
/// and runs an operation that does nothing. Nothing is left of it.
///
/// # Errors
/// The first call that is refused.
pub fn probe() -> Result<(), Refused> {
    let refused = |call| move |source| Refused { call, source };
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .build(ENTRIES)
        .map_err(refused("io_uring_setup"))?;
    ring.submitter().register_files_sparse(1).map_err(refused("io_uring_register"))?;
    let nothing = opcode::Nop::new().build();
    // SAFETY: a no-op refers to no memory.
    let queued = unsafe { ring.submission().push(&nothing) };
    queued.expect("an empty queue has room for one");
    loop {
        match ring.submit_and_wait(1) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(refused("io_uring_enter")(error)),
        }
    }
}

/// Operations that the probe's queue has room for: one is needed.
const ENTRIES: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_tests_of_rings_run_nothing_is_refused() {
        probe().unwrap();
    }
}
