//! A proxy between workers and gateways that can make a link slow, silent, or end it.
//!
//! While nothing is done to a link, each direction is passed on as it comes, with its end: FIN, behind all that was said
//! before. A link that swallows takes nothing from either side and passes nothing on, not even ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// What a link does with what it is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Passes it on.
    Pass,
    /// Passes it on after this time.
    Delay(Duration),
    /// Passes it on a few bytes at a time.
    Trickle,
    /// Neither takes nor passes on anything.
    Swallow,
}

/// How to end a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// By FIN.
    Cut,
    /// By RST: what is on the way is lost.
    Reset,
}

/// The proxy of a cluster: a listener for each shard of each gateway. It serves until the process ends.
#[derive(Debug, Default)]
pub struct Proxy {
    /// Each is its two threads': when both have ended, its sockets are closed.
    links: Arc<Mutex<Vec<Weak<Link>>>>,
}

/// A connection of a worker and the one to the gateway that belongs to it.
#[derive(Debug)]
struct Link {
    worker: TcpStream,
    gateway: TcpStream,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    reset: bool,
}

impl Proxy {
    /// Listens at `listen` for the shard at `shard`.
    ///
    /// # Panics
    /// The address is in use.
    pub fn serve(&self, listen: SocketAddrV4, shard: SocketAddrV4) {
        let listener = TcpListener::bind(listen).unwrap_or_else(|error| panic!("proxy at {listen}: {error}"));
        let links = Arc::clone(&self.links);
        thread::spawn(move || {
            for worker in listener.incoming().flatten() {
                // A gateway that does not take the connection: the worker sees the end of its own.
                let Ok(gateway) = TcpStream::connect(shard) else { continue };
                let link = Arc::new(Link::new(worker, gateway));
                lock(&links).push(Arc::downgrade(&link));
                let backward = Arc::clone(&link);
                thread::spawn(move || link.pump(&link.worker, &link.gateway));
                thread::spawn(move || backward.pump(&backward.gateway, &backward.worker));
            }
        });
    }

    /// Has a link do this from now on. Which one: any number counts, modulo the links that there are.
    pub fn set(&self, which: usize, mode: Mode) -> Option<Touched> {
        let link = self.choose(which)?;
        link.state().mode = mode;
        Some(Touched(Arc::downgrade(&link)))
    }

    /// Ends a link; false if there is none.
    pub fn end(&self, which: usize, end: End) -> bool {
        let Some(link) = self.choose(which) else { return false };
        match end {
            End::Cut => link.shut_down(),
            End::Reset => link.state().reset = true,
        }
        true
    }

    fn choose(&self, which: usize) -> Option<Arc<Link>> {
        let mut links = lock(&self.links);
        links.retain(|link| link.strong_count() > 0);
        if links.is_empty() { None } else { links[which % links.len()].upgrade() }
    }
}

/// A link to which something is done.
#[derive(Debug)]
pub struct Touched(Weak<Link>);

impl Touched {
    /// Lets it pass everything on again.
    pub fn heal(&self) {
        if let Some(link) = self.0.upgrade() {
            link.state().mode = Mode::Pass;
        }
    }
}

