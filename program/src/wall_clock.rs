//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// What the clock on the wall says, in ms of Unix; it may be set while a program runs.
#[expect(clippy::disallowed_methods, reason = "the edge of the programs may read the clock")]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
