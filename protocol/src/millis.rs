use std::time::Duration;

/// Whole milliseconds, in the type that state machines count them in; those beyond it are its greatest.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
