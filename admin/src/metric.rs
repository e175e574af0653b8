//! What is measured, as Prometheus names it.

use std::time::Duration;

use crate::{Counter, Histogram};

/// One number of a part, or several that belong together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metric {
    /// Its name, with the unit last, without the program in front and `_total` behind.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// What tells it from others of the name, beside the part.
    pub label: Option<(&'static str, String)>,
    /// What it is now.
    pub value: Value,
}

/// What a metric is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// It only grows.
    Counter(u64),
    /// The same of time.
    Time(Duration),
    /// It comes and goes.
    Gauge(u64),
    /// How often values were how large.
    Histogram(Histogram),
}

/// Counters that count one thing by its cause: one metric, with the label `cause`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Causes {
    /// The metric's name.
    pub name: &'static str,
    /// What they count together, in a sentence.
    pub help: &'static str,
    /// The counters, each with its cause.
    pub counters: &'static [(&'static str, &'static str)],
}

impl Metric {
    /// A number that comes and goes.
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Metric {
        Metric { name, help, label: None, value: Value::Gauge(value) }
    }

    /// How often values were how large; the unit is part of the name.
    pub fn histogram(name: &'static str, help: &'static str, values: &Histogram) -> Metric {
        Metric { name, help, label: None, value: Value::Histogram(*values) }
    }

    /// The same for this alone.
    pub fn with(self, label: &'static str, value: impl Into<String>) -> Metric {
        Metric { label: Some((label, value.into())), ..self }
    }

    /// A metric for each counter; those of one thing are told apart by the label `cause`.
    ///
    /// # Panics
    /// In debug builds, if a cause is that of a counter that is not there.
    pub fn counters<'a>(
        counters: impl IntoIterator<Item = Counter, IntoIter: Clone> + 'a,
        causes: &'a [Causes],
    ) -> impl Iterator<Item = Metric> + 'a {
        let counters = counters.into_iter();
        debug_assert_eq!(Causes::unknown(counters.clone(), causes), None, "a cause without a counter");
        counters.map(|Counter { name, help, count }| {
            let value = Value::Counter(count);
            let found = causes.iter().find_map(|causes| Some((causes, causes.cause_of(name)?)));
            match found {
                Some((Causes { name, help, .. }, cause)) => {
                    Metric { name, help, label: Some(("cause", cause.to_owned())), value }
                }
                None => Metric { name, help: help.trim(), label: None, value },
            }
        })
    }
}

impl Causes {
    /// A counter that has a cause here and is not there.
    fn unknown(counters: impl Iterator<Item = Counter> + Clone, causes: &[Causes]) -> Option<&'static str> {
        let is_there = |name: &str| counters.clone().any(|counter| counter.name == name);
        causes.iter().flat_map(|causes| causes.counters).map(|(name, _)| *name).find(|name| !is_there(name))
    }

    fn cause_of(&self, counter: &str) -> Option<&'static str> {
        self.counters.iter().find(|(name, _)| *name == counter).map(|(_, cause)| *cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_one_thing_are_told_apart_by_cause() {
        let counter = |name, count| Counter { name, help: " What happened.", count };
        let counters = &[("clients_closed_slow", "slow")];
        let causes = [Causes { name: "clients_closed", help: "Clients closed, by cause.", counters }];
        let made: Vec<Metric> =
            Metric::counters([counter("stalls", 1), counter("clients_closed_slow", 2)], &causes).collect();
        assert_eq!((made[0].name, made[0].help, &made[0].label), ("stalls", "What happened.", &None));
        assert_eq!((made[1].name, made[1].help), ("clients_closed", causes[0].help));
        assert_eq!(made[1].label, Some(("cause", "slow".to_owned())));
        assert_eq!(made[1].value, Value::Counter(2));
    }

    #[test]
    #[should_panic(expected = "a cause without a counter")]
    fn a_cause_without_a_counter_is_a_mistake() {
        let causes = [Causes { name: "stalls", help: "Stalls.", counters: &[("stalls_of_old", "old")] }];
        let counter = Counter { name: "stalls", help: "Stalls.", count: 0 };
        let _ = Metric::counters([counter], &causes).count();
    }
}
