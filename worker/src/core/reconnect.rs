//! When to connect to a gateway again, and when something is wrong that waiting does not mend.
//!
//! A gateway of ours says why it does not take a link. PHP's closes it: at once for a wrong secret key, and after a second or
//! so when another worker of the same name throws it out, which would go on for ever (WIRE.md §8, §14). And a gateway whose
//! process is stopped has a kernel that goes on accepting: connected is not there.

use std::time::Duration;

use protocol::inner::Refused;

use crate::config::{NAME_PATIENCE, RECONNECT_DELAY, RECONNECT_DELAY_MAX, SHORT_LINKS_MAX};

/// What became of the last connections to one gateway. Times are since any moment.
#[derive(Debug, Default)]
pub(super) struct Reconnect {
    /// Connections in a row that the gateway closed soon.
    short_links: u32,
    /// Connections in a row on which the gateway fell silent, or said nothing.
    mute_links: u32,
    /// Since when the gateway says that another worker has the name.
    name_refused: Option<Duration>,
}

impl Reconnect {
    /// Notes that a connection was lost; `lasted` if it was not a short one.
    pub(super) fn lost(&mut self, lasted: bool) {
        self.short_links = if lasted { 0 } else { self.short_links + 1 };
        self.mute_links = 0;
        self.name_refused = None;
    }

    /// Notes that a gateway has a connection and says nothing.
    pub(super) fn mute(&mut self) {
        self.short_links = 0;
        self.mute_links += 1;
        self.name_refused = None;
    }

    /// Notes that the gateway has said why it does not take a connection.
    pub(super) fn refused(&mut self, why: Refused, now: Duration) {
        match why {
            // The other may be a process that was killed just now.
            Refused::Name if self.name_refused.is_none() => self.name_refused = Some(now),
            Refused::Name => {}
            Refused::NameLeaving => self.name_refused = None,
            Refused::Key => self.short_links = (self.short_links + 1).max(SHORT_LINKS_MAX),
        }
    }

    /// Whether another worker has the name for so long that it is not about to go.
    pub(super) fn is_name_taken(&self, now: Duration) -> bool {
        self.name_refused.is_some_and(|since| now.saturating_sub(since) >= NAME_PATIENCE)
    }

    /// Notes that the gateway is not there at all: then it has not thrown anybody out.
    pub(super) fn unreachable(&mut self) {
        *self = Reconnect::default();
    }

    /// Notes that a register has listed the gateway anew: it has started again.
    pub(super) fn relisted(&mut self) {
        self.short_links = 0;
        self.mute_links = 0;
    }

    /// Whether it has just become clear that connecting again will not help.
    pub(super) fn is_to_be_told(&self) -> bool {
        self.short_links == SHORT_LINKS_MAX
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

    const START: Duration = Duration::from_secs(1_000);

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
        assert!(!reconnect.is_to_be_told());
        reconnect.lost(true);
        assert_eq!(reconnect.delay(), RECONNECT_DELAY);
    }

    #[test]
    fn a_link_that_lasted_or_a_gateway_that_was_away_makes_all_well() {
        for mend in
            [|reconnect: &mut Reconnect| reconnect.lost(true), Reconnect::unreachable, Reconnect::relisted]
        {
            let mut reconnect = Reconnect::default();
            for _ in 0..5 {
                reconnect.lost(false);
            }
            mend(&mut reconnect);
            assert_eq!(reconnect.delay(), RECONNECT_DELAY);
        }
    }

    #[test]
    fn a_wrong_key_is_tried_less_and_less_often_from_the_first_time_on() {
        let mut reconnect = Reconnect::default();
        let delays = [(); 5].map(|()| {
            reconnect.refused(Refused::Key, START);
            reconnect.delay().as_secs()
        });
        assert_eq!(delays, [2, 4, 8, 10, 10]);
    }

    #[test]
    fn a_name_is_taken_when_it_was_refused_all_the_time() {
        let mut reconnect = Reconnect::default();
        let late = START + NAME_PATIENCE;
        reconnect.refused(Refused::Name, START);
        assert_eq!((reconnect.is_name_taken(START), reconnect.delay()), (false, RECONNECT_DELAY));
        reconnect.refused(Refused::Name, late);
        // A gateway that registers again and again has not given the name to anybody else.
        reconnect.relisted();
        assert!(reconnect.is_name_taken(late) && !reconnect.is_name_taken(late - Duration::from_secs(1)));
        for mend in [
            |reconnect: &mut Reconnect| reconnect.refused(Refused::NameLeaving, START),
            |reconnect: &mut Reconnect| reconnect.lost(true),
            Reconnect::unreachable,
        ] {
            reconnect.refused(Refused::Name, START);
            mend(&mut reconnect);
            assert!(!reconnect.is_name_taken(late));
            reconnect.refused(Refused::Name, late);
            assert!(!reconnect.is_name_taken(late + NAME_PATIENCE / 2));
        }
    }
}
