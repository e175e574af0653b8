//! Owns how a command line, the environment and a config file become one value of the program's flag struct.
//!
//! What the command line leaves open is turned into further words of it, and argh reads the result once: types, defaults
//! and required flags are declared in one place only. Where a program has several flag structs, each gets the words that are
//! for it. Never exits or prints.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::fmt::Debug;

use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FromArgs};

use crate::common::Common;
use crate::config_file::ConfigFile;
use crate::declared::{Declared, Program, has_value, long_name};
use crate::environment::Environment;
use crate::help::{Extent, help};
use crate::nearest::nearest;
use crate::setting::{Setting, UsageError};

/// The flags of a program: a struct with `#[derive(argh::FromArgs, argh::ArgsInfo)]`, or several as [`Both`] makes one of
/// them. No two of them may have a flag of the same name.
///
/// The flags `--config`, `--log-level`, `--log-format`, `--cpus` and `--version` belong to every program and are added by this crate;
/// no struct may declare them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` must derive both `argh::FromArgs` and `argh::ArgsInfo`",
    note = "config file and environment need to know which flags there are"
)]
pub trait Flags: Sized {
    /// What the structs declare. The first is the program's own: its description is that of the program.
    fn parts() -> Vec<CommandInfoWithArgs>;

    /// Makes a value of the words that are for it.
    ///
    /// # Errors
    /// What argh says of them.
    fn read(words: &mut Words<'_>) -> Result<Self, EarlyExit>;

    /// The values of flags that nobody sets, where they are others than the struct says; `program` is the program's name.
    fn defaults(_program: &str) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl<T: FromArgs + ArgsInfo> Flags for T {
    fn parts() -> Vec<CommandInfoWithArgs> {
        vec![T::get_args_info()]
    }

    fn read(words: &mut Words<'_>) -> Result<T, EarlyExit> {
        words.read_next()
    }
}

/// The flags of `A`, which are the program's own, and those of `B` beside them.
#[derive(Debug)]
pub struct Both<A, B>(pub A, pub B);

impl<A: Flags, B: Flags> Flags for Both<A, B> {
    fn parts() -> Vec<CommandInfoWithArgs> {
        A::parts().into_iter().chain(B::parts()).collect()
    }

    fn read(words: &mut Words<'_>) -> Result<Self, EarlyExit> {
        Ok(Both(A::read(words)?, B::read(words)?))
    }

    fn defaults(program: &str) -> Vec<(&'static str, String)> {
        A::defaults(program).into_iter().chain(B::defaults(program)).collect()
    }
}

/// The words of a command line, sorted by the struct that reads them, in the order of [`Flags::parts`].
#[derive(Debug)]
pub struct Words<'a> {
    name: &'a str,
    parts: VecDeque<Vec<&'a str>>,
}

impl<'a> Words<'a> {
    /// Takes those for `F`, which come next, to be read later or not at all.
    pub fn set_aside<F: Flags>(&mut self) -> Words<'a> {
        let count = F::parts().len().min(self.parts.len());
        Words { name: self.name, parts: self.parts.drain(..count).collect() }
    }

