//! Broadcasts and room messages: who received which, and when the last one did. They are told apart by their stamps.

use crate::clock::Nanos;

/// What came of one message so far, at one core or at several together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Round {
    /// When it was meant to be sent, which names it.
    pub stamp: Nanos,
    /// Clients that received it.
    pub receivers: u64,
    /// When the last of them did.
    pub last_at: Nanos,
}

impl Round {
    /// Adds what another core, or the same one later, saw of this round.
    pub fn add(&mut self, more: Round) {
        debug_assert_eq!(self.stamp, more.stamp);
        self.receivers += more.receivers;
        self.last_at = self.last_at.max(more.last_at);
    }
}

/// The rounds of one core since they were last taken, so few.
#[derive(Debug, Default)]
pub struct Rounds(Vec<Round>);

impl Rounds {
    /// A client received a round.
    pub fn on_delivery(&mut self, now: Nanos, stamp: Nanos) {
        let delivery = Round { stamp, receivers: 1, last_at: now };
        match self.0.iter_mut().rev().take(LOOK_BACK).find(|round| round.stamp == stamp) {
            Some(round) => round.add(delivery),
            None => self.0.push(delivery),
        }
    }

    /// Takes them out.
    pub fn take(&mut self) -> Vec<Round> {
        std::mem::take(&mut self.0)
    }
}

/// Rounds that are under way at once are searched for this far back; beyond, one shows twice until they are merged.
const LOOK_BACK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_by_round() {
        let mut rounds = Rounds::default();
        for (now, stamp) in [(11, 10), (12, 10), (21, 20), (22, 10), (23, 20)] {
            rounds.on_delivery(Nanos(now), Nanos(stamp));
        }
        let expected = [
            Round { stamp: Nanos(10), receivers: 3, last_at: Nanos(22) },
            Round { stamp: Nanos(20), receivers: 2, last_at: Nanos(23) },
        ];
        assert_eq!(rounds.take(), expected);
        assert_eq!(rounds.take(), []);
    }
}
