//! A register and gateways that tests play themselves, and a worker whose handlers are closures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use protocol::ClientId;
use protocol::inner::{self, Cmd, FLAG_SCALAR, Frame, HEADER_SIZE, reply};
use protocol::register::Broadcast;
use ringway_worker::{Client, Config, Events, Gateway, Kind, Message, Running, WebsocketRequest, Worker};

/// How long a test waits for what must come, before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The connection id that tests use for their client.
pub(crate) const CLIENT: u32 = 1;

/// A register whose list tests set.
pub(crate) struct FakeRegister {
    address: SocketAddr,
    state: Arc<Mutex<RegisterState>>,
    lines: Receiver<String>,
}

#[derive(Default)]
struct RegisterState {
    list: Vec<String>,
    workers: Vec<TcpStream>,
}

impl FakeRegister {
    pub(crate) fn start(gateways: &[&FakeGateway]) -> FakeRegister {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(RegisterState { list: addresses(gateways), workers: Vec::new() }));
        let (send, lines) = channel();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, send) = (Arc::clone(&shared), send.clone());
                thread::spawn(move || serve_worker(stream.unwrap(), &shared, send));
            }
        });
        FakeRegister { address, state, lines }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The next line that a worker sent.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line from a worker")
    }

    /// Tells all workers a new list.
    pub(crate) fn list(&self, gateways: &[&FakeGateway]) {
        let mut state = self.state.lock().unwrap();
        state.list = addresses(gateways);
        let line = broadcast(&state.list);
        for worker in &mut state.workers {
            worker.write_all(&line).unwrap();
        }
    }

    /// Closes the connections of all workers.
    pub(crate) fn drop_workers(&self) {
        for worker in self.state.lock().unwrap().workers.drain(..) {
            worker.shutdown(std::net::Shutdown::Both).unwrap();
        }
    }
}

fn serve_worker(mut stream: TcpStream, state: &Mutex<RegisterState>, lines: Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut state = state.lock().unwrap();
    stream.write_all(&broadcast(&state.list)).unwrap();
    state.workers.push(stream);
    let _ = lines.send(line);
    drop(state);
    for line in reader.lines().map_while(Result::ok) {
        let _ = lines.send(line);
    }
}

fn addresses(gateways: &[&FakeGateway]) -> Vec<String> {
    gateways.iter().map(|gateway| gateway.address.to_string()).collect()
}

fn broadcast(list: &[String]) -> Vec<u8> {
    let mut line = Vec::new();
    Broadcast { addresses: list.to_vec() }.encode(&mut line);
    line
}

/// A gateway's inner port.
pub(crate) struct FakeGateway {
    pub address: SocketAddrV4,
    connections: Receiver<Connection>,
}

impl FakeGateway {
    pub(crate) fn start() -> FakeGateway {
        FakeGateway::start_at("127.0.0.1:0".parse().unwrap())
    }

    pub(crate) fn start_at(address: SocketAddrV4) -> FakeGateway {
        let listener = TcpListener::bind(address).unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!("bound to IPv4") };
        let (send, connections) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // The listener outlives the test: a port that is used again would get another test's worker.
                let _ = send.send(Connection::new(stream.unwrap(), address));
            }
        });
        FakeGateway { address, connections }
    }

    /// The next connection, which may be a worker's command link or a query connection.
    pub(crate) fn accept(&self) -> Connection {
        self.connections.recv_timeout(PATIENCE).expect("a connection from the worker")
    }

    /// Whether nobody else has connected.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.connections.try_recv().is_err()
    }

    /// The next connection, a command link that has said who it is.
    pub(crate) fn accept_worker(&self) -> Connection {
        let mut worker = self.accept();
        assert_eq!(worker.frame().cmd, Cmd::WorkerConnect as u8);
        worker
    }

    pub(crate) fn client(&self, connection_id: u32) -> ClientId {
        ClientId { gateway: self.address, connection_id }
    }
}

/// A connection from the worker to a gateway.
pub(crate) struct Connection {
    stream: TcpStream,
    gateway: SocketAddrV4,
    pub arrived: Vec<u8>,
    /// RINGWAY_PINGs received, which come at any time.
    pub pings: usize,
}

