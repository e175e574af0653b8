//! Few connections on which much depends, beside very many others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ringway_uring::{Config, SocketId};

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
