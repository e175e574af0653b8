//! When something is to be looked at again: one heap for all of a core.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;
use std::time::Duration;

use hashbrown::HashMap;

/// Times at which things named `K` are to be looked at. Times are since the core's start.
///
/// Whoever is looked at decides anew what is due, and when it wants to be looked at next: so a time that turned out to be too
/// early costs one look, and nothing is ever taken out.
#[derive(Debug)]
pub(super) struct Timers<K> {
    /// What is not in `armed`, or there with another time, counts no more.
    heap: BinaryHeap<Reverse<(Duration, K)>>,
    armed: HashMap<K, Duration>,
}

impl<K> Default for Timers<K> {
    fn default() -> Timers<K> {
        Timers { heap: BinaryHeap::new(), armed: HashMap::new() }
    }
}

impl<K: Copy + Ord + Hash> Timers<K> {
    /// Has `key` looked at by then, if it would not be earlier anyway.
    pub(super) fn arm(&mut self, key: K, at: Duration) {
        if self.armed.get(&key).is_some_and(|armed| *armed <= at) {
            return;
        }
        self.armed.insert(key, at);
        self.heap.push(Reverse((at, key)));
    }

    /// Who is to be looked at now; to be asked until there is nobody.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<K> {
        while let Some(Reverse((at, key))) = self.heap.peek().copied() {
            let counts = self.armed.get(&key) == Some(&at);
            if counts && at > now {
                return None;
            }
            self.heap.pop();
            if counts {
                self.armed.remove(&key);
                return Some(key);
            }
        }
        None
    }

    /// When that will be; perhaps a little early.
    pub(super) fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn everybody_is_looked_at_once_and_in_time() {
        let mut timers = Timers::default();
        for (key, seconds) in [(1, 5), (2, 3), (1, 9), (1, 2), (3, 7)] {
            timers.arm(key, at(seconds));
        }
        assert_eq!(timers.next(), Some(at(2)));
        let seen: Vec<_> =
            (0..10).flat_map(|second| timers.pop_due(at(second)).map(|key| (second, key))).collect();
        assert_eq!(seen, [(2, 1), (3, 2), (7, 3)]);
        assert_eq!(timers.next(), None);
        timers.arm(1, at(1));
        assert_eq!(timers.pop_due(at(1)), Some(1));
    }

    #[test]
    fn a_time_that_is_put_off_again_and_again_takes_no_memory() {
        let mut timers = Timers::default();
        for second in 0..1_000 {
            timers.arm(1, at(1_000 + second));
        }
        assert_eq!(timers.heap.len(), 1);
    }
}
