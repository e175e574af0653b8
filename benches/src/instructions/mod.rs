//! Micro benchmarks, counted in instructions by callgrind, against a baseline that is committed.
//!
//! The benchmarks are those of the program `micro` (`benches/micro`). A count repeats to the instruction, whatever else
//! the machine does, so a few percent more are a change of the code. It is no time: what a cache miss or a division
//! costs, it does not tell.

mod baseline;
mod callgrind;
mod compare;
mod toolchain;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

pub use baseline::baseline_path;
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

/// Why there are no counts.
#[derive(Debug)]
pub struct CountError(String);

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CountError {}

impl CountError {
    fn io(doing: impl fmt::Display) -> impl FnOnce(io::Error) -> CountError {
        move |error| CountError(format!("{doing}: {error}"))
    }
}

/// Builds the program `micro` and counts those of its benchmarks whose names contain one of `wanted`; all if that is
/// empty.
///
/// # Errors
/// valgrind or a compiler is missing or fails, or there is no such benchmark.
pub fn run(wanted: &[&str]) -> Result<Figures, CountError> {
    let toolchain = Toolchain::here()?;
    let micro = callgrind::Micro::prepare()?;
    let benches: Vec<_> = micro
        .list()?
        .into_iter()
        .filter(|bench| wanted.is_empty() || wanted.iter().any(|part| bench.name.contains(*part)))
        .collect();
    if benches.is_empty() {
        return Err(CountError(format!("no benchmark has one of these in its name: {}", wanted.join(", "))));
    }
    Ok(Figures { toolchain, instructions: micro.count(&benches)? })
}
