//! A websocket client that can send whatever it likes and believes nothing of what it is sent.

mod event;
mod frame;

use std::net::{SocketAddr, TcpStream};

use cluster::conn::Conn;
pub use event::Event;
pub use frame::{Frame, Opcode};

/// The example key of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What must be answered to it, as Sec-WebSocket-Accept.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A client's side of a websocket connection.
#[derive(Debug)]
pub struct WebsocketClient {
    conn: Conn,
}

impl WebsocketClient {
    /// Connects and shakes hands.
    pub fn connect(address: SocketAddr) -> WebsocketClient {
        WebsocketClient::connect_to(address, "/", &[])
    }

    /// Connects and shakes hands for this path and query, with more headers (each `Name: value`).
    pub fn connect_to(address: SocketAddr, target: &str, headers: &[&str]) -> WebsocketClient {
        let mut client = WebsocketClient::connect_silently(address);
        client.send_bytes(&request(target, headers));
        client.await_accept();
        client
    }

    /// Connects and says nothing yet.
    pub fn connect_silently(address: SocketAddr) -> WebsocketClient {
        WebsocketClient { conn: Conn::connect(address) }
    }

    /// Reads the answer to the handshake and asserts that it accepts.
    pub fn await_accept(&mut self) {
        let response = self.read_response().expect("the handshake is answered");
        assert!(response.starts_with("HTTP/1.1 101 "), "refused: {response}");
        // Proxies write the names of headers as they like.
        let is_accept = |line: &str| {
            line.split_once(": ").is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("Sec-WebSocket-Accept") && value == ACCEPT
            })
        };
        assert!(response.lines().any(is_accept), "wrong key: {response}");
    }

    /// Reads the head of an HTTP response, or `None` when the server closed before.
    pub fn read_response(&mut self) -> Option<String> {
        self.conn.read(|received| {
            let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
            Some((String::from_utf8_lossy(&received[..end]).into_owned(), end))
        })
    }

    /// The client's own address.
    pub fn local_address(&self) -> SocketAddr {
        self.conn.local_address()
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) {
        self.conn.write(&frame.encode());
    }

    /// Sends a text message.
    pub fn send_text(&mut self, text: &str) {
        self.send(&Frame::text(text));
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.conn.write(bytes);
    }

    /// Sends bytes in writes of `size`, each a segment of its own.
    pub fn send_chopped(&mut self, bytes: &[u8], size: usize) {
        for chop in bytes.chunks(size) {
            self.conn.write(chop);
        }
    }

    /// Another handle of the same connection, to write from a second thread.
    pub fn writer(&self) -> TcpStream {
        self.conn.writer()
    }

    /// What the server says next.
    pub fn receive(&mut self) -> Event {
        self.conn.read(Event::decode).unwrap_or(Event::End)
    }

    /// Asserts what the server says next.
    #[track_caller]
    pub fn expect(&mut self, expected: &Event) {
        let received = self.receive();
        assert!(received == *expected, "expected {expected:?}, received {received:?}");
    }

    /// Sends a text message and asserts that it comes back as text.
    #[track_caller]
    pub fn echo(&mut self, text: &str) {
        self.send_text(text);
        self.expect(&Event::text(text));
    }

    /// Sends a binary message and asserts that it comes back as binary.
    #[track_caller]
    pub fn echo_binary(&mut self, body: &[u8]) {
        self.send(&Frame::binary(body));
        self.expect(&Event::Binary(body.to_vec()));
    }

    /// Takes leave with code 1000 and asserts that the server does so too and then closes.
    #[track_caller]
    pub fn close(&mut self) {
        self.send(&Frame::close(1000));
        self.expect(&Event::Close(Some(1000)));
        self.expect(&Event::End);
    }

    /// Sends FIN and goes on reading.
    pub fn finish_writing(&mut self) {
        self.conn.finish_writing();
    }

    /// Everything up to the end of the connection, undecoded.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        self.conn.read_to_end()
    }
}

/// A handshake with the example key.
pub fn request(target: &str, headers: &[&str]) -> Vec<u8> {
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.into_bytes()
}
