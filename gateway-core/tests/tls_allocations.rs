//! What a client with TLS takes of memory: for each record what rustls takes, and nothing else; and for itself a known
//! bound.
//!
//! Only the calls of the shard, or of rustls on its own, are counted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::AddAssign;
use std::path::Path;
use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use gateway_core::tls::{Acceptor, Connector, KeyPair, Session};
use gateway_core::{Action, Identity, Millis, Sends, Settings, Shard, Sink};
use protocol::inner::{Cmd, Frame, ext};
use rustls::ServerConfig;
use rustls::crypto::ring as provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use uring::{Acks, Short, SocketId};

/// What was allocated in some calls.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Taken {
    count: u64,
    bytes: u64,
    /// Not given back.
    kept: i64,
}

impl AddAssign<AllocationInfo> for Taken {
    fn add_assign(&mut self, info: AllocationInfo) {
        self.count += info.count_total;
        self.bytes += info.bytes_total;
        self.kept += info.bytes_current;
    }
}

/// Who speaks TLS with a client.
trait Server {
    /// Takes bytes from the client, which are a part of the handshake; returns the answer.
    fn shake(&mut self, bytes: Vec<u8>) -> Vec<u8>;

    /// Takes `record` from the client, which is decrypted, and encrypts `answer`.
    fn echo(&mut self, record: Vec<u8>, answer: &[u8]) -> Vec<u8>;

    fn taken(&mut self) -> &mut Taken;
}

/// A client's side.
struct Client(Session);

impl Client {
    /// Connects, and waits for what comes behind the handshake.
    fn connect(server: &mut impl Server) -> Client {
        let mut client = Client(Connector::insecure().connect("localhost").unwrap());
        let mut to_server = client.hear(&mut [], b"");
        while !to_server.is_empty() {
            let mut answer = server.shake(to_server);
            to_server = client.hear(&mut answer, b"");
        }
        assert!(client.0.is_open());
        client
    }

    /// Takes what came, which is `expected`; returns what TLS answers.
    fn hear(&mut self, bytes: &mut [u8], expected: &[u8]) -> Vec<u8> {
        let (mut plain, mut reply) = (Vec::new(), Vec::new());
        self.0.receive(bytes, &mut plain, &mut reply).unwrap();
        assert!(plain == expected);
        reply
    }

    /// Says `line`, and hears it again.
    fn echo(&mut self, server: &mut impl Server, line: &[u8]) {
        let mut record = Vec::new();
        self.0.seal(line, &mut record).unwrap();
        let mut answer = server.echo(record, line);
        self.hear(&mut answer, line);
    }

    /// What the server takes for so many echoes.
    fn cost(&mut self, server: &mut impl Server, line: &[u8], times: usize) -> Taken {
        *server.taken() = Taken::default();
        (0..times).for_each(|_| self.echo(server, line));
        *server.taken()
    }
}

/// A shard, one worker, and the client that was the last to come; sockets take everything at once.
struct Gateway {
    shard: Shard,
    worker: SocketId,
    client: SocketId,
    count: u32,
    taken: Taken,
    /// Sent to clients in the last calls.
    sent: Vec<u8>,
}

struct Taker<'a> {
    worker: SocketId,
    sent: &'a mut Vec<u8>,
}

impl Sink for Taker<'_> {
    type Error = Infallible;

    fn act(&mut self, action: Action) {
        panic!("nobody is slow, and nobody leaves: {action:?}");
    }

    fn acknowledged(&mut self, _: SocketId) -> Option<Acks> {
        None
    }

    fn send(&mut self, sends: Sends<'_>, _: &mut Vec<Short>) -> Result<(), Infallible> {
        for socket in sends.sockets().iter().filter(|socket| **socket != self.worker) {
            sends.bytes(*socket).for_each(|slice| self.sent.extend_from_slice(&slice));
        }
        Ok(())
    }
}

