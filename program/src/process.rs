//! Owns what touches the process itself: its arguments, its standard streams, its exit codes.
//!
//! Exit codes: 0 ended as asked, 1 the environment refuses ([`fail`]), 2 wrong usage ([`parse`], [`misuse`]), 70 a panic
//! ended it ([`PANIC_EXIT_CODE`](crate::PANIC_EXIT_CODE)), others as a program says ([`fail_with`]), 130 and 143 a second
//! SIGINT or SIGTERM ([`crate::Shutdown`]).
//!
//! Nothing here waits for whoever reads the streams, but for a moment at the end.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::process::exit;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::warn;

use crate::cpus;
use crate::declared::Program;
use crate::flags::{Asked, Flags, gather};
use crate::logging::log_to_stderr;
use crate::notify::notify_ready;
use crate::outlet::{STDERR, STDOUT};
use crate::panics::watch_panics;
use crate::setting::UsageError;

/// The program's name for messages, set by [`parse`].
static NAME: OnceLock<&'static str> = OnceLock::new();

/// Reads the flags of the program `name`: command line, variables `RINGWAY_NAME_…`, config file. Starts logging at the
/// level they ask for, and keeps to the CPUs they name.
///
/// Ends the process where there is nothing to run: after `--help` or `--version` with exit code 0, after wrong usage
/// with one line on stderr and exit code 2.
pub fn parse<F: Flags>(name: &'static str) -> F {
    parse_as(name, name)
}

/// The same for a program of a kind of which there are many, each with a name of its own: their variables are called by
/// the kind.
pub fn parse_as<F: Flags>(kind: &str, name: &'static str) -> F {
    begin(name);
    let words = std::env::args_os().skip(1).map(OsString::into_string).collect::<Result<Vec<_>, _>>();
    let words = words.unwrap_or_else(|word| misuse(format_args!("the argument {word:?} is not UTF-8")));
    let inputs = asked(gather::<F>(Program { kind, name }, &words, std::env::vars_os()));
    // Before the flags get their defaults, some of which are a number of CPUs.
    inputs.common.cpus.iter().for_each(cpus::choose);
    let flags = asked(inputs.read());
    log_to_stderr(inputs.common.log_level, inputs.common.log_format.unwrap_or_default());
    inputs.warnings.iter().for_each(|warning| warn!("{warning}"));
    flags
}

/// What to run with, if that was asked for.
fn asked<T>(asked: Result<Asked<T>, UsageError>) -> T {
    match asked {
        Ok(Asked::Run(with)) => with,
        Ok(Asked::Print(text)) => {
            print(&text);
            exit(0)
        }
        Err(error) => misuse(error),
    }
}

/// Takes over the process for the program `name`, whose main thread calls this: what panics do from here on is said in
/// [`catch`](crate::catch) and [`mark_vital`](crate::mark_vital).
pub fn begin(name: &'static str) {
    let _ = NAME.set(name);
    watch_panics();
}

/// Says in one line, on stdout and to a service manager, that the program serves: `gateway ready: …`. Scripts wait for this
/// line.
pub fn ready(what: impl Display) {
    let what = what.to_string();
    say(format_args!("{} ready: {what}\n", name()));
    notify_ready(&what);
}

/// Says something on stdout, to people or scripts, without waiting for them.
pub fn say(what: impl Display) {
    STDOUT.push_all_the_same(what.to_string().as_bytes());
}

/// Says something on stderr, to people who may not look at it; it does not count as logged.
pub fn mention(what: impl Display) {
    STDERR.push(format!("{what}\n").as_bytes());
}

/// Whether all that was said on stdout is written; waits for that, for `limit` at most.
pub fn is_said(limit: Duration) -> bool {
    STDOUT.flush(limit)
}

/// Prints the whole answer of a program that then ends. A reader that has seen enough (`… | head`) is no error.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// The last call of a program that ends in good order: what was logged and said is written, if that goes quickly.
pub fn finish() {
    STDERR.flush(FINISH_TIMEOUT);
    STDOUT.flush(FINISH_TIMEOUT);
}

/// Ends the process because its environment does not let it work: one line on stderr, exit code 1.
///
/// The message says what cannot be done, why, and what helps: `cannot listen on …: address in use; choose another …`.
pub fn fail(message: impl Display) -> ! {
    exit_saying(&message.to_string(), 1)
}

/// The same with an exit code of the program's own.
pub fn fail_with(code: u8, message: impl Display) -> ! {
    exit_saying(&message.to_string(), code)
}

/// Ends the process because of wrong usage that only the program itself can tell: one line on stderr, exit code 2.
pub fn misuse(message: impl Display) -> ! {
    exit_saying(&format!("{message}; try --help"), 2)
}

/// Ends the process with a line on stderr. If nobody takes it the end comes all the same, a moment later.
pub(crate) fn exit_saying(message: &str, code: u8) -> ! {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    STDERR.push_all_the_same(format!("{}: {message}\n", name()).as_bytes());
    STDERR.flush(LAST_WORDS_TIMEOUT);
    exit(code.into())
}

fn name() -> &'static str {
    NAME.get().copied().unwrap_or("ringway")
}

/// How long each of the streams may take at the end of a program. What is not written then is lost.
const FINISH_TIMEOUT: Duration = Duration::from_millis(500);

/// The same for last words: a process that cannot do its job must end soon, heard or not.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(500);
