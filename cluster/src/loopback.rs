//! Addresses for servers under test. Linux serves all of 127.0.0.0/8, and outgoing connections start from
//! 127.0.0.1: on an address of its own every cluster has every port to itself, with nothing to race for.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// A loopback address that no other test, in this process or another, uses at this time.
///
/// The middle octets come from the process id, the last one counts; it comes round after 250 calls, when the tests
/// of the first calls are long over.
pub fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) % 250;
    // 127.0.x.y is left to people and to programs' defaults.
    let process = 256 + std::process::id() % (65_536 - 512);
    let [_, _, middle, low] = process.to_be_bytes();
    Ipv4Addr::new(127, middle, low, 1 + count as u8)
}
