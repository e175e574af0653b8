//! Registers and gateways that tests play themselves, on threads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gateway_client::{Client, ClientId, Config};
use protocol::inner::{self, Cmd, reply};
use protocol::register::{Broadcast, PONG};

/// How long a test waits for what must come, before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const KEY: &str = "k3y";

/// A register whose list tests set.
pub(crate) struct FakeRegister {
    pub address: SocketAddr,
    state: Arc<Mutex<RegisterState>>,
    lines: Receiver<String>,
}

#[derive(Default)]
struct RegisterState {
    list: Vec<String>,
    peers: Vec<TcpStream>,
}

impl FakeRegister {
    pub(crate) fn start(gateways: &[SocketAddrV4]) -> FakeRegister {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(RegisterState { list: texts(gateways), peers: Vec::new() }));
        let (send, lines) = channel();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                let mut state = shared.lock().unwrap();
                if !line.contains(KEY) {
                    continue;
                }
                stream.write_all(&broadcast(&state.list)).unwrap();
                state.peers.push(stream);
                let _ = send.send(line);
            }
        });
        FakeRegister { address, state, lines }
    }

    /// The line with which the next client has been let in.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line from a client")
    }

    /// Tells all clients a new list.
    pub(crate) fn list(&self, gateways: &[SocketAddrV4]) {
        let mut state = self.state.lock().unwrap();
        state.list = texts(gateways);
        let line = broadcast(&state.list);
        for peer in &mut state.peers {
            peer.write_all(&line).unwrap();
        }
    }

    /// Answers all clients' pings once, as a register of ours does. Returns how many clients there are.
    pub(crate) fn pong(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        for peer in &mut state.peers {
            peer.write_all(PONG).unwrap();
        }
        state.peers.len()
    }

    /// Closes all connections, and has another list for those who come back.
    pub(crate) fn restart(&self, gateways: &[SocketAddrV4]) {
        let mut state = self.state.lock().unwrap();
        state.list = texts(gateways);
        for peer in state.peers.drain(..) {
            peer.shutdown(Shutdown::Both).unwrap();
        }
    }
}

fn texts(gateways: &[SocketAddrV4]) -> Vec<String> {
    gateways.iter().map(ToString::to_string).collect()
}

fn broadcast(list: &[String]) -> Vec<u8> {
    let mut line = Vec::new();
    Broadcast { addresses: list.to_vec() }.encode(&mut line);
    line
}

/// A gateway's inner port.
pub(crate) struct FakeGateway {
    pub address: SocketAddrV4,
    connections: Receiver<TcpStream>,
}

impl FakeGateway {
    pub(crate) fn start() -> FakeGateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!("bound to IPv4") };
        let (send, connections) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // The listener outlives the test.
                let _ = send.send(stream.unwrap());
            }
        });
        FakeGateway { address, connections }
    }

    pub(crate) fn accept(&self) -> Connection {
        let stream = self.connections.recv_timeout(PATIENCE).expect("a connection from the client");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection { stream, arrived: Vec::new() }
    }

    /// Whether nobody has connected so far.
    pub(crate) fn is_untouched(&self) -> bool {
        self.connections.try_recv().is_err()
    }

    pub(crate) fn client(&self, connection_id: u32) -> ClientId {
        ClientId { gateway: self.address, connection_id }
    }
}

/// A connection from the client to a gateway.
pub(crate) struct Connection {
    stream: TcpStream,
    arrived: Vec<u8>,
}

/// A frame: what tests compare, and its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Arrived {
    pub cmd: u8,
    pub ext: String,
    pub body: String,
    pub hex: String,
}

impl Connection {
    /// The next frame that is not the key; every frame has the key in front.
    pub(crate) fn frame(&mut self) -> Arrived {
        let key = self.next().expect("a frame, not the end");
        assert_eq!(key.cmd, Cmd::GatewayClientConnect as u8);
        assert_eq!(key.body, r#"{"secret_key":"k3y"}"#);
        self.next().expect("a frame behind the key")
    }

    /// The next frame, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Arrived> {
        loop {
            if let Some((frame, size)) = inner::decode(&self.arrived, inner::FRAME_SIZE_MAX).unwrap() {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (cmd, ext, body) = (frame.cmd, text(frame.ext), text(frame.body));
                let hex = self.arrived[..size].iter().map(|byte| format!("{byte:02x}")).collect();
                self.arrived.drain(..size);
                return Some(Arrived { cmd, ext, body, hex });
            }
            let mut buffer = [0; 65536];
            match self.stream.read(&mut buffer).expect("a frame or the end in time") {
                0 => return None,
                size => self.arrived.extend_from_slice(&buffer[..size]),
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Answers a query with a serialized value.
    pub(crate) fn reply(&mut self, value: &str) {
        let mut out = Vec::new();
        reply::encode(value.as_bytes(), &mut out);
        self.write(&out);
    }
}

/// Limits are those of production; tests that wait for one to be exceeded set their own.
pub(crate) fn config(register: &FakeRegister) -> Config {
    Config {
        register_addresses: vec![register.address.to_string()],
        secret_key: KEY.to_owned(),
        ..Config::default()
    }
}

/// A client of these gateways, with the register that lists them.
pub(crate) async fn connect(gateways: &[&FakeGateway]) -> (Client, FakeRegister) {
    let register = FakeRegister::start(&addresses(gateways));
    let client = Client::connect(config(&register)).await.unwrap();
    (client, register)
}

pub(crate) fn addresses(gateways: &[&FakeGateway]) -> Vec<SocketAddrV4> {
    gateways.iter().map(|gateway| gateway.address).collect()
}

/// Plays a gateway on a thread while the test's own thread runs the client.
pub(crate) fn play<T: Send + 'static>(
    part: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(part)
}
