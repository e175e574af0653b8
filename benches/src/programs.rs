//! The programs that the harness of the end-to-end tests does not know: the load generator, the bare ones, and the micro
//! benchmarks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cluster::process::ready_made;

/// The load generator.
pub fn loadgen() -> PathBuf {
    directory().join("loadgen")
}

/// A bare program on `ring`, one of its examples.
pub fn bare(example: &str) -> PathBuf {
    directory().join("examples").join(example)
}

/// Starts a program of very many threads, which gives way to those of few (`nice`): a hundred busy threads on two CPUs leave
/// a worker's one a hundredth of them, too little even to say in time that it is there.
pub fn giving_way(program: &Path) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(program);
    command
}

/// Where the program `micro` is, as production is built; builds it from what is in the tree now.
pub fn micro_directory() -> PathBuf {
    build("release", &["-p", "ringway-micro", "--bin", "micro"]);
    profile_directory().with_file_name("release")
}

/// Where programs of this profile are; builds them, once per process, from what is in the tree now, unless somebody has.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        if let Some(directory) = ready_made() {
            return directory;
        }
        let directory = profile_directory();
        let profile = match directory.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        build(profile, &["-p", "ringway-loadgen", "--bin", "loadgen"]);
        build(profile, &["-p", "ringway-ring", "--examples"]);
        directory
    })
}

fn build(profile: &str, what: &[&str]) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--quiet", "--profile", profile]).args(what);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "cargo build {} failed", what.join(" "));
}

/// target/<profile>, found from this executable: it is there, or in `deps` below.
fn profile_directory() -> PathBuf {
    let executable = std::env::current_exe().expect("a process knows its executable");
    let directory = executable.parent().expect("an executable is in a directory");
    let above = directory.parent().filter(|_| directory.ends_with("deps"));
    above.unwrap_or(directory).to_owned()
}
