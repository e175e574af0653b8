//! Owns why a program does not start, which decides its exit code.

use std::time::Duration;

/// Why a program does not start, in one line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub enum Refusal {
    /// A flag or a value that cannot be: exit code 2.
    Usage(String),
    /// What it needs is not there: exit code 1.
    Environment(String),
}

impl Refusal {
    /// Ends the process as [`crate::misuse`] or [`crate::fail`] does.
    pub fn end(self) -> ! {
        match self {
            Refusal::Usage(why) => crate::misuse(why),
            Refusal::Environment(why) => crate::fail(why),
        }
    }
}

/// Reads a time that a flag gives in seconds.
///
/// # Errors
/// It is less than nothing, more than a year, or no number.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(seconds) if (0.0..=SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("not a number of seconds from 0 to {SECONDS_MAX}, a year")),
    }
}

/// Reads a time that a flag gives in microseconds.
///
/// # Errors
/// It is more than a second, or no whole number.
pub fn microseconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(micros @ 0..=MICROSECONDS_MAX) => Ok(Duration::from_micros(micros)),
        _ => Err(format!("not a number of microseconds from 0 to {MICROSECONDS_MAX}")),
    }
}

/// Whether threads that look for work by themselves have a CPU each, which they need: the flag's value, what threads they
/// are, and how many.
///
/// # Errors
/// There are fewer CPUs.
pub fn check_busy_poll(busy_poll: Duration, threads: &str, count: usize) -> Result<(), String> {
    let cpus = crate::cpus();
    if busy_poll.is_zero() || count <= cpus {
        return Ok(());
    }
    Err(format!(
        "--busy-poll with {count} {threads} on {cpus} CPUs: they would take the CPUs from each other; --count {cpus} at most"
    ))
}

/// The most that a flag may give in microseconds: a second.
const MICROSECONDS_MAX: u64 = 1_000_000;

/// The longest time that a flag may give, in seconds: a year, by which no clock overflows.
const SECONDS_MAX: f64 = 365.0 * 24.0 * 60.0 * 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_whole_and_at_most_a_second() {
        assert_eq!(microseconds(" 50"), Ok(Duration::from_micros(50)));
        assert_eq!(microseconds("1000000"), Ok(Duration::from_secs(1)));
        for wrong in ["", "0.5", "-1", "1000001", "1e3"] {
            let expected = "not a number of microseconds from 0 to 1000000";
            assert_eq!(microseconds(wrong), Err(expected.to_owned()), "{wrong}");
        }
    }

    #[test]
    fn who_polls_busily_has_a_cpu() {
        let (busy, cpus) = (Duration::from_micros(1), crate::cpus());
        assert_eq!(check_busy_poll(busy, "shards", cpus), Ok(()));
        assert_eq!(check_busy_poll(Duration::ZERO, "shards", cpus + 1), Ok(()));
        let why = check_busy_poll(busy, "shards", cpus + 1).unwrap_err();
        assert!(why.contains(&format!("{} shards", cpus + 1)), "{why}");
    }

    #[test]
    fn seconds_are_positive_and_finite() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds(" 0"), Ok(Duration::ZERO));
        assert!(seconds("31536000").is_ok());
        for wrong in ["", "soon", "-1", "nan", "inf", "1e18", "-inf", "31536001"] {
            let expected = "not a number of seconds from 0 to 31536000, a year";
            assert_eq!(seconds(wrong), Err(expected.to_owned()), "{wrong}");
        }
    }
}
