//! What the kernel knows about TCP connections: the way to see, from outside, what a program has done with one.

use std::net::{SocketAddr, SocketAddrV4};

use crate::wait::wait_until;

/// Connections accepted at `address` that the server has not closed, whether or not the peer has.
pub(crate) fn accepted_count(address: SocketAddrV4) -> usize {
    count(address, &[ESTABLISHED, CLOSE_WAIT])
}

/// Waits until for every connection accepted at `address`, of which there is one at least, the kernel's next step is to ask the
/// peer whether it is still there, within a minute.
pub fn await_keepalive(address: SocketAddr) {
    let SocketAddr::V4(address) = address else { panic!("{address} is in another table") };
    wait_until("keepalive", || {
        let connections = lines(address, &[ESTABLISHED]);
        (!connections.is_empty() && connections.iter().all(|line| is_asked_soon(line))).then_some(())
    });
}

fn is_asked_soon(line: &str) -> bool {
    // Which timer runs, and for how many hundredths of a second yet, both hexadecimal.
    let timer = line.split_ascii_whitespace().nth(5).and_then(|timer| timer.split_once(':'));
    timer.is_some_and(|(timer, left)| {
        timer == KEEPALIVE && u64::from_str_radix(left, 16).is_ok_and(|left| left <= 60 * 100)
    })
}

/// Whether anybody listens at `address`.
pub(crate) fn is_listening(address: SocketAddrV4) -> bool {
    count(address, &[LISTEN]) > 0
}

/// Sockets with this local address in one of these states.
fn count(address: SocketAddrV4, states: &[&str]) -> usize {
    lines(address, states).len()
}

/// What /proc/net/tcp says of them.
fn lines(address: SocketAddrV4, states: &[&str]) -> Vec<String> {
    // The address as proc(5) has it: the ip as a hexadecimal number in the machine's byte order.
    let ip = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("proc is mounted");
    let matches = |line: &&str| {
        // Number, local address, remote address, state.
        let mut columns = line.split_ascii_whitespace().skip(1);
        columns.next() == Some(&local) && columns.nth(1).is_some_and(|state| states.contains(&state))
    };
    table.lines().filter(matches).map(str::to_owned).collect()
}

const ESTABLISHED: &str = "01";
/// The peer has closed, the server has not noticed or not followed.
const CLOSE_WAIT: &str = "08";
const LISTEN: &str = "0A";
/// The timer that waits for a connection to have been idle for long.
const KEEPALIVE: &str = "02";
