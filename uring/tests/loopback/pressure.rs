//! Back-pressure both ways, and fairness between sockets.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ringway_uring::{Config, Send};

use crate::common::{Host, Seen, config, pattern};

#[test]
fn a_peer_that_stops_reading_gets_everything_when_it_goes_on() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    let bytes = pattern(24 * 1024 * 1024);
    let mut sent = host.send(socket, &bytes);
    assert!(sent < bytes.len(), "the peer does not read");
    assert_eq!(host.send(socket, &bytes[sent..]), 0, "nothing overtakes what fell short");
    let reader = std::thread::spawn(move || {
        let mut came = Vec::new();
        peer.read_to_end(&mut came).unwrap();
        came
    });
    while sent < bytes.len() {
        host.until_seen(&Seen::Writable(socket));
        host.seen.clear();
        sent += host.send(socket, &bytes[sent..]);
    }
    host.ring.shutdown(socket);
    host.until_seen(&Seen::End(socket));
    assert!(reader.join().unwrap() == bytes);
    assert_eq!(host.ring.stats().bytes_out, bytes.len() as u64);
}

#[test]
fn a_paused_socket_keeps_its_bytes_in_the_kernel() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    host.ring.pause(socket);
    let bytes = pattern(24 * 1024 * 1024);
    let mut written = fill(&mut peer, &bytes);
    assert!(written < bytes.len(), "the window closed");
    host.settle();
    assert_eq!(host.received(socket), b"");
    host.ring.resume(socket);
    while host.received(socket).len() < bytes.len() {
        let before = host.seen.len();
        host.until(|seen| seen.len() > before);
        written += fill(&mut peer, &bytes[written..]);
    }
    assert!(host.received(socket) == bytes);
}

#[test]
fn pausing_and_resuming_at_any_moment_loses_nothing() {
    let (mut host, socket, mut peer) = Host::with_peer(Config { recv_buffer_size: 100, ..config() });
    let bytes = pattern(20_000);
    for (round, part) in bytes.chunks(250).enumerate() {
        peer.write_all(part).unwrap();
        if round % 3 == 0 {
            host.turn(Duration::ZERO);
        }
        host.ring.pause(socket);
        host.ring.pause(socket);
        if round % 2 == 0 {
            host.turn(Duration::ZERO);
        }
        host.ring.resume(socket);
        host.ring.resume(socket);
    }
    let mut came = 0;
    while came < bytes.len() {
        host.seen.retain(|seen| matches!(seen, Seen::Received(..)));
        let before = host.seen.len();
        host.until(|seen| seen.len() > before);
        came = host.received(socket).len();
    }
    assert!(host.received(socket) == bytes);
}

