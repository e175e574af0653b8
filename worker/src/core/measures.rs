//! What a core measures, of some of what it does: cheap enough to be always on.

use admin::{Histogram, Scale};

/// How long things took and how large they were, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measures {
    /// From the start of a handler to its end, with all that it waited for, in µs: of one event in 64.
    pub handler_time: Histogram,
    /// Time of a turn of the ring without its wait, in µs: of one in 64.
    pub turn_time: Histogram,
    /// What the kernel had for the same turns.
    pub turn_completions: Histogram,
    /// Handlers that have begun, also those of events that had waited: wrapping.
    handlers_begun: u32,
}

impl Default for Measures {
    fn default() -> Measures {
        let times = Histogram::new(Scale::Time);
        let turn_completions = Histogram::new(Scale::Count);
        Measures { handler_time: times, turn_time: times, turn_completions, handlers_begun: 0 }
    }
}

impl Measures {
    /// A handler begins. Whether it is timed.
    pub(crate) fn begin_handler(&mut self) -> bool {
        self.handlers_begun = self.handlers_begun.wrapping_add(1);
        self.handlers_begun.is_multiple_of(HANDLERS_TIMED)
    }
}

/// Of so many handlers, one is timed.
const HANDLERS_TIMED: u32 = 64;
