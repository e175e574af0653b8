//! The programs that a cluster does not consist of: the load generator, the bare ones, the workers that sleep or say nothing of
//! what they have done, attackers, and the micro benchmarks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cluster::process::{build, profile_directory, ready_made};

/// The load generator.
pub(crate) fn loadgen() -> PathBuf {
    directory().join("loadgen")
}

/// A bare program on `uring`, one of its examples.
pub(crate) fn bare(example: &str) -> PathBuf {
    directory().join("examples").join(example)
}

/// The worker whose handlers sleep.
pub(crate) fn sleep_worker() -> PathBuf {
    directory().join("sleep-worker")
}

/// The worker that says what PHP's say, and no more.
pub(crate) fn bare_worker() -> PathBuf {
    directory().join("bare-worker")
}

/// Clients that mean harm.
pub(crate) fn attacker() -> PathBuf {
    directory().join("attacker")
}

/// Starts a program of very many threads, which gives way to those of few (`nice`): a hundred busy threads on two CPUs leave
/// a worker's one a hundredth of them, too little even to say in time that it is there.
pub(crate) fn giving_way(program: &Path) -> Command {
    nice(program, 10)
}

/// Starts a program that gives way to others, by this much of 19.
pub(crate) fn nice(program: &Path, by: u8) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", &by.to_string()]).arg(program);
    command
}

/// What a command prints, without the end of its last line.
///
/// # Errors
/// It cannot be run, or fails: what it says.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error} (scripts/bench instructions installs what it needs)"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} ended with {}: {}", output.status, said.trim_end()))
}

/// Where the program `micro` is, as production is built; builds it from what is in the tree now.
pub(crate) fn micro_directory() -> PathBuf {
    let release = profile_directory().with_file_name("release");
    build(&release, &["-p", "ringway-micro", "--bin", "micro"]);
    release
}

/// Where programs of this profile are; builds them, once per process, from what is in the tree now, unless somebody has.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        ready_made().unwrap_or_else(|| {
            let directory = profile_directory();
            build(&directory, &["-p", "ringway-loadgen", "-p", "ringway-benches", "--bins"]);
            build(&directory, &["-p", "ringway-uring", "--examples"]);
            directory
        })
    })
}