    fn read_next<T: FromArgs>(&mut self) -> Result<T, EarlyExit> {
        T::from_args(&[self.name], &self.parts.pop_front().unwrap_or_default())
    }
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<T> {
    /// Run, with this.
    Run(T),
    /// Print this (help or version) on stdout and end with exit code 0.
    Print(String),
}

/// Everything that is known about the flags before their types are.
#[derive(Debug)]
pub(crate) struct Inputs {
    name: String,
    declared: Declared,
    /// From wherever.
    pub(crate) common: Common,
    /// Of environment and file, where the command line has nothing.
    settings: Vec<Setting>,
    /// Of the command line, each with the index of the struct it is for.
    own: Vec<(usize, String)>,
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
) -> Result<Asked<Inputs>, UsageError> {
    let declared = Declared::new(F::parts(), F::defaults(program.name));
    let line = CommandLine::read(words, &declared)?;
    let name = program.name;
    if line.common.version {
        return Ok(Asked::Print(format!("{name} {}\n", env!("CARGO_PKG_VERSION"))));
    }
    // Help is asked for by people whose config file may be the problem, so it comes before the file.
    if let Some(extent) = line.help {
        return Ok(Asked::Print(help(program, &declared, extent)));
    }
    let CommandLine { own, common, mut given, .. } = line;
    let environment = Environment::of(program.kind, variables);
    let warnings = environment.warnings(&declared);
    let (name, settings) = (name.to_owned(), Vec::new());
    let mut inputs = Inputs { name, declared, common, settings, own, warnings };
    inputs.add(environment.settings(&inputs.declared)?, &mut given)?;
    if let Some(path) = inputs.common.config.take() {
        inputs.add(ConfigFile::read(&path)?.settings(&inputs.declared)?, &mut given)?;
    }
    inputs.add(inputs.defaults(), &mut given)?;
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

    /// What nobody has set, if it is not as the structs say.
    fn defaults(&self) -> Vec<Setting> {
        let setting = |(name, value): &(&str, String)| Setting {
            name: (*name).to_owned(),
            value: Some(value.clone()),
            is_on: true,
            origin: format!("the default of --{name}"),
        };
        self.declared.defaults.iter().map(setting).collect()
    }

    /// The program's own flags.
    ///
    /// # Errors
    /// An unknown flag, a missing or wrong value.
    pub(crate) fn read<F: Flags>(&self) -> Result<Asked<F>, UsageError> {
        let from_elsewhere = self.settings.iter().flat_map(|setting| {
            let part = self.declared.part_of(&setting.name).unwrap_or(0);
            setting.words().into_iter().map(move |word| (part, word))
        });
        // Before the command line's words, which may end the flags with `--`.
        let all: Vec<(usize, String)> = from_elsewhere.chain(self.own.iter().cloned()).collect();
        let mut parts = VecDeque::from(vec![Vec::new(); self.declared.part_count()]);
        for (part, word) in &all {
            parts[*part].push(word.as_str());
        }
        match F::read(&mut Words { name: &self.name, parts }) {
            Ok(flags) => Ok(Asked::Run(flags)),
            Err(EarlyExit { output, status: Ok(()) }) => Ok(Asked::Print(output)),
            Err(EarlyExit { output, status: Err(()) }) => Err(self.explain(&one_line(&output))),
        }
    }

    /// Makes argh's error one about where the value came from, and offers the flag that was probably meant.
    fn explain(&self, error: &str) -> UsageError {
        if let Some(error) = self.blame(error) {
            return error;
        }
        let unknown = error.strip_prefix("unrecognized argument: --");
        let near = unknown.and_then(|unknown| nearest(unknown, self.declared.names()));
        let hint = near.map_or(String::new(), |near| format!("; did you mean --{near}?"));
        UsageError::new(format!("{error}{hint}"))
    }

    fn blame(&self, error: &str) -> Option<UsageError> {
        let rest = error.strip_prefix("error parsing option '--")?;
        let of_setting = |setting: &&Setting| {
            let value = setting.value.as_deref().unwrap_or("");
            rest.starts_with(&one_spaced(&format!("{}' with value '{value}': ", setting.name)))
        };
        let setting = self.settings.iter().find(of_setting)?;
        let (_, why) = rest.split_once("' with value ")?;
        Some(UsageError::new(format!("{}: wrong value {why}", setting.origin)))
    }
}

/// For tests: that each flag whose description ends with `(default X)` is without it as with the value X.
pub fn check_defaults<F: FromArgs + ArgsInfo + Debug>() {
    let read = |words: &[&str]| format!("{:?}", F::from_args(&["test"], words));
    let none = read(&[]);
    for flag in F::get_args_info().flags {
        let Some((_, value)) = flag.description.rsplit_once("(default ") else { continue };
        let value = value.trim_end_matches(')');
        assert_eq!(read(&[flag.long, value]), none, "the default of {}", flag.long);
    }
}

/// A command line, sorted by who reads what.
struct CommandLine {
    /// The words that are left for the program's own flags, each with the index of the struct it is for.
    own: Vec<(usize, String)>,
    common: Common,
    /// Long names without dashes of all flags given, which nothing else must set again.
    given: HashSet<String>,
    help: Option<Extent>,
}

impl CommandLine {
    /// Walks the words as argh does: an option takes the next word as its value, whatever that looks like. What is
    /// behind the name of a command is the command's.
    fn read(words: &[String], declared: &Declared) -> Result<Self, UsageError> {
        let mut line = Self { own: Vec::new(), common: Common::default(), given: HashSet::new(), help: None };
        let others = declared.part_of_others();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" || declared.is_command(word) {
                line.own.extend([word].into_iter().chain(rest).map(|word| (others, word.clone())));
                break;
            }
            if line.common.take(word, &mut rest)? {
                continue;
            }
            line.help = line.help.max(Extent::asked(word));
            let Some((part, flag)) = declared.find(word) else {
                line.own.push((others, word.clone()));
                continue;
            };
            line.given.insert(long_name(flag).to_owned());
            let value = if has_value(flag) { rest.next() } else { None };
            line.own.extend([word].into_iter().chain(value).map(|word| (part, word.clone())));
        }
        Ok(line)
    }
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
