//! Where the programs are, and that they are built from what is in the tree now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of a program of this workspace: in the directory that the environment's `RINGWAY_PROGRAMS` names, where they
/// are known to be up to date, else built, once per process, in the profile that this code is built in.
pub fn path(program: &str) -> PathBuf {
    static DIRECTORY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(build).as_ref().unwrap_or_else(|error| panic!("{error}"));
    let path = directory.join(program);
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

/// Packages whose programs are started by tests.
const PACKAGES: [&str; 6] = [
    "ringway-gateway-core",
    "ringway-apps",
    "ringway-worker",
    "ringway-register",
    "ringway-standalone",
    "ringway-interop-worker",
];

/// Where somebody else has built all programs already, as `scripts/test` does: each test program that builds them by itself
/// asks for other packages, and cargo then builds what they depend on once more with other features.
pub fn ready_made() -> Option<PathBuf> {
    std::env::var_os("RINGWAY_PROGRAMS").map(PathBuf::from)
}

/// Builds the programs and returns the directory they are in.
fn build() -> Result<PathBuf, String> {
    if let Some(directory) = ready_made() {
        return Ok(directory);
    }
    let directory = profile_directory();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--bins", "--example", "greeter"]);
    command.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
    command.args(["--profile", profile(&directory)]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    match command.status() {
        Ok(status) if status.success() => Ok(directory),
        Ok(_) => Err("the programs under test do not build".to_owned()),
        Err(error) => Err(format!("cargo does not run: {error}")),
    }
}

/// target/<profile>, found from this executable, which is somewhere below it.
fn profile_directory() -> PathBuf {
    let executable = std::env::current_exe().expect("a process knows its executable");
    let directory = executable.parent().expect("an executable is in a directory");
    let above_deps = directory.ends_with("deps") || directory.ends_with("examples");
    if above_deps { directory.parent().expect("deps is in a profile's directory") } else { directory }
        .to_owned()
}

/// The profile that a directory below target belongs to.
fn profile(directory: &Path) -> &str {
    match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    }
}
