//! The figures of a scenario and what they are judged by. No process, no clock.

use std::fmt;

use serde::Serialize;

use super::{Scenario, Setup};
use crate::median::median;

/// A column and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// In words.
    pub what: &'static str,
    /// Which column, counted from 0.
    #[serde(skip)]
    pub column: usize,
    /// What its median must keep.
    pub bound: Bound,
}

/// What a figure must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Bound {
    /// No more.
    AtMost(f64),
    /// No less.
    AtLeast(f64),
}

/// All rounds, and how they are judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Which scenario.
    pub scenario: &'static str,
    /// What was run.
    pub setup: Setup,
    /// What was measured.
    pub columns: &'static [&'static str],
    /// Every round, in the order of the columns.
    pub rounds: Vec<Vec<f64>>,
    /// The medians, in the same order.
    pub medians: Vec<f64>,
    /// One for each goal.
    pub verdicts: Vec<Verdict>,
}

/// A goal and its figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What is judged, and by what.
    #[serde(flatten)]
    pub goal: Goal,
    /// The median of the rounds.
    pub median: f64,
    /// The lowest and the highest of them.
    pub spread: (f64, f64),
    /// Whether the goal is kept.
    pub kept: bool,
}

impl Goal {
    /// The median of a column is no more than this.
    pub const fn at_most(what: &'static str, column: usize, most: f64) -> Goal {
        Goal { what, column, bound: Bound::AtMost(most) }
    }

    /// The median of a column is no less than this.
    pub const fn at_least(what: &'static str, column: usize, least: f64) -> Goal {
        Goal { what, column, bound: Bound::AtLeast(least) }
    }
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
    /// The rounds of a scenario.
    pub(super) fn new(scenario: &Scenario, setup: Setup, rounds: Vec<Vec<f64>>) -> Figures {
        let Scenario { name, columns, goals, .. } = *scenario;
        let column = |index: usize| rounds.iter().map(move |round| round[index]);
        let medians: Vec<f64> = (0..columns.len()).map(|index| median(column(index).collect())).collect();
        let judge = |goal: &Goal| Verdict {
            goal: *goal,
            median: medians[goal.column],
            spread: (
                column(goal.column).fold(f64::INFINITY, f64::min),
                column(goal.column).fold(f64::NEG_INFINITY, f64::max),
            ),
            kept: goal.bound.holds(medians[goal.column]),
        };
        let verdicts = goals.iter().map(judge).collect();
        Figures { scenario: name, setup, columns, verdicts, medians, rounds }
    }

    /// A line for each goal.
    pub fn judgement(&self) -> String {
        self.verdicts.iter().map(|verdict| format!("{}: {verdict}\n", self.scenario)).collect()
    }

    /// Whether every goal is kept.
    pub fn are_kept(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.kept)
    }
}

/// The line above the rounds.
pub(super) fn heading(columns: &[&str]) -> String {
    columns.iter().fold("round ".to_owned(), |line, name| format!("{line}  {name:>WIDTH_MIN$}"))
}

/// One round, or the medians, as a line under [`heading`].
pub(super) fn row(name: &str, columns: &[&str], values: &[f64]) -> String {
    let widths = columns.iter().map(|name| name.chars().count().max(WIDTH_MIN));
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
        write!(f, "{}\n{}", row("median", self.columns, &self.medians), self.judgement())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { goal: Goal { what, bound, .. }, median, spread: (low, high), kept } = self;
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
    use crate::goals::SCENARIOS;

    fn figures(rounds: Vec<Vec<f64>>) -> Figures {
        const GOALS: &[Goal] = &[Goal::at_most("ratio", 1, 1.3), Goal::at_least("rate", 0, 10.0)];
        let latency = Scenario::named("latency").unwrap();
        Figures::new(
            &Scenario { columns: &["rate", "ratio"], goals: GOALS, ..*latency },
            latency.usual,
            rounds,
        )
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
        let named = |name| Scenario::named(name).map(|scenario| scenario.name);
        assert!(SCENARIOS.into_iter().all(|scenario| named(scenario.name) == Some(scenario.name)));
        assert_eq!(named("million"), None);
        let group =
            |word| Scenario::group(word).into_iter().map(|scenario| scenario.name).collect::<Vec<_>>();
        assert_eq!(group("burst"), ["burst", "burst-10000"]);
        assert_eq!(group("load-half"), ["load-half"]);
        assert_eq!((group("all").len(), group("loa").len()), (SCENARIOS.len(), 0));
    }
}
