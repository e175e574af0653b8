use std::fs;
use std::path::PathBuf;

use super::*;

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

fn parse<F: Flags>(line: &[&str]) -> Result<Parsed<F>, String> {
    parse_from("sample", &words(line)).map_err(|error| error.to_string())
}

fn run(line: &[&str]) -> Sample {
    match parse(line).unwrap() {
        Parsed::Run { flags, .. } => flags,
        Parsed::Print(text) => panic!("printed instead: {text}"),
    }
}

/// Parses `line` with a config file of this text, and cuts the file's name from errors.
fn with_file(name: &str, text: &str, line: &[&str]) -> Result<Parsed<Sample>, String> {
    let file = TestFile::new(name, text);
    let line = [&["--config", file.path()], line].concat();
    parse(&line).map_err(|error| error.replace(file.path(), "FILE"))
}

fn run_with_file(name: &str, text: &str, line: &[&str]) -> Sample {
    match with_file(name, text, line).unwrap() {
        Parsed::Run { flags, .. } => flags,
        Parsed::Print(text) => panic!("printed instead: {text}"),
    }
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
fn wrong_files_are_one_line_with_file_and_key() {
    let wrong = [
        ("colour = 1\n", "FILE: unknown key colour"),
        ("ping_data = \"x\"\n", "FILE: unknown key ping_data, it is spelled ping-data"),
        ("colour = false\n", "FILE: unknown key colour"),
        ("count = \"many\"\n", "FILE: count: wrong value 'many': invalid digit found in string"),
        ("count = 70000\n", "FILE: count: wrong value '70000': number too large to fit in target type"),
        ("count = [1, 2]\n", "FILE: count: takes one value, not a list"),
        ("verbose = 1\n", "FILE: verbose: must be true or false"),
        ("listen = [[1]]\n", "FILE: listen: must be a string or a number"),
        ("[count]\na = 1\n", "FILE: count: must be a string or a number"),
        ("log-level = \"loud\"\n", "FILE: log-level: `loud` is none of error, warn, info, debug, trace, off"),
        ("config = \"other.toml\"\n", "FILE: unknown key config"),
    ];
    for (index, (text, expected)) in wrong.into_iter().enumerate() {
        assert_eq!(with_file(&format!("wrong-{index}"), text, &[]), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn an_overridden_key_is_checked_all_the_same() {
    let error = with_file("overridden", "verbose = 3\n", &["--verbose"]).unwrap_err();
    assert_eq!(error, "FILE: verbose: must be true or false");
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let error = with_file("no-toml", "count = 1\nlisten = [\n", &[]).unwrap_err();
    assert!(error.starts_with("FILE: line ") && !error.contains('\n'), "{error}");
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
fn a_required_flag_may_come_from_the_file() {
    let file = TestFile::new("required", "target = \"there\"\n");
    let parsed = parse(&["--config", file.path()]).unwrap();
    assert_eq!(parsed, Parsed::Run { flags: Strict { target: "there".to_owned() }, log_level: None });
}

#[test]
fn the_log_level_comes_from_line_or_file() {
    let level = |parsed| match parsed {
        Parsed::<Sample>::Run { log_level, .. } => log_level,
        Parsed::Print(text) => panic!("printed instead: {text}"),
    };
    let file = "log-level = \"warn\"\n";
    assert_eq!(level(parse(&[]).unwrap()), None);
    assert_eq!(level(with_file("level", file, &[]).unwrap()), "warn".parse().ok());
    assert_eq!(level(with_file("level-2", file, &["--log-level", "debug"]).unwrap()), "debug".parse().ok());
}

#[test]
fn help_has_the_common_flags_and_needs_no_file() {
    let Parsed::<Sample>::Print(help) = parse(&["--config", "/nonexistent/x.toml", "--help"]).unwrap() else {
        panic!("--help must print");
    };
    for flag in ["--listen", "--config", "--log-level", "--version", "--help"] {
        assert_eq!(
            help.matches(&format!("\n  {flag}")).count() + help.matches(&format!("\n  -l, {flag}")).count(),
            1
        );
    }
}

#[test]
fn version_is_name_and_number() {
    let expected = format!("sample {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(parse::<Strict>(&["--version"]), Ok(Parsed::Print(expected)));
}
