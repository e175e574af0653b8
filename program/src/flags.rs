//! Owns how a command line, the environment and a config file become one value of the program's flag struct.
//!
//! What the command line leaves open is turned into further words of it, and argh reads the result once: types, defaults
//! and required flags are declared in one place only. Never exits or prints.

use std::collections::HashSet;
use std::ffi::OsString;

use argh::{ArgsInfo, EarlyExit, FlagInfo, FlagInfoKind, FromArgs};

use crate::common::{self, Common};
use crate::config_file::ConfigFile;
use crate::cpus::Cpus;
use crate::environment::Environment;
use crate::help::help;
use crate::logging::LogLevel;
use crate::nearest::nearest;

/// What a program's flag struct derives: `#[derive(argh::FromArgs, argh::ArgsInfo)]`.
///
/// The flags `--config`, `--log-level`, `--cpus` and `--version` belong to every program and are added by this crate;
/// the struct must not declare them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` must derive both `argh::FromArgs` and `argh::ArgsInfo`",
    note = "config file and environment need to know which flags there are"
)]
pub trait Flags: FromArgs + ArgsInfo {}

impl<T: FromArgs + ArgsInfo> Flags for T {}

/// Whose flags they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a> {
    /// What its environment variables are called by, `gateway` for example; the same for all workers.
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Run.
    Run(Inputs),
    /// Print this (help or version) on stdout and end with exit code 0.
    Print(String),
}

/// What a program is to be run with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<F> {
    Run(F),
    /// As [`Asked::Print`], of a command.
    Print(String),
}

/// What is wrong with a command line, a variable or a config file, as one line without the program's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageError(String);

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

/// A flag that is set elsewhere than on the command line.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Without dashes.
    pub(crate) name: String,
    /// `None`: it is a switch.
    pub(crate) value: Option<String>,
    /// A switch that is off overrides one that is on in the file.
    pub(crate) is_on: bool,
    /// Where it stands, for complaints.
    pub(crate) origin: String,
}

impl Setting {
    fn words(&self) -> Vec<String> {
        let name = self.is_on.then(|| format!("--{}", self.name));
        name.into_iter().chain(self.value.clone()).collect()
    }
}

/// Everything that is known about the flags before their types are.
#[derive(Debug)]
pub(crate) struct Inputs {
    name: String,
    common: Common,
    /// Of environment and file, where the command line has nothing.
    settings: Vec<Setting>,
    own: Vec<String>,
    /// About the environment, one line each.
    pub(crate) warnings: Vec<String>,
}

