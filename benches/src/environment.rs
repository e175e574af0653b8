//! What figures are of: machine, kernel, commit, moment; and the file in `results/` that keeps them.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Where and when, of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        Environment {
            date: output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).unwrap_or_else(unknown),
            commit: output("git", &["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(unknown),
            dirty: output("git", &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty()),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cpus: program::cpus(),
            memory_mib: memory_mib(),
        }
    }

    /// Writes `figures`, anything that serializes, to `results/`, under a name made of `bench`, day and commit. Returns
    /// the path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, bench: &str, figures: &impl Serialize) -> io::Result<PathBuf> {
        #[derive(Serialize)]
        struct Kept<'a, F> {
            bench: &'a str,
            environment: &'a Environment,
            figures: &'a F,
        }
        let directory = results_directory();
        std::fs::create_dir_all(&directory)?;
        let moment: String = self.date.chars().filter(char::is_ascii_digit).collect();
        let path = directory.join(format!("{bench}-{moment}-{}.json", self.commit));
        let json = serde_json::to_string_pretty(&Kept { bench, environment: self, figures })?;
        std::fs::write(&path, json + "\n")?;
        Ok(path)
    }
}

/// Where results are kept.
pub fn results_directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results"))
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn memory_mib() -> u64 {
    let total = field("/proc/meminfo", "MemTotal");
    total.and_then(|total| total.split(' ').next()?.parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}

/// The value of the first `name : value` line of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// What a command prints, if it succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
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

    #[test]
    fn fields_of_proc_files() {
        assert!(field("/proc/meminfo", "MemTotal").unwrap().ends_with(" kB"));
        assert_eq!(field("/proc/meminfo", "NoSuchThing"), None);
        assert_eq!(field("/nowhere", "MemTotal"), None);
    }
}
