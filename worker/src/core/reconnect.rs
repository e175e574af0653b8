//! When to connect to a gateway again, and when something is wrong that waiting does not mend.
//!
//! A gateway that gets a second link with the same key closes the first (WIRE.md §8). Two workers with one name on one
//! machine would throw each other out every second for ever; so would a gateway that does not like the secret key. And a
//! gateway whose process is stopped has a kernel that goes on accepting: connected is not there.

use std::time::Duration;

use crate::config::{RECONNECT_DELAY, RECONNECT_DELAY_MAX, SHORT_LINKS_MAX};

/// What became of the last connections to one gateway.
#[derive(Debug, Default)]
pub(super) struct Reconnect {
    /// Connections in a row that the gateway closed soon.
    short_links: u32,
    /// Connections in a row on which the gateway fell silent, or said nothing.
    mute_links: u32,
}

impl Reconnect {
    /// Notes that a connection was lost; `lasted` if it was not a short one.
    pub(super) fn lost(&mut self, lasted: bool) {
        self.short_links = if lasted { 0 } else { self.short_links + 1 };
        self.mute_links = 0;
    }

    /// Notes that a gateway has a connection and says nothing.
    pub(super) fn mute(&mut self) {
        self.short_links = 0;
        self.mute_links += 1;
    }

    /// Notes that the gateway is not there at all: then it has not thrown anybody out.
    pub(super) fn refused(&mut self) {
        *self = Reconnect::default();
    }

    /// Notes that a register has listed the gateway anew: it has started again.
    pub(super) fn relisted(&mut self) {
        *self = Reconnect::default();
    }

    /// Whether it has just become clear that connecting again will not help.
    pub(super) fn is_to_be_told(&self) -> bool {
        self.short_links == SHORT_LINKS_MAX
    }

    /// Whether every connection is thrown out again, or of no use: there is nothing new to tell of another.
    pub(super) fn is_hopeless(&self) -> bool {
        self.short_links >= SHORT_LINKS_MAX || self.mute_links > 1
    }

    /// How long to wait before the next attempt.
    pub(super) fn delay(&self) -> Duration {
        let short = (self.short_links + 1).saturating_sub(SHORT_LINKS_MAX);
        let doublings = short.max(self.mute_links.saturating_sub(1)).min(8);
        (RECONNECT_DELAY * (1 << doublings)).min(RECONNECT_DELAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_are_closed_again_and_again_are_opened_less_often() {
        let mut reconnect = Reconnect::default();
        let mut delays = Vec::new();
        let mut told = 0;
        for _ in 0..100 {
            reconnect.lost(false);
            told += u32::from(reconnect.is_to_be_told());
            delays.push(reconnect.delay().as_secs());
        }
        assert_eq!(delays[..8], [1, 1, 2, 4, 8, 10, 10, 10]);
        assert_eq!(delays[99], 10);
        assert_eq!(told, 1);
        assert!(reconnect.is_hopeless());
    }

    #[test]
    fn a_gateway_that_says_nothing_is_tried_less_often() {
        let mut reconnect = Reconnect::default();
        let delays: Vec<u64> = (0..7)
            .map(|_| {
                reconnect.mute();
                reconnect.delay().as_secs()
            })
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10, 10]);
        assert!(reconnect.is_hopeless() && !reconnect.is_to_be_told());
        reconnect.lost(true);
        assert_eq!(reconnect.delay(), RECONNECT_DELAY);
    }

    #[test]
    fn a_link_that_lasted_or_a_gateway_that_was_away_makes_all_well() {
        for mend in
            [|reconnect: &mut Reconnect| reconnect.lost(true), Reconnect::refused, Reconnect::relisted]
        {
            let mut reconnect = Reconnect::default();
            for _ in 0..5 {
                reconnect.lost(false);
            }
            mend(&mut reconnect);
            assert_eq!(reconnect.delay(), RECONNECT_DELAY);
            assert!(!reconnect.is_hopeless());
        }
    }
}
