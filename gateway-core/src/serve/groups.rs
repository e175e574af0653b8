//! Asks a shard for its largest groups, a slice at a time: between two of them it serves its clients.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use admin::{NoAnswer, Waiting};

use super::{Control, ShardControl};
use crate::shard::LargestGroups;

/// The largest groups of a shard, for whoever asks again and again.
#[derive(Clone)]
pub(super) struct Groups {
    control: ShardControl,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// What is being found.
    next: LargestGroups,
    /// What was found last, of all groups.
    whole: Vec<(String, u64)>,
}

impl Groups {
    pub(super) fn new(control: ShardControl) -> Groups {
        Groups { control, known: Arc::default() }
    }

    /// Has the shard look at some more groups; whether those were the last. If it does not answer, it begins anew.
    pub(super) fn look(&self) -> Result<Waiting<bool>, NoAnswer> {
        let next = std::mem::take(&mut self.known().next);
        let asked = Waiting::begin(|answer| self.control.tell(Control::Groups(next, answer)))?;
        let own = self.clone();
        Ok(asked.map(move |(largest, is_whole)| own.take(largest, is_whole)))
    }

    /// The groups, in no order.
    pub(super) fn whole(&self) -> Vec<(String, u64)> {
        self.known().whole.clone()
    }

    fn take(&self, largest: LargestGroups, is_whole: bool) -> bool {
        let mut known = self.known();
        if is_whole {
            known.whole = largest.into_groups().collect();
        } else {
            known.next = largest;
        }
        is_whole
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change is one assignment, so a poisoned lock is as good.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
