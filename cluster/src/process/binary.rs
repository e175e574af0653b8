//! Where the programs are, and that they are built from what is in the tree now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of a program of this workspace: in the directory that the environment's `RINGWAY_PROGRAMS` names, where they
/// are known to be up to date, else built, once per process, in the profile that this code is built in.
///
/// # Panics
/// It does not build.
pub fn path(program: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        ready_made().unwrap_or_else(|| {
            let directory = profile_directory();
            let packages = PACKAGES.iter().flat_map(|package| ["-p", package]);
            build(
                &directory,
                &["--bins", "--example", "greeter"].into_iter().chain(packages).collect::<Vec<_>>(),
            );
            directory
        })
    });
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

/// Builds `what`, in words of `cargo build`, from what is in the tree now, in the profile whose directory is given.
///
/// # Panics
/// It does not build.
pub fn build(directory: &Path, what: &[&str]) {
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--quiet", "--profile", profile]).args(what);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "cargo build {} failed", what.join(" "));
}

/// `target/PROFILE`, found from this executable, which is in it, or in `deps` or `examples` below.
pub fn profile_directory() -> PathBuf {
    let executable = std::env::current_exe().expect("a process knows its executable");
    let directory = executable.parent().expect("an executable is in a directory");
    let below = directory.ends_with("deps") || directory.ends_with("examples");
    let above = directory.parent().filter(|_| below);
    above.unwrap_or(directory).to_owned()
}
