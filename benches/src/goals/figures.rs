//! The figures of a scenario and what they are judged by. No process, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Setup;
use crate::median::median;

/// A column and its bound.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// In words.
    pub what: &'static str,
    /// Which column, counted from 0.
    pub column: usize,
    /// What its median must keep.
    pub bound: Bound,
}

/// What a figure must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// No more.
    AtMost(f64),
    /// No less.
    AtLeast(f64),
}

/// All rounds, and how they are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Which scenario.
    pub scenario: String,
    /// What was run.
    pub setup: Setup,
    /// What was measured.
    pub columns: Vec<String>,
    /// Every round, in the order of the columns.
    pub rounds: Vec<Vec<f64>>,
    /// The medians, in the same order.
    pub medians: Vec<f64>,
    /// One for each goal.
    pub verdicts: Vec<Verdict>,
}

/// A figure and its goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// In words.
    pub what: String,
    /// The median of the rounds.
    pub median: f64,
    /// The lowest and the highest of them.
    pub spread: (f64, f64),
    /// What it must keep.
    pub bound: Bound,
    /// Whether it does.
    pub kept: bool,
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtMost(most) => value <= most,
            Bound::AtLeast(least) => value >= least,
        }
    }
}

impl Figures {
    pub(super) fn new(
        scenario: &str,
        setup: Setup,
        columns: &[&str],
        rounds: Vec<Vec<f64>>,
        goals: &[Goal],
    ) -> Figures {
        let column = |index: usize| rounds.iter().map(move |round| round[index]);
        let medians: Vec<f64> = (0..columns.len()).map(|index| median(column(index).collect())).collect();
        let judge = |goal: &Goal| Verdict {
            what: goal.what.to_owned(),
            median: medians[goal.column],
            spread: (
                column(goal.column).fold(f64::INFINITY, f64::min),
                column(goal.column).fold(f64::NEG_INFINITY, f64::max),
            ),
            bound: goal.bound,
            kept: goal.bound.holds(medians[goal.column]),
        };
        Figures {
            scenario: scenario.to_owned(),
            setup,
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            verdicts: goals.iter().map(judge).collect(),
            medians,
            rounds,
        }
    }

    /// Whether every goal is kept.
    pub fn are_kept(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.kept)
    }
}

/// The line above the rounds.
pub(super) fn heading(columns: &[impl AsRef<str>]) -> String {
    columns.iter().fold("round ".to_owned(), |line, name| format!("{line}  {:>WIDTH_MIN$}", name.as_ref()))
}

/// One round, or the medians, as a line under [`heading`].
pub(super) fn row(name: &str, columns: &[impl AsRef<str>], values: &[f64]) -> String {
    let widths = columns.iter().map(|name| name.as_ref().chars().count().max(WIDTH_MIN));
    let cells = widths.zip(values).map(|(width, value)| format!("  {:>width$}", short(*value)));
    format!("{name:<6}{}", cells.collect::<String>())
}

/// With as many decimals as say something.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        1000.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", row("median", &self.columns, &self.medians))?;
        self.verdicts.iter().try_for_each(|verdict| writeln!(f, "{}: {verdict}", self.scenario))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { what, median, spread: (low, high), bound, kept } = self;
        let goal = match bound {
            Bound::AtMost(most) => format!("at most {most}"),
            Bound::AtLeast(least) => format!("at least {least}"),
        };
        let kept = if *kept { "kept" } else { "MISSED" };
        let (median, low, high) = (short(*median), short(*low), short(*high));
        write!(f, "{what} {median} ({low} to {high}), the goal of {goal} is {kept}")
    }
}

/// Of a column whose name is shorter.
const WIDTH_MIN: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goals::Kind;

    fn figures(rounds: Vec<Vec<f64>>) -> Figures {
        let goals = [
            Goal { what: "ratio", column: 1, bound: Bound::AtMost(1.3) },
            Goal { what: "rate", column: 0, bound: Bound::AtLeast(10.0) },
        ];
        Figures::new("latency", Kind::Latency.setup(), &["rate", "ratio"], rounds, &goals)
    }

    #[test]
    fn medians_are_judged() {
        let kept = figures(vec![vec![9.0, 1.0], vec![11.0, 1.25], vec![12.0, 9.0]]);
        assert!(kept.are_kept() && kept.medians == [11.0, 1.25]);
        let text = kept.to_string();
        assert!(
            text.contains("latency: ratio 1.25 (1.00 to 9.00), the goal of at most 1.3 is kept"),
            "{text}"
        );
        let missed = figures(vec![vec![9.0, 1.0]]);
        assert!(!missed.are_kept() && missed.to_string().contains("at least 10 is MISSED"), "{missed}");
    }

    #[test]
    fn lines_stand_under_their_heading() {
        let columns = ["a", "some µs per message"];
        let line = row("1", &columns, &[0.1234, 123_456.7]);
        assert_eq!(heading(&columns).chars().count(), line.chars().count());
        assert_eq!(
            ["1234.6", "12.35", "1.234", "0.1234"].map(|n| short(n.parse().unwrap())),
            ["1235", "12.3", "1.23", "0.123"]
        );
    }

    #[test]
    fn scenarios_have_names() {
        assert!(Kind::ALL.into_iter().all(|kind| kind.name().parse() == Ok(kind)));
        assert_eq!("million".parse::<Kind>(), Err(()));
    }
}
