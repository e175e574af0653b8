//! How the data threads of a process are asked, from another thread, without holding it up for long.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Why a part of a process does not say how it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Its thread has ended.
    #[error("has ended")]
    Ended,
    /// Its thread has not come to answer within [`ANSWER_TIMEOUT`]: it is held up, or has not started yet.
    #[error("has not answered for {ANSWER_TIMEOUT:?}")]
    Late,
}

/// How long the parts of a process together may take to say how they are: many times what one needs that is busy, and
/// less than whoever asks waits.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// An answer that is on its way.
pub struct Waiting<T>(Box<dyn FnMut(Duration) -> Result<T, NoAnswer> + Send>);

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Waiting<T> {
    /// Asks: `tell` has a part send its answer.
    ///
    /// # Errors
    /// What `tell` says.
    pub fn begin(tell: impl FnOnce(SyncSender<T>) -> Result<(), NoAnswer>) -> Result<Waiting<T>, NoAnswer> {
        let (answer, answered) = sync_channel(1);
        tell(answer)?;
        Ok(Waiting(Box::new(move |limit| {
            answered.recv_timeout(limit).map_err(|error| match error {
                RecvTimeoutError::Timeout => NoAnswer::Late,
                RecvTimeoutError::Disconnected => NoAnswer::Ended,
            })
        })))
    }

    /// The same answer, as this makes it.
    #[must_use]
    pub fn map<U>(mut self, make: impl Fn(T) -> U + Send + 'static) -> Waiting<U> {
        Waiting(Box::new(move |limit| (self.0)(limit).map(&make)))
    }
}

impl<T> Waiting<T> {
    /// The answer, if it comes within `limit`. It comes once.
    ///
    /// # Errors
    /// It has not come yet, or never will.
    pub fn wait(&mut self, limit: Duration) -> Result<T, NoAnswer> {
        (self.0)(limit)
    }
}

/// What the parts of a process answer, in order. All are asked before the first answer is waited for, and all together
/// have [`ANSWER_TIMEOUT`]. `tell` has a part send its answer.
pub fn ask<P, S: Send + 'static>(
    parts: &[P],
    tell: impl Fn(&P, SyncSender<S>) -> Result<(), NoAnswer>,
) -> Vec<Result<S, NoAnswer>> {
    wait_for_all(parts.iter().map(|part| Waiting::begin(|answer| tell(part, answer))))
}

/// The answers to what was asked.
pub(crate) fn wait_for_all<T>(
    asked: impl Iterator<Item = Result<Waiting<T>, NoAnswer>>,
) -> Vec<Result<T, NoAnswer>> {
    let clock = program::Uptime::start();
    let asked: Vec<_> = asked.collect();
    let answer =
        |waiting: Result<Waiting<T>, NoAnswer>| waiting?.wait(ANSWER_TIMEOUT.saturating_sub(clock.elapsed()));
    asked.into_iter().map(answer).collect()
}
