use std::fs;
use std::path::PathBuf;

use super::*;
use crate::logging::LogLevel;

/// Flags of every kind that programs use.
#[derive(Debug, PartialEq, Eq, FromArgs, ArgsInfo)]
struct Sample {
    /// addresses
    #[argh(option, short = 'l')]
    listen: Vec<String>,
    /// how many
    #[argh(option, default = "1")]
    count: u16,
    /// what to send
    #[argh(option, default = "String::new()")]
    ping_data: String,
    /// more words
    #[argh(switch)]
    verbose: bool,
}

#[derive(Debug, PartialEq, Eq, FromArgs, ArgsInfo)]
/// One flag is for few.
struct Large {
    /// what few need
    #[argh(option, hidden_help)]
    rare: Option<String>,
}

#[derive(Debug, PartialEq, Eq, FromArgs, ArgsInfo)]
/// One flag must be there.
struct Strict {
    /// where to
    #[argh(option)]
    target: String,
}

/// A file of its own for each test, gone at the end.
struct TestFile(PathBuf);

impl TestFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringway-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

const SAMPLE: Program<'_> = Program { kind: "sample", name: "sample" };

/// Reads a command line and variables; the flags, the log level and the warnings.
fn read<F: Flags>(
    line: &[&str],
    variables: &[(&str, &str)],
) -> Result<(F, Option<LogLevel>, Vec<String>), String> {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let inputs = match gather::<F>(SAMPLE, &words(line), variables).map_err(|error| error.to_string())? {
        Asked::Run(inputs) => inputs,
        Asked::Print(text) => panic!("printed instead: {text}"),
    };
    match inputs.read().map_err(|error| error.to_string())? {
        Asked::Run(flags) => Ok((flags, inputs.common.log_level, inputs.warnings)),
        Asked::Print(text) => panic!("printed instead: {text}"),
    }
}

fn parse<F: Flags>(line: &[&str]) -> Result<F, String> {
    read(line, &[]).map(|(flags, ..)| flags)
}

fn printed<F: Flags>(line: &[&str]) -> String {
    match gather::<F>(SAMPLE, &words(line), []).unwrap() {
        Asked::Print(text) => text,
        Asked::Run(inputs) => panic!("would run: {inputs:?}"),
    }
}

fn run(line: &[&str]) -> Sample {
    parse(line).unwrap()
}

/// Parses `line` with a config file of this text, and cuts the file's name from errors.
fn with_file(name: &str, text: &str, line: &[&str]) -> Result<Sample, String> {
    with_file_and_variables(name, text, line, &[])
}

fn with_file_and_variables(
    name: &str,
    text: &str,
    line: &[&str],
    variables: &[(&str, &str)],
) -> Result<Sample, String> {
    let file = TestFile::new(name, text);
    let line = [&["--config", file.path()], line].concat();
    let read = read(&line, variables).map(|(flags, ..)| flags);
    read.map_err(|error| error.replace(file.path(), "FILE"))
}

fn run_with_file(name: &str, text: &str, line: &[&str]) -> Sample {
    with_file(name, text, line).unwrap()
}

fn with_variables(variables: &[(&str, &str)], line: &[&str]) -> Result<Sample, String> {
    read(line, variables).map(|(flags, ..)| flags)
}

#[test]
fn defaults_without_words() {
    let sample = run(&[]);
    assert_eq!(sample, Sample { listen: vec![], count: 1, ping_data: String::new(), verbose: false });
}

#[test]
fn the_file_sets_what_the_line_leaves() {
    let text = "listen = [\"a\", \"b\"]\ncount = 7\nping-data = \"--count\"\nverbose = true\n";
    let sample = run_with_file("sets", text, &[]);
    let listen = words(&["a", "b"]);
    assert_eq!(sample, Sample { listen, count: 7, ping_data: "--count".to_owned(), verbose: true });
}

#[test]
fn the_line_wins() {
    let text = "listen = [\"a\", \"b\"]\ncount = 7\nping-data = \"x\"\n";
    let sample = run_with_file("wins", text, &["--count", "9", "-l", "c"]);
    assert_eq!(sample.listen, words(&["c"]));
    assert_eq!((sample.count, sample.ping_data.as_str()), (9, "x"));
}

