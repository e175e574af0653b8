//! What one register has said of gateways, and for how long that counts: without IO and without a clock.

use std::collections::HashSet;
use std::net::SocketAddrV4;

use crate::register_client::GATEWAYS_MAX;

/// A gateway in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listing {
    /// Its inner address.
    pub gateway: SocketAddrV4,
    /// It was not in the list before, or that was the list of an earlier connection: then it may have started again meanwhile.
    pub is_new: bool,
}

/// The gateways of one register. Its last list counts while it is away, and for [`RETURN_GRACE_MS`] more: a register keeps
/// nothing, so when it is back its gateways have to come back to it one by one, and its first lists are short.
///
/// Invariants: no gateway is in both sets; together they have at most [`GATEWAYS_MAX`].
#[derive(Debug)]
pub(crate) struct RegisterLists {
    /// The last list.
    list: HashSet<SocketAddrV4>,
    /// What was listed on earlier connections and not since.
    earlier: HashSet<SocketAddrV4>,
    /// Until then `earlier` counts, in ms; [`NEVER`] while the register is away.
    earlier_until: u64,
    /// `list` came on the connection that stands.
    is_current: bool,
}

impl RegisterLists {
    pub(crate) fn new() -> RegisterLists {
        let (list, earlier) = (HashSet::new(), HashSet::new());
        RegisterLists { list, earlier, earlier_until: NEVER, is_current: false }
    }

    /// Notes a new list, of which there are at most [`GATEWAYS_MAX`].
    pub(crate) fn take(&mut self, now: u64, gateways: &[SocketAddrV4]) -> Vec<Listing> {
        let is_first = !std::mem::replace(&mut self.is_current, true);
        let before = std::mem::replace(&mut self.list, gateways.iter().copied().collect());
        let is_new = |gateway: &SocketAddrV4| is_first || !before.contains(gateway);
        let listings = gateways.iter().map(|gateway| Listing { gateway: *gateway, is_new: is_new(gateway) });
        let listings = listings.collect();
        if is_first {
            self.earlier.extend(before);
            self.earlier_until = now.saturating_add(RETURN_GRACE_MS);
        }
        self.earlier.retain(|gateway| !self.list.contains(gateway));
        self.bound();
        listings
    }

    /// The register is away, until it lists something.
    pub(crate) fn away(&mut self) {
        (self.is_current, self.earlier_until) = (false, NEVER);
    }

    /// The register will not come back: what it listed counts a while longer.
    pub(crate) fn retire(&mut self, now: u64) {
        self.earlier.extend(self.list.drain());
        self.is_current = false;
        self.earlier_until = now.saturating_add(RETURN_GRACE_MS);
    }

    /// Forgets what has counted for long enough. Whether that was anything.
    pub(crate) fn expire(&mut self, now: u64) -> bool {
        if now < self.earlier_until {
            return false;
        }
        self.earlier_until = NEVER;
        !std::mem::take(&mut self.earlier).is_empty()
    }

    /// When [`Self::expire`] has something to do, in ms.
    pub(crate) fn deadline(&self) -> u64 {
        self.earlier_until
    }

    pub(crate) fn contain(&self, gateway: SocketAddrV4) -> bool {
        self.list.contains(&gateway) || self.earlier.contains(&gateway)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.earlier.is_empty()
    }

    /// A register that comes and goes with ever other lists must not make this grow.
    fn bound(&mut self) {
        let room = GATEWAYS_MAX.saturating_sub(self.list.len());
        if self.earlier.len() > room {
            let mut earlier: Vec<_> = self.earlier.drain().collect();
            earlier.sort_unstable();
            self.earlier.extend(earlier.into_iter().take(room));
        }
    }
}

/// How long a register may take, once it is back, until those whom it listed before are in its list again, in ms. Gateways try
/// again after half a second, PHP's after one, and after 10 s in the end where something was wrong; those that were held up, or
/// look the register's name up from a cache, take longer. Who is not back by then is only not connected to again when its link is
/// lost, so a minute of attempts is what the patience costs.
pub const RETURN_GRACE_MS: u64 = 60_000;

/// No time ever.
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(number: u16) -> SocketAddrV4 {
        SocketAddrV4::new([10, 0, 0, 1].into(), number)
    }

    fn gateways(numbers: std::ops::Range<u16>) -> Vec<SocketAddrV4> {
        numbers.map(gateway).collect()
    }

    fn counting(lists: &RegisterLists) -> Vec<u16> {
        (0..10).filter(|number| lists.contain(gateway(*number))).collect()
    }

    #[test]
    fn the_list_counts_while_the_register_is_away_and_a_minute_more() {
        let mut lists = RegisterLists::new();
        lists.take(0, &gateways(1..5));
        assert!(!lists.expire(RETURN_GRACE_MS), "there was nothing before");
        lists.away();
        assert_eq!((lists.deadline(), counting(&lists)), (NEVER, vec![1, 2, 3, 4]));
        // It is back, with nothing; then gateways come, of which one leaves.
        let back = 1_000_000;
        lists.take(back, &[]);
        assert_eq!(counting(&lists), [1, 2, 3, 4]);
        lists.take(back + 500, &gateways(1..3));
        lists.take(back + 900, &gateways(2..3));
        assert_eq!((lists.deadline(), counting(&lists)), (back + RETURN_GRACE_MS, vec![2, 3, 4]));
        assert!(!lists.expire(back + RETURN_GRACE_MS - 1));
        assert!(lists.expire(back + RETURN_GRACE_MS));
        assert_eq!((lists.deadline(), counting(&lists)), (NEVER, vec![2]));
        lists.take(back + RETURN_GRACE_MS, &[]);
        assert!(lists.is_empty(), "it has been there long enough to be believed at once");
    }

    #[test]
    fn a_register_that_comes_and_goes_has_its_minute_each_time() {
        let mut lists = RegisterLists::new();
        lists.take(0, &gateways(1..3));
        for round in 1..10 {
            lists.away();
            assert!(!lists.expire(round * 50_000));
            lists.take(round * 50_000, &[]);
            assert_eq!(counting(&lists), [1, 2]);
        }
        assert!(lists.expire(9 * 50_000 + RETURN_GRACE_MS) && lists.is_empty());
    }

    #[test]
    fn one_that_will_not_come_back_is_believed_a_minute_more() {
        let mut lists = RegisterLists::new();
        lists.take(0, &gateways(1..3));
        lists.away();
        lists.retire(10);
        assert_eq!(counting(&lists), [1, 2]);
        assert!(lists.expire(10 + RETURN_GRACE_MS) && lists.is_empty());
    }

    #[test]
    fn a_gateway_is_new_that_was_not_in_the_last_list_of_the_connection() {
        let mut lists = RegisterLists::new();
        let new = |listings: Vec<Listing>| listings.iter().map(|listing| listing.is_new).collect::<Vec<_>>();
        assert_eq!(new(lists.take(0, &gateways(1..3))), [true, true]);
        assert_eq!(new(lists.take(1, &gateways(1..4))), [false, false, true]);
        lists.away();
        assert_eq!(new(lists.take(2, &gateways(1..3))), [true, true]);
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let mut lists = RegisterLists::new();
        let list = |from: u16| (0..4_000).map(|index| gateway(from + index)).collect::<Vec<_>>();
        for round in 0..16 {
            lists.take(0, &list(round * 4_000));
            assert!(lists.list.len() == 4_000 && lists.earlier.len() <= GATEWAYS_MAX - 4_000);
            lists.away();
        }
    }
}
