//! What a core measures, of some of what it does: cheap enough to be always on.

use admin::{Histogram, Scale};

use super::Core;

/// How long things took and how large they were, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measures {
    /// From the start of a handler to its end, with all that it waited for, in µs: of one event in 64.
    pub handler_time: Histogram,
    /// Time of a turn of the ring without its wait, in µs: of one in 64.
    pub turn_time: Histogram,
    /// What the kernel had for the same turns.
    pub turn_completions: Histogram,
}

impl Default for Measures {
    fn default() -> Measures {
        let times = Histogram::new(Scale::Time);
        Measures { handler_time: times, turn_time: times, turn_completions: Histogram::new(Scale::Count) }
    }
}

impl Core {
    /// Whether the event is timed whose handler begins.
    pub(crate) fn is_timed(&self) -> bool {
        self.counters.events.is_multiple_of(EVENTS_TIMED)
    }
}

/// Of so many events, the handler of one is timed.
const EVENTS_TIMED: u64 = 64;
