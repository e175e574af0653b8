//! The baseline: what was counted when the code was last found right, in `benches/baseline.json`.

use std::io;
use std::path::PathBuf;

use super::Figures;

/// The file, one line for each benchmark, in order of their names.
pub fn baseline_path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.json"))
}

impl Figures {
    /// The baseline that is committed.
    ///
    /// # Errors
    /// It cannot be read, or is no baseline.
    pub fn read_baseline() -> io::Result<Figures> {
        Ok(serde_json::from_str(&std::fs::read_to_string(baseline_path())?)?)
    }

    /// Makes these figures the baseline.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_baseline(&self) -> io::Result<()> {
        std::fs::write(baseline_path(), serde_json::to_string_pretty(self)? + "\n")
    }
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
