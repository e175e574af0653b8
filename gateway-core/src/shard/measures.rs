//! What a shard measures, of some of what it does: cheap enough to be always on.

use admin::{Histogram, Scale};

use super::Shard;

/// How long things took and how large they were, since start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measures {
    /// From the turn that sent an event of a client to the one in which its worker said that it is done, in µs: of one event in
    /// 64 on each link whose worker says so.
    pub event_latency: Histogram,
    /// Targets of each fan-out to several, as far as they are looked up at once.
    pub fan_out_targets: Histogram,
    /// Time of a turn of the ring without its wait, in µs: of one in 64.
    pub turn_time: Histogram,
    /// What the kernel had for the same turns.
    pub turn_completions: Histogram,
}

impl Default for Measures {
    fn default() -> Measures {
        let (times, counts) = (Histogram::new(Scale::Time), Histogram::new(Scale::Count));
        Measures { event_latency: times, fan_out_targets: counts, turn_time: times, turn_completions: counts }
    }
}

impl Measures {
    /// Events are done. One of them may be timed: since then.
    pub(super) fn end_event(&mut self, begun_us: Option<u64>, now_us: u64) {
        begun_us.into_iter().for_each(|begun| self.event_latency.record(now_us.saturating_sub(begun)));
    }
}

impl Shard {
    /// The time in µs since any moment, for what is measured; to be told before what came in.
    pub fn on_clock(&mut self, now_us: u64) {
        self.now_us = now_us;
    }

    /// The ring has worked for so long on so much.
    pub fn on_work(&mut self, time_us: u64, completions: u64) {
        self.measures.turn_time.record(time_us);
        self.measures.turn_completions.record(completions);
    }
}
