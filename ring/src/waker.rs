//! Wakes from other threads: an eventfd under a multishot poll, and a flag that spares the system call while the ring's
//! thread is awake.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::task::Wake;

use io_uring::{opcode, types};

use crate::event::Event;
use crate::queue::Completion;
use crate::ring::Ring;
use crate::sleep_flag::SleepFlag;
use crate::token::{Op, Token};

/// Ends the wait of a ring from any thread: its next turn, or the one that waits now, delivers [`Event::Woken`]. Wakes that
/// come before it was delivered are one.
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
    /// Wakes the ring's thread. What it is to find then must be in its place before.
    pub fn wake(&self) {
        self.0.wake_ring();
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

impl Ring {
    /// A handle to wake this ring with; all handles are one. The first makes an eventfd.
    ///
    /// # Errors
    /// The process has as many open files as it may.
    pub fn waker(&mut self) -> io::Result<Waker> {
        if let Some(waker) = &self.waker {
            return Ok(waker.clone());
        }
        let waker = Waker(Arc::new(Shared { flag: SleepFlag::new(), eventfd: eventfd()? }));
        self.waker = Some(waker.clone());
        self.watch_waker();
        Ok(waker)
    }

    /// Whether the coming wait may last: nobody has woken the ring since it last looked.
    pub(crate) fn may_wait(&self) -> bool {
        self.waker.as_ref().is_none_or(|waker| waker.0.flag.try_sleep())
    }

    /// Tells of wakes since this was last called.
    pub(crate) fn deliver_wake(&self, on_event: &mut impl FnMut(Event<'_>)) {
        if self.waker.as_ref().is_some_and(|waker| waker.0.flag.end_sleep()) {
            on_event(Event::Woken);
        }
    }

    /// The poll told of a write, or has ended.
    pub(crate) fn on_waker(&mut self, done: Completion) {
        if !done.more {
            self.watch_waker();
        }
    }

    fn watch_waker(&mut self) {
        let Some(Waker(shared)) = &self.waker else { return };
        let poll =
            opcode::PollAdd::new(types::Fd(shared.eventfd.as_raw_fd()), libc::POLLIN as u32).multi(true);
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(poll.build().user_data(Token::new(Op::Waker, 0, 0).0)) };
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
