//! Few connections on which much depends, beside very many others.

use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use ringway_uring::{Config, Send, SocketId};

use crate::common::{Host, Seen, config, pattern};

/// Clients that always have more, and a link of which a turn never delivers less than one buffer, before anything of theirs.
#[test]
fn however_many_others_are_readable_a_preferred_socket_is_received_from_in_each_turn_and_first() {
    const SIZE: usize = 1_000;
    let mut host = Host::new(Config { recv_buffers: 4, recv_buffer_size: SIZE, ..config() });
    let ((_, clients), (_, links)) = (host.listen(), host.listen_preferred());
    let mut peers: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(clients).unwrap()).collect();
    for _ in &peers {
        host.accept();
    }
    let mut other_end = TcpStream::connect(links).unwrap();
    let link = host.accept();
    peers.iter_mut().for_each(|peer| peer.write_all(&pattern(100 * SIZE)).unwrap());
    host.until(|seen| !seen.is_empty());
    other_end.write_all(&pattern(50 * SIZE)).unwrap();
    host.until(|seen| seen.iter().any(|seen| is_of(seen, link)));
    while host.received(link).len() < 50 * SIZE {
        let before = host.seen.len();
        host.turn(Duration::from_secs(10));
        let turn = &host.seen[before..];
        assert!(is_of(&turn[0], link), "first in a turn of {}", turn.len());
        assert!(turn.iter().any(|seen| !is_of(seen, link)), "half of the buffers is the others'");
    }
    assert!(host.received(link) == pattern(50 * SIZE));
}

/// The other way round: links that always have more leave half to clients.
#[test]
fn preferred_sockets_do_not_starve_the_others() {
    let mut host = Host::new(Config { recv_buffers: 4, recv_buffer_size: 1_000, ..config() });
    let ((_, clients), (_, links)) = (host.listen(), host.listen_preferred());
    let mut other_ends: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(links).unwrap()).collect();
    for _ in &other_ends {
        host.accept();
    }
    let mut peer = TcpStream::connect(clients).unwrap();
    let client = host.accept();
    other_ends.iter_mut().for_each(|end| end.write_all(&pattern(100_000)).unwrap());
    host.until(|seen| !seen.is_empty());
    peer.write_all(&pattern(20_000)).unwrap();
    host.until(|seen| seen.iter().any(|seen| is_of(seen, client)));
    for _ in 1..20 {
        let before = host.received(client).len();
        host.turn(Duration::from_secs(10));
        assert!(host.received(client).len() > before);
    }
}

#[test]
fn acknowledgements_are_told_of_preferred_sockets_and_a_peer_that_does_not_read_gives_them() {
    let (mut host, ordinary, _peer) = Host::with_peer(config());
    assert_eq!(host.ring.acknowledged(ordinary), None);
    let (_, links) = host.listen_preferred();
    let mut other_end = TcpStream::connect(links).unwrap();
    let link = host.accept();
    assert!(host.ring.acknowledged(link).is_some_and(|acks| !acks.awaited));
    let bytes = pattern(24 << 20);
    let sent = host.send(link, &bytes);
    assert!(sent < bytes.len(), "it does not read");
    let mut tries = 0;
    // What its window took is acknowledged, and so is every question whether there is room by now.
    while host.ring.acknowledged(link).is_none_or(|acks| acks.awaited || acks.last > Duration::from_secs(5)) {
        host.turn(Duration::from_millis(10));
        tries += 1;
        assert!(tries < 6_000, "{:?}", host.ring.acknowledged(link));
    }
    other_end.read_exact(&mut vec![0; sent]).unwrap();
    host.ring.close(link);
    assert_eq!(host.ring.acknowledged(link), None);
    host.until_seen(&Seen::Closed(link));
    assert_eq!(other_end.read(&mut [0]).unwrap(), 0, "no descriptor is left that would keep it open");
}

