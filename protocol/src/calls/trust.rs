//! Whether a gateway that takes connections answers what it is asked. A process that was stopped, or a machine that is
//! paused, does not, for minutes, while its kernel goes on accepting: every question would wait for its timeout.
//!
//! A gateway that lets questions pass without a word is *suspect*: it is asked nothing more but whether it is there, less
//! and less often, until it answers. No clock is read: who owns one says how long was waited.

use std::time::Duration;

/// What a gateway's silence has come to.
///
/// Invariant: `probes` is 0 unless the gateway is suspect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trust {
    suspect: bool,
    /// Questions in a row without an answer.
    unanswered: u32,
    /// Times in a row that it did not say whether it is there.
    probes: u32,
}

/// Silence after a question by which alone a gateway is suspect. An answer takes milliseconds as a rule.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(2);

/// Questions in a row without an answer by which a gateway is suspect, however short was waited for each.
const UNANSWERED_MAX: u32 = 4;

/// Wait before a suspect gateway is asked whether it is there; doubled by each time that it does not say.
const PROBE_DELAY: Duration = Duration::from_secs(1);

/// The longest of these waits.
const PROBE_DELAY_MAX: Duration = Duration::from_secs(10);

impl Trust {
    /// The gateway has answered something, or shown otherwise that it lives.
    pub fn answered(&mut self) {
        *self = Trust::default();
    }

    /// Nobody waits any more for the answer to a question, after which the gateway said nothing for so long.
    pub fn unanswered(&mut self, silent: Duration) {
        self.unanswered += 1;
        self.suspect |= silent >= SUSPECT_AFTER || self.unanswered >= UNANSWERED_MAX;
    }

    /// Whether it is not to be asked.
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// How long to wait before it is asked whether it is there.
    pub fn probe_delay(&self) -> Duration {
        (PROBE_DELAY * (1 << self.probes.min(8))).min(PROBE_DELAY_MAX)
    }

    /// It did not say whether it is there.
    pub fn probe_unanswered(&mut self) {
        self.probes = self.probes.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_silence_or_several_short_ones_make_suspect() {
        let mut trust = Trust::default();
        trust.unanswered(SUSPECT_AFTER);
        assert!(trust.is_suspect());
        trust.answered();
        for _ in 1..UNANSWERED_MAX {
            trust.unanswered(Duration::ZERO);
            assert!(!trust.is_suspect(), "it may be slow");
        }
        trust.unanswered(Duration::ZERO);
        assert!(trust.is_suspect());
    }

    #[test]
    fn an_answer_in_between_makes_all_well() {
        let mut trust = Trust::default();
        for _ in 0..100 {
            trust.unanswered(Duration::from_millis(50));
            trust.answered();
        }
        assert_eq!(trust, Trust::default());
    }

    #[test]
    fn who_does_not_answer_is_asked_less_and_less_often_and_not_never() {
        let mut trust = Trust::default();
        trust.unanswered(SUSPECT_AFTER);
        let delays: Vec<u64> = (0..40)
            .map(|_| {
                let delay = trust.probe_delay().as_secs();
                trust.probe_unanswered();
                delay
            })
            .collect();
        assert_eq!(delays[..6], [1, 2, 4, 8, 10, 10]);
        assert_eq!(delays[39], 10);
    }
}
