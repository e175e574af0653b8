//! Owns how stderr and stdout are written: by a thread each, from a queue with a bound.
//!
//! Whoever has something to say puts it into the queue and goes on, whatever the other end does: a full disk, a reader that
//! is gone or never reads, a terminal that is stopped. What finds the queue full is dropped and counted, and so is what
//! cannot be written; the number is said once writing works again. Standard library locks of the two streams are not
//! taken, so that a write that hangs holds up nobody who uses `println!`.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};

/// Where log lines and last words go.
pub(crate) static STDERR: LazyLock<Outlet> = LazyLock::new(|| Outlet::start("log", io::stderr()));

/// Where ready lines and reports go.
pub(crate) static STDOUT: LazyLock<Outlet> = LazyLock::new(|| Outlet::start("stdout", io::stdout()));

/// The sending end of a stream.
#[derive(Clone)]
pub(crate) struct Outlet {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something is in the queue, or there is a reason to look at the notices.
    filled: Condvar,
    /// Everything is written.
    emptied: Condvar,
}

/// What is not written yet.
///
/// Invariant: `size <= QUEUE_SIZE_MAX`, but for lines that were not to be dropped.
#[derive(Default)]
struct Queue {
    lines: VecDeque<Box<[u8]>>,
    /// Of `lines`, in bytes.
    size: usize,
    /// Lines were dropped; nothing is taken until there is room for many.
    is_full: bool,
    /// Lines dropped whose number was not said yet.
    dropped: u64,
    /// A line is being written.
    writing: bool,
    /// What is asked for more lines while nothing else is to be written.
    notices: Option<Notices>,
}

/// Gives lines that are due, and says how soon to be asked again.
pub(crate) type Notices = fn() -> (Vec<String>, Option<Duration>);

