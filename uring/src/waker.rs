//! Wakes from other threads: an eventfd under a multishot poll, and a flag that spares the system call while the ring's
//! thread is awake.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::Arc;
use std::task::Wake;

use crate::sleep_flag::SleepFlag;

/// Ends the wait of a ring from any thread: its next turn, or the one that waits now, delivers
/// [`Event::Woken`](crate::Event::Woken). Wakes that come before it was delivered are one.
///
/// Waking a ring that does not wait is one atomic operation; one that waits costs a system call more.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    flag: SleepFlag,
    /// Written to, never read: the poll tells of each write, and the counter has room for 2^64.
    eventfd: File,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Waker> {
        Ok(Waker(Arc::new(Shared { flag: SleepFlag::new(), eventfd: eventfd()? })))
    }

    /// Wakes the ring's thread. What it is to find then must be in its place before.
    pub fn wake(&self) {
        self.0.wake_ring();
    }

    /// Whether the ring's thread may wait now: nobody has woken it since [`Self::end_sleep`].
    pub(crate) fn try_sleep(&self) -> bool {
        self.0.flag.try_sleep()
    }

    /// The ring's thread is awake; whether somebody has woken it.
    pub(crate) fn end_sleep(&self) -> bool {
        self.0.flag.end_sleep()
    }

    /// Readable with each wake of a thread that waits.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.eventfd.as_raw_fd()
    }
}

impl Shared {
    fn wake_ring(&self) {
        if self.flag.wake() {
            // It cannot fail but by a full counter, which the poll has told of long before.
            let _ = (&self.eventfd).write(&1_u64.to_ne_bytes());
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_ring();
    }
}

/// For futures that are polled in the ring's thread and woken by others.
impl From<Waker> for std::task::Waker {
    fn from(waker: Waker) -> std::task::Waker {
        std::task::Waker::from(waker.0)
    }
}

fn eventfd() -> io::Result<File> {
    // SAFETY: the call takes no pointer.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call made this descriptor, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}