/// A frame, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Owned {
    pub cmd: u8,
    pub connection_id: u32,
    pub flag: u8,
    pub ext: Vec<u8>,
    pub body: Vec<u8>,
    /// As it was on the wire.
    pub bytes: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream, gateway: SocketAddrV4) -> Connection {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection { stream, gateway, arrived: Vec::new(), pings: 0 }
    }

    /// The same connection, for another thread to write to.
    pub(crate) fn duplicate(&self) -> Connection {
        Connection::new(self.stream.try_clone().unwrap(), self.gateway)
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Owned {
        self.next().expect("a frame, not the end")
    }

    /// The next frame that is no RINGWAY_PING, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Owned> {
        loop {
            if let Some((frame, size)) = inner::decode(&self.arrived, inner::FRAME_SIZE_MAX).unwrap() {
                let owned = Owned {
                    cmd: frame.cmd,
                    connection_id: frame.connection_id,
                    flag: frame.flag,
                    ext: frame.ext.to_vec(),
                    body: frame.body.to_vec(),
                    bytes: self.arrived[..size].to_vec(),
                };
                self.arrived.drain(..size);
                if owned.cmd == Cmd::RingwayPing as u8 {
                    self.pings += 1;
                    continue;
                }
                return Some(owned);
            }
            let mut buffer = [0; 65536];
            match self.stream.read(&mut buffer).unwrap() {
                0 => return None,
                size => self.arrived.extend_from_slice(&buffer[..size]),
            }
        }
    }

    /// Says that it is a Ringway gateway, and that it pings.
    pub(crate) fn greet(&mut self) {
        self.event(Cmd::RingwayHello, 0, br#"{"ringway":1}"#);
        self.event(Cmd::RingwayPing, 0, b"");
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends an event of a client.
    pub(crate) fn event(&mut self, cmd: Cmd, connection_id: u32, body: &[u8]) {
        self.event_with(cmd, connection_id, FLAG_SCALAR, b"", body);
    }

    /// Sends an event with flag and session.
    pub(crate) fn event_with(&mut self, cmd: Cmd, connection_id: u32, flag: u8, session: &[u8], body: &[u8]) {
        let mut out = Vec::with_capacity(HEADER_SIZE + session.len() + body.len());
        Frame {
            gateway: self.gateway,
            client: "127.0.0.1:40000".parse().unwrap(),
            connection_id,
            flag,
            gateway_port: 8282,
            ext: session,
            body,
            ..Frame::command(cmd)
        }
        .encode(&mut out);
        self.write(&out);
    }

    /// Sends a message of [`CLIENT`].
    pub(crate) fn message(&mut self, text: &str) {
        self.event(Cmd::OnMessage, CLIENT, text.as_bytes());
    }

    /// Answers a query with a serialized value.
    pub(crate) fn reply(&mut self, value: &str) {
        let mut out = Vec::new();
        reply::encode(value.as_bytes(), &mut out);
        self.write(&out);
    }
}

/// Handlers for whom a closure runs at each message, and which tell the test what happens.
pub(crate) struct App<F> {
    on_message: F,
    tell: Sender<String>,
}

impl<F> Events for App<F>
where
    F: AsyncFn(&Gateway, &Client, Message, &Sender<String>) + 'static,
{
    async fn on_start(&self, gateway: &Gateway) {
        self.tell(format!("start {}", gateway.core_index()));
    }

    async fn on_connect(&self, _gateway: &Gateway, client: &Client) {
        self.tell(format!(
            "connect {} from {} at {}",
            client.id().connection_id,
            client.addr(),
            client.gateway_port()
        ));
    }

    async fn on_websocket_connect(&self, _gateway: &Gateway, client: &Client, request: &WebsocketRequest) {
        let name = request.get.get("name").and_then(|name| name.as_str()).unwrap_or("nobody");
        self.tell(format!("websocket {} {name}", client.id().connection_id));
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        (self.on_message)(gateway, client, message, &self.tell).await;
    }

    async fn on_close(&self, _gateway: &Gateway, client: &Client) {
        self.tell(format!("close {}", client.id().connection_id));
    }

    async fn on_stop(&self, gateway: &Gateway) {
        gateway.send_to_all("bye");
        self.tell("stop".to_owned());
    }
}

impl<F> App<F> {
    fn tell(&self, what: String) {
        let _ = self.tell.send(what);
    }
}

/// A worker with one core.
pub(crate) struct FakeWorker {
    pub running: Running,
    told: Receiver<String>,
}

impl FakeWorker {
    /// Starts a worker and waits until it is ready.
    pub(crate) fn start<F>(register: &FakeRegister, on_message: F) -> FakeWorker
    where
        F: AsyncFn(&Gateway, &Client, Message, &Sender<String>) + Clone + Send + 'static,
    {
        FakeWorker::start_with(config(&[register]), on_message)
    }

    pub(crate) fn start_with<F>(config: Config, on_message: F) -> FakeWorker
    where
        F: AsyncFn(&Gateway, &Client, Message, &Sender<String>) + Clone + Send + 'static,
    {
        let (tell, told) = channel();
        let running =
            Worker::start(config, move |_| App { on_message: on_message.clone(), tell: tell.clone() })
                .unwrap();
        let worker = FakeWorker { running, told };
        assert_eq!(worker.told(), "start 0");
        worker.running.ready().unwrap();
        worker
    }

    /// For tests that stop it on another thread and go on listening.
    pub(crate) fn into_parts(self) -> (Running, Receiver<String>) {
        (self.running, self.told)
    }

    /// What a handler told next.
    pub(crate) fn told(&self) -> String {
        self.told.recv_timeout(PATIENCE).expect("something from a handler")
    }
}

pub(crate) fn config(registers: &[&FakeRegister]) -> Config {
    Config {
        name: "BW".to_owned(),
        count: 1,
        register_addresses: registers.iter().map(|register| register.address()).collect(),
        ..Config::default()
    }
}

/// The simplest app.
pub(crate) async fn echo(gateway: &Gateway, client: &Client, message: Message, _tell: &Sender<String>) {
    gateway.send_to_client(client.id(), message);
}

/// What tests compare.
pub(crate) fn sent(frame: &Owned) -> (u8, u32, u8, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (frame.cmd, frame.connection_id, frame.flag, text(&frame.ext), text(&frame.body))
}

/// The flag bit of a kind.
pub(crate) fn kind_flag(kind: Kind) -> u8 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Text => inner::FLAG_TEXT,
        Kind::Binary => inner::FLAG_BINARY,
    }
}
