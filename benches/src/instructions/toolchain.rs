//! What has a part in the counts beside the code.

use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::{kernel, programs};

/// Programs and a CPU feature by which counts differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolchain {
    /// As `rustc --version` says.
    pub rustc: String,
    /// As `valgrind --version` says: it counts, and shows the program a CPU.
    pub valgrind: String,
    /// As `getconf GNU_LIBC_VERSION` says: it copies and allocates.
    pub libc: String,
    /// Whether this machine has AVX2. valgrind shows all that have it the same CPU.
    pub avx2: bool,
}

impl Toolchain {
    /// Of this machine.
    pub fn here() -> Result<Toolchain, String> {
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let version = |program: &str, argument| programs::output(Command::new(program).arg(argument));
        let cpu = kernel::read("/proc/cpuinfo");
        Ok(Toolchain {
            rustc: version(&rustc, "--version")?,
            valgrind: version("valgrind", "--version")?,
            libc: version("getconf", "GNU_LIBC_VERSION")?,
            avx2: kernel::value(&cpu, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "avx2")),
        })
    }

    /// What is different in another: `rustc 1.95.0 instead of rustc 1.94.0`, and so on. Empty if nothing is.
    pub fn differences(&self, other: &Toolchain) -> Vec<String> {
        let avx2 = |has: bool| if has { "a CPU with AVX2" } else { "a CPU without AVX2" };
        let pairs = [
            (self.rustc.as_str(), other.rustc.as_str()),
            (&self.valgrind, &other.valgrind),
            (&self.libc, &other.libc),
            (avx2(self.avx2), avx2(other.avx2)),
        ];
        let different = pairs.iter().filter(|(here, there)| here != there);
        different.map(|(here, there)| format!("{here} instead of {there}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let here = Toolchain { rustc: "rustc 2".into(), valgrind: "v".into(), libc: "l".into(), avx2: true };
        assert!(here.differences(&here).is_empty());
        let other = Toolchain { rustc: "rustc 1".into(), avx2: false, ..here.clone() };
        assert_eq!(
            here.differences(&other),
            ["rustc 2 instead of rustc 1", "a CPU with AVX2 instead of a CPU without AVX2"]
        );
    }
}
