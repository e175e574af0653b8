//! The README says what is so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringway_tests::process::binary_path;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// A flag as `--help-all` lists it.
struct Flag {
    /// With the name of its value.
    usage: String,
    description: String,
}

/// The flags of `--help-all`, without those that every program has.
fn flags(program: &Path) -> Vec<Flag> {
    let help = Command::new(program).arg("--help-all").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let lines =
        help.lines().skip_while(|line| *line != "Options:").skip(1).take_while(|line| !line.is_empty());
    let mut flags: Vec<Flag> = Vec::new();
    for line in lines {
        match (line.strip_prefix("  --"), flags.last_mut()) {
            (Some(row), _) => {
                let (usage, description) = row.split_once("  ").unwrap();
                let description = description.trim_start().to_owned();
                flags.push(Flag { usage: format!("--{usage}"), description });
            }
            (None, Some(flag)) => flag.description += &format!(" {}", line.trim_start()),
            (None, None) => panic!("{help}"),
        }
    }
    let common = ["--config", "--log-level", "--log-format", "--cpus", "--version", "--help,", "--help-all"];
    flags.retain(|flag| !common.iter().any(|common| flag.usage.starts_with(common)));
    flags
}

/// A table of them, in Markdown.
fn table(flags: &[Flag]) -> String {
    let mut table = "| flag | default | |\n| --- | --- | --- |\n".to_owned();
    for Flag { usage, description } in flags {
        let (name, value) = usage.split_once(' ').unwrap_or((usage, ""));
        let (what, default) =
            match description.strip_suffix(')').and_then(|text| text.rsplit_once(" (default")) {
                Some((what, default)) => match default.strip_prefix(": ") {
                    Some(words) => (what, words.to_owned()),
                    None => (what, format!("`{}`", default.trim_start())),
                },
                None if value.is_empty() => (description.as_str(), "off".to_owned()),
                None => (description.as_str(), String::new()),
            };
        let usage = format!("`{name}` {value}");
        table += &format!("| {} | {default} | {what} |\n", usage.trim_end()).replace("|  |", "| |");
    }
    table
}

/// The README with the tables of flags as the programs have them: each follows a line that begins with the program's name.
fn with_tables(readme: &str) -> String {
    let mut text = readme.to_owned();
    for program in ["register", "gateway", "worker", "ringway"] {
        let path = match program {
            "ringway" => PathBuf::from(env!("CARGO_BIN_EXE_ringway")),
            _ => binary_path(program),
        };
        let title = text.find(&format!("\n`{program}`")).unwrap();
        let begin = title + text[title..].find("\n| flag |").unwrap() + 1;
        let end = begin + text[begin..].find("|\n\n").unwrap() + 2;
        text.replace_range(begin..end, &table(&flags(&path)));
    }
    text
}

/// With `RINGWAY_WRITE_README` in the environment it makes it so.
#[test]
fn the_tables_of_flags_are_what_programs_say_of_themselves() {
    let (readme, right) = (readme(), with_tables(&readme()));
    if std::env::var_os("RINGWAY_WRITE_README").is_some() {
        fs::write(root().join("README.md"), right).unwrap();
        return;
    }
    for (line, expected) in readme.lines().zip(right.lines()) {
        assert_eq!(line, expected, "RINGWAY_WRITE_README=1 cargo test -p ringway-standalone --test readme");
    }
    assert_eq!(readme.len(), right.len());
}

#[test]
fn the_events_of_the_readme_are_the_example() {
    let example = fs::read_to_string(root().join("worker/examples/hello.rs")).unwrap();
    let code = &example[example.find("use std").unwrap()..];
    assert!(readme().contains(&format!("```rust\n{code}```\n")));
}

/// The constants of the table before it, without their units, by their letters.
fn constant(sizing: &str, letter: &str) -> f64 {
    let row = sizing.lines().find(|line| line.starts_with(&format!("| {letter} |"))).unwrap();
    let value = row.split('|').nth(2).unwrap().split_whitespace().next().unwrap();
    value.replace(',', "").parse().unwrap()
}

#[test]
fn the_sizes_of_machines_are_what_their_formula_says() {
    let operations = fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let (_, sizing) = operations.split_once("## Sizing").unwrap();
    let [memory, socket, gateway, worker, idle] =
        ["U", "K", "G", "W", "H"].map(|name| constant(sizing, name));
    let (_, rows) = sizing.split_once("| --- | --- | --- | --- | --- | --- |\n").unwrap();
    let rows: Vec<&str> = rows.lines().take_while(|line| line.starts_with('|')).collect();
    let cores = |microseconds: f64| (microseconds / 1e6 / 0.5).ceil().max(1.0);
    let mut expected = Vec::new();
    for clients in ["10,000", "100,000", "1,000,000"] {
        for (said, seconds) in [("minute", 60.0), ("10 s", 10.0), ("second", 1.0)] {
            let count: f64 = clients.replace(',', "").parse().unwrap();
            let gib = count * (memory + socket) / f64::from(1 << 30);
            let gateways = cores(count * (gateway / seconds + idle));
            let workers = cores(count * worker / seconds);
            let links = gateways * workers;
            expected
                .push(format!("| {clients} | each {said} | {gib:.2} | {gateways} | {workers} | {links} |"));
        }
    }
    assert_eq!(rows, expected);
}
