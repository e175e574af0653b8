//! Clients of the protocols without a handshake: text, frame and tcp.

use std::net::{SocketAddr, TcpStream};

use cluster::conn::Conn;

/// How messages are told apart on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// A line each.
    Text,
    /// A u32 total length in front.
    Frame,
    /// Not at all.
    Tcp,
}

/// A client of one of them.
#[derive(Debug)]
pub struct PlainClient {
    conn: Conn,
    framing: Framing,
}

impl Framing {
    /// All three.
    pub const ALL: [Framing; 3] = [Framing::Text, Framing::Frame, Framing::Tcp];
}

impl PlainClient {
    /// Connects.
    pub fn connect(address: SocketAddr, framing: Framing) -> PlainClient {
        PlainClient { conn: Conn::connect(address), framing }
    }

    /// The client's own address.
    pub fn local_address(&self) -> SocketAddr {
        self.conn.local_address()
    }

    /// Sends one message.
    pub fn send(&mut self, body: &[u8]) {
        let bytes = self.framing.encode(body);
        self.conn.write(&bytes);
    }

    /// Sends bytes as they are, legal or not.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.conn.write(bytes);
    }

    /// Another handle of the same connection, to write from a second thread.
    pub fn writer(&self) -> TcpStream {
        self.conn.writer()
    }

    /// The next message, or `None` when the server closed. With [`Framing::Tcp`] messages have no bounds: use
    /// [`PlainClient::read_exactly`].
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let framing = self.framing;
        self.conn.read(|received| framing.decode(received))
    }

    /// The next `size` bytes, or `None` when the server closed before.
    pub fn read_exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        self.conn.read_exactly(size)
    }

    /// Sends a message and asserts that it comes back.
    pub fn echo(&mut self, body: &[u8]) {
        self.send(body);
        let size = self.framing.encode(body).len();
        let received = self.conn.read_exactly(size).expect("the server stays");
        assert!(
            received == self.framing.encode(body),
            "{:?}: not the echo of {} bytes",
            self.framing,
            body.len()
        );
    }

    /// Sends FIN and goes on reading.
    pub fn finish_writing(&mut self) {
        self.conn.finish_writing();
    }

    /// Everything up to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        self.conn.read_to_end()
    }
}

/// Size of the length in front of a frame.
const LENGTH_SIZE: usize = 4;

impl Framing {
    /// A message as it goes over the wire, in either direction.
    pub fn encode(self, body: &[u8]) -> Vec<u8> {
        match self {
            Framing::Text => [body, b"\n"].concat(),
            Framing::Frame => [&u32::to_be_bytes((LENGTH_SIZE + body.len()) as u32), body].concat(),
            Framing::Tcp => body.to_vec(),
        }
    }

    fn decode(self, received: &[u8]) -> Option<(Vec<u8>, usize)> {
        match self {
            Framing::Text => {
                let size = received.iter().position(|byte| *byte == b'\n')?;
                Some((received[..size].to_vec(), size + 1))
            }
            Framing::Frame => {
                let length = received.first_chunk::<LENGTH_SIZE>()?;
                let size = u32::from_be_bytes(*length) as usize;
                Some((received.get(LENGTH_SIZE..size)?.to_vec(), size))
            }
            Framing::Tcp => (!received.is_empty()).then(|| (received.to_vec(), received.len())),
        }
    }
}
