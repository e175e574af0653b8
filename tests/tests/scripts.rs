//! The scripts that developers start, where that costs little: what they say when they cannot work, and where they look.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the tree").to_owned()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

#[test]
fn a_comparison_wants_a_commit_that_is_there() {
    for (arguments, error) in [
        (&["compare"][..], "compare: which commit?"),
        (&["compare", "--rounds", "3"], "compare: which commit?"),
        (&["compare", "no-such-branch", "echo"], "compare: there is no commit no-such-branch here"),
    ] {
        let output = run(Command::new(root().join("scripts/bench")).args(arguments));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(error), "{arguments:?}: {stderr}");
    }
}

#[test]
fn interop_finds_what_it_builds() {
    let mut python = Command::new("python3");
    python.args(["-B", "-c", "import run; print(run.target_directory())"]);
    python.current_dir(root().join("interop")).env("CARGO_TARGET_DIR", "/some/where/else");
    let output = run(&mut python);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/some/where/else\n", "{stderr}");
}
