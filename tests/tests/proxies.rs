//! What busy clients hear of their end behind the proxies that stand in front of most gateways.
//!
//! Such a proxy resets the connection of a client that still sends when the gateway's end comes, and what the gateway said
//! last is lost to it.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use ringway_tests::client::websocket::{Frame, WebsocketClient};
use ringway_tests::process::Process;
use ringway_tests::proxy::{Between, Kind, Proxy, Tells};
use ringway_tests::wait::LIMIT;
use ringway_tests::{Cluster, Listen};

/// A gateway that listens with and without TLS, and a worker that does what its clients ask for.
struct Server {
    cluster: Cluster,
    worker: Process,
    plain: SocketAddr,
    secured: SocketAddr,
}

impl Server {
    fn start(name: &str) -> Server {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("localhost is a name");
        fs::write(&cert, made.cert.pem()).expect("the test can write its files");
        fs::write(&key, made.signing_key.serialize_pem()).expect("the test can write its files");
        let text = |path: &Path| path.to_str().expect("cargo's folder has a name").to_owned();
        let (cert, key) = (text(&cert), text(&key));
        let flags =
            ["--listen", "wss://127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key, "--drain-timeout", "1"];
        let mut cluster = Cluster::builder().workers(0).gateway_flags(&flags).start();
        let ready = cluster.gateway(0).stdout();
        let secured = ready.split_whitespace().find_map(|word| word.strip_prefix("wss://"));
        let secured = secured.expect("it says where it listens").parse().expect("it says an address");
        let mut command = Command::new(env!("CARGO_BIN_EXE_test-worker"));
        command.args(["--count", "1", "--register-address", &cluster.register_address().to_string()]);
        let worker = Process::spawn("test-worker", command);
        worker.await_ready("test-worker");
        let plain = cluster.address(0, Listen::Websocket);
        Server { cluster, worker, plain, secured }
    }

    fn address(&self, tls: bool) -> SocketAddr {
        if tls { self.secured } else { self.plain }
    }

    fn stop(mut self) {
        self.worker.terminate();
        self.worker.await_clean_exit();
        self.cluster.stop();
    }
}

/// What a client heard at its end.
#[derive(PartialEq, Eq, Debug)]
struct Heard {
    last_words: Option<String>,
    code: Option<u16>,
}

/// A client that sends without a break, and now and then looks what has come. When it cannot send any more it gives up,
/// as most libraries do: what it has not read by then is lost. It says so once it is at it.
fn busy(address: SocketAddr, asks_to_leave: bool, busy: Sender<()>) -> JoinHandle<Heard> {
    thread::spawn(move || {
        let mut client = WebsocketClient::connect(address);
        client.echo("hello");
        let mut stream = client.writer();
        let noise = Frame::text(format!("hush {}", "x".repeat(1000))).encode().repeat(MESSAGES_AT_ONCE);
        let (mut heard, mut received) = (Heard { last_words: None, code: None }, Vec::new());
        let mut rounds = 0;
        while stream.write_all(&noise).is_ok() {
            rounds += 1;
            if rounds == ROUNDS_FIRST {
                if asks_to_leave {
                    stream.write_all(&Frame::text("leave").encode()).expect("nobody has closed it yet");
                }
                busy.send(()).expect("the test waits for all");
            }
            let goes_on = read_what_is_there(&mut stream, &mut received);
            take_frames(&mut received, &mut heard);
            if heard.code.is_some() {
                // It gets an answer; whether that gets through is nothing to it.
                let _ = stream.write_all(&Frame::close(1000).encode());
                break;
            }
            if !goes_on {
                break;
            }
        }
        heard
    })
}

/// Receives without waiting; false at the end of the connection.
fn read_what_is_there(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    stream.set_nonblocking(true).expect("a socket takes options");
    let read = stream.read(&mut buffer);
    stream.set_nonblocking(false).expect("a socket takes options");
    match read {
        Ok(size) => {
            received.extend_from_slice(&buffer[..size]);
            size > 0
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Takes whole frames, which are all short, off the start of what was received.
fn take_frames(received: &mut Vec<u8>, heard: &mut Heard) {
    while let [first, size, rest @ ..] = &received[..]
        && let Some(payload) = rest.get(..usize::from(*size))
    {
        match (first, payload) {
            (0x81, text) => heard.last_words = Some(String::from_utf8_lossy(text).into_owned()),
            (0x88, [high, low, ..]) => heard.code = Some(u16::from_be_bytes([*high, *low])),
            _ => panic!("unexpected: {received:?}"),
        }
        received.drain(..2 + usize::from(*size));
    }
}

/// Lets `count` clients be busy, and returns what they heard after `end`.
fn crowd(count: usize, address: SocketAddr, asks_to_leave: bool, end: impl FnOnce()) -> Vec<Heard> {
    let (send, busy_ones) = channel();
    let clients: Vec<_> = (0..count).map(|_| busy(address, asks_to_leave, send.clone())).collect();
    for _ in 0..count {
        busy_ones.recv_timeout(LIMIT).expect("every client gets busy");
    }
    end();
    clients.into_iter().map(|client| client.join().expect("a client that lives")).collect()
}

/// All of 40 get a close code when the gateway stops, and 20 of 20 get the last words of a worker.
fn all_are_closed_in_order(kind: Kind, tls: bool) {
    let mut server = Server::start(&format!("proxies-{kind:?}-{tls}"));
    let between =
        Between { certificate: None, gateway: server.address(tls), gateway_tls: tls, tells: Tells::Nothing };
    let Some(proxy) = Proxy::start(kind, between) else { return };
    let heard = crowd(20, proxy.address(), true, || ());
    let expected = Heard { last_words: Some("last words".to_owned()), code: Some(1000) };
    let complete = heard.iter().filter(|heard| **heard == expected).count();
    assert_eq!(complete, 20, "{heard:?}");
    let gateway = server.cluster.gateway(0);
    let heard = crowd(40, proxy.address(), false, || gateway.terminate());
    let going_away = heard.iter().filter(|heard| heard.code == Some(1001)).count();
    assert_eq!(going_away, 40, "{heard:?}");
    // A second signal would end it at once.
    server.cluster.gateway(0).await_clean_exit();
    server.stop();
}

#[test]
fn behind_nginx() {
    all_are_closed_in_order(Kind::Nginx, false);
}

#[test]
fn behind_haproxy() {
    all_are_closed_in_order(Kind::Haproxy, false);
}

#[test]
fn behind_nginx_that_speaks_tls_to_the_gateway() {
    all_are_closed_in_order(Kind::Nginx, true);
}

#[test]
fn behind_haproxy_that_speaks_tls_to_the_gateway() {
    all_are_closed_in_order(Kind::Haproxy, true);
}

/// Messages, of 1 KB each, that a client sends before it looks what has come.
const MESSAGES_AT_ONCE: usize = 64;
/// How often it has done so when it counts as busy.
const ROUNDS_FIRST: usize = 10;
