//! A blocking TCP connection with what was received and not yet used.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::wait::LIMIT;

/// A connection to a program under test.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    received: Vec<u8>,
    ended: bool,
}

impl Conn {
    /// Connects, at once or never: the server has said that it is ready.
    pub fn connect(address: SocketAddr) -> Conn {
        Conn::new(
            TcpStream::connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}")),
        )
    }

    /// A connection that is there already.
    pub fn new(stream: TcpStream) -> Conn {
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        stream.set_read_timeout(Some(LIMIT)).expect("a read timeout can be set");
        stream.set_write_timeout(Some(LIMIT)).expect("a write timeout can be set");
        Conn { stream, received: Vec::new(), ended: false }
    }

    /// The client's own address.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Writes everything. A server that has closed in the meantime is no failure here: what it said before shows in
    /// the reads.
    pub fn write(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if !is_hangup(error.kind()) => panic!("writing {} bytes: {error}", bytes.len()),
            _ => (),
        }
    }

    /// No more will be written: FIN.
    pub fn finish_writing(&mut self) {
        // Not connected any more: the peer was first.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Another handle of the same connection, to write from a second thread.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket can be cloned")
    }

    /// Reads until `decode` finds something at the start of what was received; it returns the value and the bytes
    /// that it takes. `None` when the server closes before.
    pub fn read<T>(&mut self, decode: impl Fn(&[u8]) -> Option<(T, usize)>) -> Option<T> {
        loop {
            if let Some((value, size)) = decode(&self.received) {
                self.received.drain(..size);
                return Some(value);
            }
            if !self.receive() {
                return None;
            }
        }
    }

    /// Whether there is something that was received and not yet used.
    pub fn has_unused(&self) -> bool {
        !self.received.is_empty()
    }

    /// Reads exactly this many bytes.
    pub fn read_exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.received.len() < size {
            if !self.receive() {
                return None;
            }
        }
        Some(self.received.drain(..size).collect())
    }

    /// Everything up to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    /// Receives once; false at the end of the connection.
    fn receive(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let mut buffer = [0; 65_536];
        let size = match self.stream.read(&mut buffer) {
            Ok(size) => size,
            Err(error) if is_hangup(error.kind()) => 0,
            Err(error) => {
                panic!("waiting for the server: {error}; unused so far: {:?}", Excerpt(&self.received))
            }
        };
        self.ended = size == 0;
        self.received.extend_from_slice(&buffer[..size]);
        !self.ended
    }
}

/// The end of a connection, whether orderly or not: both ways a server may close.
fn is_hangup(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

/// Shows the first bytes of what may be megabytes.
pub struct Excerpt<'a>(pub &'a [u8]);

impl std::fmt::Debug for Excerpt<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.0[..self.0.len().min(64)];
        write!(out, "{} bytes \"{}\"", self.0.len(), shown.escape_ascii())
    }
}
