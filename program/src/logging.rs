//! Owns how programs log: one compact line per event on stderr, colours only on a terminal.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLevel(LevelFilter);

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let level = match name {
            "off" => LevelFilter::OFF,
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => return Err(format!("`{name}` is none of error, warn, info, debug, trace, off")),
        };
        Ok(Self(level))
    }
}

/// Starts logging to stderr. `level` wins over the variable `RUST_LOG`; without both it is `info`.
///
/// `RUST_LOG` may hold what tracing-subscriber calls directives, such as `info,ringway_register=debug`; one that is not
/// understood is ignored. A second call does nothing.
pub fn log_to_stderr(level: Option<LogLevel>) {
    let filter = match level {
        Some(LogLevel(level)) => EnvFilter::default().add_directive(level.into()),
        None => EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy(),
    };
    // Whoever installed a subscriber first (a test, or a program that embeds this one) keeps it.
    let _ = tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_names() {
        assert_eq!("debug".parse(), Ok(LogLevel(LevelFilter::DEBUG)));
        assert_eq!(
            "loud".parse::<LogLevel>(),
            Err("`loud` is none of error, warn, info, debug, trace, off".to_owned())
        );
    }
}
