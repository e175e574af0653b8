//! Waiting for other processes without losing sight of the machine: a run that eats the memory, or that its user has
//! enough of, ends in an orderly way.

use std::time::Duration;

use ringway_tests::wait::Deadline;

use super::kernel;

/// Why a run ended before its end, in one line.
pub type Stopped = String;

/// What every wait of a run looks at.
pub struct Watch<'a> {
    stop: &'a dyn Fn() -> bool,
}

impl<'a> Watch<'a> {
    /// `stop` says whether the user wants the end.
    pub fn new(stop: &'a dyn Fn() -> bool) -> Watch<'a> {
        Watch { stop }
    }

    /// Lets `time` pass.
    ///
    /// # Errors
    /// The run has to end.
    pub fn pause(&self, time: Duration) -> Result<(), Stopped> {
        self.until_over(Deadline::after(time))
    }

    /// Lets the time until `deadline` pass.
    ///
    /// # Errors
    /// The run has to end.
    pub fn until_over(&self, deadline: Deadline) -> Result<(), Stopped> {
        while !deadline.is_over() {
            self.check()?;
            std::thread::park_timeout(deadline.left().min(LOOK_AGAIN));
        }
        Ok(())
    }

    /// Looks at `condition` until it gives a value.
    ///
    /// # Errors
    /// The run has to end, or `limit` is over, or the condition cannot come true any more.
    pub fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut() -> Result<Option<T>, Stopped>,
    ) -> Result<T, Stopped> {
        let deadline = Deadline::after(limit);
        loop {
            if let Some(value) = condition()? {
                return Ok(value);
            }
            if deadline.is_over() {
                return Err(format!("waited {} s in vain for {what}", limit.as_secs()));
            }
            self.check()?;
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    fn check(&self) -> Result<(), Stopped> {
        if (self.stop)() {
            return Err("ended by the user".to_owned());
        }
        let available = kernel::available_bytes();
        if available < AVAILABLE_MIN {
            return Err(format!("only {} MiB of memory are left: fewer --conns", available >> 20));
        }
        Ok(())
    }
}

/// How often is looked.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// With less memory than this, in bytes, the kernel might end processes of others.
const AVAILABLE_MIN: u64 = 3 << 30;
