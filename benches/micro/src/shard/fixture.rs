//! A shard, one worker, and clients, without a ring under them.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddrV4};

use gateway_core::{Action, Identity, Listen, Millis, Sends, Settings, Shard, Sink};
use protocol::client::websocket::Deflater;
use protocol::client::websocket::client::TEXT;
use protocol::inner::{Cmd, Frame, Run, Window, ext};
use uring::{Acks, Short, SocketId};

use crate::codecs::{HANDSHAKE, masked};

/// Of a compressed message's first byte.
const RSV1: u8 = 0x40;

/// What clients speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientProtocol {
    Websocket,
    /// With compression agreed upon.
    Deflated,
    Text,
}

/// The other end of everything that a shard holds.
pub(super) struct Fixture {
    pub shard: Shard,
    pub worker: SocketId,
    pub clients: Vec<SocketId>,
    pub now: Millis,
    protocol: ClientProtocol,
}

/// Takes everything, and counts the bytes.
struct CountingSink {
    bytes: usize,
}

impl Sink for CountingSink {
    type Error = Infallible;

    fn act(&mut self, _: Action) {}

    fn acknowledged(&mut self, _: SocketId) -> Option<Acks> {
        None
    }

    fn send(&mut self, sends: Sends<'_>, _: &mut Vec<Short>) -> Result<(), Infallible> {
        for socket in sends.sockets() {
            self.bytes += sends.bytes(*socket).map(|slice| slice.len()).sum::<usize>();
        }
        Ok(())
    }
}

impl ClientProtocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            ClientProtocol::Websocket | ClientProtocol::Deflated => "websocket",
            ClientProtocol::Text => "text",
        }
    }

    /// A client's message.
    pub(super) fn message(self, body: &[u8]) -> Vec<u8> {
        match self {
            ClientProtocol::Websocket => masked(TEXT, body),
            ClientProtocol::Deflated => {
                let mut payload = Vec::new();
                Deflater::new(1).deflate(body, &mut payload);
                masked(TEXT | RSV1, &payload)
            }
            ClientProtocol::Text => [body, b"\n"].concat(),
        }
    }

    /// What a client says first.
    fn greeting(self) -> &'static [u8] {
        match self {
            ClientProtocol::Websocket | ClientProtocol::Deflated => HANDSHAKE,
            ClientProtocol::Text => b"",
        }
    }
}

impl Fixture {
    /// So many clients; their connection ids are 1 and up, in the order of `clients`.
    pub(super) fn new(protocol: ClientProtocol, client_count: u32) -> Fixture {
        Fixture::with(Settings::default(), protocol, client_count)
    }

    /// The same with other settings; where clients connect is not theirs to say.
    pub(super) fn with(settings: Settings, protocol: ClientProtocol, client_count: u32) -> Fixture {
        let mut listen: Listen =
            format!("{}://127.0.0.1:8282", protocol.name()).parse().expect("an address to listen on");
        listen.protocol.set_compression(protocol == ClientProtocol::Deflated);
        let settings = Settings { listen: vec![listen], ..settings };
        let identity = Identity { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2900), seed: 1 << 32 };
        let (now, worker) = (Millis(0), SocketId::new(0, 1));
        let mut fixture = Fixture {
            shard: Shard::new(settings, identity, now),
            worker,
            clients: Vec::new(),
            now,
            protocol,
        };
        fixture.shard.on_link_accepted(now, worker, PEER.into());
        fixture.introduce_worker(None);
        for _ in 0..client_count {
            fixture.connect(&mut protocol.greeting().to_vec());
        }
        fixture
    }

    /// The worker says who it is, and how much it takes before it has said what is done.
    pub(super) fn introduce_worker(&mut self, window: Option<Window>) {
        let connect = ext::WorkerConnect {
            worker_key: "a".into(),
            secret_key: Some(String::new()),
            ringway: true,
            run: window.map(|_| Run(1)),
            acks: window.is_some(),
            resume: None,
            handshakes: false,
            window,
        };
        self.command(&Frame { body: &connect.encode(), ..Frame::command(Cmd::WorkerConnect) });
    }

    /// A client connects and says `greeting`.
    pub(super) fn connect(&mut self, greeting: &mut [u8]) {
        let client = SocketId::new(self.clients.len() as u32 + 1, 1);
        self.clients.push(client);
        self.shard.on_client_accepted(self.now, 0, client, PEER.into());
        self.receive(client, greeting);
    }

    /// `bytes` arrive in one piece on a socket, and what comes of it is sent. Returns how many bytes that was.
    pub(super) fn receive(&mut self, socket: SocketId, bytes: &mut [u8]) -> usize {
        self.shard.on_received(self.now, socket, bytes);
        self.send()
    }

    /// The worker commands.
    pub(super) fn command(&mut self, frame: &Frame<'_>) {
        self.receive(self.worker, &mut encoded(frame));
    }

    /// What the glue does behind the events of a turn, and again as long as there is something to do. Returns the
    /// bytes sent.
    pub(super) fn send(&mut self) -> usize {
        let mut sink = CountingSink { bytes: 0 };
        while self.shard.is_pending() {
            let Ok(()) = self.shard.turn(self.now, &mut sink);
        }
        sink.bytes
    }

    /// What a client says to be heard.
    pub(super) fn message(&self, body: &[u8]) -> Vec<u8> {
        self.protocol.message(body)
    }
}

pub(super) fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

/// A command for one client.
pub(super) fn to_client(cmd: Cmd, connection_id: u32) -> Frame<'static> {
    Frame { connection_id, ..Frame::command(cmd) }
}

const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5000);
