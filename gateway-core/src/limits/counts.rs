//! How many clients there are, in all and of each address, exactly, for all shards of a process.
//!
//! Touched when a client comes, when its proxy has said its address, and when it goes; never by what it says.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Bucket, ClientLimits, Rate};
use crate::Millis;

/// How many clients a process has. What is cloned counts together.
#[derive(Clone, Debug)]
pub struct ClientCounts(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    clients: AtomicUsize,
    clients_max: usize,
    address_clients_max: usize,
    handshakes: Option<Rate>,
    /// By address; each address has its part, so that shards seldom wait for each other. Empty if none is counted.
    parts: Box<[Mutex<Part>]>,
    /// Keyed by chance: nobody can choose addresses that share a part, or a place in it.
    hash: RandomState,
}

/// Some of the addresses.
///
/// Invariant: an address has a row while it has a client or not all of its permits; then it is in `leaving`, or is to be when its last
/// client goes.
#[derive(Debug, Default)]
struct Part {
    rows: HashMap<Address, Row>,
    /// Those without clients, once each, and when all their permits are back, in order of that.
    leaving: VecDeque<(Millis, Address)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    clients: usize,
    permits: Bucket,
    is_leaving: bool,
}

/// What one is in front of these limits: whoever has an address of IPv6 has all of its /64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Address {
    V4(u32),
    V6(u64),
}

/// Of which there are too many for one more client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Excess {
    Clients,
    ShardClients,
    AddressClients,
    Handshakes,
}

impl ClientCounts {
    /// None yet, and no more than the limits allow.
    pub fn new(limits: &ClientLimits) -> ClientCounts {
        let ClientLimits { clients_max, address_clients_max, address_handshakes, .. } = *limits;
        let parts = if address_clients_max.is_some() || address_handshakes.is_some() { PARTS } else { 0 };
        ClientCounts(Arc::new(Counts {
            clients: AtomicUsize::new(0),
            clients_max: clients_max.unwrap_or(usize::MAX),
            address_clients_max: address_clients_max.unwrap_or(usize::MAX),
            handshakes: address_handshakes,
            parts: (0..parts).map(|_| Mutex::default()).collect(),
            hash: RandomState::new(),
        }))
    }

    /// Clients of all shards.
    pub fn clients(&self) -> usize {
        self.0.clients.load(Ordering::Relaxed)
    }

    /// Those of this address, or of its /64.
    pub fn clients_of(&self, ip: IpAddr) -> usize {
        let address = Address::from(ip);
        self.part(address).and_then(|part| part.rows.get(&address).map(|row| row.clients)).unwrap_or_default()
    }

    /// Addresses of which something is known: they have clients, or had some lately.
    pub fn addresses(&self) -> usize {
        self.0.parts.iter().map(|part| locked(part).rows.len()).sum()
    }

    /// A client comes.
    pub(crate) fn enter(&self) -> Result<(), Excess> {
        let one_more = |clients| (clients < self.0.clients_max).then_some(clients + 1);
        let entered = self.0.clients.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        entered.map(drop).map_err(|_| Excess::Clients)
    }

    /// A client that has entered goes.
    pub(crate) fn leave(&self) {
        let before = self.0.clients.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "who goes has come");
    }

    /// It is known where a client comes from.
    pub(crate) fn enter_from(&self, ip: IpAddr, now: Millis) -> Result<(), Excess> {
        let Counts { address_clients_max, handshakes, .. } = *self.0;
        let address = Address::from(ip);
        let Some(mut part) = self.part(address) else { return Ok(()) };
        part.forget_idle(handshakes, now);
        let row = part.rows.entry(address).or_default();
        if row.clients >= address_clients_max {
            return Err(Excess::AddressClients);
        }
        if handshakes.is_some_and(|rate| !row.permits.take(rate, now)) {
            return Err(Excess::Handshakes);
        }
        row.clients += 1;
        Ok(())
    }

    /// A client of this address, which has entered from there, goes.
    pub(crate) fn leave_from(&self, ip: IpAddr, now: Millis) {
        let address = Address::from(ip);
        let Some(mut part) = self.part(address) else { return };
        part.leave(address, self.0.handshakes, now);
        part.forget_idle(self.0.handshakes, now);
    }

    fn part(&self, address: Address) -> Option<MutexGuard<'_, Part>> {
        let parts = &self.0.parts;
        if parts.is_empty() {
            return None;
        }
        let count = u64::try_from(parts.len()).expect("there are few");
        let index = self.0.hash.hash_one(address).checked_rem(count)?;
        usize::try_from(index).ok().and_then(|index| parts.get(index)).map(locked)
    }
}

