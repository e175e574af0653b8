//! Owns how programs log: one compact line per event on stderr, colours only on a terminal, and of one kind only so many.

mod filter;

use std::fmt::{Arguments, Write as _};
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::outlet::STDERR;

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
///
/// Who logs never waits: lines go to a thread that writes them, and are dropped and counted when stderr does not take them.
/// Of one kind of line, told by where in our code it is logged, 50 in 10 s are written; how many more there were is said
/// behind them. Lines of other crates, and those of levels below info, are not limited.
pub fn log_to_stderr(level: Option<LogLevel>) {
    let filter = match level {
        Some(LogLevel(level)) => EnvFilter::default().add_directive(level.into()),
        None => EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy(),
    };
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .with_writer(|| LogWriter)
        .with_ansi(io::stderr().is_terminal())
        .with_filter(filter::PerKind);
    // Whoever installed a subscriber first (a test, or a program that embeds this one) keeps it.
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        STDERR.set_notices(filter::notices);
    }
}

/// A log line about the log itself.
pub(crate) fn notice(what: &Arguments<'_>) -> String {
    let mut line = String::new();
    // Writing to a string cannot fail, and the time is read from the clock.
    let _ = SystemTime.format_time(&mut Writer::new(&mut line));
    let _ = writeln!(line, "  WARN {what}");
    line
}

/// Takes a line at a time.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

    #[test]
    fn a_notice_is_a_line_with_a_time() {
        let line = notice(&format_args!("{} lines", 7));
        assert!(line.ends_with("  WARN 7 lines\n") && line.starts_with("20"), "{line}");
    }
}