#[test]
fn a_value_that_looks_like_a_flag_is_a_value() {
    let sample = run_with_file("looks", "count = 7\n", &["--ping-data", "--count"]);
    assert_eq!((sample.count, sample.ping_data.as_str()), (7, "--count"));
    assert_eq!(run(&["--ping-data", "--version"]).ping_data, "--version");
}

#[test]
fn one_string_for_a_repeating_flag_and_a_false_switch() {
    let sample = run_with_file("single", "listen = \"a\"\nverbose = false\n", &["--verbose"]);
    assert_eq!(sample.listen, words(&["a"]));
    assert!(sample.verbose, "the command line wins over false");
    assert!(!run_with_file("off", "verbose = false\n", &[]).verbose);
}

#[test]
fn wrong_files_are_one_line_with_file_line_and_key() {
    let wrong = [
        ("\ncolour = 1\n", "FILE: line 2: unknown key `colour`"),
        ("ping_data = \"x\"\n", "FILE: line 1: unknown key `ping_data`; did you mean `ping-data`?"),
        ("count = 1\n\nlissten = \"x\"\n", "FILE: line 3: unknown key `lissten`; did you mean `listen`?"),
        ("z = 1\na = 2\n", "FILE: line 1: unknown key `z`"),
        ("\ncount = \"many\"\n", "FILE: line 2: count: wrong value 'many': invalid digit found in string"),
        (
            "count = 0x11170",
            "FILE: line 1: count: wrong value '70000': number too large to fit in target type",
        ),
        ("count = [1, 2]\n", "FILE: line 1: count: takes one value, not a list"),
        ("\n\nverbose = 1\n", "FILE: line 3: verbose: must be true or false"),
        ("listen = [\n  \"a\",\n  [1],\n]\n", "FILE: line 3: listen: must be a string or a number"),
        ("[count]\na = 1\n", "FILE: line 1: count: must be a string or a number"),
        (
            "\nlog-level = \"loud\"\n",
            "FILE: line 2: log-level: `loud` is none of error, warn, info, debug, trace, off",
        ),
        ("cpus = \"x\"\n", "FILE: line 1: cpus: `x` is no list of CPUs like 2-5 or 0,2"),
        ("help = true\n", "FILE: line 1: unknown key `help`"),
        ("config = \"other.toml\"\n", "FILE: line 1: unknown key `config`"),
    ];
    for (index, (text, expected)) in wrong.into_iter().enumerate() {
        assert_eq!(with_file(&format!("wrong-{index}"), text, &[]), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn an_overridden_key_is_checked_all_the_same() {
    let error = with_file("overridden", "verbose = 3\n", &["--verbose"]).unwrap_err();
    assert_eq!(error, "FILE: line 1: verbose: must be true or false");
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let error = with_file("no-toml", "count = 1\nlisten = \n", &[]).unwrap_err();
    assert!(error.starts_with("FILE: line 2: ") && !error.contains('\n'), "{error}");
    let twice = with_file("twice", "count = 1\n\ncount = 2\n", &[]).unwrap_err();
    assert!(twice.starts_with("FILE: line 3: duplicate key"), "{twice}");
}

#[test]
fn a_missing_file_is_told() {
    let error = parse::<Sample>(&["--config", "/nonexistent/x.toml"]).unwrap_err();
    assert!(error.starts_with("cannot read the config file /nonexistent/x.toml: No such file"), "{error}");
}

#[test]
fn wrong_lines_are_one_line() {
    let wrong = [
        (&["--colour"][..], "unrecognized argument: --colour"),
        (&["--lissten", "a"][..], "unrecognized argument: --lissten; did you mean --listen?"),
        (&["--log-levle", "a"][..], "unrecognized argument: --log-levle; did you mean --log-level?"),
        (&["--cpus", "2;3"][..], "--cpus: `2;3` is no list of CPUs like 2-5 or 0,2"),
        (&["stray"][..], "unrecognized argument: stray"),
        (
            &["--count", "x"][..],
            "error parsing option '--count' with value 'x': invalid digit found in string",
        ),
        (&["--count"][..], "no value provided for option '--count'."),
        (&["--config"][..], "no value provided for option '--config'"),
        (&["--config", "a", "--config", "b"][..], "--config is given twice"),
    ];
    for (line, expected) in wrong {
        assert_eq!(parse::<Sample>(line), Err(expected.to_owned()));
    }
    assert_eq!(parse::<Strict>(&[]), Err("required options not provided: --target".to_owned()));
}

#[test]
fn a_required_flag_may_come_from_file_or_environment() {
    let there = Strict { target: "there".to_owned() };
    let file = TestFile::new("required", "target = \"there\"\n");
    assert_eq!(parse(&["--config", file.path()]).as_ref(), Ok(&there));
    let (flags, ..) = read::<Strict>(&[], &[("RINGWAY_SAMPLE_TARGET", "there")]).unwrap();
    assert_eq!(flags, there);
}

#[test]
fn the_log_level_comes_from_line_environment_or_file() {
    let file = TestFile::new("level", "log-level = \"warn\"\n");
    let with_file = ["--config", file.path()];
    let variable = [("RINGWAY_SAMPLE_LOG_LEVEL", "error")];
    let level = |line: &[&str], variables: &[(&str, &str)]| read::<Sample>(line, variables).unwrap().1;
    assert_eq!(level(&[], &[]), None);
    assert_eq!(level(&with_file, &[]), "warn".parse().ok());
    assert_eq!(level(&with_file, &variable), "error".parse().ok());
    let line = [&with_file[..], &["--log-level", "debug"]].concat();
    assert_eq!(level(&line, &variable), "debug".parse().ok());
}

#[test]
fn the_environment_sets_what_the_line_leaves() {
    let variables = [
        ("RINGWAY_SAMPLE_LISTEN", "a, b"),
        ("RINGWAY_SAMPLE_COUNT", "7\n"),
        ("RINGWAY_SAMPLE_PING_DATA", "--count"),
        ("RINGWAY_SAMPLE_VERBOSE", "True"),
    ];
    let all = Sample { listen: words(&["a", "b"]), count: 7, ping_data: "--count".to_owned(), verbose: true };
    assert_eq!(with_variables(&variables, &[]), Ok(all));
    let sample = with_variables(&variables, &["--count", "9", "-l", "c"]).unwrap();
    assert_eq!((sample.listen, sample.count), (words(&["c"]), 9));
    let lines = with_variables(&[("RINGWAY_SAMPLE_LISTEN", "a,b\nc\n")], &[]).unwrap();
    assert_eq!(lines.listen, words(&["a,b", "c"]));
    let empty = with_variables(&[("RINGWAY_SAMPLE_COUNT", ""), ("RINGWAY_SAMPLE_VERBOSE", "")], &[]);
    assert_eq!(empty, Ok(run(&[])), "an empty variable is as none");
}

#[test]
fn the_environment_goes_before_the_file() {
    let text = "listen = [\"a\"]\ncount = 1\nverbose = true\nping-data = \"x\"\n";
    let variables =
        [("RINGWAY_SAMPLE_LISTEN", "b"), ("RINGWAY_SAMPLE_COUNT", "2"), ("RINGWAY_SAMPLE_VERBOSE", "0")];
    let sample = with_file_and_variables("before", text, &["--count", "3"], &variables).unwrap();
    let expected = Sample { listen: words(&["b"]), count: 3, ping_data: "x".to_owned(), verbose: false };
    assert_eq!(sample, expected);
}

#[test]
fn the_environment_may_name_the_file() {
    let file = TestFile::new("named", "count = 5\n");
    let variables = [("RINGWAY_SAMPLE_CONFIG", file.path())];
    assert_eq!(with_variables(&variables, &[]).unwrap().count, 5);
    let other = with_file_and_variables("other", "count = 6\n", &[], &variables);
    assert_eq!(other.unwrap().count, 6, "the command line wins");
}

#[test]
fn wrong_variables_are_one_line_with_their_name() {
    let wrong = [
        ("COUNT", "many", "wrong value 'many': invalid digit found in string"),
        ("VERBOSE", "yes", "must be true or false"),
        ("LOG_LEVEL", "loud", "`loud` is none of error, warn, info, debug, trace, off"),
        ("CPUS", "9-1", "`9-1` is no list of CPUs like 2-5 or 0,2"),
    ];
    for (name, value, why) in wrong {
        let name = format!("RINGWAY_SAMPLE_{name}");
        assert_eq!(with_variables(&[(&name, value)], &[]), Err(format!("{name}: {why}")));
    }
    use std::os::unix::ffi::OsStringExt;
    let variables = [("RINGWAY_SAMPLE_COUNT".into(), OsString::from_vec(vec![0xff]))];
    let error = gather::<Sample>(SAMPLE, &[], variables).unwrap_err();
    assert_eq!(error.to_string(), "RINGWAY_SAMPLE_COUNT: is not UTF-8");
}

#[test]
fn unknown_variables_are_a_warning_without_their_value() {
    let warnings = |variables: &[(&str, &str)]| read::<Sample>(&[], variables).unwrap().2;
    assert_eq!(
        warnings(&[("RINGWAY_SAMPLE_LISTN", "s3cret"), ("RINGWAY_SAMPLE_COLOUR", "s3cret")]),
        [
            "the variable RINGWAY_SAMPLE_COLOUR is no flag",
            "the variable RINGWAY_SAMPLE_LISTN is no flag; did you mean RINGWAY_SAMPLE_LISTEN?"
        ]
    );
    let others = [
        ("RINGWAY_SAMPLE_SERVICE_HOST", "10.0.0.1"),
        ("RINGWAY_SAMPLE_PORT", "tcp://10.0.0.1:80"),
        ("RINGWAY_SAMPLE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("RINGWAY_OTHER_COUNT", "x"),
        ("RINGWAY_PROGRAMS", "x"),
        ("SAMPLE_COUNT", "x"),
    ];
    assert_eq!(warnings(&others), Vec::<String>::new());
    let of_a_master = [("RINGWAY_SAMPLE_LISTN", "x"), ("RINGWAY_SAMPLE_MASTER", "1 A first")];
    assert_eq!(warnings(&of_a_master), Vec::<String>::new(), "the master has said it");
}

#[test]
fn the_whole_has_the_short_names_and_shares_them() {
    let ringway = Program { kind: "ringway", name: "ringway" };
    let variables = [
        ("RINGWAY_COUNT", "4"),
        ("RINGWAY_LISTN", "a"),
        ("RINGWAY_GATEWAY_LISTEN", "b"),
        ("RINGWAY_PYTHON", "c"),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let Ok(Asked::Run(inputs)) = gather::<Sample>(ringway, &[], variables) else { panic!("must run") };
    let Ok(Asked::Run(sample)) = inputs.read::<Sample>() else { panic!("must run") };
    assert_eq!((sample.count, sample.listen), (4, Vec::new()));
    assert_eq!(inputs.warnings, ["the variable RINGWAY_LISTN is no flag; did you mean RINGWAY_LISTEN?"]);
}

#[test]
fn help_has_the_common_flags_and_needs_no_file() {
    let help = printed::<Sample>(&["--config", "/nonexistent/x.toml", "--help"]);
    for flag in ["--listen", "--config", "--log-level", "--cpus", "--version", "--help"] {
        assert_eq!(
            help.matches(&format!("\n  {flag}")).count() + help.matches(&format!("\n  -l, {flag}")).count(),
            1
        );
    }
    assert!(help.contains("RINGWAY_SAMPLE_LOG_LEVEL") && help.contains("2 a wrong flag"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
}

#[test]
fn version_is_name_and_number() {
    assert_eq!(printed::<Strict>(&["--version"]), format!("sample {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_few_need_is_shown_to_those_who_ask_for_all() {
    let (usual, all) = (printed::<Large>(&["--help"]), printed::<Large>(&["--help-all"]));
    assert!(!usual.contains("--rare") && usual.contains("\n  --help-all "), "{usual}");
    assert!(all.contains("\n  --rare "), "{all}");
    assert_eq!(printed::<Large>(&["--help-all", "--help"]), all);
    assert_eq!(read::<Large>(&["--rare", "x"], &[]).unwrap().0.rare.as_deref(), Some("x"));
    assert!(!printed::<Sample>(&["--help"]).contains("--help-all"));
}

#[path = "flags_composed_tests.rs"]
mod composed;
