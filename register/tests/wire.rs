//! Every rule of WIRE.md §2, over real sockets against a started register.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ringway_register::{Config, REQUEST_SIZE_MAX, Register, Running, STRANGERS_MAX};

/// How long a test waits for what must come: long enough for any machine, and never waited out when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

// As PHP writes them, from recorded traffic.
const GATEWAY_11500: &str =
    "{\"event\":\"gateway_connect\", \"address\":\"127.0.0.2:11500\", \"secret_key\":\"k3y\"}\n";
const GATEWAY_11400: &str =
    "{\"event\":\"gateway_connect\", \"address\":\"127.0.0.2:11400\", \"secret_key\":\"k3y\"}\n";
const WORKER: &str = "{\"event\":\"worker_connect\",\"secret_key\":\"k3y\"}\n";
const BOTH: &str =
    "{\"event\":\"broadcast_addresses\",\"addresses\":[\"127.0.0.2:11500\",\"127.0.0.2:11400\"]}\n";
const ONLY_11500: &str = "{\"event\":\"broadcast_addresses\",\"addresses\":[\"127.0.0.2:11500\"]}\n";
const ONLY_11400: &str = "{\"event\":\"broadcast_addresses\",\"addresses\":[\"127.0.0.2:11400\"]}\n";
const NONE: &str = "{\"event\":\"broadcast_addresses\",\"addresses\":[]}\n";
const PING: &str = "{\"event\":\"ping\"}\n";
// As our own programs write them (WIRE.md §14).
const RINGWAY_PING: &str = "{\"event\":\"ping\",\"ringway\":1}\n";
const PONG: &str = "{\"event\":\"pong\"}\n";

struct Peer(BufReader<TcpStream>);

impl Peer {
    fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn saying(addr: SocketAddr, bytes: &str) -> Self {
        let mut peer = Self::connect(addr);
        peer.say(bytes);
        peer
    }

    /// A worker that has had its first list.
    fn worker(addr: SocketAddr, expected: &str) -> Self {
        let mut worker = Self::saying(addr, WORKER);
        assert_eq!(worker.line(), expected);
        worker
    }

    fn say(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "closed in the middle of {line:?}");
        line
    }

    /// Everything until the register closes.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            // Closed with bytes of ours unread.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed: {error}"),
        }
        String::from_utf8(rest).unwrap()
    }
}

fn config() -> Config {
    Config { listen: "127.0.0.1:0".to_owned(), secret_key: "k3y".to_owned(), ..Config::default() }
}

fn start() -> (Running, SocketAddr) {
    let running = Register::start(config()).unwrap();
    let addr = running.addr();
    (running, addr)
}

/// What `bytes` on a new connection are answered until the register closes it.
fn answer_and_close(addr: SocketAddr, bytes: &str) -> String {
    Peer::saying(addr, bytes).rest()
}

#[test]
fn recorded_start_up() {
    let (_running, addr) = start();
    let mut observer = Peer::worker(addr, NONE);
    let _first = Peer::saying(addr, GATEWAY_11500);
    assert_eq!(observer.line(), ONLY_11500);
    let _second = Peer::saying(addr, GATEWAY_11400);
    assert_eq!(observer.line(), BOTH);
    let _worker = Peer::worker(addr, BOTH);
    let _client = Peer::worker(addr, BOTH);
}

