//! Micro benchmarks, counted in instructions by callgrind, against a baseline that is committed.
//!
//! The benchmarks are those of the program `micro` (`benches/micro`). A count repeats to the instruction, whatever else
//! the machine does, so a few percent more are a change of the code. It is no time: what a cache miss or a division
//! costs, it does not show.

mod callgrind;
mod compare;
mod toolchain;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use compare::{Comparison, GROWTH_MAX};
pub use toolchain::Toolchain;

/// What was counted, and with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Compiler, valgrind and C library, which all have their part in the counts.
    pub toolchain: Toolchain,
    /// Instructions per operation, by benchmark.
    pub instructions: BTreeMap<String, f64>,
}

/// The file of the baseline, which was counted when the code was last found right: one line for each benchmark, in order
/// of their names.
pub fn baseline_path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.json"))
}

/// Builds the program `micro` and counts those of its benchmarks whose names contain one of `wanted`; all if that is
/// empty.
///
/// # Errors
/// valgrind or a compiler is missing or fails, or there is no such benchmark.
pub fn run(wanted: &[&str]) -> Result<Figures, String> {
    let toolchain = Toolchain::here()?;
    let micro = callgrind::Micro::prepare()?;
    let mut benches = micro.list()?;
    benches.retain(|bench| wanted.is_empty() || wanted.iter().any(|part| bench.name.contains(*part)));
    if benches.is_empty() {
        return Err(format!("no benchmark has one of these in its name: {}", wanted.join(", ")));
    }
    Ok(Figures { toolchain, instructions: micro.count(&benches)? })
}

impl Figures {
    /// The baseline that is committed.
    ///
    /// # Errors
    /// It cannot be read, or is no baseline.
    pub fn read_baseline() -> Result<Figures, String> {
        let text = std::fs::read_to_string(baseline_path()).map_err(of(baseline_path().display()))?;
        serde_json::from_str(&text).map_err(of(baseline_path().display()))
    }

    /// Makes these figures the baseline.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_baseline(&self) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(of("figures"))? + "\n";
        std::fs::write(baseline_path(), text).map_err(of(baseline_path().display()))
    }
}

/// Says of what an error is.
fn of<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_baseline_is_one_line_each_and_sorted() {
        let baseline = Figures::read_baseline().unwrap();
        let text = std::fs::read_to_string(baseline_path()).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains('/')).collect();
        assert_eq!(lines.len(), baseline.instructions.len());
        assert!(lines.is_sorted());
    }
}
