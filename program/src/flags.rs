//! Owns how a command line and a config file become one value of the program's flag struct.
//!
//! Keys of the file that the command line does not set are turned into further words of the command line, and argh
//! reads the result once: types, defaults and required flags are declared in one place only. Never exits or prints.

use std::collections::HashSet;

use argh::{ArgsInfo, EarlyExit, FlagInfo, FlagInfoKind, FromArgs};

use crate::common::{Common, help_with_common};
use crate::config_file::{ConfigFile, ConfigWords};
use crate::logging::LogLevel;

/// What a program's flag struct derives: `#[derive(argh::FromArgs, argh::ArgsInfo)]`.
///
/// The flags `--config`, `--log-level` and `--version` belong to every program and are added by this crate;
/// the struct must not declare them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` must derive both `argh::FromArgs` and `argh::ArgsInfo`",
    note = "the config file needs to know which flags there are"
)]
pub trait Flags: FromArgs + ArgsInfo {}

impl<T: FromArgs + ArgsInfo> Flags for T {}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<F> {
    /// Run with these flags.
    Run {
        /// The program's own flags.
        flags: F,
        /// The level of `--log-level`, from the command line or the file; `None` where neither has it.
        log_level: Option<LogLevel>,
    },
    /// Print this (help or version) on stdout and end with exit code 0.
    Print(String),
}

/// What is wrong with a command line or a config file, as one line without the program's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(String);

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Reads the words of a command line (without the program's own name) and the config file that `--config` names.
///
/// # Errors
/// An unknown flag, a missing or wrong value, a config file that cannot be read or has an unknown key or a wrong value.
pub fn parse_from<F: Flags>(name: &str, words: &[String]) -> Result<Parsed<F>, UsageError> {
    let info = F::get_args_info();
    let known = info.flags;
    let commands: Vec<&str> = info.commands.iter().map(|command| command.name).collect();
    let mut line = CommandLine::read(words, known, &commands)?;
    if line.common.version {
        return Ok(Parsed::Print(format!("{name} {}\n", env!("CARGO_PKG_VERSION"))));
    }
    // Help is asked for by people whose config file may be the problem, so it comes before the file.
    if line.help {
        return from_words(name, &[String::from("--help")], None, line.common);
    }
    let file = match line.common.config.take() {
        Some(path) => Some(ConfigFile::read(&path)?.words(known, &line.given)?),
        None => None,
    };
    from_words(name, &line.own, file.as_ref(), line.common)
}

fn from_words<F: Flags>(
    name: &str,
    own: &[String],
    file: Option<&ConfigWords>,
    common: Common,
) -> Result<Parsed<F>, UsageError> {
    let from_file = file.map_or(&[][..], |file| &file.words);
    // Before the command line's words, which may end the flags with `--`.
    let all: Vec<&str> = from_file.iter().chain(own).map(String::as_str).collect();
    match F::from_args(&[name], &all) {
        Ok(flags) => {
            let log_level = common.log_level.or(file.and_then(|file| file.log_level));
            Ok(Parsed::Run { flags, log_level })
        }
        Err(EarlyExit { output, status: Ok(()) }) => Ok(Parsed::Print(help_with_common(&output))),
        Err(EarlyExit { output, status: Err(()) }) => {
            let line = one_line(&output);
            Err(file.and_then(|file| file.blame(&line)).unwrap_or(UsageError::new(line)))
        }
    }
}

/// A command line, sorted by who reads what.
struct CommandLine {
    /// The words that are left for the program's own flags.
    own: Vec<String>,
    common: Common,
    /// Long names without dashes of all flags given, which the file must not set again.
    given: HashSet<String>,
    help: bool,
}

impl CommandLine {
    /// Walks the words as argh does: an option takes the next word as its value, whatever that looks like. What is
    /// behind the name of a command is the command's.
    fn read(words: &[String], known: &[FlagInfo<'_>], commands: &[&str]) -> Result<Self, UsageError> {
        let mut line =
            Self { own: Vec::new(), common: Common::default(), given: HashSet::new(), help: false };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" || commands.contains(&word.as_str()) {
                line.own.push(word.clone());
                line.own.extend(rest.cloned());
                break;
            }
            if line.common.take(word, &mut rest)? {
                line.given.insert(word.trim_start_matches("--").to_owned());
                continue;
            }
            line.help |= word == "--help" || word == "help";
            line.own.push(word.clone());
            if let Some(flag) = find_flag(known, word) {
                line.given.insert(long_name(flag).to_owned());
                if matches!(flag.kind, FlagInfoKind::Option { .. }) {
                    line.own.extend(rest.next().cloned());
                }
            }
        }
        Ok(line)
    }
}

fn find_flag<'a>(known: &'a [FlagInfo<'a>], word: &str) -> Option<&'a FlagInfo<'a>> {
    known.iter().find(|flag| {
        let is_short = flag.short.is_some_and(|short| word.strip_prefix('-') == Some(&short.to_string()));
        flag.long == word || is_short
    })
}

/// The name of a flag as the config file writes it.
pub(crate) fn long_name<'a>(flag: &FlagInfo<'a>) -> &'a str {
    flag.long.trim_start_matches("--")
}

/// argh lists what is missing on lines of its own; an error is one line here, and begins small behind the name.
fn one_line(output: &str) -> String {
    let line = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut chars = line.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => line,
    }
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
