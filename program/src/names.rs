//! Looking names up, away from threads that must not wait.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

/// Finds the first address of `HOST:PORT` and hands it to `found`: at once if the host is an address, else on a thread of
/// its own, since a name may take seconds.
///
/// # Errors
/// The system refuses the thread; `found` is dropped.
pub fn look_up(name: String, found: impl FnOnce(io::Result<SocketAddr>) + Send + 'static) -> io::Result<()> {
    if let Ok(address) = name.parse() {
        found(Ok(address));
        return Ok(());
    }
    let ask = move || {
        let first = name.to_socket_addrs().map(|mut addresses| addresses.next());
        let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        found(first.and_then(|first| first.ok_or_else(no_address)));
    };
    thread::Builder::new().name("look-up".to_owned()).spawn(ask).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn found(name: &str) -> io::Result<SocketAddr> {
        let (tell, answer) = mpsc::channel();
        look_up(name.to_owned(), move |found| tell.send((found, thread::current().id())).unwrap()).unwrap();
        let (found, by) = answer.recv().unwrap();
        assert_eq!(by == thread::current().id(), name.parse::<SocketAddr>().is_ok());
        found
    }

    #[test]
    fn an_address_is_itself_and_a_name_is_looked_up_elsewhere() {
        assert_eq!(found("127.0.0.1:1236").unwrap(), "127.0.0.1:1236".parse().unwrap());
        assert_eq!(found("[::1]:1236").unwrap(), "[::1]:1236".parse().unwrap());
        let local = found("localhost:1236").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 1236);
        assert!(found("no port").is_err());
    }
}