impl Gateway {
    fn start(name: &str) -> Gateway {
        let (cert, key) = certificate(name);
        let tls = Some(Acceptor::load(&[KeyPair { cert: cert.into(), key: key.into() }]).unwrap());
        let listen = ["ssl+text://127.0.0.1:1000", "text://127.0.0.1:1001"];
        let listen = listen.map(|listen| listen.parse().unwrap()).into();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2900);
        // The first connection id is 1.
        let identity = Identity { address, seed: 1 << 32 };
        let shard = Shard::new(Settings { listen, tls, ..Settings::default() }, identity, NOW);
        let worker = SocketId::new(0, 1);
        let sent = Vec::with_capacity(SENT_MAX);
        let mut gateway = Gateway { shard, worker, client: worker, count: 0, taken: Taken::default(), sent };
        gateway.shard.on_link_accepted(NOW, worker, PEER);
        let connect = ext::WorkerConnect {
            worker_key: "a".into(),
            secret_key: Some(String::new()),
            ringway: true,
            run: None,
            window: None,
            acks: false,
            resume: None,
            handshakes: false,
        };
        let body = connect.encode();
        gateway.say(worker, frame(Cmd::WorkerConnect, 0, &body));
        gateway
    }

    /// A client comes, which the calls that follow speak of.
    fn accept(&mut self, listener: u8) {
        self.count += 1;
        self.client = SocketId::new(self.count, 1);
        self.taken += measure(|| self.shard.on_client_accepted(NOW, listener, self.client, PEER));
    }

    /// What so many echoes of a client without TLS take.
    fn plain_cost(&mut self, line: &[u8], times: usize) -> Taken {
        self.taken = Taken::default();
        for _ in 0..times {
            assert!(self.echo(line.to_vec(), line) == line);
        }
        self.taken
    }

    /// Bytes come at a socket, and what follows from that is sent.
    fn say(&mut self, socket: SocketId, mut bytes: Vec<u8>) {
        let Gateway { shard, worker, sent, .. } = self;
        self.taken += measure(|| {
            shard.on_received(NOW, socket, &mut bytes);
            while shard.is_pending() {
                let Ok(()) = shard.turn(NOW, &mut Taker { worker: *worker, sent });
            }
        });
    }

    /// What was sent to the client since the last call.
    fn take(&mut self) -> Vec<u8> {
        let sent = self.sent.clone();
        self.sent.clear();
        sent
    }
}

impl Server for Gateway {
    fn shake(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.say(self.client, bytes);
        self.take()
    }

    /// The answer is the worker's, without the line's end.
    fn echo(&mut self, record: Vec<u8>, answer: &[u8]) -> Vec<u8> {
        self.say(self.client, record);
        self.say(self.worker, frame(Cmd::SendToOne, self.count, &answer[..answer.len() - 1]));
        self.take()
    }

    fn taken(&mut self) -> &mut Taken {
        &mut self.taken
    }
}

/// rustls on its own.
struct Bare {
    conn: UnbufferedServerConnection,
    plain: Vec<u8>,
    sent: Vec<u8>,
    taken: Taken,
}

