//! Plays a worker or a GatewayClient against a gateway's inner port (WIRE.md §3 to §5).

use std::net::SocketAddrV4;

use protocol::inner::{self, Cmd, FLAG_SCALAR, Frame, reply};

use crate::client::Conn;

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
    /// The client's session.
    pub ext: Vec<u8>,
    /// Depends on the command.
    pub body: Vec<u8>,
}

/// A connection to an inner port.
#[derive(Debug)]
pub struct Link {
    conn: Conn,
}

impl Link {
    /// Connects and says nothing yet.
    pub fn connect(address: SocketAddrV4) -> Link {
        Link { conn: Conn::connect(address.into()) }
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

    /// The next frame, or `None` when the gateway closed.
    pub fn receive(&mut self) -> Option<Received> {
        self.conn.read(|received| {
            let decoded =
                inner::decode(received, inner::FRAME_SIZE_MAX).expect("a gateway's frame is well-formed");
            decoded.map(|(frame, size)| (Received::from(&frame), size))
        })
    }

    /// The next frame, which must be this command.
    #[track_caller]
    pub fn expect(&mut self, cmd: Cmd) -> Received {
        let received = self.receive().expect("the gateway stays");
        assert_eq!(received.cmd, cmd as u8, "expected {cmd:?}, received {received:?}");
        received
    }

    /// The next frame must be a client's message with this body.
    #[track_caller]
    pub fn expect_message(&mut self, body: &[u8]) -> Received {
        let received = self.expect(Cmd::OnMessage);
        assert_eq!(received.body.escape_ascii().to_string(), body.escape_ascii().to_string());
        received
    }

    /// Waits until the gateway closes the link; returns the bytes it sent before.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        self.conn.read_to_end()
    }

    /// Sends FIN and goes on reading.
    pub fn finish_writing(&mut self) {
        self.conn.finish_writing();
    }
}

impl From<&Frame<'_>> for Received {
    fn from(frame: &Frame<'_>) -> Received {
        Received {
            cmd: frame.cmd,
            gateway: frame.gateway,
            client: frame.client,
            connection_id: frame.connection_id,
            flag: frame.flag,
            gateway_port: frame.gateway_port,
            ext: frame.ext.to_vec(),
            body: frame.body.to_vec(),
        }
    }
}

/// Whether a frame's body is raw bytes, not a serialized value.
pub fn is_scalar(frame: &Received) -> bool {
    frame.flag & FLAG_SCALAR != 0
}
