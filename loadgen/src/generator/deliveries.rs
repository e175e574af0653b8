//! Broadcasts and room messages: how many clients each message reached, and when the last one. Messages differ by their
//! stamps.

use crate::clock::Nanos;
use crate::measure::Delivery;

/// The deliveries of one core since they were last taken, so few.
#[derive(Debug, Default)]
pub(crate) struct DeliveryLog(Vec<Delivery>);

impl DeliveryLog {
    /// A client received the message of `stamp`.
    pub(crate) fn on_delivery(&mut self, now: Nanos, stamp: Nanos) {
        let delivery = Delivery { stamp, receivers: 1, last_at: now };
        match self.0.iter_mut().rev().take(LOOK_BACK).find(|known| known.stamp == stamp) {
            Some(known) => known.add(delivery),
            None => self.0.push(delivery),
        }
    }

    /// Takes the deliveries out.
    pub(crate) fn take(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.0)
    }
}

/// Messages that are in flight at once are searched for this far back; beyond, one has two entries until they are merged.
const LOOK_BACK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_by_message() {
        let mut log = DeliveryLog::default();
        for (now, stamp) in [(11, 10), (12, 10), (21, 20), (22, 10), (23, 20)] {
            log.on_delivery(Nanos(now), Nanos(stamp));
        }
        let expected = [
            Delivery { stamp: Nanos(10), receivers: 3, last_at: Nanos(22) },
            Delivery { stamp: Nanos(20), receivers: 2, last_at: Nanos(23) },
        ];
        assert_eq!(log.take(), expected);
        assert_eq!(log.take(), []);
    }
}
