//! A listening socket and what its accepts are doing, each with its own place for the peer's address, so that the address
//! costs no system call.

use std::net::{SocketAddr, SocketAddrV6, TcpListener};
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use crate::memory::KernelMemory;
use crate::narrow::narrow;

/// A listening socket and its accepts. It is dropped only when none is in flight.
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) accepts: Vec<Accept>,
    peers: KernelMemory<Peer>,
    pub(crate) in_flight: usize,
    pub(crate) rests_until_ms: u64,
    pub(crate) stopping: bool,
    pub(crate) preferred: bool,
    /// No more accepts are begun; see `hold_accepts`.
    pub(crate) held: bool,
}

/// What one accept is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    Idle,
    /// In flight, into this slot.
    Into(u32),
    /// In flight, to an ordinary descriptor, which then gets this slot beside.
    Beside(u32),
    /// In flight, to an ordinary descriptor, because the table is full: to be refused, or put into a slot if
    /// one became free meanwhile. Only when no other accept of the listener is in flight.
    Spare,
}

/// Where the kernel writes a peer's address.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Peer {
    /// A sockaddr_in or sockaddr_in6.
    address: [u8; SIZE],
    len: u32,
}

impl Listener {
    /// With room for so many accepts.
    pub(crate) fn new(socket: TcpListener, accepts: usize, preferred: bool) -> Listener {
        Listener {
            socket,
            accepts: vec![Accept::Idle; accepts],
            peers: KernelMemory::new(Peer { address: [0; SIZE], len: 0 }, accepts),
            in_flight: 0,
            rests_until_ms: 0,
            stopping: false,
            preferred,
            held: false,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// How long until the rest after an error is over; none if it does not rest.
    pub(crate) fn rest(&self, now_ms: u64) -> Option<Duration> {
        let left = self.rests_until_ms.checked_sub(now_ms).filter(|&left| left > 0);
        left.map(Duration::from_millis)
    }

    /// The operation of accept `index`, which must be idle in the kernel's eyes.
    pub(crate) fn entry(&mut self, index: usize, accept: Accept) -> Entry {
        // SAFETY: called when accept `index` is not in flight, the only operation that writes there.
        let peer = unsafe { &mut self.peers.slice_mut(index, 1)[0] };
        *peer = Peer { address: [0; SIZE], len: narrow(SIZE) };
        let (address, len) = (&raw mut peer.address, &raw mut peer.len);
        let entry = opcode::Accept::new(types::Fd(self.socket.as_raw_fd()), address.cast(), len);
        match accept {
            Accept::Into(slot) => {
                entry.file_index(types::DestinationSlot::try_from_slot_target(slot).ok()).build()
            }
            _ => entry.flags(libc::SOCK_CLOEXEC).build(),
        }
    }

    pub(crate) fn peer(&mut self, index: usize) -> Option<SocketAddr> {
        // SAFETY: called at the completion of accept `index`, the only operation that writes there.
        let peer = unsafe { &self.peers.slice_mut(index, 1)[0] };
        parse(&peer.address[..SIZE.min(peer.len as usize)])
    }
}

/// An address as the kernel writes it: family in host order, then port and address in network order.
fn parse(address: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(address.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(address.get(2..4)?.try_into().ok()?);
    match i32::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = address.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::from((ip, port)))
        }
        libc::AF_INET6 => {
            let flow = u32::from_be_bytes(address.get(4..8)?.try_into().ok()?);
            let ip: [u8; 16] = address.get(8..24)?.try_into().ok()?;
            let scope = u32::from_ne_bytes(address.get(24..28)?.try_into().ok()?);
            Some(SocketAddrV6::new(ip.into(), port, flow, scope).into())
        }
        _ => None,
    }
}

/// Bytes of a sockaddr_in6, the longest address of TCP.
const SIZE: usize = size_of::<libc::sockaddr_in6>();

#[cfg(test)]
mod tests {
    use socket2::SockAddr;

    use super::*;

    #[test]
    fn addresses_are_read_as_the_system_writes_them() {
        for text in ["127.0.0.1:1", "255.1.2.3:65535", "[::1]:80", "[fe80::1%7]:4242", "[::ffff:1.2.3.4]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            let raw = SockAddr::from(address);
            // SAFETY: a SockAddr has `len` initialized bytes at its pointer.
            let bytes = unsafe { std::slice::from_raw_parts(raw.as_ptr().cast::<u8>(), raw.len() as usize) };
            assert_eq!(parse(bytes), Some(address));
        }
    }

    #[test]
    fn short_and_strange_addresses_are_none() {
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[libc::AF_INET as u8, 0, 0, 80, 1, 2, 3]), None);
        assert_eq!(parse(&[libc::AF_INET6 as u8, 0, 0, 80, 1, 2, 3, 4]), None);
        assert_eq!(parse(&[0; 28]), None);
    }
}
