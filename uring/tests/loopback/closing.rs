//! Close, join, free: nothing of an old socket reaches the next user of its slot.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use ringway_uring::{Config, SocketId};
use socket2::{Domain, Socket, Type};

use crate::common::{Host, Seen, config, pattern};

#[test]
fn closing_an_idle_socket_ends_it_for_the_peer() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    host.settle();
    host.send(socket, b"goodbye");
    host.ring.close(socket);
    host.ring.close(socket);
    host.until_seen(&Seen::Closed(socket));
    let mut came = Vec::new();
    peer.read_to_end(&mut came).unwrap();
    assert_eq!(came, b"goodbye");
    host.ring.close(socket);
    host.settle();
    assert_eq!(host.seen, [Seen::Closed(socket)]);
}

#[test]
fn bytes_under_way_at_close_never_reach_the_next_user_of_the_slot() {
    let mut host = Host::new(Config { sockets_max: 1, ..config() });
    let (_, address) = host.listen();
    let mut last: Option<SocketId> = None;
    for round in 0..100u8 {
        let mut peer = TcpStream::connect(address).unwrap();
        let socket = host.accept();
        if let Some(last) = last {
            assert_eq!(last.index(), socket.index());
            assert_ne!(last, socket);
            assert_eq!(host.send(last, b"to a stale id"), 13, "skipped");
            host.ring.pause(last);
            host.ring.close(last);
        }
        if round % 3 == 0 {
            host.settle();
        }
        peer.write_all(&[round; 1000]).unwrap();
        if round % 2 == 0 {
            host.until(|seen| !seen.is_empty());
        }
        host.seen.clear();
        host.ring.close(socket);
        host.until_seen(&Seen::Closed(socket));
        assert_eq!(host.seen, [Seen::Closed(socket)], "round {round}");
        host.seen.clear();
        last = Some(socket);
    }
}

#[test]
fn closed_comes_last_for_a_socket_blocked_and_readable_at_once() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    assert!(host.send(socket, &pattern(24 * 1024 * 1024)) < 24 * 1024 * 1024);
    peer.write_all(b"unread").unwrap();
    host.ring.shutdown(socket);
    host.ring.close(socket);
    host.until_seen(&Seen::Closed(socket));
    host.settle();
    assert_eq!(host.seen, [Seen::Closed(socket)]);
}

#[test]
fn a_connect_that_hangs_can_be_closed() {
    let (address, _full) = full_backlog();
    let mut host = Host::new(config());
    let socket = host.ring.connect(address, None).unwrap();
    host.settle();
    host.ring.close(socket);
    host.until_seen(&Seen::Closed(socket));
    assert_eq!(host.seen, [Seen::Closed(socket)]);
    assert_eq!(host.ring.sockets(), 0);
}

/// A listener that leaves new connections without an answer, and what fills it.
fn full_backlog() -> (SocketAddr, (Socket, Vec<Socket>)) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        waiting.push(socket);
    }
    (address, (listener, waiting))
}

#[test]
fn many_closes_at_once_all_end_and_free_their_slots() {
    let mut host = Host::new(Config { sockets_max: 600, entries: 16, completions: 32, ..config() });
    let (_, address) = host.listen();
    for _ in 0..2 {
        let mut peers = Vec::new();
        let mut sockets = Vec::new();
        for _ in 0..500 {
            peers.push(TcpStream::connect(address).unwrap());
            sockets.push(host.accept());
        }
        for &socket in &sockets {
            host.ring.close(socket);
        }
        host.until(|seen| seen.len() == 500);
        assert!(sockets.iter().all(|&socket| host.seen.contains(&Seen::Closed(socket))));
        assert_eq!(host.ring.sockets(), 0);
        for mut peer in peers {
            assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
        }
        host.seen.clear();
    }
}

#[test]
fn a_ring_dropped_with_everything_in_flight_frees_its_port_and_its_peers() {
    for round in 0..20 {
        let (mut host, socket, mut peer) = Host::with_peer(config());
        let address = peer.peer_addr().unwrap();
        let (hanging, _full) = full_backlog();
        host.ring.connect(hanging, None).unwrap();
        if round % 2 == 0 {
            host.settle();
            host.send(socket, &pattern(24 * 1024 * 1024));
        }
        peer.write_all(b"unread").unwrap();
        drop(host);
        let mut sink = Vec::new();
        let _ = peer.read_to_end(&mut sink);
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}

#[test]
fn stopping_a_listener_frees_its_port_and_keeps_its_connections() {
    let mut host = Host::new(config());
    let (listener, address) = host.listen();
    let mut peer = TcpStream::connect(address).unwrap();
    let socket = host.accept();
    host.ring.stop_listening(listener);
    host.ring.stop_listening(listener);
    host.settle();
    assert!(TcpStream::connect(address).is_err());
    peer.write_all(b"still here").unwrap();
    host.until(|seen| !seen.is_empty());
    assert_eq!(host.received(socket), b"still here");
    let again = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = again.local_addr().unwrap();
    assert_eq!(host.ring.listen(again).unwrap(), listener, "the number is free again");
    host.seen.clear();
    let _peer = TcpStream::connect(address).unwrap();
    host.accept();
}
