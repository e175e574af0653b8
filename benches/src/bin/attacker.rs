//! The attackers of the benchmarks `hostile`: `attacker KIND COUNT ADDRESS`, websocket clients that do one thing as fast as they
//! can, until they are killed. Once all are at it they say so, and from then on how often they have done it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use protocol::client::websocket::client::{self as websocket, Answer, PING, PONG, TEXT};
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketType};

/// What they do.
#[derive(Clone)]
enum Attack {
    /// Send this once, and then these frames, each of so many bytes, again and again. What is answered is read and dropped.
    Flood { first: Vec<u8>, frames: Vec<u8>, frame_size: u64 },
    /// Shake hands by this request, and break the connection.
    Handshakes { request: Vec<u8> },
    /// The same from an address of their own, whether they are let in or not.
    Storm { request: Vec<u8> },
    /// Connect from that address, and stay.
    Connections,
}

/// What all have done together.
#[derive(Default)]
struct Done {
    /// Who has begun.
    begun: AtomicUsize,
    /// Frames that the kernel has taken, or handshakes.
    count: AtomicU64,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [kind, count, address] = words.as_slice() else { return misuse() };
    let attack = Attack::named(kind);
    let (Some(attack), Ok(count), Ok(address)) = (attack, count.parse::<usize>(), address.parse()) else {
        return misuse();
    };
    let done = Arc::new(Done::default());
    for _ in 0..count {
        let (attack, done) = (attack.clone(), Arc::clone(&done));
        thread::spawn(move || attack.repeat(address, &done));
    }
    loop {
        thread::park_timeout(REPORT_PERIOD);
        if done.begun.load(Ordering::Relaxed) >= count {
            println!("attacked {}", done.count.load(Ordering::Relaxed));
        }
    }
}

fn misuse() -> ExitCode {
    eprintln!(
        "attacker: expected bytes, pings, pongs, fragments, headers, queries, handshakes or connections, how many, and IP:PORT"
    );
    ExitCode::from(2)
}

impl Attack {
    fn named(kind: &str) -> Option<Attack> {
        match kind {
            "bytes" => Some(Attack::flood(&[], TEXT, b"x")),
            "pings" => Some(Attack::flood(&[], PING, b"")),
            "pongs" => Some(Attack::flood(&[], PONG, b"")),
            "fragments" => Some(Attack::flood(&frame(TEXT & !FIN, b""), CONTINUATION, b"")),
            "headers" => {
                let header = format!("X-Filler: {}\r\n", "x".repeat(HEADERS_SIZE / HEADERS - 12));
                Some(Attack::handshakes("/", &header.repeat(HEADERS)))
            }
            "queries" => {
                let variables = (0..).map(|number| format!("v{number}={number}&"));
                let mut target = "/?".to_owned();
                variables
                    .take_while(|variable| {
                        target.push_str(variable);
                        target.len() < QUERY_SIZE
                    })
                    .for_each(drop);
                Some(Attack::handshakes(&target, ""))
            }
            "handshakes" => Some(Attack::Storm { request: request("/") }),
            "connections" => Some(Attack::Connections),
            _ => None,
        }
    }

    /// Frames with this first byte.
    fn flood(first: &[u8], first_byte: u8, payload: &[u8]) -> Attack {
        let frame = frame(first_byte, payload);
        let frames = frame.repeat(WRITE_SIZE / frame.len());
        Attack::Flood { first: first.to_owned(), frames, frame_size: frame.len() as u64 }
    }

    /// Handshakes for this target, with these header lines more.
    fn handshakes(target: &str, headers: &str) -> Attack {
        let mut request = request(target);
        request.truncate(request.len() - LINE_END.len());
        request.extend([headers.as_bytes(), LINE_END].concat());
        Attack::Handshakes { request }
    }

    /// Never ends: whoever is thrown out comes again.
    fn repeat(&self, address: SocketAddr, done: &Done) {
        let mut is_first = true;
        loop {
            let over = match self {
                Attack::Flood { first, frames, frame_size } => {
                    flood(address, first, frames, *frame_size, done, &mut is_first)
                }
                Attack::Handshakes { request } => {
                    shake_hands(address, request).map(|()| count(done, &mut is_first))
                }
                Attack::Storm { request } => storm(address, request).map(|()| count(done, &mut is_first)),
                Attack::Connections => stay(address, done, &mut is_first),
            };
            if over.is_err() {
                thread::park_timeout(RETRY_PERIOD);
            }
        }
    }
}

