//! A register in the hands of a test.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use protocol::register::{Broadcast, PONG};

use super::FakeGateway;
use crate::wait::LIMIT;

/// A register whose list of gateways the test sets. It lets in whoever connects as a worker with its key.
#[derive(Debug)]
pub struct FakeRegister {
    /// Where it is.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    lines: Receiver<String>,
}

#[derive(Debug)]
struct State {
    secret_key: String,
    gateways: Vec<SocketAddrV4>,
    workers: Vec<TcpStream>,
}

impl FakeRegister {
    /// Listens on a free port, and lets in whoever comes.
    pub fn start(gateways: &[impl Address]) -> FakeRegister {
        FakeRegister::with_key("", gateways)
    }

    /// The same for those with a key.
    pub fn with_key(secret_key: &str, gateways: &[impl Address]) -> FakeRegister {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(Mutex::new(State {
            secret_key: secret_key.to_owned(),
            gateways: addresses(gateways),
            workers: Vec::new(),
        }));
        let (send, lines) = channel();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, send) = (Arc::clone(&shared), send.clone());
                thread::spawn(move || serve(stream, &shared, &send));
            }
        });
        FakeRegister { address, state, lines }
    }

    /// The next line of a worker that is let in: that with which it introduces itself, and then those that are no ping.
    #[track_caller]
    pub fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line from a worker")
    }

    /// Sends all workers a new list.
    pub fn list(&self, gateways: &[impl Address]) {
        let mut state = lock(&self.state);
        state.gateways = addresses(gateways);
        let line = state.broadcast();
        state.send(&line);
    }

    /// Answers all workers' pings once, as a register of ours does. Returns how many workers there are.
    pub fn pong(&self) -> usize {
        let mut state = lock(&self.state);
        state.send(PONG);
        state.workers.len()
    }

    /// Closes the connections of all workers, and has another list for those who come back.
    pub fn restart(&self, gateways: &[impl Address]) {
        let mut state = lock(&self.state);
        state.gateways = addresses(gateways);
        for worker in state.workers.drain(..) {
            worker.shutdown(Shutdown::Both).expect("a worker's connection can be closed");
        }
    }
}

/// A gateway for the list of a register: its address, or one that the test plays.
pub trait Address {
    /// Of its inner port.
    fn address(&self) -> SocketAddrV4;
}

impl Address for SocketAddrV4 {
    fn address(&self) -> SocketAddrV4 {
        *self
    }
}

impl Address for &FakeGateway {
    fn address(&self) -> SocketAddrV4 {
        self.address
    }
}

fn addresses(gateways: &[impl Address]) -> Vec<SocketAddrV4> {
    gateways.iter().map(Address::address).collect()
}

/// For a list without gateways.
pub const NO_GATEWAYS: [SocketAddrV4; 0] = [];

impl State {
    fn broadcast(&self) -> Vec<u8> {
        let mut line = Vec::new();
        let addresses = self.gateways.iter().map(ToString::to_string).collect();
        Broadcast { addresses }.encode(&mut line);
        line
    }

    fn send(&mut self, bytes: &[u8]) {
        for worker in &mut self.workers {
            worker.write_all(bytes).expect("workers stay");
        }
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, lines: &Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a worker introduces itself");
    {
        let mut state = lock(state);
        if !line.contains(&state.secret_key) {
            return;
        }
        stream.write_all(&state.broadcast()).expect("the worker stays");
        state.workers.push(stream);
        // Nobody may be waiting for it.
        let _ = lines.send(line);
    }
    for line in reader.lines().map_while(Result::ok).filter(|line| !line.contains("ping")) {
        let _ = lines.send(line);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panics with it")
}
