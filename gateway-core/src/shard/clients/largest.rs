//! The largest groups of a shard, found a slice at a time. What has been found is with who asks, so a shard that nobody asks has
//! nothing of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::directory::SetId;
use crate::config::{GROUP_SHOWN_SIZE, GROUPS_FOUND_MAX, GROUPS_SLICE};
use crate::shard::Shard;

/// The largest groups of those that were looked at so far.
///
/// Invariant: `found.len() <= GROUPS_FOUND_MAX`.
#[derive(Debug, Default)]
pub(crate) struct LargestGroups {
    /// Groups up to this one were looked at.
    last: Option<SetId>,
    /// The smallest on top.
    found: BinaryHeap<Reverse<(usize, Box<[u8]>)>>,
}

impl Shard {
    /// Looks at the next groups; whether those were the last.
    pub(crate) fn look_for_groups(&self, largest: &mut LargestGroups) -> bool {
        let mut count = 0;
        for (id, name, clients) in self.clients.groups.counted_after(largest.last).take(GROUPS_SLICE) {
            count += 1;
            largest.last = Some(id);
            largest.note(name, clients);
        }
        count < GROUPS_SLICE
    }
}

impl LargestGroups {
    fn note(&mut self, name: &[u8], clients: usize) {
        let is_full = self.found.len() >= GROUPS_FOUND_MAX;
        if is_full && self.found.peek().is_some_and(|Reverse((smallest, _))| clients <= *smallest) {
            return;
        }
        if is_full {
            self.found.pop();
        }
        self.found.push(Reverse((clients, name[..name.len().min(GROUP_SHOWN_SIZE)].into())));
    }

    /// The groups, and how many clients each has.
    pub(crate) fn into_groups(self) -> impl Iterator<Item = (String, u64)> {
        let shown = |name: &[u8]| {
            let mut text = String::from_utf8_lossy(name).into_owned();
            if name.len() == GROUP_SHOWN_SIZE {
                text.push('…');
            }
            text
        };
        self.found.into_iter().map(move |Reverse((clients, name))| (shown(&name), clients as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ClientSlot;
    use super::*;
    use crate::shard::Identity;
    use crate::{Millis, Settings};

    #[test]
    fn the_largest_are_found_however_many_there_are_and_come_and_go() {
        let identity = Identity { address: "127.0.0.1:2900".parse().unwrap(), seed: 1 };
        let mut shard = Shard::new(Settings::default(), identity, Millis(0));
        let groups = 3 * GROUPS_SLICE + 5;
        let join = |shard: &mut Shard, group: usize, clients: u32| {
            let join = |slot| {
                shard.clients.groups.join(format!("g{group}").as_bytes(), ClientSlot::of(slot as usize))
            };
            (0..clients).map(join).last().unwrap()
        };
        let memberships: Vec<_> =
            (0..groups).map(|group| join(&mut shard, group, if group % 1000 == 7 { 3 } else { 1 })).collect();
        let mut largest = LargestGroups::default();
        assert!(!shard.look_for_groups(&mut largest));
        // Where it stands is gone, and one has come behind it.
        shard.clients.groups.leave(memberships[GROUPS_SLICE - 1]);
        join(&mut shard, groups, 9);
        let mut slices = 1;
        while !shard.look_for_groups(&mut largest) {
            slices += 1;
            assert!(largest.found.len() <= GROUPS_FOUND_MAX);
        }
        assert_eq!(slices, 3);
        let mut found: Vec<_> = largest.into_groups().collect();
        assert_eq!(found.len(), GROUPS_FOUND_MAX);
        found.sort_by_key(|(name, clients)| (Reverse(*clients), name.len(), name.clone()));
        let first: Vec<_> = found.iter().take(3).map(|(name, clients)| (name.as_str(), *clients)).collect();
        assert_eq!(first, [(format!("g{groups}").as_str(), 9), ("g7", 3), ("g1007", 3)]);
    }

    #[test]
    fn a_long_name_is_cut() {
        let mut largest = LargestGroups::default();
        largest.note(&[b'x'; 10_000], 1);
        let (name, _) = largest.into_groups().next().unwrap();
        assert!(name.ends_with("x…") && name.chars().count() == GROUP_SHOWN_SIZE + 1);
    }
}