#[test]
fn a_gateway_that_closes_is_off_the_list() {
    let (_running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    let gone = Peer::saying(addr, GATEWAY_11500);
    assert_eq!(worker.line(), ONLY_11500);
    let _stays = Peer::saying(addr, GATEWAY_11400);
    assert_eq!(worker.line(), BOTH);
    drop(gone);
    assert_eq!(worker.line(), ONLY_11400);
}

#[test]
fn workers_are_no_news_to_workers() {
    let (_running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    drop(Peer::worker(addr, NONE));
    let _other = Peer::worker(addr, NONE);
    let _gateway = Peer::saying(addr, GATEWAY_11500);
    assert_eq!(worker.line(), ONLY_11500, "the next line after its own list is the gateway's");
}

#[test]
fn the_list_comes_each_time_it_is_asked_for() {
    let (_running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    worker.say(&WORKER.repeat(3));
    for _ in 0..3 {
        assert_eq!(worker.line(), NONE);
    }
}

#[test]
fn one_address_twice_is_listed_once_until_both_are_gone() {
    let (_running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    let one = Peer::saying(addr, GATEWAY_11500);
    assert_eq!(worker.line(), ONLY_11500);
    let other = Peer::saying(addr, GATEWAY_11500);
    assert_eq!(worker.line(), ONLY_11500);
    drop(one);
    assert_eq!(worker.line(), ONLY_11500);
    drop(other);
    assert_eq!(worker.line(), NONE);
}

#[test]
fn ping_has_no_answer() {
    let (_running, addr) = start();
    let mut peer = Peer::saying(addr, PING);
    peer.say(WORKER);
    assert_eq!(peer.line(), NONE);
    peer.say(PING);
    let _gateway = Peer::saying(addr, GATEWAY_11500);
    assert_eq!(peer.line(), ONLY_11500);
}

#[test]
fn lines_may_come_in_pieces_and_together() {
    let (_running, addr) = start();
    let mut worker = Peer::connect(addr);
    for byte in WORKER.chars() {
        worker.say(&byte.to_string());
    }
    assert_eq!(worker.line(), NONE);
    let _gateway = Peer::saying(addr, &format!("{PING}{PING}{}\r\n", GATEWAY_11500.trim_end()));
    assert_eq!(worker.line(), ONLY_11500);
}

#[test]
fn refused_silently() {
    let (_running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    let refused = [
        GATEWAY_11500.replace("k3y", "other"),
        WORKER.replace("k3y", ""),
        "{\"event\":\"worker_connect\"}\n".to_owned(),
        GATEWAY_11500.replace("127.0.0.2:11500", ""),
        "{\"event\":\"gateway_connect\",\"secret_key\":\"k3y\"}\n".to_owned(),
        "{\"event\":\"unheard_of\",\"secret_key\":\"k3y\"}\n".to_owned(),
        "x".repeat(REQUEST_SIZE_MAX + 1),
    ];
    for line in refused {
        assert_eq!(answer_and_close(addr, &line), "", "{line}");
    }
    let _gateway = Peer::saying(addr, GATEWAY_11500);
    assert_eq!(worker.line(), ONLY_11500, "none of them was listed");
}

#[test]
fn told_that_it_is_no_request() {
    let (_running, addr) = start();
    for line in ["GET / HTTP/1.1\r\n\r\n", "\n", "{}\n", "[1]\n", "{\"event\":\"\"}\n", "\u{7f}\n"] {
        let answer = answer_and_close(addr, line);
        assert!(answer.starts_with("Bad request for Register service."), "{line:?}: {answer:?}");
        assert!(answer.ends_with('\n') && answer.lines().count() == 1, "{answer:?}");
    }
}

#[test]
fn a_registered_gateway_that_talks_nonsense_is_off_the_list() {
    let (_running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    let mut gateway = Peer::saying(addr, GATEWAY_11500);
    assert_eq!(worker.line(), ONLY_11500);
    gateway.say("nonsense\n");
    assert_eq!(worker.line(), NONE);
    assert!(gateway.rest().starts_with("Bad request"));
}

#[test]
fn who_says_nothing_is_closed_without_text() {
    let config = Config { introduction_timeout: Duration::from_secs(1), ..config() };
    let running = Register::start(config).unwrap();
    let mut worker = Peer::worker(running.addr(), NONE);
    let mut pinging = Peer::saying(running.addr(), PING);
    let mut half = Peer::saying(running.addr(), "{\"event\":");
    let mut silent = Peer::connect(running.addr());
    assert_eq!(half.rest(), "");
    assert_eq!(silent.rest(), "");
    assert_eq!(pinging.rest(), "", "pings alone do not count");
    worker.say(WORKER);
    assert_eq!(worker.line(), NONE, "it has said what it is");
}

/// Without the secret key nobody can keep others out, however many connections it holds.
#[test]
fn newcomers_get_in_past_a_flood_of_connections_that_only_ping() {
    program::raise_open_files();
    let (running, addr) = start();
    let mut flood: VecDeque<Peer> = (0..STRANGERS_MAX).map(|_| Peer::saying(addr, PING)).collect();
    for _ in 0..100 {
        let mut worker = Peer::worker(addr, NONE);
        flood.push_back(Peer::saying(addr, PING));
        worker.say(WORKER);
        assert_eq!(worker.line(), NONE);
    }
    assert_eq!(flood[0].rest(), "", "the oldest went");
    let status = running.status_source().ask().unwrap();
    assert!(status.counters.refused_crowded > 0 && status.counters.refused_full == 0, "{status:?}");
}

#[test]
fn an_empty_key_may_be_missing() {
    let running = Register::start(Config { secret_key: String::new(), ..config() }).unwrap();
    let mut worker = Peer::saying(running.addr(), "{\"event\":\"worker_connect\"}\n");
    assert_eq!(worker.line(), NONE);
}

#[test]
fn a_worker_that_does_not_read_holds_up_nobody() {
    let (_running, addr) = start();
    let mut sleeper = Peer::worker(addr, NONE);
    let gateways: Vec<_> = (0..300)
        .map(|port| {
            let line = GATEWAY_11500.replace("127.0.0.2:11500", &format!("gateway-{port}.example.net:2900"));
            Peer::saying(addr, &line)
        })
        .collect();
    let mut worker = Peer::connect(addr);
    // Each answer shows that all before it were handled; together they are more than socket buffers hold.
    let mut gateway = Peer::saying(addr, GATEWAY_11500);
    for _ in 0..2_000 {
        gateway.say(GATEWAY_11500);
        worker.say(WORKER);
        assert!(worker.line().starts_with("{\"event\":\"broadcast_addresses\""));
    }
    drop(gateways);
    let full = sleeper.line();
    assert!(full.ends_with("]}\n"), "whole lines only");
    while sleeper.line() != ONLY_11500 {}
}

#[test]
fn a_flood_of_connections_ends_well() {
    let (_running, addr) = start();
    for _ in 0..20 {
        let gateways: Vec<_> = (0..50).map(|_| Peer::saying(addr, GATEWAY_11500)).collect();
        drop(gateways);
    }
    let mut worker = Peer::saying(addr, WORKER);
    while worker.line() != NONE {}
}

#[test]
fn stop_closes_all_and_the_port_is_free_at_once() {
    let (running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    let mut silent = Peer::connect(addr);
    let listen = addr.to_string();
    assert!(Register::start(Config { listen: listen.clone(), ..config() }).is_err(), "taken while it serves");
    running.stop().unwrap();
    assert_eq!(worker.rest(), "");
    assert_eq!(silent.rest(), "");
    let again = Register::start(Config { listen, ..config() }).unwrap();
    assert_eq!(again.addr(), addr);
    let _worker = Peer::worker(addr, NONE);
}

#[test]
fn a_taken_port_is_told() {
    let (_running, addr) = start();
    let error = Register::start(Config { listen: addr.to_string(), ..config() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {addr}: address in use; choose another --listen or stop what holds the port"
        )
    );
}

#[test]
fn dropped_it_stops() {
    let (running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    drop(running);
    assert_eq!(worker.rest(), "");
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_ping_of_ours_is_answered_and_phps_is_not() {
    let (_running, addr) = start();
    let mut worker = Peer::worker(addr, NONE);
    worker.say(&[PING, RINGWAY_PING, PING, RINGWAY_PING].concat());
    assert_eq!([worker.line(), worker.line()], [PONG, PONG]);
    let mut gateway = Peer::saying(addr, &[GATEWAY_11500, RINGWAY_PING].concat());
    assert_eq!(gateway.line(), PONG);
    assert_eq!(worker.line(), ONLY_11500);
}
