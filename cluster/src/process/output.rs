//! What a process writes to one of its pipes, collected by a thread so that the process never blocks on it.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::wait::{Deadline, LIMIT};

/// The collected bytes of one pipe.
#[derive(Clone, Debug)]
pub(super) struct Output(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    collected: Mutex<Collected>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    /// Collects until the pipe ends.
    pub(super) fn collect(mut pipe: impl Read + Send + 'static) -> Output {
        let shared = Arc::new(Shared { collected: Mutex::default(), changed: Condvar::new() });
        let output = Output(Arc::clone(&shared));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // A pipe that fails has ended as well.
                let size = pipe.read(&mut buffer).unwrap_or(0);
                let mut collected = lock(&shared);
                collected.bytes.extend_from_slice(&buffer[..size]);
                collected.ended = size == 0;
                shared.changed.notify_all();
                if collected.ended {
                    return;
                }
            }
        });
        output
    }

    /// Everything so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0).bytes).into_owned()
    }

    /// Waits for a whole line that begins with `start`; `None` when the pipe ends or the time is over before.
    pub(super) fn await_line(&self, start: &str, limit: Duration) -> Option<String> {
        let collected =
            self.wait(limit, |collected| collected.ended || find_line(&collected.bytes, start).is_some());
        find_line(&collected.bytes, start)
    }

    /// Waits for the end of the pipe, or [`LIMIT`].
    pub(super) fn await_end(&self) {
        drop(self.wait(LIMIT, |collected| collected.ended));
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Collected) -> bool) -> MutexGuard<'_, Collected> {
        let deadline = Deadline::after(limit);
        let mut collected = lock(&self.0);
        while !until(&collected) && !deadline.is_over() {
            let waited = self.0.changed.wait_timeout(collected, deadline.left());
            collected = waited.expect("the collecting thread does not panic").0;
        }
        collected
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Collected> {
    shared.collected.lock().expect("the collecting thread does not panic")
}

fn find_line(bytes: &[u8], start: &str) -> Option<String> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let line =
        lines.filter_map(|line| line.strip_suffix(b"\n")).find(|line| line.starts_with(start.as_bytes()))?;
    Some(String::from_utf8_lossy(line).into_owned())
}