/// One connection, until it breaks.
fn flood(
    address: SocketAddr,
    first: &[u8],
    frames: &[u8],
    frame_size: u64,
    done: &Done,
    is_first: &mut bool,
) -> io::Result<()> {
    let mut stream = connect(address, &request("/"))?;
    let mut reader = stream.try_clone()?;
    thread::spawn(move || {
        let mut answers = vec![0; WRITE_SIZE];
        while reader.read(&mut answers).is_ok_and(|size| size > 0) {}
    });
    stream.write_all(first)?;
    let (mut at, mut sent) = (0, 0);
    loop {
        let size = stream.write(&frames[at..])?;
        at = (at + size) % frames.len();
        sent += size as u64;
        done.count.fetch_add(sent / frame_size, Ordering::Relaxed);
        sent %= frame_size;
        begin(done, is_first);
    }
}

/// A handshake, and a reset behind it: a port that has to rest after each would soon be the last one.
fn shake_hands(address: SocketAddr, request: &[u8]) -> io::Result<()> {
    let stream = connect(address, request)?;
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(())
}

/// A request, whatever is answered to it.
fn storm(address: SocketAddr, request: &[u8]) -> io::Result<()> {
    let mut stream = connect_from_elsewhere(address)?;
    // Who is refused may be cut off at any of these.
    let _ = stream.write_all(request).and_then(|()| stream.read(&mut [0; 4096]));
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(())
}

/// Connections that say nothing. The oldest go, or there would be no ports left.
fn stay(address: SocketAddr, done: &Done, is_first: &mut bool) -> io::Result<()> {
    let mut held = VecDeque::new();
    loop {
        held.push_back(connect_from_elsewhere(address)?);
        count(done, is_first);
        if held.len() > CONNECTIONS
            && let Some(oldest) = held.pop_front()
        {
            set_socket_linger(&oldest, Some(Duration::ZERO))?;
        }
    }
}

/// A connection from an address that others do not have.
fn connect_from_elsewhere(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((ELSEWHERE, 0)))?;
    rustix::net::connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}

/// A websocket client that is accepted.
fn connect(address: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let size = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..size]);
        match websocket::decode_answer(&answer, NONCE) {
            Answer::Open { .. } => return Ok(stream),
            Answer::NeedMore if size > 0 => {}
            _ => return Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// Something was done once more.
fn count(done: &Done, is_first: &mut bool) {
    done.count.fetch_add(1, Ordering::Relaxed);
    begin(done, is_first);
}

/// This one has begun.
fn begin(done: &Done, is_first: &mut bool) {
    if std::mem::take(is_first) {
        done.begun.fetch_add(1, Ordering::Relaxed);
    }
}

fn request(target: &str) -> Vec<u8> {
    let mut request = Vec::new();
    websocket::encode_request("gateway", target, NONCE, &mut request);
    request
}

fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    websocket::encode_frame(first_byte, payload, [1, 2, 3, 4], &mut frame);
    frame
}

const NONCE: [u8; 16] = [7; 16];

/// Where floods come from; all others come from 127.0.0.1.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// Connections that each of those holds who connect and stay.
const CONNECTIONS: usize = 1_000;

const LINE_END: &[u8] = b"\r\n";

/// The bit of a frame's first byte that says that its message ends with it.
const FIN: u8 = 0x80;

/// First byte of a fragment that is neither the first nor the last of its message.
const CONTINUATION: u8 = 0;

/// Bytes of one write at most.
const WRITE_SIZE: usize = 64 * 1024;

/// Bytes of the header lines, and how many: a gateway takes 64 KiB and 128 of them.
const HEADERS_SIZE: usize = 55_000;
const HEADERS: usize = 100;

/// Bytes of a query string.
const QUERY_SIZE: usize = 60_000;

/// Between two lines that say what was done.
const REPORT_PERIOD: Duration = Duration::from_millis(100);

/// After a connection that failed.
const RETRY_PERIOD: Duration = Duration::from_millis(10);
