//! Looking names up, away from threads that must not wait.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use uring::Waker;

/// Looks names up for a thread that waits in a ring, and wakes it when one is found. Each is asked for under a key.
pub struct Resolver<K> {
    found: Receiver<(K, Found)>,
    tell: Sender<(K, Found)>,
    waker: Waker,
}

/// The addresses of a name, or why there are none.
type Found = io::Result<Vec<SocketAddr>>;

impl<K: Copy + Send + 'static> Resolver<K> {
    /// `waker` is that of the ring that [`Resolver::next`] is called beside.
    pub fn new(waker: Waker) -> Resolver<K> {
        let (tell, found) = channel();
        Resolver { found, tell, waker }
    }

    /// Begins to look for all addresses of `HOST:PORT`.
    pub fn look_up(&self, key: K, name: String) {
        let (tell, waker) = (self.tell.clone(), self.waker.clone());
        let found = move |found| {
            // Who asked may have ended meanwhile.
            let _ = tell.send((key, found));
            waker.wake();
        };
        if let Err(error) = look_up(name, found) {
            let _ = self.tell.send((key, Err(error)));
            self.waker.wake();
        }
    }

    /// The next that is found, or cannot be.
    pub fn next(&self) -> Option<(K, io::Result<Vec<SocketAddr>>)> {
        self.found.try_recv().ok()
    }
}

/// Finds all addresses of `HOST:PORT` and hands them to `found`: at once if the host is an address, else on a thread of
/// its own, since a name may take seconds.
///
/// # Errors
/// The system refuses the thread; `found` is dropped.
fn look_up(name: String, found: impl FnOnce(Found) + Send + 'static) -> io::Result<()> {
    if let Ok(address) = name.parse() {
        found(Ok(vec![address]));
        return Ok(());
    }
    let ask = move || found(name.to_socket_addrs().map(Iterator::collect));
    thread::Builder::new().name("look-up".to_owned()).spawn(ask).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> Found {
        let (tell, answer) = channel();
        look_up(name.to_owned(), move |found| tell.send((found, thread::current().id())).unwrap()).unwrap();
        let (found, by) = answer.recv().unwrap();
        assert_eq!(by == thread::current().id(), name.parse::<SocketAddr>().is_ok());
        found
    }

    #[test]
    fn an_address_is_itself_and_a_name_is_looked_up_elsewhere() {
        for address in ["127.0.0.1:1236", "[::1]:1236"] {
            assert_eq!(found(address).unwrap(), [address.parse().unwrap()]);
        }
        let local = found("localhost:1236").unwrap();
        assert!(!local.is_empty(), "it has an address");
        assert!(local.iter().all(|address| address.ip().is_loopback() && address.port() == 1236));
        assert!(found("no port").is_err());
    }
}
