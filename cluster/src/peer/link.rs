//! One end of a connection between a gateway's inner port and a worker or a GatewayClient: either end.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

use protocol::inner::{self, Cmd, FLAG_SCALAR, Frame, reply};

use crate::conn::Conn;

/// A frame with its parts owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Command number.
    pub cmd: u8,
    /// The gateway's lan ip and inner port.
    pub gateway: SocketAddrV4,
    /// The client's address.
    pub client: SocketAddrV4,
    /// Which client.
    pub connection_id: u32,
    /// `FLAG_*` bits.
    pub flag: u8,
    /// The port that the client connected to.
    pub gateway_port: u16,
    /// Depends on the command: a client's session, whom it is for.
    pub ext: Vec<u8>,
    /// Depends on the command.
    pub body: Vec<u8>,
    /// All of it, as it was on the wire.
    pub bytes: Vec<u8>,
}

/// A connection to an inner port, or one that an inner port has accepted.
#[derive(Debug)]
pub struct Link {
    conn: Conn,
    /// The inner port.
    gateway: SocketAddrV4,
    /// RINGWAY_PINGs received, which come at any time.
    pub pings: usize,
}

/// As a worker or a GatewayClient.
impl Link {
    /// Connects and sends nothing yet.
    pub fn connect(address: SocketAddrV4) -> Link {
        Link { conn: Conn::connect(address.into()), gateway: address, pings: 0 }
    }

    /// Connects as a worker of this name, written exactly as PHP's workers do.
    pub fn worker(address: SocketAddrV4, worker_key: &str, secret_key: &str) -> Link {
        let mut link = Link::connect(address);
        let body = format!("{{\"worker_key\":\"{worker_key}\",\"secret_key\":\"{secret_key}\"}}");
        link.send(&Frame { body: body.as_bytes(), ..Frame::command(Cmd::WorkerConnect) });
        link
    }

    /// Connects as a GatewayClient, written exactly as PHP's do.
    pub fn gateway_client(address: SocketAddrV4, secret_key: &str) -> Link {
        let mut link = Link::connect(address);
        let body = format!("{{\"secret_key\":\"{secret_key}\"}}");
        link.send(&Frame { body: body.as_bytes(), ..Frame::command(Cmd::GatewayClientConnect) });
        link
    }

    /// Sends a command about one client.
    pub fn command(&mut self, cmd: Cmd, connection_id: u32, ext: &[u8], body: &[u8]) {
        self.send(&Frame { connection_id, ext, body, ..Frame::command(cmd) });
    }

    /// Sends a message to one client.
    pub fn send_to_one(&mut self, connection_id: u32, body: &[u8]) {
        self.command(Cmd::SendToOne, connection_id, b"", body);
    }

    /// Asks and returns the serialized answer.
    pub fn query(&mut self, cmd: Cmd, connection_id: u32, ext: &[u8]) -> Vec<u8> {
        self.command(cmd, connection_id, ext, b"");
        self.read_reply().expect("the query is answered")
    }

    /// The next reply to a query, or `None` when the gateway closed.
    pub fn read_reply(&mut self) -> Option<Vec<u8>> {
        self.conn.read(|received| {
            let decoded =
                reply::decode(received, inner::FRAME_SIZE_MAX).expect("a gateway's reply is well-formed");
            decoded.map(|(value, size)| (value.to_vec(), size))
        })
    }

    /// The next frame must be a client's message with this body.
    #[track_caller]
    pub fn expect_message(&mut self, body: &[u8]) -> Received {
        let received = self.expect(Cmd::OnMessage);
        assert_eq!(received.body.escape_ascii().to_string(), body.escape_ascii().to_string());
        received
    }
}

/// As a gateway.
impl Link {
    pub(super) fn accepted(stream: TcpStream, gateway: SocketAddrV4) -> Link {
        Link { conn: Conn::new(stream), gateway, pings: 0 }
    }

    /// Introduces itself as a Ringway gateway, which pings.
    pub fn greet(&mut self) {
        self.event(Cmd::RingwayHello, 0, br#"{"ringway":1}"#);
        self.event(Cmd::RingwayPing, 0, b"");
    }

    /// The same, and keeps to the windows that workers grant; so the test has to.
    pub fn greet_with_windows(&mut self) {
        self.event(Cmd::RingwayHello, 0, br#"{"ringway":1,"windows":1}"#);
        self.event(Cmd::RingwayPing, 0, b"");
    }

    /// Sends an event of a client.
    pub fn event(&mut self, cmd: Cmd, connection_id: u32, body: &[u8]) {
        self.event_with(cmd, connection_id, FLAG_SCALAR, b"", body);
    }

    /// Sends an event with flag and session.
    pub fn event_with(&mut self, cmd: Cmd, connection_id: u32, flag: u8, session: &[u8], body: &[u8]) {
        self.send(&Frame {
            gateway: self.gateway,
            client: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 40_000),
            connection_id,
            flag,
            gateway_port: 8282,
            ext: session,
            body,
            ..Frame::command(cmd)
        });
    }

    /// Sends a message of [`CLIENT`].
    pub fn message(&mut self, text: &str) {
        self.event(Cmd::OnMessage, CLIENT, text.as_bytes());
    }

    /// Answers a query with a serialized value.
    pub fn reply(&mut self, value: &str) {
        let mut out = Vec::new();
        reply::encode(value.as_bytes(), &mut out);
        self.send_bytes(&out);
    }
}

/// Both ends.
impl Link {
    /// The same connection, for another thread to write to.
    pub fn writer(&self) -> Link {
        Link { conn: Conn::new(self.conn.writer()), gateway: self.gateway, pings: 0 }
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.conn.write(&bytes);
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.conn.write(bytes);
    }

    /// The next frame that is no RINGWAY_PING, or `None` at the end of the connection.
    pub fn receive(&mut self) -> Option<Received> {
        loop {
            let received = self.conn.read(|received| {
                let decoded = inner::decode(received, inner::FRAME_SIZE_MAX).expect("frames are well-formed");
                decoded.map(|(frame, size)| (Received::new(&frame, &received[..size]), size))
            })?;
            if received.cmd != Cmd::RingwayPing as u8 {
                return Some(received);
            }
            self.pings += 1;
        }
    }

    /// The next frame, which there must be.
    #[track_caller]
    pub fn frame(&mut self) -> Received {
        self.receive().expect("a frame, not the end")
    }

    /// Whether more has arrived than the frames that were asked for.
    pub fn has_unused(&self) -> bool {
        self.conn.has_unused()
    }

    /// The next frame, which must be this command.
    #[track_caller]
    pub fn expect(&mut self, cmd: Cmd) -> Received {
        let received = self.frame();
        assert_eq!(received.cmd, cmd as u8, "expected {cmd:?}, received {received:?}");
        received
    }

    /// Waits until the peer closes the link; returns the bytes it sent before.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        self.conn.read_to_end()
    }

    /// Sends FIN and goes on reading.
    pub fn finish_writing(&mut self) {
        self.conn.finish_writing();
    }
}

impl Received {
    fn new(frame: &Frame<'_>, bytes: &[u8]) -> Received {
        Received {
            cmd: frame.cmd,
            gateway: frame.gateway,
            client: frame.client,
            connection_id: frame.connection_id,
            flag: frame.flag,
            gateway_port: frame.gateway_port,
            ext: frame.ext.to_vec(),
            body: frame.body.to_vec(),
            bytes: bytes.to_vec(),
        }
    }
}

/// The connection id of the client whose messages [`Link::message`] sends.
pub const CLIENT: u32 = 1;
