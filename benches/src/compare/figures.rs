//! The figures of a comparison: what follows from the CPU per message of pairs. No process, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RATIO_MAX, Setup};
use crate::median::median;

/// CPU per message in microseconds, of both builds, one right after the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Of the build that is compared with.
    pub before_us: f64,
    /// Of the build that is judged.
    pub after_us: f64,
}

impl Pair {
    /// What the build under test costs, as a multiple of the other one.
    pub fn ratio(&self) -> f64 {
        self.after_us / self.before_us
    }
}

/// A scenario: its pairs, and their medians.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    pub scenario: String,
    /// CPU per message before.
    pub before_us: f64,
    /// CPU per message after.
    pub after_us: f64,
    /// Of the pairs' ratios, not of the medians beside it: what disturbs both sides of a pair cancels out.
    pub ratio: f64,
    /// The lowest and the highest of them.
    pub spread: (f64, f64),
    /// Every pair.
    pub pairs: Vec<Pair>,
}

impl Row {
    /// Medians over `pairs`, at least one.
    pub(super) fn new(scenario: &str, pairs: Vec<Pair>) -> Row {
        let median_of = |figure: &dyn Fn(&Pair) -> f64| median(pairs.iter().map(figure).collect());
        let ratios = || pairs.iter().map(Pair::ratio);
        Row {
            scenario: scenario.to_owned(),
            before_us: median_of(&|pair| pair.before_us),
            after_us: median_of(&|pair| pair.after_us),
            ratio: median_of(&Pair::ratio),
            spread: (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max)),
            pairs,
        }
    }

    /// Whether the bar is kept.
    pub fn is_within_bar(&self) -> bool {
        self.ratio <= RATIO_MAX
    }
}

/// All scenarios that were run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What was run.
    pub setup: Setup,
    /// Folder of the build that is compared with.
    pub before: String,
    /// Folder of the build that is judged.
    pub after: String,
    /// One for each scenario.
    pub rows: Vec<Row>,
}

impl Figures {
    /// Whether every scenario keeps the bar.
    pub fn are_within_bar(&self) -> bool {
        self.rows.iter().all(Row::is_within_bar)
    }
}

/// The line above the pairs.
pub fn heading() -> String {
    format!("{:<10} {:>4}  {:>10} {:>10} {:>7}", "scenario", "pair", "before µs", "after µs", "ratio")
}

/// One pair as a line under [`heading`].
pub fn line(scenario: &str, index: usize, pair: &Pair) -> String {
    let Pair { before_us, after_us } = pair;
    format!("{scenario:<10} {:>4}  {before_us:>10.3} {after_us:>10.3} {:>7.3}", index + 1, pair.ratio())
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "CPU per message, {} as a multiple of {}:", self.after, self.before)?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { scenario, before_us, after_us, ratio, spread: (low, high), pairs } = self;
        let (count, verdict) = (pairs.len(), if self.is_within_bar() { "kept" } else { "MISSED" });
        write!(
            f,
            "{scenario}: {before_us:.3} µs before, {after_us:.3} µs after, median ratio {ratio:.3} \
             ({low:.3} to {high:.3}, pairs: {count}); at most {RATIO_MAX} is {verdict}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ratios: &[f64]) -> Row {
        let pairs = ratios.iter().map(|ratio| Pair { before_us: 10.0, after_us: 10.0 * ratio });
        Row::new("echo", pairs.collect())
    }

    fn figures(rows: Vec<Row>) -> Figures {
        Figures { setup: Setup::default(), before: "old".into(), after: "new".into(), rows }
    }

    #[test]
    fn the_median_of_the_ratios_is_judged() {
        let row = row(&[1.0, 9.0, 1.02, 0.5]);
        assert!((row.ratio - 1.01).abs() < 1e-9 && row.is_within_bar());
        assert!((row.spread.0 - 0.5).abs() < 1e-9 && (row.spread.1 - 9.0).abs() < 1e-9);
        assert!((row.before_us - 10.0).abs() < 1e-9 && (row.after_us - 10.1).abs() < 1e-9);
    }

    #[test]
    fn what_disturbs_both_sides_of_a_pair_cancels_out() {
        let pair = |speed: f64| Pair { before_us: 10.0 * speed, after_us: 10.2 * speed };
        let row = Row::new("echo", [1.0, 3.0, 0.7].map(pair).to_vec());
        assert!((row.ratio - 1.02).abs() < 1e-9 && row.spread.1 - row.spread.0 < 1e-9);
    }

    #[test]
    fn one_scenario_above_the_bar_is_enough() {
        let kept = figures(vec![row(&[1.03]), row(&[0.9])]);
        assert!(kept.are_within_bar() && !kept.to_string().contains("MISSED"), "{kept}");
        let missed = figures(vec![row(&[1.0]), row(&[1.031])]);
        assert!(!missed.are_within_bar(), "{missed}");
        assert!(missed.to_string().contains("median ratio 1.031 (1.031 to 1.031, pairs: 1)"), "{missed}");
        assert!(missed.to_string().ends_with("at most 1.03 is MISSED\n"), "{missed}");
    }

    #[test]
    fn lines_stand_under_their_heading() {
        let pair = Pair { before_us: 123.4, after_us: 0.1 };
        assert_eq!(heading().chars().count(), line("broadcast", 9, &pair).chars().count());
    }
}
