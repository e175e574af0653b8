//! Owns how long a port that is taken is waited for.

use std::io;
use std::thread;
use std::time::Duration;

/// The kernel takes a killed process' ring apart after the process is gone, so its ports stay taken for some
/// milliseconds: a program that is started again at once waits for them, once and not for long.
#[derive(Debug)]
pub struct BindRetry {
    tries: u32,
}

impl Default for BindRetry {
    /// Half a second, for all ports of a program.
    fn default() -> BindRetry {
        BindRetry { tries: BIND_TRIES }
    }
}

impl BindRetry {
    /// Calls `bind` until the port is free, or has been taken for too long.
    ///
    /// # Errors
    /// The last of `bind`.
    pub fn bind<T>(&mut self, bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
        loop {
            match bind() {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.tries > 0 => {
                    self.tries -= 1;
                    thread::sleep(BIND_RETRY_DELAY);
                }
                done => return done,
            }
        }
    }
}

/// How often a taken port is tried again, in all, and after how long: half a second for the whole start.
const BIND_TRIES: u32 = 10;
const BIND_RETRY_DELAY: Duration = Duration::from_millis(50);
