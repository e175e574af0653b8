//! Owns the flags that every program has: `--config`, `--log-level`, `--log-format`, `--cpus`, `--version`.

use crate::cpus::Cpus;
use crate::logging::{LogFormat, LogLevel};
use crate::setting::UsageError;

/// The common flags that are set, from wherever.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) config: Option<String>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) cpus: Option<Cpus>,
    pub(crate) version: bool,
}

impl Common {
    /// Takes `word`, and its value from `rest`, if it is a common flag; tells whether it was.
    pub(crate) fn take<'a>(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<bool, UsageError> {
        if word == "--version" {
            self.version = true;
            return Ok(true);
        }
        let Some(name) = word.strip_prefix("--").filter(|name| Self::is_common(name)) else {
            return Ok(false);
        };
        let value =
            rest.next().ok_or_else(|| UsageError::new(format!("no value provided for option '{word}'")))?;
        match self.offer(name, value) {
            Ok(true) => Ok(true),
            Ok(false) => Err(UsageError::new(format!("{word} is given twice"))),
            Err(why) => Err(UsageError::new(format!("{word}: {why}"))),
        }
    }

    /// Whether a common flag with a value is called so.
    pub(crate) fn is_common(name: &str) -> bool {
        FLAGS.iter().any(|(flag, _)| *flag == name)
    }

    /// Sets the flag `name`, unless it is set already; tells whether it was not. A wrong value is one all the same.
    pub(crate) fn offer(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "config" => Ok(set(&mut self.config, value.to_owned())),
            "log-level" => Ok(set(&mut self.log_level, value.parse()?)),
            "log-format" => Ok(set(&mut self.log_format, value.parse()?)),
            "cpus" => Ok(set(&mut self.cpus, value.parse()?)),
            _ => unreachable!("{name} is no common flag"),
        }
    }
}

fn set<T>(place: &mut Option<T>, value: T) -> bool {
    let is_new = place.is_none();
    place.get_or_insert(value);
    is_new
}

/// The common flags with a value, and what they are for.
pub(crate) const FLAGS: [(&str, &str); 4] = [
    ("config", "read flags from this TOML file"),
    ("log-level", "error, warn, info (default), debug, trace or off"),
    ("log-format", "human (default) or json"),
    ("cpus", "CPUs to run on, 2-5 or 0,2 as taskset's (default: all that the process may use)"),
];