impl Part {
    fn leave(&mut self, address: Address, handshakes: Option<Rate>, now: Millis) {
        let Entry::Occupied(mut row) = self.rows.entry(address) else {
            debug_assert!(false, "who goes has come");
            return;
        };
        let Row { clients, permits, is_leaving } = row.get_mut();
        *clients = clients.saturating_sub(1);
        if *clients > 0 {
            return;
        }
        match handshakes {
            Some(rate) if !permits.is_full(rate, now) => {
                if !std::mem::replace(is_leaving, true) {
                    self.leaving.push_back((now.plus(rate.refill_ms()), address));
                }
            }
            _ if *is_leaving => {}
            _ => drop(row.remove()),
        }
    }

    /// Forgets addresses that have no clients and all their permits: a few, as each that came brought one at most.
    fn forget_idle(&mut self, handshakes: Option<Rate>, now: Millis) {
        let Some(rate) = handshakes else { return };
        for _ in 0..FORGOTTEN_AT_ONCE {
            let Some((_, address)) = self.leaving.front().copied().filter(|(due, _)| *due <= now) else {
                return;
            };
            self.leaving.pop_front();
            let Entry::Occupied(mut row) = self.rows.entry(address) else { continue };
            let Row { clients, permits, is_leaving } = row.get_mut();
            *is_leaving = false;
            if *clients > 0 {
                continue;
            }
            if permits.is_full(rate, now) {
                row.remove();
            } else {
                *is_leaving = true;
                self.leaving.push_back((now.plus(rate.refill_ms()), address));
            }
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Address {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Address::V4(ip.to_bits()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Address::V6([a, b, c, d].into_iter().fold(0, |bits, part| bits << 16 | u64::from(part)))
            }
        }
    }
}

/// What a thread that has panicked left is whole: nothing is called while it is locked.
fn locked(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of the table of addresses.
const PARTS: usize = 64;

/// Addresses that are looked at when one comes or goes: more than each brings.
const FORGOTTEN_AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    fn counts(limits: ClientLimits) -> ClientCounts {
        ClientCounts::new(&limits)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_of_ipv6_is_its_64() {
        let counts = counts(ClientLimits { address_clients_max: Some(2), ..ClientLimits::default() });
        let enter = |address: &str| counts.enter_from(ip(address), Millis(0));
        assert_eq!(enter("2001:db8:1:2::1"), Ok(()));
        assert_eq!(enter("2001:db8:1:2:ffff:ffff:ffff:ffff"), Ok(()));
        assert_eq!(enter("2001:db8:1:2:8000::"), Err(Excess::AddressClients));
        assert_eq!(enter("2001:db8:1:3::1"), Ok(()));
        assert_eq!(enter("192.0.2.1"), Ok(()));
        assert_eq!(enter("::ffff:192.0.2.1"), Ok(()));
        assert_eq!(enter("192.0.2.1"), Err(Excess::AddressClients));
        assert_eq!(enter("192.0.2.2"), Ok(()));
        assert_eq!(counts.clients_of(ip("2001:db8:1:2::77")), 2);
        counts.leave_from(ip("2001:db8:1:2::1"), Millis(0));
        assert_eq!(enter("2001:db8:1:2:8000::"), Ok(()));
    }

    #[test]
    fn threads_together_let_in_exactly_as_many_as_may_be() {
        let limits = ClientLimits {
            clients_max: Some(1_000),
            address_clients_max: Some(300),
            ..ClientLimits::default()
        };
        let counts = counts(limits);
        let entered: usize = std::thread::scope(|scope| {
            let shard = |seed| {
                let counts = counts.clone();
                move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let mut inside = Vec::new();
                    for _ in 0..20_000 {
                        let ip = IpAddr::from([192, 0, 2, random.u8(..8)]);
                        if random.u8(..3) == 0 && !inside.is_empty() {
                            counts.leave_from(inside.swap_remove(random.usize(..inside.len())), Millis(0));
                            counts.leave();
                        } else if counts.enter().is_ok() {
                            match counts.enter_from(ip, Millis(0)) {
                                Ok(()) => inside.push(ip),
                                Err(_) => counts.leave(),
                            }
                        }
                        assert!(counts.clients() <= 1_000 && counts.clients_of(ip) <= 300);
                    }
                    inside.len()
                }
            };
            let shards: Vec<_> = (0..4).map(|seed| scope.spawn(shard(seed))).collect();
            shards.into_iter().map(|shard| shard.join().unwrap()).sum()
        });
        let of_addresses: usize = (0..8).map(|last| counts.clients_of(IpAddr::from([192, 0, 2, last]))).sum();
        assert_eq!((counts.clients(), of_addresses), (entered, entered));
    }

    #[test]
    fn handshakes_of_an_address_come_at_their_rate_and_it_is_forgotten_when_idle() {
        let counts = counts(ClientLimits { address_handshakes: Some(RATE), ..ClientLimits::default() });
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let come = |ip, now| {
            let came = counts.enter_from(ip, Millis(now));
            if came.is_ok() {
                counts.leave_from(ip, Millis(now));
            }
            came.is_ok()
        };
        let came = (0..10_000).filter(|now| come(one, *now)).count();
        assert_eq!(came, 5 + 99);
        assert!(come(other, 10_000), "others come as they like");
        assert_eq!(counts.addresses(), 2);
        for last in 0..=255 {
            assert!(come(IpAddr::from([198, 51, 100, last]), 20_000));
        }
        for last in 0..=255 {
            assert!(come(IpAddr::from([203, 0, 113, last]), 30_000));
        }
        assert!(counts.addresses() <= 256 + 64, "{}", counts.addresses());
    }

    #[test]
    fn who_comes_and_goes_leaves_nothing() {
        for address_handshakes in [None, Some(Rate { per_second: 1_000_000, burst: 1_000 })] {
            let limits =
                ClientLimits { address_clients_max: Some(2), address_handshakes, ..ClientLimits::default() };
            let (counts, mut random, mut inside) = (counts(limits), fastrand::Rng::with_seed(4), Vec::new());
            for now in 0..50_000 {
                let ip = IpAddr::from([10, 0, random.u8(..2), random.u8(..)]);
                if random.bool() && counts.enter_from(ip, Millis(now)).is_ok() {
                    inside.push(ip);
                } else if !inside.is_empty() {
                    counts.leave_from(inside.swap_remove(random.usize(..inside.len())), Millis(now));
                }
            }
            inside.drain(..).for_each(|ip| counts.leave_from(ip, Millis(60_000)));
            for _ in 0..1_000 {
                // Whoever comes and goes sweeps up behind others.
                for last in 0..=255 {
                    counts.enter_from(IpAddr::from([10, 0, 0, last]), Millis(70_000)).unwrap();
                    counts.leave_from(IpAddr::from([10, 0, 0, last]), Millis(80_000));
                }
                if counts.addresses() == 0 {
                    break;
                }
            }
            assert!(counts.addresses() <= if address_handshakes.is_some() { 256 } else { 0 });
        }
    }
}
