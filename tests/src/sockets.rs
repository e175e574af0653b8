//! What the kernel knows about TCP connections: the way to see, from outside, that a program has let go of one.

use std::net::SocketAddrV4;

/// Connections accepted at `address` that the server has not closed, whether or not the peer has.
pub(crate) fn accepted_count(address: SocketAddrV4) -> usize {
    count(address, &[ESTABLISHED, CLOSE_WAIT])
}

/// Whether anybody listens at `address`.
pub(crate) fn is_listening(address: SocketAddrV4) -> bool {
    count(address, &[LISTEN]) > 0
}

/// Sockets with this local address in one of these states.
fn count(address: SocketAddrV4, states: &[&str]) -> usize {
    // The address as proc(5) has it: the ip as a hexadecimal number in the machine's byte order.
    let ip = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("proc is mounted");
    let matches = |line: &&str| {
        // Number, local address, remote address, state.
        let mut columns = line.split_ascii_whitespace().skip(1);
        columns.next() == Some(&local) && columns.nth(1).is_some_and(|state| states.contains(&state))
    };
    table.lines().filter(matches).count()
}

const ESTABLISHED: &str = "01";
/// The peer has closed, the server has not noticed or not followed.
const CLOSE_WAIT: &str = "08";
const LISTEN: &str = "0A";
