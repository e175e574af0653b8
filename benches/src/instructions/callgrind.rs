//! Runs benchmarks of the program `micro` under callgrind, and reads what it counted.
//!
//! All that a count could depend on beside the code is the same in each run: an empty environment, the same path and
//! arguments, so the same addresses; no address randomization (valgrind has none); fixed seeds for hash maps. valgrind
//! shows every machine that has AVX2 the same CPU, so the C library and others choose the same routines everywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::of;
use crate::programs;

/// A benchmark as `micro` lists it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub name: String,
    /// Operations that are counted together.
    pub operations: u64,
}

/// The program, and where its counts go.
pub(super) struct Micro {
    /// Where the program is, which is run by a relative path.
    directory: PathBuf,
    /// Profiles, one a benchmark, for callgrind_annotate.
    profiles: PathBuf,
    /// Answers who asks for random numbers.
    fixed_random: PathBuf,
}

impl Micro {
    /// Builds what is missing.
    pub(super) fn prepare() -> Result<Micro, String> {
        let directory = programs::micro_directory();
        let profiles = directory.join("../instructions");
        std::fs::create_dir_all(&profiles).map_err(of(profiles.display()))?;
        let profiles = profiles.canonicalize().map_err(of("a directory that was just made"))?;
        let fixed_random = profiles.join("fixed_random.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("micro/fixed_random.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&fixed_random).arg(source);
        programs::output(&mut cc)?;
        Ok(Micro { directory, profiles, fixed_random })
    }

    /// All benchmarks.
    pub(super) fn list(&self) -> Result<Vec<Listed>, String> {
        parse_list(&programs::output(&mut Command::new(self.directory.join("micro")))?)
    }

    /// Counts them, as many at a time as there are CPUs: they do not disturb each other. Returns the instructions per
    /// operation of each.
    pub(super) fn count(&self, benches: &[Listed]) -> Result<BTreeMap<String, f64>, String> {
        let next = AtomicUsize::new(0);
        let take = || benches.get(next.fetch_add(1, Ordering::Relaxed));
        let work = || {
            std::iter::from_fn(take)
                .map(|bench| Ok((bench.name.clone(), self.count_one(bench)?)))
                .collect::<Result<Vec<_>, String>>()
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..program::cpus()).map(|_| scope.spawn(work)).collect();
            let mut all = BTreeMap::new();
            for thread in threads {
                all.extend(thread.join().expect("counting returns its errors")?);
            }
            Ok(all)
        })
    }

    fn count_one(&self, bench: &Listed) -> Result<f64, String> {
        let profile = self.profiles.join(file_name(&bench.name));
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--quiet", "--collect-atstart=no", COUNTED]);
        command.arg(format!("--callgrind-out-file={}", profile.display()));
        command.arg("./micro").arg(&bench.name).current_dir(&self.directory);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LD_PRELOAD", &self.fixed_random).env("GLIBC_TUNABLES", TUNABLES);
        programs::output(&mut command)?;
        let text = std::fs::read_to_string(&profile).map_err(of(profile.display()))?;
        let total = parse_total(&text).ok_or_else(|| format!("{}: without a total", profile.display()))?;
        Ok((total as f64 / bench.operations as f64 * 10.0).round() / 10.0)
    }
}

/// callgrind counts inside of this function of `micro`, and nothing else.
const COUNTED: &str = "--toggle-collect=*meter::counted*";

/// The C library copies large blocks by `rep movsb`, each byte of which would count as an instruction.
const TUNABLES: &str =
    "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000";

fn parse_list(text: &str) -> Result<Vec<Listed>, String> {
    let parse = |line: &str| {
        let (name, operations) = line.split_once('\t')?;
        Some(Listed { name: name.to_owned(), operations: operations.parse().ok()? })
    };
    text.lines().map(|line| parse(line).ok_or_else(|| format!("micro listed `{line}`"))).collect()
}

/// The instructions in a profile.
fn parse_total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// Of a benchmark's profile.
fn file_name(bench: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("{}.callgrind", bench.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_totals_are_read() {
        let listed = parse_list("a/b, 1 B\t100\nc/d\t5\n").unwrap();
        assert_eq!(listed[0], Listed { name: "a/b, 1 B".into(), operations: 100 });
        assert_eq!(listed.len(), 2);
        assert!(parse_list("a/b\n").is_err());
        assert_eq!(parse_total("events: Ir\nfn=(1)\n3 4\n\ntotals: 251300\n"), Some(251_300));
        assert_eq!(parse_total("events: Ir\n"), None);
    }

    #[test]
    fn profiles_have_plain_names() {
        assert_eq!(file_name("a/b c, 1 B"), "a-b-c--1-B.callgrind");
    }
}
