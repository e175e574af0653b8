//! Broadcasts and room messages: how many clients each message reached, and when the last one. Messages differ by their
//! stamps.

use crate::clock::Nanos;
use crate::measure::Delivery;

/// A client received the message of `stamp`: counts that among what its core has counted.
pub(crate) fn count(deliveries: &mut Vec<Delivery>, now: Nanos, stamp: Nanos) {
    let delivery = Delivery { stamp, receivers: 1, last_at: now };
    match deliveries.iter_mut().rev().take(LOOK_BACK).find(|known| known.stamp == stamp) {
        Some(known) => known.add(delivery),
        None => deliveries.push(delivery),
    }
}

/// Messages that are in flight at once are searched for this far back; beyond, one has two entries until they are merged.
const LOOK_BACK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_by_message() {
        let mut deliveries = Vec::new();
        for (now, stamp) in [(11, 10), (12, 10), (21, 20), (22, 10), (23, 20)] {
            count(&mut deliveries, Nanos(now), Nanos(stamp));
        }
        let expected = [
            Delivery { stamp: Nanos(10), receivers: 3, last_at: Nanos(22) },
            Delivery { stamp: Nanos(20), receivers: 2, last_at: Nanos(23) },
        ];
        assert_eq!(deliveries, expected);
    }
}
