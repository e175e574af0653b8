//! A client that speaks lines within TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use cluster::wait::LIMIT;
use tls::{Connector, Failure, Session};

/// A client of `ssl+text`.
pub struct TlsClient {
    stream: TcpStream,
    session: Session,
    got: Vec<u8>,
}

impl TlsClient {
    /// Connects to `localhost`, unless its certificate is none of whom `connector` trusts.
    pub fn connect(address: SocketAddr, connector: &Connector) -> Option<TlsClient> {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a read timeout can be set");
        let session = connector.connect("localhost").expect("localhost is a name");
        let mut client = TlsClient { stream, session, got: Vec::new() };
        client.take(&mut []).ok()?;
        while !client.session.is_open() {
            client.receive()?;
        }
        Some(client)
    }

    /// The client's own address.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Sends a line and asserts that it comes back.
    #[track_caller]
    pub fn echo(&mut self, line: &str) {
        assert_eq!(self.ask(line), line);
    }

    /// Sends a line; returns the one that comes back.
    pub fn ask(&mut self, line: &str) -> String {
        let mut sealed = Vec::new();
        self.session.seal(format!("{line}\n").as_bytes(), &mut sealed).expect("the session stands");
        self.stream.write_all(&sealed).expect("so does the connection");
        while self.got.last() != Some(&b'\n') {
            self.receive().expect("what comes is TLS");
        }
        self.got.pop();
        String::from_utf8(std::mem::take(&mut self.got)).expect("the answer is text")
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        let mut reply = Vec::new();
        let taken = self.session.receive(bytes, &mut self.got, &mut reply);
        self.stream.write_all(&reply).expect("the connection stands");
        taken
    }

    fn receive(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).expect("something comes in time");
        assert!(count > 0, "the gateway closed");
        self.take(&mut buffer[..count]).ok()
    }
}
