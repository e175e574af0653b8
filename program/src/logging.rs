//! Owns how programs log: one line per event on stderr, for people or as JSON, and of one kind only so many; and how much.

mod filter;

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

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

/// How a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// An object of JSON, for programs that gather logs.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "human" => Ok(LogFormat::Human),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("`{name}` is neither human nor json")),
        }
    }
}

/// What is logged, and how, once that has begun.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    format: LogFormat,
}

/// Starts logging to stderr. `level` wins over the variable `RUST_LOG`; without both it is `info`.
///
/// `RUST_LOG` may hold what tracing-subscriber calls directives, such as `info,ringway_register=debug`; one that is not
/// understood is ignored. A second call does nothing.
///
/// Who logs never waits: lines go to a thread that writes them, and are dropped and counted when stderr does not take them.
/// Of one kind of line, told by where in our code it is logged, 50 in 10 s are written; how many more there were is said
/// behind them. Lines of other crates, and those of levels below info, are not limited.
pub fn log_to_stderr(level: Option<LogLevel>, format: LogFormat) {
    let filter = match level {
        Some(LogLevel(level)) => EnvFilter::default().add_directive(level.into()),
        None => EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy(),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| LogWriter);
    let lines = match format {
        LogFormat::Human => lines.compact().with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(lines.with_filter(filter::PerKind));
    // Whoever installed a subscriber first (a test, or a program that embeds this one) keeps it.
    if subscriber.try_init().is_ok() {
        let _ = LOG.set(Log { filter: handle, format });
        STDERR.set_notices(filter::notices);
    }
}

/// What is logged now, in the words that [`set_log_level`] takes; `None`: the log is not ours.
pub fn log_level() -> Option<String> {
    LOG.get()?.filter.with_current(EnvFilter::to_string).ok()
}

/// Logs so much from now on: a level, or directives as in the variable `RUST_LOG`.
///
/// # Errors
/// They are none, in one line; or the log is not ours.
pub fn set_log_level(directives: &str) -> Result<(), String> {
    let filter =
        EnvFilter::builder().parse(directives).map_err(|error| format!("`{directives}`: {error}"))?;
    let log = LOG.get().ok_or("the log of this process is somebody else's")?;
    log.filter.reload(filter).map_err(|error| error.to_string())
}

/// A log line about the log itself.
pub(crate) fn notice(what: &Arguments<'_>) -> String {
    let mut time = String::new();
    // Writing to a string cannot fail, and the time is read from the clock.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match LOG.get().map_or(LogFormat::default(), |log| log.format) {
        LogFormat::Human => format!("{time}  WARN {what}\n"),
        LogFormat::Json => {
            let line = serde_json::json!({"timestamp": time, "level": "WARN", "message": what.to_string()});
            format!("{line}\n")
        }
    }
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
    fn format_names() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("xml".parse::<LogFormat>(), Err("`xml` is neither human nor json".to_owned()));
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        assert!(set_log_level("ringway=loud").unwrap_err().starts_with("`ringway=loud`: "));
    }

    #[test]
    fn a_notice_is_a_line_with_a_time() {
        let line = notice(&format_args!("{} lines", 7));
        assert!(line.ends_with("  WARN 7 lines\n") && line.starts_with("20"), "{line}");
    }
}
