//! Bytes there and back: echo, gathered sends, batches.

use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use ringway_uring::{Config, Send, Short};

use crate::common::{Host, Seen, config, pattern};

#[test]
fn bytes_come_back_and_the_peer_is_named() {
    let mut host = Host::new(config());
    let (_, address) = host.listen();
    let mut peer = TcpStream::connect(address).unwrap();
    let local = peer.local_addr().unwrap();
    peer.write_all(b"hello").unwrap();
    host.until(|seen| seen.iter().any(|seen| matches!(seen, Seen::Received(..))));
    let Seen::Accepted(socket, address) = host.seen[0].clone() else { panic!("{:?}", host.seen) };
    assert_eq!(address, local);
    assert_eq!(host.received(socket), b"hello");
    assert_eq!(host.send(socket, b"world"), 5);
    let mut answer = [0; 5];
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"world");
    assert_eq!(host.ring.sockets(), 1);
    let stats = host.ring.stats();
    assert_eq!((stats.accepts, stats.bytes_in, stats.bytes_out, stats.short_sends), (1, 5, 5, 0));
}

#[test]
fn peers_of_ipv6_are_named_too() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let mut host = Host::new(config());
    let address = listener.local_addr().unwrap();
    host.ring.listen(listener).unwrap();
    let peer = TcpStream::connect(address).unwrap();
    host.until(|seen| !seen.is_empty());
    assert!(matches!(host.seen[0], Seen::Accepted(_, from) if from == peer.local_addr().unwrap()));
}

#[test]
fn an_outgoing_connection_carries_bytes_both_ways_from_the_given_address() {
    let mut host = Host::new(config());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = host.ring.connect(listener.local_addr().unwrap(), Some([127, 0, 0, 2].into())).unwrap();
    host.until_seen(&Seen::Connected(socket));
    let (mut peer, from) = listener.accept().unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.2");
    peer.write_all(b"from the peer").unwrap();
    host.until(|seen| seen.len() > 1);
    assert_eq!(host.received(socket), b"from the peer");
    host.send(socket, b"to the peer");
    let mut bytes = [0; 11];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"to the peer");
}

#[test]
fn slices_arrive_in_order_and_empty_ones_do_not_matter() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    let slices = [&b"one "[..], b"", b"two ", b"three"].map(IoSlice::new);
    assert_eq!(host.send_slices(socket, &slices), None);
    assert_eq!(host.send_slices(socket, &[]), None);
    assert_eq!(host.send_slices(socket, &[IoSlice::new(b"")]), None);
    assert_eq!(host.send(socket, b"."), 1);
    let mut bytes = [0; 14];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"one two three.");
}

#[test]
fn more_slices_than_the_kernel_takes_are_a_short_send() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    let bytes = pattern(1500);
    let slices: Vec<IoSlice<'_>> = bytes.chunks(1).map(IoSlice::new).collect();
    assert_eq!(host.send_slices(socket, &slices), Some(Short { socket, sent: 1024 }));
    host.until_seen(&Seen::Writable(socket));
    assert_eq!(host.send_slices(socket, &slices[1024..]), None);
    let mut came = vec![0; 1500];
    peer.read_exact(&mut came).unwrap();
    assert_eq!(came, bytes);
}

#[test]
fn a_batch_may_be_larger_than_the_submission_queue() {
    let mut host = Host::new(Config { entries: 8, completions: 16, ..config() });
    let (_, address) = host.listen();
    let mut peers: Vec<(TcpStream, _)> = (0..50)
        .map(|_| {
            let peer = TcpStream::connect(address).unwrap();
            (peer, host.accept())
        })
        .collect();
    let bodies: Vec<Vec<u8>> = (0..50u8).map(|i| vec![i; 100]).collect();
    let slices: Vec<[IoSlice<'_>; 2]> =
        bodies.iter().map(|body| [IoSlice::new(b"> "), IoSlice::new(body)]).collect();
    let sends = peers.iter().zip(&slices).map(|((_, socket), slices)| Send { socket: *socket, slices });
    let mut short = Vec::new();
    host.ring.send_all(sends, &mut short).unwrap();
    assert_eq!(short, []);
    for ((peer, _), body) in peers.iter_mut().zip(&bodies) {
        let mut bytes = [0; 102];
        peer.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes[..2], *b"> ");
        assert_eq!(bytes[2..], *body);
    }
}

#[test]
fn sends_of_one_socket_in_one_batch_keep_their_order() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    let bytes = pattern(1000);
    let slices: Vec<IoSlice<'_>> = bytes.chunks(10).map(IoSlice::new).collect();
    let mut short = Vec::new();
    host.ring.send_all(slices.chunks(1).map(|slices| Send { socket, slices }), &mut short).unwrap();
    assert_eq!(short, []);
    let mut came = vec![0; 1000];
    peer.read_exact(&mut came).unwrap();
    assert_eq!(came, bytes);
}

#[test]
fn a_panic_while_sends_are_gathered_leaves_the_ring_usable() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let gone = vec![b'x'; 10];
        let slices = [IoSlice::new(&gone)];
        let sends = [true, false].iter().map(|fine| {
            assert!(fine, "meant to happen");
            Send { socket, slices: &slices }
        });
        let _ = host.ring.send_all(sends, &mut Vec::new());
    }));
    assert!(unwound.is_err());
    assert_eq!(host.send(socket, b"fine"), 4);
    let mut bytes = [0; 4];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"fine", "the staged send was not submitted");
}

#[test]
fn ticks_come_without_anything_else() {
    let mut host = Host::new(Config { tick: Duration::from_millis(1), ..config() });
    host.until(|seen| seen.len() == 3);
    assert!(host.seen.iter().all(|seen| *seen == Seen::Tick));
    assert!(host.ring.now() >= 3);
}

/// A wait behind sends is one for connections, too, also if all accepts have just been used.
#[test]
fn a_wait_behind_sends_ends_with_a_connection() {
    let mut host = Host::new(Config { accepts_in_flight: 1, ..config() });
    let (_, address) = host.listen();
    let _first = TcpStream::connect(address).unwrap();
    let socket = host.accept();
    let second = thread::spawn(move || TcpStream::connect(address).unwrap());
    let (slices, mut short) = ([IoSlice::new(b"welcome")], Vec::new());
    let wait = Duration::from_secs(10);
    host.ring.send_all_and_wait([Send { socket, slices: &slices }], &mut short, wait).unwrap();
    let enters = host.ring.stats().enters;
    host.turn(Duration::ZERO);
    assert!(matches!(host.seen[..], [Seen::Accepted(..)]), "{:?}", host.seen);
    assert_eq!(host.ring.stats().enters, enters, "the wait brought it");
    second.join().unwrap();
}
