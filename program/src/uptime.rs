//! Owns the answer to "since when?".

use std::time::{Duration, Instant};

/// The time since a program began to serve.
#[derive(Clone, Copy, Debug)]
pub struct Uptime(Instant);

impl Uptime {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "the edge of the programs may read the clock")]
    pub fn start() -> Uptime {
        Uptime(Instant::now())
    }

    /// How long ago that was.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
