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

/// The flags in the first column of the table that follows a line beginning with `` `program` ``.
fn documented_flags(readme: &str, program: &str) -> Vec<String> {
    let lines = readme.lines().skip_while(|line| !line.starts_with(&format!("`{program}`")));
    let rows =
        lines.skip(1).skip_while(|line| !line.starts_with("| `--")).take_while(|line| line.starts_with('|'));
    sorted(rows.map(|row| row.split('`').nth(1).unwrap().to_owned()))
}

/// The flags of `--help`, without those that every program has.
fn real_flags(program: &Path) -> Vec<String> {
    let help = Command::new(program).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = help.lines().filter_map(|line| line.strip_prefix("  --")?.split_whitespace().next());
    let common = ["config", "log-level", "cpus", "version", "help,"];
    sorted(flags.filter(|flag| !common.contains(flag)).map(|flag| format!("--{flag}")))
}

fn sorted(flags: impl Iterator<Item = String>) -> Vec<String> {
    let mut flags: Vec<_> = flags.collect();
    flags.sort_unstable();
    flags
}

#[test]
fn every_flag_of_every_program_is_documented() {
    let readme = readme();
    for program in ["register", "gateway", "worker"] {
        assert_eq!(documented_flags(&readme, program), real_flags(&binary_path(program)), "{program}");
    }
    let ringway = Path::new(env!("CARGO_BIN_EXE_ringway"));
    assert_eq!(documented_flags(&readme, "ringway"), real_flags(ringway));
}

#[test]
fn the_events_of_the_readme_are_the_example() {
    let example = fs::read_to_string(root().join("worker/examples/hello.rs")).unwrap();
    let code = &example[example.find("use std").unwrap()..];
    assert!(readme().contains(&format!("```rust\n{code}```\n")));
}
