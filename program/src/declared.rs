//! Owns which flags a program has, as the structs that its flags are made of declare them.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use crate::common;

/// Whose flags they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a> {
    /// What its environment variables are called by, `gateway` for example; the same for all workers.
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
}

/// What each of a program's flag structs declares. No two declare the same flag, and none a common one.
#[derive(Debug)]
pub(crate) struct Declared {
    parts: Vec<CommandInfoWithArgs>,
    /// Flags that nobody sets, where it is not what the struct says.
    pub(crate) defaults: Vec<(&'static str, String)>,
}

impl Declared {
    pub(crate) fn new(parts: Vec<CommandInfoWithArgs>, defaults: Vec<(&'static str, String)>) -> Declared {
        let declared = Declared { parts, defaults };
        let mut names: Vec<&str> = declared.names().collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert!(twice.is_none(), "two structs of flags have one of the same name: {twice:?}");
        declared
    }

    /// The program's own struct, which names what it is for.
    pub(crate) fn own(&self) -> &CommandInfoWithArgs {
        &self.parts[0]
    }

    pub(crate) fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// All that have a value or are on: argh lists `--help` among them.
    pub(crate) fn flags(&self) -> impl Iterator<Item = &FlagInfo<'static>> {
        self.flags_by_part().map(|(_, flag)| flag)
    }

    /// The flag that a word of the command line names, and the index of its struct.
    pub(crate) fn find(&self, word: &str) -> Option<(usize, &FlagInfo<'static>)> {
        self.flags_by_part().find(|(_, flag)| {
            let is_short = flag.short.is_some_and(|short| word.strip_prefix('-') == Some(&short.to_string()));
            flag.long == word || is_short
        })
    }

    /// The index of the struct that flag `name` belongs to.
    pub(crate) fn part_of(&self, name: &str) -> Option<usize> {
        self.flags_by_part().find(|(_, flag)| long_name(flag) == name).map(|(part, _)| part)
    }

    /// The index of the struct that takes words which are no flags, or complains of them.
    pub(crate) fn part_of_others(&self) -> usize {
        let takes = |part: &CommandInfoWithArgs| !part.commands.is_empty() || !part.positionals.is_empty();
        self.parts.iter().position(takes).unwrap_or(0)
    }

    /// Whether it is the name of a command.
    pub(crate) fn is_command(&self, word: &str) -> bool {
        self.commands().any(|(name, _)| name == word)
    }

    /// Names and descriptions of commands.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let commands = self.parts.iter().flat_map(|part| &part.commands);
        commands.map(|command| (command.name, command.command.description))
    }

    /// The long names of all flags with a value or a state, the common ones last.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.flags().map(long_name).chain(common::FLAGS.map(|(name, _)| name))
    }

    fn flags_by_part(&self) -> impl Iterator<Item = (usize, &FlagInfo<'static>)> {
        let of = |(index, part): (usize, &CommandInfoWithArgs)| {
            part.flags.iter().filter(|flag| flag.long != "--help").map(move |flag| (index, flag))
        };
        self.parts.iter().enumerate().flat_map(of)
    }
}

/// The name of a flag as the config file writes it.
pub(crate) fn long_name<'a>(flag: &FlagInfo<'a>) -> &'a str {
    flag.long.trim_start_matches("--")
}

pub(crate) fn has_value(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.kind, FlagInfoKind::Option { .. })
}
