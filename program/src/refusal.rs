//! Owns why a program does not start, which decides its exit code.

use std::fmt;
use std::time::Duration;

/// Why a program does not start, in one line.
#[derive(Clone, PartialEq, Eq, Debug)]
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

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Refusal::Usage(why) | Refusal::Environment(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for Refusal {}

/// The time that a flag gives in seconds.
///
/// # Errors
/// It is less than nothing, more than [`SECONDS_MAX`], or no number.
pub fn seconds(flag: &str, value: f64) -> Result<Duration, Refusal> {
    if (0.0..=SECONDS_MAX).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(Refusal::Usage(format!("{flag} {value}: not a number of seconds from 0 to {SECONDS_MAX}, a year")))
}

/// The longest time that a flag may give, in seconds: a year, by which no clock overflows.
const SECONDS_MAX: f64 = 365.0 * 24.0 * 60.0 * 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive_and_finite() {
        assert_eq!(seconds("--x", 0.5), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("--x", 0.0), Ok(Duration::ZERO));
        assert!(seconds("--x", SECONDS_MAX).is_ok());
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e18, -f64::INFINITY] {
            let error = seconds("--x", wrong).unwrap_err().to_string();
            assert_eq!(error, format!("--x {wrong}: not a number of seconds from 0 to 31536000, a year"));
        }
    }
}
