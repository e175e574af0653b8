//! What a worker has announced of its gateways and registers: its cores find the same, and the log says it once.
//!
//! Cores share it, and nothing else; they look at it only when a link comes or goes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::Nonces;
use protocol::inner::{Refused, Run};
use protocol::register_trouble::RegisterNews;

use crate::name::draw_run;

/// What the log said last of each gateway and register, and which start of the worker this is.
#[derive(Debug)]
pub struct Announced {
    run: Run,
    nonces: Nonces,
    said: Mutex<Said>,
}

/// What the log says last.
#[derive(Debug, Default)]
struct Said {
    links: HashMap<SocketAddrV4, LinkState>,
    troubles: HashSet<(Trouble, Ipv4Addr)>,
    registers: RegisterNews,
}

/// What has become of the links to a gateway. In this order each is news after the one before, and the first after all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum LinkState {
    Connected,
    Lost,
    Unreachable,
}

/// Why a gateway does not take links, as far as can be said.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Trouble {
    /// The gateway says so.
    Refused(Refused),
    /// It wants the key to be proven, and here it is to be said.
    Asks,
    /// It does not ask for the proof that it is to be given here.
    Unasked,
    /// It does not prove the key itself.
    NotProven,
    /// It closes links that it has not taken: PHP's does so for a wrong secret key.
    ClosedAtOnce,
    /// It closes links that it had taken: PHP's does so for a second worker of the same name.
    ClosedSoon,
}

impl Default for Announced {
    fn default() -> Announced {
        Announced::with_nonces(Nonces::default())
    }
}

impl Announced {
    /// The same, with nonces of one's own.
    pub fn with_nonces(nonces: Nonces) -> Announced {
        Announced { run: draw_run(), nonces, said: Mutex::default() }
    }

    /// What the key is proven with.
    pub(super) fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    /// Which start of the worker it is.
    pub(super) fn run(&self) -> Run {
        self.run
    }

    /// Whether this is new of `gateway`, whichever core found it.
    pub(super) fn is_news(&self, gateway: SocketAddrV4, state: LinkState) -> bool {
        let mut said = self.said();
        if state == LinkState::Connected {
            // What is wrong later may be said again; but a name that is refused to one core may be so to the next.
            let is_name = |trouble: &Trouble| *trouble == Trouble::Refused(Refused::Name);
            said.troubles.retain(|(trouble, host)| host != gateway.ip() || is_name(trouble));
        }
        let before = said.links.get(&gateway).copied();
        let is_news = match state {
            LinkState::Connected => before != Some(LinkState::Connected),
            LinkState::Lost => before == Some(LinkState::Connected),
            LinkState::Unreachable => before.is_none_or(|before| before < LinkState::Unreachable),
        };
        if is_news {
            said.links.insert(gateway, state);
        }
        is_news
    }

    /// Whether this is new of the machine of `gateway`: all its shards have one secret key, and know the same names.
    pub(super) fn is_new_trouble(&self, gateway: SocketAddrV4, trouble: Trouble) -> bool {
        self.said().troubles.insert((trouble, *gateway.ip()))
    }

    /// A register has answered. Whether that is new.
    pub(super) fn is_new_register(&self, register: &str) -> bool {
        self.said().registers.held(register)
    }

    /// The connection to a register ended, or could not be had; `had` if it had answered. Whether that is new.
    pub(super) fn is_new_failure(&self, register: &str, error: &io::Error, had: bool) -> bool {
        self.said().registers.failed(register, error, had)
    }

    /// The gateway is no more. Whether that is new.
    pub(super) fn has_left(&self, gateway: SocketAddrV4) -> bool {
        self.said().links.remove(&gateway).is_some()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // Whatever happened to a thread that held it, it says what was said.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_that_find_the_same_say_it_once() {
        use LinkState::{Connected, Lost, Unreachable};
        let announced = Announced::default();
        let gateway = "10.0.0.1:2900".parse().unwrap();
        for (state, is_news) in [
            (Lost, false),
            (Unreachable, true),
            (Unreachable, false),
            (Connected, true),
            (Connected, false),
            (Lost, true),
            (Lost, false),
            (Unreachable, true),
            (Lost, false),
            (Unreachable, false),
            (Connected, true),
        ] {
            assert_eq!(announced.is_news(gateway, state), is_news, "{state:?}");
        }
        assert_eq!([announced.has_left(gateway), announced.has_left(gateway)], [true, false]);
    }

    #[test]
    fn a_trouble_is_told_once_for_a_machine_until_a_link_to_it_is_taken() {
        let announced = Announced::default();
        let [one, shard, other] =
            ["10.0.0.1:2900", "10.0.0.1:2901", "10.0.0.2:2900"].map(|gateway| gateway.parse().unwrap());
        let (key, name) = (Trouble::Refused(Refused::Key), Trouble::Refused(Refused::Name));
        assert!(announced.is_new_trouble(one, key) && !announced.is_new_trouble(shard, key));
        assert!(announced.is_new_trouble(one, name) && announced.is_new_trouble(other, key));
        announced.is_news(shard, LinkState::Connected);
        assert!(announced.is_new_trouble(one, key) && !announced.is_new_trouble(other, key));
        assert!(!announced.is_new_trouble(one, name));
    }
}