impl Bare {
    fn start(name: &str) -> Bare {
        let (cert, key) = certificate(name);
        let (cert, key) = (CertificateDer::from_pem_file(cert), PrivateKeyDer::from_pem_file(key));
        let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.unwrap()], key.unwrap())
            .unwrap();
        let conn = UnbufferedServerConnection::new(Arc::new(config)).unwrap();
        let (plain, sent) = (Vec::with_capacity(SENT_MAX), vec![0; SENT_MAX]);
        Bare { conn, plain, sent, taken: Taken::default() }
    }

    /// Takes bytes that are whole records, and encrypts `answer`, if there is one.
    fn run(&mut self, mut bytes: Vec<u8>, answer: &[u8]) -> Vec<u8> {
        let Bare { conn, plain, sent, .. } = self;
        let (mut done, mut size) = (0, 0);
        plain.clear();
        self.taken += measure(|| {
            loop {
                let mut status = conn.process_tls_records(&mut bytes[done..]);
                match status.state.unwrap() {
                    ConnectionState::ReadTraffic(mut traffic) => {
                        while let Some(record) = traffic.next_record() {
                            let record = record.unwrap();
                            status.discard += record.discard;
                            plain.extend_from_slice(record.payload);
                        }
                    }
                    ConnectionState::EncodeTlsData(mut data) => {
                        size += data.encode(&mut sent[size..]).unwrap()
                    }
                    ConnectionState::TransmitTlsData(sent) => sent.done(),
                    ConnectionState::WriteTraffic(mut traffic) => {
                        if !answer.is_empty() {
                            size += traffic.encrypt(answer, &mut sent[size..]).unwrap();
                        }
                        break;
                    }
                    _ => break,
                }
                done += status.discard;
            }
        });
        self.sent[..size].to_vec()
    }
}

impl Server for Bare {
    fn shake(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        self.run(bytes, b"")
    }

    fn echo(&mut self, record: Vec<u8>, answer: &[u8]) -> Vec<u8> {
        self.run(record, answer)
    }

    fn taken(&mut self) -> &mut Taken {
        &mut self.taken
    }
}

/// Files with a certificate and its key.
fn certificate(name: &str) -> (String, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |end| folder.join(format!("{name}.{end}")).to_str().unwrap().to_owned();
    let (cert, key) = (file("pem"), file("key"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

fn frame(cmd: Cmd, connection_id: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame { connection_id, body, ..Frame::command(cmd) }.encode(&mut bytes);
    bytes
}

#[test]
fn a_record_takes_what_rustls_takes() {
    const TIMES: usize = 200;
    let (mut gateway, mut bare) = (Gateway::start("allocations"), Bare::start("allocations-bare"));
    let mut plain_gateway = Gateway::start("allocations-plain");
    gateway.accept(SECURED);
    plain_gateway.accept(PLAIN);
    let (mut client, mut bare_client) = (Client::connect(&mut gateway), Client::connect(&mut bare));
    for size in [6, 64, 1_000, 2_040, 5_000, 16_000] {
        let line = [vec![b'x'; size - 1], vec![b'\n']].concat();
        let [_, (all, plain, rustls)] = [(); 2].map(|()| {
            let secured = client.cost(&mut gateway, &line, TIMES);
            (secured, plain_gateway.plain_cost(&line, TIMES), bare_client.cost(&mut bare, &line, TIMES))
        });
        let each = |total: u64| total as f64 / TIMES as f64;
        println!(
            "{size} B in a record, one received and one sent: {} allocations of {} B",
            each(rustls.count),
            each(rustls.bytes)
        );
        assert_eq!((all, plain), (rustls, Taken::default()), "of {size} bytes");
        assert!(rustls.count <= 2 * TIMES as u64 && rustls.kept == 0, "{rustls:?}");
    }
}

#[test]
fn an_idle_client_takes_a_known_amount() {
    const CLIENTS: usize = 1_000;
    let mut gateway = Gateway::start("idle");
    let mut connect = |count| {
        *gateway.taken() = Taken::default();
        for _ in 0..count {
            gateway.accept(SECURED);
            Client::connect(&mut gateway).echo(&mut gateway, b"once\n");
        }
        gateway.taken.kept / count as i64
    };
    // What is there once for all is there with the first.
    connect(100);
    let each = connect(CLIENTS);
    println!("{each} B for each of {CLIENTS} idle clients");
    assert!((1..=IDLE_MAX).contains(&each), "{each}");
}

const NOW: Millis = Millis(0);

/// Listeners.
const SECURED: u8 = 0;
const PLAIN: u8 = 1;

const PEER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5000));

/// More than is ever sent at once, in bytes.
const SENT_MAX: usize = 64 * 1024;

/// Of an idle client, in bytes, with its row in the shard.
const IDLE_MAX: i64 = 3_600;
