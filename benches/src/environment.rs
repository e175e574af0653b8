//! What figures are of: machine, kernel, commit, moment; and the file in `results/` that keeps them.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;

use crate::{kernel, programs};

/// Where and when, of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// UTC, as 2026-01-31T12:00:00Z.
    pub date: String,
    /// Abbreviated; `unknown` outside a repository.
    pub commit: String,
    /// The tree had changes that were not committed.
    pub dirty: bool,
    /// Release of the kernel.
    pub kernel: String,
    /// Model of the CPUs.
    pub cpu: String,
    /// How many CPUs there are.
    pub cpus: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
}

impl Environment {
    /// Here and now.
    pub fn now() -> Environment {
        let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        Environment {
            date: known(output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])),
            commit: known(output("git", &["rev-parse", "--short=10", "HEAD"])),
            dirty: output("git", &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty()),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpu: known(kernel::value(&kernel::read("/proc/cpuinfo"), "model name").map(str::to_owned)),
            cpus: program::cpus(),
            memory_mib: kernel::memory_bytes() >> 20,
        }
    }

    /// Writes `figures`, anything that serializes, to `results/`, under a name made of `bench`, day and commit. Returns
    /// the path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, bench: &str, figures: &impl Serialize) -> io::Result<PathBuf> {
        let directory = results_directory();
        std::fs::create_dir_all(&directory)?;
        let moment: String = self.date.chars().filter(char::is_ascii_digit).collect();
        let path = directory.join(format!("{bench}-{moment}-{}.json", self.commit));
        let kept = serde_json::json!({ "bench": bench, "environment": self, "figures": figures });
        std::fs::write(&path, serde_json::to_string_pretty(&kept)? + "\n")?;
        Ok(path)
    }
}

/// Where results are kept.
pub fn results_directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results"))
}

/// What a command prints in the repository, if it succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let here = env!("CARGO_MANIFEST_DIR");
    programs::output(Command::new(program).args(arguments).current_dir(here)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_described() {
        let environment = Environment::now();
        assert!(environment.cpus >= 1 && environment.memory_mib > 0 && !environment.kernel.is_empty());
        assert!(environment.date.ends_with('Z'), "{}", environment.date);
    }
}
