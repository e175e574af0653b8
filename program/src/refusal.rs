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

/// The longest time that a flag may give, in seconds: a year, by which no clock overflows.
const SECONDS_MAX: f64 = 365.0 * 24.0 * 60.0 * 60.0;

#[cfg(test)]
mod tests {
    use super::*;

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