#[test]
fn while_accepts_are_held_newcomers_wait_in_the_kernel() {
    let mut host = Host::new(Config { accepts_in_flight: 1, ..config() });
    let (listener, address) = host.listen();
    host.settle();
    host.ring.hold_accepts(listener, true);
    let _in_flight = TcpStream::connect(address).unwrap();
    host.accept();
    let _waits = TcpStream::connect(address).unwrap();
    for _ in 0..20 {
        host.turn(Duration::from_millis(1));
    }
    assert_eq!(host.seen, []);
    host.ring.hold_accepts(listener, false);
    host.accept();
}

fn is_of(seen: &Seen, socket: SocketId) -> bool {
    matches!(seen, Seen::Received(from, _) if *from == socket)
}

/// A receive may be in flight when a socket is paused: what it brings waits until the socket is resumed, and so does the end.
#[test]
fn a_paused_preferred_socket_delivers_nothing_and_loses_nothing() {
    for size in [1, 10_000, 200_000] {
        let mut host = Host::new(config());
        let (_, links) = host.listen_preferred();
        let mut other_end = TcpStream::connect(links).unwrap();
        let link = host.accept();
        other_end.write_all(b"first").unwrap();
        host.until(|seen| seen.iter().any(|seen| is_of(seen, link)));
        host.turn(Duration::ZERO);
        host.ring.pause(link);
        let bytes = pattern(size);
        other_end.write_all(&bytes).unwrap();
        other_end.shutdown(Shutdown::Write).unwrap();
        for _ in 0..3 {
            host.turn(Duration::from_millis(20));
        }
        assert_eq!(host.received(link), b"first");
        host.ring.resume(link);
        host.ring.pause(link);
        host.turn(Duration::ZERO);
        assert_eq!(host.received(link), b"first");
        host.ring.resume(link);
        host.until_seen(&Seen::End(link));
        assert!(host.received(link)[b"first".len()..] == bytes, "{size}");
        host.ring.close(link);
        host.until_seen(&Seen::Closed(link));
    }
}

/// To receive, to answer and to wait for the next.
#[test]
fn a_message_of_a_preferred_socket_costs_one_system_call() {
    const MESSAGES: u64 = 100;
    let mut host = Host::new(config());
    let (_, links) = host.listen_preferred();
    let peer = thread::spawn(move || {
        let mut other_end = TcpStream::connect(links).unwrap();
        for number in 0..MESSAGES {
            other_end.write_all(&number.to_ne_bytes()).unwrap();
            let mut answer = [0; 8];
            other_end.read_exact(&mut answer).unwrap();
            assert_eq!(answer, number.to_ne_bytes());
        }
        other_end
    });
    let link = host.accept();
    let (before, mut answered) = (host.ring.stats().enters, 0);
    while answered < MESSAGES {
        host.turn(Duration::from_secs(10));
        for seen in std::mem::take(&mut host.seen) {
            let Seen::Received(_, bytes) = seen else { continue };
            answered += 1;
            let (slices, mut short) = ([IoSlice::new(&bytes)], Vec::new());
            let wait = if answered < MESSAGES { Duration::from_secs(10) } else { Duration::ZERO };
            host.ring.send_all_and_wait([Send { socket: link, slices: &slices }], &mut short, wait).unwrap();
            assert_eq!(short, []);
        }
    }
    let enters = host.ring.stats().enters - before;
    assert!(enters <= MESSAGES + 3, "{enters}");
    peer.join().unwrap();
}

/// Only some have a buffer of their own.
#[test]
fn any_number_of_preferred_sockets_is_received_from() {
    let mut host = Host::new(Config { sockets_max: 512, ..config() });
    let (_, links) = host.listen_preferred();
    let connect = |_| (TcpStream::connect(links).unwrap(), host.accept());
    let (mut other_ends, sockets): (Vec<TcpStream>, Vec<SocketId>) = (0..270).map(connect).unzip();
    for size in [3, 20_000] {
        host.seen.clear();
        other_ends.iter_mut().for_each(|end| end.write_all(&pattern(size)).unwrap());
        host.until(|seen| seen.iter().map(received).sum::<usize>() == size * sockets.len());
        assert!(sockets.iter().all(|socket| host.received(*socket) == pattern(size)));
    }
}

fn received(seen: &Seen) -> usize {
    if let Seen::Received(_, bytes) = seen { bytes.len() } else { 0 }
}
