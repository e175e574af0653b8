//! Several structs beside each other, and commands.

use super::*;

/// Flags that a program adds to those of [`Sample`].
#[derive(Debug, PartialEq, Eq, FromArgs, ArgsInfo)]
struct Own {
    /// what to say
    #[argh(option, arg_name = "TEXT")]
    greeting: String,
    /// say it in capitals
    #[argh(switch)]
    loud: bool,
}

/// Something else to do.
#[derive(Debug, PartialEq, Eq, FromArgs, ArgsInfo)]
#[argh(subcommand, name = "stop")]
struct Stop {
    /// what to stop
    #[argh(option)]
    greeting: Option<String>,
}

#[derive(Debug, PartialEq, Eq, FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Stop(Stop),
}

/// What else there is.
#[derive(Debug, PartialEq, Eq, FromArgs, ArgsInfo)]
struct Commands {
    #[argh(subcommand)]
    command: Option<Command>,
}

/// A program with flags of its own beside those of [`Sample`], a command, and a `--count` of which its own is 3.
#[derive(Debug)]
enum Whole {
    Run(Own, Sample),
    Do(Command, Sample),
}

impl Flags for Whole {
    fn parts() -> Vec<CommandInfoWithArgs> {
        Both::<Own, Both<Sample, Commands>>::parts()
    }

    fn read(words: &mut Words<'_>) -> Result<Whole, EarlyExit> {
        let mut own = words.set_aside::<Own>();
        let Both(sample, Commands { command }) = Both::read(words)?;
        Ok(match command {
            Some(command) => Whole::Do(command, sample),
            None => Whole::Run(Own::read(&mut own)?, sample),
        })
    }

    fn defaults(program: &str) -> Vec<(&'static str, String)> {
        vec![("count", "3".to_owned()), ("ping-data", program.to_owned())]
    }
}

fn run_whole(line: &[&str], variables: &[(&str, &str)]) -> Result<(Own, Sample), String> {
    match read(line, variables)?.0 {
        Whole::Run(own, sample) => Ok((own, sample)),
        other => panic!("would do {other:?}"),
    }
}

#[test]
fn each_struct_gets_its_flags_from_wherever() {
    let file = TestFile::new("both", "loud = true\ncount = 8\n");
    let line = ["--config", file.path(), "--ping-data", "--loud", "-l", "a", "--verbose"];
    let (own, sample) = run_whole(&line, &[("RINGWAY_SAMPLE_GREETING", "--count")]).unwrap();
    assert_eq!(own, Own { greeting: "--count".to_owned(), loud: true });
    let listen = words(&["a"]);
    assert_eq!(sample, Sample { listen, count: 8, ping_data: "--loud".to_owned(), verbose: true });
}

#[test]
fn wrong_flags_of_any_struct_are_told() {
    for (line, expected) in [
        (&["--greting", "a"][..], "unrecognized argument: --greting; did you mean --greeting?"),
        (&["--lissten", "a"][..], "unrecognized argument: --lissten; did you mean --listen?"),
        (&["--loud"][..], "required options not provided: --greeting"),
        (&["--greeting"][..], "no value provided for option '--greeting'."),
        (&["stray", "--greeting", "a"][..], "unrecognized argument: stray"),
    ] {
        assert_eq!(run_whole(line, &[]).unwrap_err(), expected);
    }
}

#[test]
fn a_programs_default_goes_before_the_structs_and_after_all_else() {
    let count = |line: &[&str], variables: &[(&str, &str)]| {
        run_whole(&[&["--greeting", "a"], line].concat(), variables).map(|(_, sample)| sample.count)
    };
    assert_eq!(count(&[], &[]), Ok(3));
    assert_eq!(count(&["--count", "5"], &[]), Ok(5));
    assert_eq!(count(&[], &[("RINGWAY_SAMPLE_COUNT", "6")]), Ok(6));
    let (_, sample) = run_whole(&["--greeting", "a"], &[]).unwrap();
    assert_eq!(sample.ping_data, "sample", "defaults may depend on the program's name");
}

#[test]
fn a_command_needs_no_flags_that_only_a_run_needs() {
    let Whole::Do(command, sample) = read(&["--count", "4", "stop", "--greeting", "a"], &[]).unwrap().0
    else {
        panic!("must do something else");
    };
    assert_eq!(command, Command::Stop(Stop { greeting: Some("a".to_owned()) }));
    assert_eq!(sample.count, 4);
    assert!(read::<Whole>(&["stop", "--listen", "a"], &[]).is_err(), "behind a command are its flags");
}

#[test]
fn help_is_of_all_structs() {
    let help = printed::<Whole>(&["--help"]);
    for part in [
        "sample [FLAGS] [COMMAND]\n\nFlags that a program adds",
        "\n  --greeting TEXT",
        "\n  --loud ",
        "\n  -l, --listen",
        "\n  stop ",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    assert!(help.contains("how many (default 3)"), "{help}");
}

#[test]
#[should_panic(expected = "of the same name: Some([\"count\", \"count\"])")]
fn two_structs_with_one_flag_are_a_mistake_of_the_program() {
    let _ = gather::<Both<Sample, Sample>>(SAMPLE, &[], []);
}
