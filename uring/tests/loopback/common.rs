//! A ring with a memory: what happened, as owned values, to be awaited and looked at.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ringway_uring::{Config, Event, ListenerId, Ring, Send, Short, SocketId};

/// An event that outlives its turn.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Seen {
    Accepted(SocketId, SocketAddr),
    AcceptFailed(io::ErrorKind),
    Connected(SocketId),
    Received(SocketId, Vec<u8>),
    End(SocketId),
    Writable(SocketId),
    Failed(SocketId, Option<i32>),
    Closed(SocketId),
    Woken,
    Tick,
}

pub(crate) struct Host {
    pub ring: Ring,
    pub seen: Vec<Seen>,
}

impl Host {
    pub(crate) fn new(config: Config) -> Host {
        Host { ring: Ring::new(config).unwrap(), seen: Vec::new() }
    }

    pub(crate) fn listen(&mut self) -> (ListenerId, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (self.ring.listen(listener).unwrap(), address)
    }

    pub(crate) fn listen_preferred(&mut self) -> (ListenerId, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (self.ring.listen_preferred(listener).unwrap(), address)
    }

    /// A host with one connection: the ring's end and an ordinary one.
    pub(crate) fn with_peer(config: Config) -> (Host, SocketId, TcpStream) {
        let mut host = Host::new(config);
        let (_, address) = host.listen();
        let peer = TcpStream::connect(address).unwrap();
        let socket = host.accept();
        (host, socket, peer)
    }

    /// Awaits the next `Accepted` and forgets it.
    pub(crate) fn accept(&mut self) -> SocketId {
        self.until(|seen| seen.iter().any(|seen| matches!(seen, Seen::Accepted(..))));
        let index = self.seen.iter().position(|seen| matches!(seen, Seen::Accepted(..))).unwrap();
        match self.seen.remove(index) {
            Seen::Accepted(socket, _) => socket,
            _ => unreachable!(),
        }
    }

    pub(crate) fn turn(&mut self, wait_max: Duration) {
        let seen = &mut self.seen;
        self.ring.turn(wait_max, |event| seen.push(own(event))).unwrap();
    }

    /// Turns until `done`; panics when nothing happens any more.
    pub(crate) fn until(&mut self, mut done: impl FnMut(&[Seen]) -> bool) {
        let mut idle = 0;
        while !done(&self.seen) {
            let before = self.seen.len();
            self.turn(Duration::from_millis(50));
            idle = if self.seen.len() == before { idle + 1 } else { 0 };
            assert!(idle < 400, "nothing happens; last seen: {:?}", self.seen.last());
        }
    }

    pub(crate) fn until_seen(&mut self, what: &Seen) {
        self.until(|seen| seen.contains(what));
    }

    /// Turns until an orderly round trip through the ring is done, so that what was under way has arrived.
    pub(crate) fn settle(&mut self) {
        for _ in 0..3 {
            self.turn(Duration::ZERO);
        }
    }

    /// All bytes received from a socket so far.
    pub(crate) fn received(&self, from: SocketId) -> Vec<u8> {
        let bytes = self.seen.iter().filter_map(|seen| match seen {
            Seen::Received(socket, bytes) if *socket == from => Some(bytes.as_slice()),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }

    /// One send of one slice: how many bytes were taken.
    pub(crate) fn send(&mut self, socket: SocketId, bytes: &[u8]) -> usize {
        let short = self.send_slices(socket, &[io::IoSlice::new(bytes)]);
        short.map_or(bytes.len(), |short| short.sent)
    }

    pub(crate) fn send_slices(&mut self, socket: SocketId, slices: &[io::IoSlice<'_>]) -> Option<Short> {
        let mut short = Vec::new();
        self.ring.send_all([Send { socket, slices }], &mut short).unwrap();
        assert!(short.len() <= 1);
        short.pop()
    }

    pub(crate) fn count(&self, what: impl Fn(&Seen) -> bool) -> usize {
        self.seen.iter().filter(|seen| what(seen)).count()
    }
}

pub(crate) fn config() -> Config {
    Config { sockets_max: 64, tick: Duration::ZERO, ..Config::default() }
}

/// Bytes that are different at every place, so that loss and disorder show.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn own(event: Event<'_>) -> Seen {
    match event {
        Event::Accepted { socket, peer, .. } => Seen::Accepted(socket, peer),
        Event::AcceptFailed { error, .. } => Seen::AcceptFailed(error.kind()),
        Event::Connected { socket } => Seen::Connected(socket),
        Event::Received { socket, bytes } => Seen::Received(socket, bytes.to_vec()),
        Event::EndOfStream { socket } => Seen::End(socket),
        Event::Writable { socket } => Seen::Writable(socket),
        Event::Failed { socket, error } => Seen::Failed(socket, error.raw_os_error()),
        Event::Closed { socket } => Seen::Closed(socket),
        Event::Woken => Seen::Woken,
        Event::Tick => Seen::Tick,
    }
}
