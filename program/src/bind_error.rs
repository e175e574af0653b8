//! Owns the sentence about a port that cannot be had.

use std::fmt::Display;
use std::io;

use rustix::io::Errno;

/// Says why `addr` cannot be listened on and what helps, in one line for [`crate::fail`].
///
/// ```
/// # use ringway_program as program;
/// let taken = std::io::Error::from_raw_os_error(98);
/// assert_eq!(
///     program::describe_bind_error("0.0.0.0:8282", &taken),
///     "cannot listen on 0.0.0.0:8282: address in use; choose another --listen or stop what holds the port"
/// );
/// ```
pub fn describe_bind_error(addr: impl Display, error: &io::Error) -> String {
    let why = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => {
            "address in use; choose another --listen or stop what holds the port".to_owned()
        }
        Some(Errno::ACCESS) => {
            "permission denied; ports below 1024 need root, CAP_NET_BIND_SERVICE or a lower \
             net.ipv4.ip_unprivileged_port_start"
                .to_owned()
        }
        Some(Errno::ADDRNOTAVAIL) => {
            "no interface of this machine has that address; `ip addr` lists those it has".to_owned()
        }
        _ => error.to_string(),
    };
    format!("cannot listen on {addr}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_errors_of_a_real_socket() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let in_use = std::net::TcpListener::bind(addr).unwrap_err();
        assert!(describe_bind_error(addr, &in_use).contains("address in use"));
        // 192.0.2.0/24 is reserved for documentation, no interface has it.
        let absent = std::net::TcpListener::bind("192.0.2.1:0").unwrap_err();
        assert!(describe_bind_error("192.0.2.1:0", &absent).contains("no interface"));
    }

    #[test]
    fn other_errors_are_told_as_they_are() {
        let other = io::Error::other("the moon is full");
        assert_eq!(describe_bind_error("a:1", &other), "cannot listen on a:1: the moon is full");
    }
}
