//! A gateway's inner port in the hands of a test.

use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use protocol::ClientId;
use protocol::inner::Cmd;

use super::Link;
use crate::wait::LIMIT;

/// The inner port of a gateway that has no clients but those that the test speaks of.
#[derive(Debug)]
pub struct FakeGateway {
    /// Where it is.
    pub address: SocketAddrV4,
    links: Receiver<Link>,
}

impl FakeGateway {
    /// Listens on a free port.
    pub fn start() -> FakeGateway {
        FakeGateway::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    /// Listens at this address.
    pub fn start_at(address: SocketAddrV4) -> FakeGateway {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let Ok(SocketAddr::V4(address)) = listener.local_addr() else { unreachable!("bound to IPv4") };
        let (send, links) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The listener outlives the test: a port that is used again would get another test's worker.
                let _ = send.send(Link::accepted(stream, address));
            }
        });
        FakeGateway { address, links }
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> Link {
        self.links.recv_timeout(LIMIT).expect("a connection to the gateway")
    }

    /// The next connection, that of a worker which has introduced itself.
    #[track_caller]
    pub fn accept_worker(&self) -> Link {
        let mut worker = self.accept();
        worker.expect(Cmd::WorkerConnect);
        worker
    }

    /// Whether nobody else has connected.
    pub fn is_left_alone(&self) -> bool {
        self.links.try_recv().is_err()
    }

    /// A client of this gateway.
    pub fn client(&self, connection_id: u32) -> ClientId {
        ClientId { gateway: self.address, connection_id }
    }
}
