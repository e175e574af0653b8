//! What control thread and cores say to each other.

use crate::clock::Nanos;
use crate::measure::{Phase, Sample};

/// What the control thread asks of a core.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    /// The step of this index follows, in these moments.
    Begin(usize, Phase),
    /// The step ends at this moment, earlier than was planned.
    End(Nanos),
    /// Report the last counts and end.
    Stop,
}

/// What a core reports to the control thread: what it counted, or in one line why it cannot go on.
pub(crate) type Reported = Result<Sample, String>;
