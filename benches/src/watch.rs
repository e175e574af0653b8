//! Waiting for other processes without losing sight of the machine: a run that eats the memory, or that its user has
//! enough of, ends in an orderly way.

use std::time::Duration;

use cluster::wait::Deadline;

use crate::kernel;

/// Why a run ended before its end, in one line.
pub(crate) type Stopped = String;

/// What every wait of a run looks at.
pub(crate) struct Watch<'a> {
    stop: &'a dyn Fn() -> bool,
    /// With less memory than this the run ends.
    available_min: u64,
}

impl<'a> Watch<'a> {
    /// `stop` says whether the user wants the end; `conns` is how many connections there will be.
    pub(crate) fn new(stop: &'a dyn Fn() -> bool, conns: usize) -> Watch<'a> {
        Watch {
            stop,
            available_min: (conns as u64 * AVAILABLE_PER_CONN).clamp(AVAILABLE_MIN, AVAILABLE_ENOUGH),
        }
    }

    /// Lets `time` pass.
    ///
    /// # Errors
    /// The run has to end.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), Stopped> {
        let deadline = Deadline::after(time);
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
    pub(crate) fn until<T>(
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
        if available < self.available_min {
            return Err(format!("only {} MiB of memory are left: fewer --conns", available >> 20));
        }
        Ok(())
    }
}

/// How often is looked. CPU times are read when a line of the load generator is seen, so this is their error.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// With less memory than this, in bytes, the kernel might end processes of others: few connections take little, and for
/// very many it goes fast.
const AVAILABLE_MIN: u64 = 128 << 20;
const AVAILABLE_ENOUGH: u64 = 3 << 30;
const AVAILABLE_PER_CONN: u64 = 4 << 10;