impl Link {
    fn new(worker: TcpStream, gateway: TcpStream) -> Link {
        for stream in [&worker, &gateway] {
            stream.set_nodelay(true).expect("TCP_NODELAY can be set");
            stream.set_read_timeout(Some(LOOK_AGAIN)).expect("a read timeout can be set");
            stream.set_write_timeout(Some(LOOK_AGAIN)).expect("a write timeout can be set");
        }
        Link { worker, gateway, state: Mutex::new(State { mode: Mode::Pass, reset: false }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn shut_down(&self) {
        for stream in [&self.worker, &self.gateway] {
            // Its peer may have been first.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Passes on what comes from one side until its end. A side that takes no more is read on nevertheless: closed with unread
    /// input, its socket would take back what was said on it.
    fn pump(&self, mut from: &TcpStream, to: &TcpStream) {
        let mut buffer = vec![0; CHUNK_SIZE];
        let mut taken = true;
        while let Some(mode) = self.await_turn() {
            let size = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(size) => size,
                Err(error) if is_timeout(error.kind()) => continue,
                Err(_) => break,
            };
            if let Mode::Delay(delay) = mode {
                thread::sleep(delay);
            }
            taken = taken && self.pass_on(to, &buffer[..size]);
        }
        // An end is told no sooner than what was said before it, and a reset in place of one.
        if self.await_turn().is_some() {
            // Its peer may have been first.
            let _ = to.shutdown(Shutdown::Write);
        } else {
            let _ = SockRef::from(to).set_linger(Some(Duration::ZERO));
        }
    }

    /// Waits while the link swallows. `None`: it is to be reset.
    fn await_turn(&self) -> Option<Mode> {
        loop {
            let (mode, reset) = {
                let state = self.state();
                (state.mode, state.reset)
            };
            match mode {
                _ if reset => return None,
                Mode::Swallow => thread::sleep(LOOK_AGAIN),
                mode => return Some(mode),
            }
        }
    }

    /// Writes all of it; false if nobody takes it any more.
    fn pass_on(&self, mut to: &TcpStream, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Some(mode) = self.await_turn() else { return false };
            let size = if mode == Mode::Trickle { bytes.len().min(TRICKLE_SIZE) } else { bytes.len() };
            match to.write(&bytes[..size]) {
                Ok(0) => return false,
                Ok(size) => bytes = &bytes[size..],
                Err(error) if is_timeout(error.kind()) => {}
                Err(_) => return false,
            }
            if mode == Mode::Trickle {
                thread::sleep(TRICKLE_PAUSE);
            }
        }
        true
    }
}

/// Another address of the same network, for the proxy to listen at: gateways say it is theirs.
pub fn address_beside(ip: Ipv4Addr) -> Ipv4Addr {
    let [network, middle, low, host] = ip.octets();
    Ipv4Addr::new(network, middle, low, host ^ 0x80)
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread of the proxy panics")
}

/// The most that is read at once.
const CHUNK_SIZE: usize = 65_536;
/// After how long a thread that waits for a socket looks at what its link is to do.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What trickles at once, and how long it takes: 6 KB a second.
const TRICKLE_SIZE: usize = 64;
const TRICKLE_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(proxy: &Proxy) -> (TcpStream, TcpStream) {
        let ip = ::cluster::own_address();
        let (listen, shard) = (SocketAddrV4::new(address_beside(ip), 2900), SocketAddrV4::new(ip, 2900));
        let listener = TcpListener::bind(shard).unwrap();
        proxy.serve(listen, shard);
        let worker = TcpStream::connect(listen).unwrap();
        let (gateway, _) = listener.accept().unwrap();
        for stream in [&worker, &gateway] {
            stream.set_read_timeout(Some(::cluster::wait::LIMIT)).unwrap();
        }
        (worker, gateway)
    }

    #[test]
    fn a_link_that_swallows_loses_nothing_when_it_is_healed() {
        let proxy = Proxy::default();
        let (mut worker, mut gateway) = pair(&proxy);
        let touched = ::cluster::wait::wait_until("a link", || proxy.set(7, Mode::Swallow));
        worker.write_all(b"question").unwrap();
        worker.shutdown(Shutdown::Write).unwrap();
        gateway.set_nonblocking(true).unwrap();
        let silent = gateway.read(&mut [0; 8]).unwrap_err();
        assert_eq!(silent.kind(), ErrorKind::WouldBlock);
        gateway.set_nonblocking(false).unwrap();
        touched.heal();
        let mut heard = Vec::new();
        gateway.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"question");
        gateway.write_all(b"answer").unwrap();
        drop(gateway);
        heard.clear();
        worker.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, b"answer");
    }

    #[test]
    fn a_reset_is_told_to_both_sides() {
        let proxy = Proxy::default();
        let (mut worker, mut gateway) = pair(&proxy);
        ::cluster::wait::wait_until("a link", || proxy.end(0, End::Reset).then_some(()));
        for stream in [&mut worker, &mut gateway] {
            assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    }
}