/// Reads the words of a command line (without the program's own name), the variables, and the config file that
/// `--config` names.
///
/// # Errors
/// A missing or wrong value, a config file that cannot be read or has an unknown key or a wrong value.
pub(crate) fn gather<F: Flags>(
    program: Program<'_>,
    words: &[String],
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Asked, UsageError> {
    let info = F::get_args_info();
    let known = &own_flags(info.flags)[..];
    let commands: Vec<&str> = info.commands.iter().map(|command| command.name).collect();
    let line = CommandLine::read(words, known, &commands)?;
    let name = program.name;
    if line.common.version {
        return Ok(Asked::Print(format!("{name} {}\n", env!("CARGO_PKG_VERSION"))));
    }
    // Help is asked for by people whose config file may be the problem, so it comes before the file.
    if line.help {
        return Ok(Asked::Print(help(program, &info)));
    }
    let CommandLine { own, common, mut given, .. } = line;
    let environment = Environment::of(program.kind, variables);
    let warnings = environment.warnings(known);
    let mut inputs = Inputs { name: name.to_owned(), common, settings: Vec::new(), own, warnings };
    inputs.add(environment.settings(known)?, &mut given)?;
    if let Some(path) = inputs.common.config.take() {
        inputs.add(ConfigFile::read(&path)?.settings(known)?, &mut given)?;
    }
    Ok(Asked::Run(inputs))
}

impl Inputs {
    /// Adds what is set in one place, unless it is `given` already.
    fn add(&mut self, settings: Vec<Setting>, given: &mut HashSet<String>) -> Result<(), UsageError> {
        let mut new = HashSet::new();
        for setting in settings {
            match &setting.value {
                Some(value) if Common::is_common(&setting.name) => {
                    self.common
                        .offer(&setting.name, value)
                        .map_err(|why| UsageError::new(format!("{}: {why}", setting.origin)))?;
                }
                _ if given.contains(&setting.name) => {}
                _ => {
                    new.insert(setting.name.clone());
                    self.settings.push(setting);
                }
            }
        }
        given.extend(new);
        Ok(())
    }

    /// The level of `--log-level`, from wherever.
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        self.common.log_level
    }

    /// The CPUs of `--cpus`, from wherever.
    pub(crate) fn cpus(&self) -> Option<&Cpus> {
        self.common.cpus.as_ref()
    }

    /// The program's own flags.
    ///
    /// # Errors
    /// An unknown flag, a missing or wrong value.
    pub(crate) fn read<F: Flags>(&self) -> Result<Parsed<F>, UsageError> {
        let from_elsewhere: Vec<String> = self.settings.iter().flat_map(Setting::words).collect();
        // Before the command line's words, which may end the flags with `--`.
        let all: Vec<&str> = from_elsewhere.iter().chain(&self.own).map(String::as_str).collect();
        match F::from_args(&[&self.name], &all) {
            Ok(flags) => Ok(Parsed::Run(flags)),
            Err(EarlyExit { output, status: Ok(()) }) => Ok(Parsed::Print(output)),
            Err(EarlyExit { output, status: Err(()) }) => Err(self.explain::<F>(&one_line(&output))),
        }
    }

    /// Makes argh's complaint one about where the value came from, and offers the flag that was probably meant.
    fn explain<F: Flags>(&self, complaint: &str) -> UsageError {
        if let Some(error) = self.blame(complaint) {
            return error;
        }
        let unknown = complaint.strip_prefix("unrecognized argument: --");
        let info = F::get_args_info();
        let names = info.flags.iter().map(long_name).chain(common::FLAGS.map(|(name, _)| name));
        let near = unknown.and_then(|unknown| nearest(unknown, names));
        let hint = near.map_or(String::new(), |near| format!("; did you mean --{near}?"));
        UsageError::new(format!("{complaint}{hint}"))
    }

    fn blame(&self, complaint: &str) -> Option<UsageError> {
        let rest = complaint.strip_prefix("error parsing option '--")?;
        let of_setting = |setting: &&Setting| {
            let value = setting.value.as_deref().unwrap_or("");
            rest.starts_with(&one_spaced(&format!("{}' with value '{value}': ", setting.name)))
        };
        let setting = self.settings.iter().find(of_setting)?;
        let (_, why) = rest.split_once("' with value ")?;
        Some(UsageError::new(format!("{}: wrong value {why}", setting.origin)))
    }
}

/// A command line, sorted by who reads what.
struct CommandLine {
    /// The words that are left for the program's own flags.
    own: Vec<String>,
    common: Common,
    /// Long names without dashes of all flags given, which nothing else must set again.
    given: HashSet<String>,
    help: bool,
}

impl CommandLine {
    /// Walks the words as argh does: an option takes the next word as its value, whatever that looks like. What is
    /// behind the name of a command is the command's.
    fn read(words: &[String], known: &[&FlagInfo<'_>], commands: &[&str]) -> Result<Self, UsageError> {
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

/// Those that have a value or are on: argh lists `--help` among them.
pub(crate) fn own_flags<'a>(flags: &'a [FlagInfo<'a>]) -> Vec<&'a FlagInfo<'a>> {
    flags.iter().filter(|flag| flag.long != "--help").collect()
}

fn find_flag<'a>(known: &[&'a FlagInfo<'a>], word: &str) -> Option<&'a FlagInfo<'a>> {
    known.iter().copied().find(|flag| {
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
    let line = one_spaced(output);
    let mut chars = line.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => line,
    }
}

fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
