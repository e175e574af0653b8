//! Owns what touches the process itself: its arguments, its standard streams, its exit codes.
//!
//! Exit codes: 0 ended as asked, 1 the environment refuses ([`fail`]), 2 wrong usage ([`parse`], [`misuse`]),
//! others as a program says ([`fail_with`]), 130 and 143 a second SIGINT or SIGTERM ([`crate::Shutdown`]).

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::process::exit;
use std::sync::OnceLock;

use crate::flags::{Flags, Parsed, parse_from};
use crate::logging::log_to_stderr;

/// The program's name for messages, set by [`parse`].
static NAME: OnceLock<&'static str> = OnceLock::new();

/// Reads the command line and the config file of the program `name`, and starts logging at the level they ask for.
///
/// Ends the process where there is nothing to run: after `--help` or `--version` with exit code 0, after wrong usage
/// with one line on stderr and exit code 2.
pub fn parse<F: Flags>(name: &'static str) -> F {
    let _ = NAME.set(name);
    let words = std::env::args_os().skip(1).map(OsString::into_string).collect::<Result<Vec<_>, _>>();
    let parsed = match words {
        Ok(words) => parse_from(name, &words).map_err(|error| error.to_string()),
        Err(word) => Err(format!("the argument {word:?} is not UTF-8")),
    };
    match parsed {
        Ok(Parsed::Run { flags, log_level }) => {
            log_to_stderr(log_level);
            flags
        }
        Ok(Parsed::Print(text)) => {
            // A reader that has seen enough (`--help | head`) is no error.
            let _ = std::io::stdout().write_all(text.as_bytes());
            exit(0)
        }
        Err(message) => complain(&format!("{message}; try --help"), 2),
    }
}

/// Says on stdout, in one line, that the program serves: `gateway ready: …`. Scripts wait for this line.
pub fn ready(what: impl Display) {
    let mut stdout = std::io::stdout();
    // A program that nobody watches serves all the same.
    let _ = writeln!(stdout, "{} ready: {what}", name()).and_then(|()| stdout.flush());
}

/// Ends the process because its environment does not let it work: one line on stderr, exit code 1.
///
/// The message says what cannot be done, why, and what helps: `cannot listen on …: address in use; choose another …`.
pub fn fail(message: impl Display) -> ! {
    complain(&message.to_string(), 1)
}

/// The same with an exit code of the program's own.
pub fn fail_with(code: u8, message: impl Display) -> ! {
    complain(&message.to_string(), code.into())
}

/// Ends the process because of wrong usage that only the program itself can tell: one line on stderr, exit code 2.
pub fn misuse(message: impl Display) -> ! {
    complain(&format!("{message}; try --help"), 2)
}

fn complain(message: &str, code: i32) -> ! {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    let _ = writeln!(std::io::stderr(), "{}: {message}", name());
    exit(code)
}

fn name() -> &'static str {
    NAME.get().copied().unwrap_or("ringway")
}