/// Writes what the kernel takes at once.
fn fill(peer: &mut TcpStream, bytes: &[u8]) -> usize {
    peer.set_nonblocking(true).unwrap();
    let mut written = 0;
    while written < bytes.len() {
        match peer.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    written
}

#[test]
fn a_busy_socket_does_not_starve_a_quiet_one() {
    let mut host = Host::new(Config { recv_buffers: 1, recv_buffer_size: 1024, ..config() });
    let (_, address) = host.listen();
    let mut busy = TcpStream::connect(address).unwrap();
    let busy_socket = host.accept();
    let mut quiet = TcpStream::connect(address).unwrap();
    let quiet_socket = host.accept();
    busy.write_all(&pattern(500_000)).unwrap();
    host.until(|seen| !seen.is_empty());
    quiet.write_all(b"!").unwrap();
    host.until(|seen| seen.contains(&Seen::Received(quiet_socket, b"!".to_vec())));
    let before = host.received(busy_socket).len();
    assert!(before < 100 * 1024, "the quiet one waited for {before} bytes of the busy one");
    host.until(|seen| {
        seen.iter().map(|seen| if let Seen::Received(_, b) = seen { b.len() } else { 0 }).sum::<usize>()
            == 500_001
    });
    assert!(host.received(busy_socket) == pattern(500_000));
}

#[test]
fn one_turn_delivers_at_most_one_buffer_of_a_socket() {
    let (mut host, socket, mut peer) = Host::with_peer(Config { recv_buffer_size: 1000, ..config() });
    peer.write_all(&pattern(10_000)).unwrap();
    while host.received(socket).len() < 10_000 {
        let before = host.seen.len();
        host.turn(Duration::from_millis(50));
        assert!(host.seen.len() <= before + 1);
    }
    assert!(host.received(socket) == pattern(10_000));
}

#[test]
fn a_socket_has_its_share_of_a_turn_and_a_preferred_one_a_buffer() {
    let mut host = Host::new(Config { recv_size_max: 1_000, recv_buffer_size: 60_000, ..config() });
    let ((_, clients), (_, links)) = (host.listen(), host.listen_preferred());
    let mut peer = TcpStream::connect(clients).unwrap();
    let client = host.accept();
    let mut other_end = TcpStream::connect(links).unwrap();
    let link = host.accept();
    peer.write_all(&pattern(20_500)).unwrap();
    other_end.write_all(&pattern(200_000)).unwrap();
    host.until(|seen| seen.iter().any(|seen| matches!(seen, Seen::Received(..))));
    while host.received(client).len() < 20_500 || host.received(link).len() < 200_000 {
        host.turn(Duration::from_secs(10));
    }
    let sizes = |from| {
        let size = move |seen: &Seen| match seen {
            Seen::Received(of, bytes) if *of == from => Some(bytes.len()),
            _ => None,
        };
        host.seen.iter().filter_map(size).max()
    };
    assert_eq!(
        (sizes(client), host.count(|seen| matches!(seen, Seen::Received(of, _) if *of == client))),
        (Some(1_000), 21)
    );
    assert!(sizes(link).is_some_and(|size| size > 1_000));
    assert!(host.received(client) == pattern(20_500) && host.received(link) == pattern(200_000));
}

/// Completions that find no room in the queue wait in the kernel; a short send's is found behind them.
#[test]
fn short_sends_are_told_when_completions_overflow() {
    const PEERS: usize = 400;
    let sizes = Config {
        sockets_max: 1024,
        entries: 8,
        completions: 16,
        recv_buffers: 4,
        accepts_in_flight: 4,
        ..config()
    };
    let mut host = Host::new(sizes);
    let (_, address) = host.listen();
    let mut peers = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..PEERS {
        peers.push(TcpStream::connect(address).unwrap());
        sockets.push(host.accept());
    }
    host.settle();
    let large = vec![7; 24 * 1024 * 1024];
    for socket in &sockets[..10] {
        for peer in &mut peers[20..] {
            peer.write_all(b"x").unwrap();
        }
        host.turn(Duration::ZERO);
        let mut short = Vec::new();
        let slices = [IoSlice::new(&large)];
        host.ring.send_all([Send { socket: *socket, slices: &slices }], &mut short).unwrap();
        assert_eq!(short.iter().map(|short| short.socket).collect::<Vec<_>>(), [*socket]);
    }
}

/// Behind the sends of the turn, the queue has operations of the turn before; then all go in several system calls.
#[test]
fn a_short_send_is_not_waited_behind_when_submissions_overflow() {
    const PEERS: usize = 16;
    let sizes = Config { entries: 8, completions: 16, recv_buffers: PEERS as u16, ..config() };
    let mut host = Host::new(sizes);
    let (_, address) = host.listen();
    let (mut peers, mut sockets) = (Vec::new(), Vec::new());
    for _ in 0..PEERS {
        peers.push(TcpStream::connect(address).unwrap());
        sockets.push(host.accept());
    }
    host.settle();
    peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
    while host.count(|seen| matches!(seen, Seen::Received(..))) < PEERS {
        host.turn(Duration::ZERO);
    }
    let (large, mut short) = (vec![7; 24 * 1024 * 1024], Vec::new());
    let slices = [IoSlice::new(&large)];
    let (begun_ms, wait) = (host.ring.now(), Duration::from_secs(30));
    let send = Send { socket: sockets[0], slices: &slices };
    host.ring.send_all_and_wait([send], &mut short, wait).unwrap();
    assert_eq!(short.len(), 1);
    host.turn(Duration::ZERO);
    assert!(u128::from(host.ring.now() - begun_ms) < wait.as_millis(), "who it is about was not told before");
}
