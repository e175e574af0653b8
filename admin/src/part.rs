//! The parts of a process, each with a data thread of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use crate::ask::Waiting;
use crate::{Histogram, Metric, NoAnswer, Row};

/// A shard of a gateway, a core of a worker, or a register.
pub struct Part {
    /// What it is called in tables: `name:index`, as worker keys are written.
    pub name: String,
    /// The program that it would be alone: `gateway`, `worker`, `register`.
    pub program: &'static str,
    /// What tells it from others of the program: `shard` or `core`, and its number.
    pub index: Option<(&'static str, usize)>,
    ask: Box<dyn Fn() -> Result<Waiting<PartReport>, NoAnswer> + Send + Sync>,
    groups: Option<GroupsOf>,
}

/// How the largest groups of a part are found: a slice at a time, so that it is held up by none.
pub(crate) struct GroupsOf {
    look: Box<dyn Fn() -> Result<Waiting<bool>, NoAnswer> + Send + Sync>,
    whole: Box<dyn Fn() -> Vec<(String, u64)> + Send + Sync>,
}

/// How a part is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartReport {
    /// Its line of the status table, but for the name.
    pub row: Row,
    /// What is measured.
    pub metrics: Vec<Metric>,
    /// Why nobody is to be sent here yet, or any more, though the thread does what it should.
    pub unready: Option<&'static str>,
    /// From what a client says to its worker's answer, where that is measured.
    pub latency: Option<Histogram>,
}

impl Part {
    /// A part that `tell` has send its status, of which `read` makes what is told.
    pub fn new<S: Send + 'static>(
        name: String,
        program: &'static str,
        index: Option<(&'static str, usize)>,
        tell: impl Fn(SyncSender<S>) -> Result<(), NoAnswer> + Send + Sync + 'static,
        read: impl Fn(S) -> PartReport + Clone + Send + Sync + 'static,
    ) -> Part {
        let ask = move || Ok(Waiting::begin(&tell)?.map(read.clone()));
        Part { name, program, index, ask: Box::new(ask), groups: None }
    }

    /// The same, and the largest groups of its clients are known: `look` has it look at some more of them, and is told whether
    /// those were the last; `whole` is what was found when they last were.
    #[must_use]
    pub fn with_groups(
        self,
        look: impl Fn() -> Result<Waiting<bool>, NoAnswer> + Send + Sync + 'static,
        whole: impl Fn() -> Vec<(String, u64)> + Send + Sync + 'static,
    ) -> Part {
        Part { groups: Some(GroupsOf { look: Box::new(look), whole: Box::new(whole) }), ..self }
    }

    /// How its groups are found, if it has any.
    pub(crate) fn groups(&self) -> Option<&GroupsOf> {
        self.groups.as_ref()
    }

    /// Asks it, without waiting.
    ///
    /// # Errors
    /// Its thread has ended.
    pub(crate) fn ask(&self) -> Result<Waiting<PartReport>, NoAnswer> {
        (self.ask)()
    }
}

impl GroupsOf {
    /// Looks at some more groups of all these, and again, until the last of them or for as long as this. The largest that were
    /// found when all of a part had last been looked at: their names, and how many clients each has, those of all parts together.
    pub(crate) fn look(all: &[&GroupsOf], limit: Duration) -> BTreeMap<String, u64> {
        let clock = program::Uptime::start();
        let rest = || limit.saturating_sub(clock.elapsed());
        let mut looking = all.to_vec();
        while !looking.is_empty() && !rest().is_zero() {
            let asked: Vec<_> = looking.iter().map(|groups| (*groups, (groups.look)())).collect();
            let unfinished = asked.into_iter().filter_map(|(groups, asked)| {
                let is_whole = asked.and_then(|mut waiting| waiting.wait(rest()));
                (is_whole == Ok(false)).then_some(groups)
            });
            looking = unfinished.collect();
        }
        let mut sums = BTreeMap::new();
        for (name, clients) in all.iter().flat_map(|groups| (groups.whole)()) {
            *sums.entry(name).or_default() += clients;
        }
        sums
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A part that has looked at all its groups after so many slices; of 0 it does not answer.
    fn part(slices: usize, whole: &'static [(&'static str, u64)]) -> Part {
        let looked = AtomicUsize::new(0);
        let look = move || {
            Waiting::begin(|answer: SyncSender<bool>| {
                let looked = looked.fetch_add(1, Ordering::Relaxed) + 1;
                // Whoever asks waits for it.
                let _ = answer.send(looked == slices);
                if slices == 0 { Err(NoAnswer::Ended) } else { Ok(()) }
            })
        };
        let part =
            Part::new(String::new(), "gateway", None, |_: SyncSender<()>| Ok(()), |()| PartReport::default());
        part.with_groups(look, move || {
            whole.iter().map(|(name, clients)| ((*name).to_owned(), *clients)).collect()
        })
    }

    #[test]
    fn groups_of_all_parts_are_added_up_when_all_have_been_looked_at() {
        let parts = [part(3, &[("a", 2), ("b", 1)]), part(1, &[("a", 5)]), part(0, &[("c", 1)])];
        let groups: Vec<_> = parts.iter().filter_map(Part::groups).collect();
        let found = GroupsOf::look(&groups, Duration::from_secs(60));
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("a".into(), 7), ("b".into(), 1), ("c".into(), 1)]
        );
    }
}
