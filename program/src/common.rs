//! Owns the flags that every program has: `--config`, `--log-level`, `--version`.

use crate::flags::UsageError;
use crate::logging::LogLevel;

/// The common flags of one command line.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) config: Option<String>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) version: bool,
}

impl Common {
    /// Takes `word`, and its value from `rest`, if it is a common flag; tells whether it was.
    pub(crate) fn take<'a>(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<bool, UsageError> {
        match word {
            "--version" => self.version = true,
            "--config" => {
                let path = value(word, rest)?;
                if self.config.replace(path.clone()).is_some() {
                    return Err(UsageError::new("--config is given twice"));
                }
            }
            "--log-level" => {
                let level = value(word, rest)?
                    .parse()
                    .map_err(|why| UsageError::new(format!("--log-level: {why}")))?;
                self.log_level = Some(level);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn value<'a>(flag: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<&'a String, UsageError> {
    rest.next().ok_or_else(|| UsageError::new(format!("no value provided for option '{flag}'")))
}

/// Puts the common flags into argh's help, above the line of `--help` itself.
pub(crate) fn help_with_common(help: &str) -> String {
    const COMMON: &str = "\n  --config          read flags from this TOML file; the command line wins\
                          \n  --log-level       error, warn, info (default), debug, trace or off\
                          \n  --version         print name and version";
    let at = help.find("\n  --help").unwrap_or(help.len());
    let (above, below) = help.split_at(at);
    format!("{above}{COMMON}{below}")
}
