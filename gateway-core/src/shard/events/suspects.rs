//! Events that workers had in hand when they died: one of them may be what kills them.
//!
//! An event that two workers have died with is sent alone: nothing else is in flight on its link, nor on others of this shard
//! more than one event each, so that the third death says who it was. Then it is dropped. A death is a link's end by FIN,
//! reset or silence, but not behind a hand-over; if the same run of the worker comes back soon, it was none.

use std::mem;

use hashbrown::HashMap;
use protocol::LogLimit;
use protocol::inner::{EventId, Run};

use crate::Millis;
use crate::config::{
    ALONE_EVENTS_MAX, ALONE_MS_MAX, DEATHS_BEFORE_ALONE, DEATHS_BEFORE_DROPPED, POISON_LOG_LINES,
    REROUTE_LOG_PERIOD_MS, REVIVAL_MS,
};
use crate::shard::Shard;

/// What workers have died with and what is not safe yet.
///
/// Invariant: `alone` counts those with [`DEATHS_BEFORE_ALONE`] deaths or more.
pub(crate) struct Suspects {
    deaths: HashMap<EventId, Deaths>,
    alone: usize,
    /// Links send one event at a time, since then.
    are_alone: bool,
    alone_since: Millis,
    pub(super) log: LogLimit,
}

struct Deaths {
    count: u8,
    /// The last one's.
    run: Option<Run>,
    at: Millis,
}

impl Default for Suspects {
    fn default() -> Suspects {
        Suspects {
            deaths: HashMap::new(),
            alone: 0,
            are_alone: false,
            alone_since: Millis(0),
            log: LogLimit::new(POISON_LOG_LINES, REROUTE_LOG_PERIOD_MS),
        }
    }
}

impl Suspects {
    /// A worker of this run has died with an event in hand. Whether it was one too many: the event is forgotten here, and to be
    /// dropped. A process that ended is one death, however many of its cores had been given the event before all of its links
    /// were seen to end; of one that stands (`is_ended` is false) each core that falls silent is one.
    pub(super) fn has_killed(&mut self, id: EventId, run: Option<Run>, is_ended: bool, now: Millis) -> bool {
        let deaths = self.deaths.entry(id).or_insert(Deaths { count: 0, run: None, at: now });
        if is_ended && deaths.count > 0 && run.is_some() && deaths.run == run {
            return false;
        }
        *deaths = Deaths { count: deaths.count + 1, run, at: now };
        self.alone += usize::from(deaths.count == DEATHS_BEFORE_ALONE);
        let is_too_much = deaths.count >= DEATHS_BEFORE_DROPPED;
        if is_too_much {
            self.forget(id);
        }
        is_too_much
    }

    /// The event is safe, or will never be.
    pub(crate) fn forget(&mut self, id: EventId) {
        if let Some(deaths) = self.deaths.remove(&id) {
            self.alone -= usize::from(deaths.count >= DEATHS_BEFORE_ALONE);
        }
    }

    /// A worker is there: if a link of this run has ended shortly before, that was no death.
    pub(crate) fn lives(&mut self, run: Run, now: Millis) {
        for deaths in self.deaths.values_mut() {
            if deaths.run == Some(run) && now.since(deaths.at) <= REVIVAL_MS {
                self.alone -= usize::from(deaths.count == DEATHS_BEFORE_ALONE);
                (deaths.count, deaths.run) = (deaths.count - 1, None);
            }
        }
        self.deaths.retain(|_, deaths| deaths.count > 0);
    }

    pub(crate) fn len(&self) -> usize {
        self.deaths.len()
    }

    /// Whether links are to send one event at a time.
    pub(crate) fn are_alone(&self) -> bool {
        self.are_alone
    }
}

impl Shard {
    /// There may be events now that are to be sent alone: so nothing else is sent from here on. Many at once say nothing of one.
    pub(super) fn isolate_suspects(&mut self) {
        let are_few = (1..=ALONE_EVENTS_MAX).contains(&self.suspects.alone);
        if are_few && !mem::replace(&mut self.suspects.are_alone, true) {
            self.suspects.alone_since = self.now;
            self.links.set_alone(true);
        }
    }

    /// There may be none any more, or it has taken too long: who waits for a window may have room.
    pub(crate) fn release_suspects(&mut self) {
        let is_over = self.suspects.alone == 0 || self.now.since(self.suspects.alone_since) >= ALONE_MS_MAX;
        if is_over && mem::take(&mut self.suspects.are_alone) {
            self.links.set_alone(false);
            for index in (0..self.links.len()).rev() {
                self.links.nth(index).into_iter().for_each(|id| self.resume_stalled_clients(id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EventId = EventId::new(Run(1), 2, 3);
    const OTHER: EventId = EventId::new(Run(1), 2, 4);

    fn killed(suspects: &mut Suspects, id: EventId, run: u64, at: u64) -> (bool, usize) {
        (suspects.has_killed(id, Some(Run(run)), true, Millis(at)), suspects.alone)
    }

    #[test]
    fn the_third_death_is_one_too_many() {
        let mut suspects = Suspects::default();
        assert_eq!(killed(&mut suspects, ID, 1, 0), (false, 0));
        assert_eq!(killed(&mut suspects, OTHER, 1, 0), (false, 0));
        assert_eq!(killed(&mut suspects, ID, 2, 10), (false, 1));
        suspects.forget(OTHER);
        assert_eq!(killed(&mut suspects, OTHER, 3, 10), (false, 1), "it was safe between");
        assert_eq!(killed(&mut suspects, ID, 3, 20), (true, 0));
        suspects.forget(OTHER);
        assert_eq!(suspects.len(), 0);
    }

    #[test]
    fn a_process_dies_once_and_its_cores_fall_silent_one_by_one() {
        let mut suspects = Suspects::default();
        for _ in 0..4 {
            assert_eq!(
                killed(&mut suspects, ID, 1, 0),
                (false, 0),
                "it was given to another core of it meanwhile"
            );
        }
        assert_eq!(killed(&mut suspects, ID, 2, 10), (false, 1));
        assert_eq!(killed(&mut suspects, ID, 2, 10), (false, 1));
        assert_eq!(killed(&mut suspects, ID, 3, 20), (true, 0));
        let silent = |suspects: &mut Suspects| suspects.has_killed(OTHER, Some(Run(4)), false, Millis(30));
        assert_eq!([0; 3].map(|_| silent(&mut suspects)), [false, false, true]);
        assert_eq!([0; 3].map(|_| suspects.has_killed(ID, None, true, Millis(40))), [false, false, true]);
    }

    #[test]
    fn who_comes_back_soon_was_not_dead() {
        let mut suspects = Suspects::default();
        killed(&mut suspects, ID, 1, 0);
        assert_eq!(killed(&mut suspects, ID, 2, 1_000), (false, 1));
        suspects.lives(Run(1), Millis(1_001));
        assert_eq!(suspects.alone, 1, "that is the other one");
        suspects.lives(Run(2), Millis(1_000 + REVIVAL_MS));
        assert_eq!(suspects.alone, 0);
        assert_eq!(killed(&mut suspects, ID, 3, 20_000), (false, 1));
        suspects.lives(Run(3), Millis(20_001 + REVIVAL_MS));
        assert_eq!(killed(&mut suspects, ID, 4, 40_000), (true, 0));
        killed(&mut suspects, ID, 5, 50_000);
        suspects.lives(Run(5), Millis(50_000));
        assert_eq!(suspects.len(), 0);
    }
}
