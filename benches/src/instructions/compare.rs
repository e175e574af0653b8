//! Counts beside the baseline's: the table, and what is wrong.

use std::fmt;

use super::Figures;

/// How much more than the baseline a count may be: 3 %.
pub const GROWTH_MAX: f64 = 0.03;

/// This many instructions more or less are never a change: of the smallest benchmarks, 3 % are less than one.
const SLACK: f64 = 2.0;

/// Counts beside a baseline.
pub struct Comparison {
    rows: Vec<Row>,
    /// In the baseline, but no benchmark any more.
    gone: Vec<String>,
    /// How the toolchain differs from the baseline's.
    differences: Vec<String>,
}

struct Row {
    name: String,
    count: f64,
    baseline: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Same,
    Grown,
    Fallen,
    New,
}

impl Comparison {
    /// `figures` beside `baseline`; `all` says that every benchmark was counted.
    pub fn new(figures: &Figures, baseline: &Figures, all: bool) -> Comparison {
        let rows = figures.instructions.iter().map(|(name, count)| Row {
            name: name.clone(),
            count: *count,
            baseline: baseline.instructions.get(name).copied(),
        });
        let missing = baseline.instructions.keys().filter(|name| !figures.instructions.contains_key(*name));
        Comparison {
            rows: rows.collect(),
            gone: missing.filter(|_| all).cloned().collect(),
            differences: figures.toolchain.differences(&baseline.toolchain),
        }
    }

    /// What must not be, one line each; empty if all is well.
    pub fn violations(&self) -> Vec<String> {
        let mut violations: Vec<String> = self.rows.iter().filter_map(Row::violation).collect();
        violations.extend(
            self.gone.iter().map(|name| format!("{name}: in the baseline, but no benchmark any more")),
        );
        violations
    }

    /// What there is to do about it, one line each.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        let fallen = self.rows.iter().any(|row| row.verdict() == Verdict::Fallen);
        if !self.violations().is_empty() {
            if !self.differences.is_empty() {
                let differences = self.differences.join(", ");
                advice.push(format!("{differences}: a new toolchain wants a new baseline"));
            }
            advice.push("if that is on purpose, commit a new baseline with it, and say why: scripts/bench instructions --baseline".into());
        } else if fallen {
            advice.push("some have become cheaper; keep it so, and commit the new baseline: scripts/bench instructions --baseline".into());
        }
        advice
    }
}

impl Row {
    /// As a share of the baseline.
    fn change(&self) -> Option<f64> {
        self.baseline.map(|baseline| self.count / baseline - 1.0)
    }

    fn verdict(&self) -> Verdict {
        let Some(baseline) = self.baseline else { return Verdict::New };
        let more = self.count - baseline;
        if more.abs() <= SLACK.max(GROWTH_MAX * baseline) {
            Verdict::Same
        } else if more > 0.0 {
            Verdict::Grown
        } else {
            Verdict::Fallen
        }
    }

    fn violation(&self) -> Option<String> {
        let Row { name, count, .. } = self;
        match (self.verdict(), self.baseline, self.change()) {
            (Verdict::New, ..) => Some(format!("{name}: {count:.1} instructions, and not in the baseline")),
            (Verdict::Grown, Some(baseline), Some(change)) => Some(format!(
                "{name}: {count:.1} instructions instead of {baseline:.1}, {:.1} % more; {:.0} % are allowed",
                change * 100.0,
                GROWTH_MAX * 100.0
            )),
            _ => None,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        writeln!(f, "{:<width$}  {:>12} {:>12} {:>9}", "benchmark", "instructions", "baseline", "change")?;
        for row in &self.rows {
            let baseline = row.baseline.map_or("none".into(), |baseline| format!("{baseline:.1}"));
            let change = row.change().map_or(String::new(), |change| format!("{:+.1} %", change * 100.0));
            let mark = match row.verdict() {
                Verdict::Same => "",
                Verdict::Grown => "  MORE",
                Verdict::Fallen => "  less",
                Verdict::New => "  NEW",
            };
            writeln!(f, "{:<width$}  {:>12.1} {baseline:>12} {change:>9}{mark}", row.name, row.count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::instructions::Toolchain;

    fn figures(rustc: &str, counts: &[(&str, f64)]) -> Figures {
        let instructions: BTreeMap<_, _> =
            counts.iter().map(|(name, count)| ((*name).into(), *count)).collect();
        let toolchain =
            Toolchain { rustc: rustc.into(), valgrind: String::new(), libc: String::new(), avx2: true };
        Figures { toolchain, instructions }
    }

    fn compare(now: &[(&str, f64)], before: &[(&str, f64)]) -> Comparison {
        Comparison::new(&figures("1", now), &figures("1", before), true)
    }

    #[test]
    fn three_percent_are_allowed_and_no_more() {
        assert_eq!(compare(&[("a", 1030.0)], &[("a", 1000.0)]).violations(), [""; 0]);
        let violations = compare(&[("a", 1031.0), ("b", 5.0)], &[("a", 1000.0), ("b", 5.0)]).violations();
        assert_eq!(violations, ["a: 1031.0 instructions instead of 1000.0, 3.1 % more; 3 % are allowed"]);
    }

    #[test]
    fn the_smallest_may_differ_by_two() {
        assert_eq!(compare(&[("a", 12.0)], &[("a", 10.0)]).violations(), [""; 0]);
        assert_eq!(compare(&[("a", 12.1)], &[("a", 10.0)]).violations().len(), 1);
    }

    #[test]
    fn a_fall_is_named_and_no_fault() {
        let comparison = compare(&[("a", 900.0)], &[("a", 1000.0)]);
        assert_eq!(comparison.violations(), [""; 0]);
        assert!(comparison.advice()[0].contains("cheaper"));
        assert!(comparison.to_string().contains("-10.0 %  less"));
    }

    #[test]
    fn what_is_missing_on_either_side_is_a_fault() {
        let comparison = compare(&[("new", 1.0)], &[("old", 1.0)]);
        let violations = comparison.violations();
        assert!(violations[0].starts_with("new: ") && violations[1].starts_with("old: "), "{violations:?}");
        let some = Comparison::new(&figures("1", &[]), &figures("1", &[("old", 1.0)]), false);
        assert_eq!(some.violations(), [""; 0]);
    }

    #[test]
    fn another_toolchain_is_named_when_something_is_wrong() {
        let (now, before) = (figures("2", &[("a", 2000.0)]), figures("1", &[("a", 1000.0)]));
        assert!(Comparison::new(&now, &before, true).advice()[0].starts_with("2 instead of 1: "));
        assert_eq!(Comparison::new(&before, &before, true).advice(), [""; 0]);
    }
}
