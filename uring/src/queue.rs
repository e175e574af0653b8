//! The way into the kernel and back: submissions, the system call, completions. Knows no socket.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use io_uring::squeue::Entry;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, Submitter, cqueue};

use crate::config::SUBMIT_TRIES_MAX;
use crate::narrow::narrow;
use crate::token::{Op, Token};

/// What an operation came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) token: Token,
    /// As a system call's: negative is an error number.
    pub(crate) result: i32,
    /// The operation goes on and completes again.
    pub(crate) more: bool,
}

impl Completion {
    /// Bytes, if that is what it came to.
    pub(crate) fn size(&self) -> usize {
        self.result.try_into().unwrap_or(0)
    }
}

/// The queues of one io_uring.
pub(crate) struct Queue {
    uring: IoUring,
    /// Operations for which the submission queue had no room; older than anything pushed now.
    overflow: VecDeque<Entry>,
    /// Fetched, not handled yet. Sends are kept apart.
    pub(crate) completions: VecDeque<Completion>,
    /// Completions of sends that did not take everything.
    pub(crate) short_sends: Vec<Completion>,
    pub(crate) enters: u64,
    /// How long a wait looks by itself, before it sleeps.
    busy_poll: Duration,
    /// The kernel refused in a way that will not pass. It is never entered again, so entries left behind are never read.
    broken: bool,
}

impl Queue {
    pub(crate) fn new(uring: IoUring, busy_poll: Duration) -> Queue {
        Queue {
            uring,
            busy_poll,
            overflow: VecDeque::new(),
            completions: VecDeque::new(),
            short_sends: Vec::new(),
            enters: 0,
            broken: false,
        }
    }

    pub(crate) fn submitter(&self) -> Submitter<'_> {
        self.uring.submitter()
    }

    /// Queues an operation; it goes to the kernel with the next enter, after all queued before.
    ///
    /// # Safety
    /// Memory that the entry points to must stay valid, and untouched where the kernel writes, until the operation's
    /// completion was fetched, or, if the operation is done when submitted, until `submit` returned (with an
    /// error too).
    pub(crate) unsafe fn push(&mut self, entry: Entry) {
        // SAFETY: the caller's promise is the one that `push_if_room` asks for.
        let pushed = self.overflow.is_empty() && unsafe { self.push_if_room(&entry) };
        if !pushed {
            self.overflow.push_back(entry);
        }
    }

    /// Submits everything queued, waits up to `wait` for a completion unless there is one already, and fetches
    /// what has completed.
    ///
    /// # Errors
    /// The kernel refuses the ring; it will not work again.
    pub(crate) fn turn(&mut self, wait: Duration) -> io::Result<()> {
        self.refill();
        if !self.overflow.is_empty() {
            self.submit()?;
        }
        // What `submit` has fetched is to be seen to.
        let is_idle = self.completions.is_empty() && self.short_sends.is_empty();
        let wait = if is_idle { wait } else { Duration::ZERO };
        self.enter(wait)
    }

    /// Submits everything queued and fetches what has completed. After this, with an error too, the kernel reads no
    /// memory of operations that are done when submitted.
    ///
    /// # Errors
    /// As `turn`.
    pub(crate) fn submit(&mut self) -> io::Result<()> {
        let mut tries = 0;
        loop {
            self.refill();
            let before = self.uring.submission().len();
            // Completions that found no room wait in the kernel, one of a short send perhaps among them.
            if before == 0 && !self.uring.submission().cq_overflow() {
                return Ok(());
            }
            self.enter(Duration::ZERO)?;
            tries = if before == 0 || self.uring.submission().len() < before { 0 } else { tries + 1 };
            if tries > SUBMIT_TRIES_MAX {
                self.broken = true;
                return Err(io::ErrorKind::OutOfMemory.into());
            }
        }
    }

    /// Moves operations that found no room into the submission queue, oldest first.
    fn refill(&mut self) {
        while let Some(entry) = self.overflow.pop_front() {
            // SAFETY: who called `push` with this entry promised the same.
            if !unsafe { self.push_if_room(&entry) } {
                self.overflow.push_front(entry);
                return;
            }
        }
    }

    /// # Safety
    /// As `push`.
    unsafe fn push_if_room(&mut self, entry: &Entry) -> bool {
        let mut submissions = self.uring.submission();
        // SAFETY: the caller keeps the entry's memory valid. Opcodes and flags come from the io-uring crate's builders.
        unsafe { submissions.push(entry) }.is_ok()
    }

    fn enter(&mut self, wait: Duration) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the io_uring is broken by an earlier error"));
        }
        let entered = match wait.min(self.busy_poll) {
            Duration::ZERO => self.enter_once(wait),
            busy => self.enter_and_look(wait, busy),
        };
        self.fetch();
        match entered.map_err(|error| (error.raw_os_error(), error)) {
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY), _)) => Ok(()),
            Err((_, error)) => {
                self.broken = true;
                Err(error)
            }
        }
    }

    /// Sleeps only for what is left of `wait` when nothing has come by itself.
    fn enter_and_look(&mut self, wait: Duration, busy: Duration) -> io::Result<usize> {
        self.enter_now()?;
        let left = wait.saturating_sub(self.look(busy));
        if !self.uring.completion().is_empty() {
            return Ok(0);
        }
        let wait = if self.has_come() { Duration::ZERO } else { left };
        self.enter_once(wait)
    }

    fn enter_once(&mut self, wait: Duration) -> io::Result<usize> {
        if wait.is_zero() { self.enter_now() } else { self.enter_and_wait(wait) }
    }

    /// Looks for what comes, at most for `time`, and says for how long. What has come is known here without a system call.
    #[expect(clippy::disallowed_methods, reason = "microseconds, which the cached time does not have")]
    fn look(&mut self, time: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let looked = begun.elapsed();
            if looked >= time || self.has_come() {
                return looked;
            }
            std::hint::spin_loop();
        }
    }

    /// Whether something has completed, or would with the next enter.
    fn has_come(&mut self) -> bool {
        !self.uring.completion().is_empty() || self.uring.submission().taskrun()
    }

    fn enter_now(&mut self) -> io::Result<usize> {
        self.enters += 1;
        let count = narrow(self.uring.submission().len());
        // SAFETY: `count` entries are in the queue; there is no argument. GETEVENTS runs the deferred task work.
        unsafe { self.uring.submitter().enter::<libc::sigset_t>(count, 0, ENTER_GETEVENTS, None) }
    }

    fn enter_and_wait(&mut self, wait: Duration) -> io::Result<usize> {
        self.enters += 1;
        let timeout = Timespec::from(wait.min(WAIT_MAX));
        self.uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
    }

    fn fetch(&mut self) {
        for entry in self.uring.completion() {
            let completion = Completion {
                token: Token(entry.user_data()),
                result: entry.result(),
                more: cqueue::more(entry.flags()),
            };
            match completion.token.op() {
                Op::Ignored => {}
                Op::Send => self.short_sends.push(completion),
                _ => self.completions.push_back(completion),
            }
        }
    }
}

/// The kernel's `IORING_ENTER_GETEVENTS`.
const ENTER_GETEVENTS: u32 = 1;

/// Far below where a timespec overflows.
const WAIT_MAX: Duration = Duration::from_secs(3600);
