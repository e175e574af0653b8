//! Owns what `--help` prints.

use std::fmt::Write;

use argh::{FlagInfo, FlagInfoKind};

use crate::common;
use crate::declared::{Declared, Program, long_name};
use crate::environment::prefix;

/// How much is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Extent {
    /// The flags that most need, which fit one screen.
    Usual,
    /// Those that argh is told to hide, too.
    All,
}

impl Extent {
    /// What a word of the command line asks for.
    pub(crate) fn asked(word: &str) -> Option<Extent> {
        match word {
            "--help" | "help" => Some(Extent::Usual),
            "--help-all" => Some(Extent::All),
            _ => None,
        }
    }
}

/// The flags of a program, its own and the common ones, and where else they may stand.
pub(crate) fn help(program: Program<'_>, declared: &Declared, extent: Extent) -> String {
    let (name, info) = (program.name, declared.own());
    let has_commands = declared.commands().next().is_some();
    let command = if !has_commands { "" } else { " [COMMAND]" };
    let mut text = format!("Usage: {name} [FLAGS]{command}\n\n{}\n\nOptions:\n", info.description.trim());
    for flag in declared.flags().filter(|flag| !flag.hidden || extent == Extent::All) {
        let short = flag.short.map_or(String::new(), |short| format!("-{short}, "));
        let value = value_name(flag).map_or(String::new(), |name| format!(" {name}"));
        put_row(&mut text, &format!("{short}{}{value}", flag.long), &description(flag, declared));
    }
    for (flag, description) in common::FLAGS {
        put_row(&mut text, &format!("--{flag}"), description);
    }
    put_row(&mut text, "--version", "print name and version");
    put_row(&mut text, "--help, help", "print this");
    if declared.flags().any(|flag| flag.hidden) {
        put_row(&mut text, "--help-all", "print this with the flags that few need");
    }
    if has_commands {
        text.push_str("\nCommands:\n");
    }
    for (command, description) in declared.commands() {
        put_row(&mut text, command, description);
    }
    for (title, lines) in [("Examples", info.examples), ("Notes", info.notes)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "\n{title}:");
        }
        for line in lines {
            put_wrapped(&mut text, "  ", &line.replace("{command_name}", name));
        }
    }
    text.push('\n');
    let prefix = prefix(program.kind);
    put_wrapped(
        &mut text,
        "",
        &format!(
            "Flags may also stand in the config file, under the same names, and in the environment: --log-level is \
         {prefix}LOG_LEVEL there. The command line wins, then the environment. Exit codes: 0 ended as asked, 1 the \
         machine refuses, 2 a wrong flag or value, 70 broken."
        ),
    );
    text
}

/// What a flag's value is called, if its struct says so.
fn value_name<'a>(flag: &FlagInfo<'a>) -> Option<&'a str> {
    match flag.kind {
        FlagInfoKind::Option { arg_name } if arg_name != long_name(flag) => Some(arg_name),
        _ => None,
    }
}

/// What a flag's struct says of it, with the default that it has in this program.
fn description(flag: &FlagInfo<'static>, declared: &Declared) -> String {
    let own = declared.defaults.iter().find(|(name, _)| *name == long_name(flag));
    match own {
        // `(default: …)` describes it in words.
        Some((_, value)) if !flag.description.contains(" (default: ") => {
            let what = flag.description.rsplit_once(" (default ").map_or(flag.description, |(what, _)| what);
            format!("{what} (default {value})")
        }
        _ => flag.description.to_owned(),
    }
}

fn put_row(text: &mut String, name: &str, description: &str) {
    let name = format!("  {name}");
    let gap = COLUMN.saturating_sub(name.chars().count()).max(2);
    put_wrapped(text, &format!("{name}{}", " ".repeat(gap)), description);
}

/// One paragraph behind `start`; further lines begin at the column of descriptions if `start` is that of a row.
fn put_wrapped(text: &mut String, start: &str, paragraph: &str) {
    let indent = if start.len() < COLUMN { start.len() } else { COLUMN };
    let mut line = start.to_owned();
    let mut is_empty = true;
    for word in paragraph.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = " ".repeat(indent);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(text, "{line}");
}

/// Where descriptions begin; a longer name pushes its own to the right.
const COLUMN: usize = 32;

/// Of a line, in characters.
const WIDTH: usize = 120;