impl Outlet {
    /// Begins to write to `stream`, in a thread called `name`.
    fn start(name: &str, stream: impl AsFd + Send + 'static) -> Outlet {
        let shared =
            Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() });
        let writer = Arc::clone(&shared);
        // Without the thread nothing is written; but a process that gets no thread does not come far, and says why.
        let _ = thread::Builder::new().name(name.to_owned()).spawn(move || writer.write(&stream));
        Outlet { shared }
    }

    /// Has `line` written, if there is room.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut queue = self.shared.lock();
        if queue.has_room(line.len()) {
            queue.put_notice();
            queue.put(line);
        } else {
            queue.is_full = true;
            queue.dropped += 1;
        }
        self.shared.filled.notify_one();
    }

    /// Has `line` written, room or not: for the last words of a process, and the few that scripts wait for.
    pub(crate) fn push_all_the_same(&self, line: &[u8]) {
        let mut queue = self.shared.lock();
        queue.put_notice();
        queue.put(line);
        self.shared.filled.notify_one();
    }

    /// Asks `notices` for lines, now and whenever that says.
    pub(crate) fn set_notices(&self, notices: Notices) {
        self.shared.lock().notices = Some(notices);
    }

    /// Has the notices asked for soon.
    pub(crate) fn look_at_notices(&self) {
        self.shared.filled.notify_one();
    }

    /// Waits until everything is written or was dropped, for `limit` at most; tells whether it is.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let queue = self.shared.lock();
        let is_busy = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        let waited = self.shared.emptied.wait_timeout_while(queue, limit, is_busy);
        let (_queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Whatever panicked while it held the lock, the queue is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, for ever.
    fn write(&self, stream: &impl AsFd) {
        let mut works = true;
        loop {
            let line = self.next(works);
            works = write_whole(stream, &line);
            let mut queue = self.lock();
            queue.writing = false;
            queue.dropped += u64::from(!works);
            if queue.lines.is_empty() {
                self.emptied.notify_all();
            }
        }
    }

    /// Waits for the next line. While nothing else is to be said, it is one of the notices, or, if the stream works, how
    /// many were dropped.
    fn next(&self, works: bool) -> Box<[u8]> {
        loop {
            let mut queue = self.lock();
            if queue.lines.is_empty() && works {
                queue.put_notice();
            }
            if let Some(line) = queue.take() {
                return line;
            }
            let Some(notices) = queue.notices else {
                drop(self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner));
                continue;
            };
            // Not under the lock: who is asked may be saying something itself.
            drop(queue);
            let (lines, wait) = notices();
            let mut queue = self.lock();
            lines.iter().for_each(|line| queue.put(line.as_bytes()));
            if queue.lines.is_empty() {
                // What was asked for before this lock waits for the end of this wait.
                let wait = wait.unwrap_or(NOTICES_PERIOD);
                drop(self.filled.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
}

impl Queue {
    fn has_room(&mut self, size: usize) -> bool {
        if self.is_full && self.size <= QUEUE_SIZE_MAX / 2 {
            self.is_full = false;
        }
        !self.is_full && self.size + size + LINE_OVERHEAD <= QUEUE_SIZE_MAX
    }

    fn put(&mut self, line: &[u8]) {
        self.size += line.len() + LINE_OVERHEAD;
        self.lines.push_back(line.into());
    }

    /// Puts in how many lines are missing here.
    fn put_notice(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            self.put(
                crate::logging::notice(&format_args!("{dropped} lines were lost here: nobody took them"))
                    .as_bytes(),
            );
        }
    }

    fn take(&mut self) -> Option<Box<[u8]>> {
        let line = self.lines.pop_front()?;
        self.size -= line.len() + LINE_OVERHEAD;
        self.writing = true;
        Some(line)
    }
}

/// Whether all of it was taken. A stream that others have made non-blocking is waited for.
fn write_whole(stream: &impl AsFd, line: &[u8]) -> bool {
    let mut rest = line;
    while !rest.is_empty() {
        match write(stream, rest) {
            Ok(0) => return false,
            Ok(size) => rest = &rest[size..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // If it cannot be waited for, the next write says why.
                let _ = poll(&mut [PollFd::new(stream, PollFlags::OUT)], None);
            }
            Err(_) => return false,
        }
    }
    true
}

/// Bytes that may wait for a stream that nobody takes: some 10,000 lines. Lines beyond it are dropped and counted.
const QUEUE_SIZE_MAX: usize = 1024 * 1024;

/// How often notices are asked for that nobody has asked to be looked at.
const NOTICES_PERIOD: Duration = Duration::from_secs(10);

/// What a line in the queue takes beside its bytes.
const LINE_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;

    use super::*;

    /// Far longer than anything here takes.
    const LONG: Duration = Duration::from_secs(60);

    fn line(number: usize) -> String {
        format!("{number:>99}\n")
    }

    #[test]
    fn lines_come_out_in_order() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::start("test", writer);
        for number in 0..1000 {
            outlet.push(line(number).as_bytes());
        }
        for (number, read) in BufReader::new(reader).lines().take(1000).enumerate() {
            assert_eq!(read.unwrap() + "\n", line(number));
        }
        assert!(outlet.flush(LONG));
    }

    #[test]
    fn a_pipe_that_nobody_reads_costs_lines_and_holds_up_nobody() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::start("test", writer);
        // More than the queue and the pipe can hold.
        let count = 100_000;
        for number in 0..count {
            outlet.push(line(number).as_bytes());
        }
        assert!(!outlet.flush(Duration::from_millis(1)), "there is no end to the wait but the limit");
        outlet.push_all_the_same(b"last words\n");
        let mut seen = 0;
        let mut dropped = 0;
        for read in BufReader::new(reader).lines() {
            let read = read.unwrap();
            if let Some(at) = read.find(" lines were lost here") {
                dropped = read[..at].rsplit(' ').next().unwrap().parse().unwrap();
            } else if read == "last words" {
                break;
            } else {
                assert_eq!(read + "\n", line(seen), "what is left is the beginning, without a gap");
                seen += 1;
            }
        }
        assert!(seen > QUEUE_SIZE_MAX / 200 && seen + dropped == count, "{seen} + {dropped}");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_the_rest_goes_on() {
        let full: OwnedFd = File::options().write(true).open("/dev/full").unwrap().into();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        for outlet in [Outlet::start("test", full), Outlet::start("test", writer)] {
            for number in 0..100 {
                outlet.push(line(number).as_bytes());
            }
            assert!(outlet.flush(LONG));
            // The number itself is one of the lines that cannot be written.
            assert!(outlet.shared.lock().dropped >= 1);
        }
    }
}
