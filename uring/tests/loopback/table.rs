//! The table of sockets: very many, and one too many.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use ringway_uring::{Config, Send, SocketId};

use crate::common::{Host, Seen, config};

#[test]
fn a_full_table_refuses_clearly_and_the_listener_goes_on() {
    let mut host = Host::new(Config { sockets_max: 3, ..config() });
    let (_, address) = host.listen();
    let mut held: Vec<(TcpStream, SocketId)> = Vec::new();
    for _ in 0..3 {
        let peer = TcpStream::connect(address).unwrap();
        held.push((peer, host.accept()));
    }
    for _ in 0..20 {
        let mut refused = TcpStream::connect(address).unwrap();
        host.until(|seen| !seen.is_empty());
        assert_eq!(host.seen, [Seen::AcceptFailed(ErrorKind::QuotaExceeded)]);
        host.seen.clear();
        assert_eq!(refused.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(host.ring.stats().refusals, 20);
    assert_eq!(host.ring.connect(address, None).unwrap_err().kind(), ErrorKind::QuotaExceeded);
    for _ in 0..5 {
        let (_, socket) = held.remove(0);
        host.ring.close(socket);
        host.until_seen(&Seen::Closed(socket));
        host.seen.clear();
        let mut peer = TcpStream::connect(address).unwrap();
        let socket = host.accept();
        peer.write_all(b"in").unwrap();
        host.until(|seen| !seen.is_empty());
        assert_eq!(host.received(socket), b"in");
        host.seen.clear();
        held.push((peer, socket));
    }
    assert_eq!(host.ring.sockets(), 3);
}

#[test]
fn what_is_reserved_for_connects_is_refused_to_accepts() {
    let mut host = Host::new(Config { sockets_max: 3, reserved_for_connects: 1, ..config() });
    let (_, address) = host.listen();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let _held = [(); 2].map(|()| (TcpStream::connect(address).unwrap(), host.accept()));
    let mut refused = TcpStream::connect(address).unwrap();
    host.until_seen(&Seen::AcceptFailed(ErrorKind::QuotaExceeded));
    assert_eq!(refused.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let socket = host.ring.connect(elsewhere.local_addr().unwrap(), None).unwrap();
    host.until_seen(&Seen::Connected(socket));
}

#[test]
fn two_listeners_share_a_table_smaller_than_their_accepts() {
    let mut host = Host::new(Config { sockets_max: 20, accepts_in_flight: 16, ..config() });
    let (_, first) = host.listen();
    let (_, second) = host.listen();
    host.settle();
    let _peers: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(second).unwrap()).collect();
    for _ in 0..4 {
        host.accept();
    }
    let _peers: Vec<TcpStream> = (0..16).map(|_| TcpStream::connect(first).unwrap()).collect();
    for _ in 0..16 {
        host.accept();
    }
    assert_eq!(host.ring.sockets(), 20);
}

/// Ten thousand connections, or as many as the limit of open files allows a ring. Both ends are rings, so that the process needs no descriptors.
#[test]
fn ten_thousand_connections_are_held_and_echoed() {
    let limit = ringway_uring::raise_nofile_limit().unwrap();
    let count = limit.saturating_sub(64).min(10_000) as usize;
    let config = Config { sockets_max: count as u32 + 32, ..config() };
    let (mut server, mut client) = (Host::new(config.clone()), Host::new(config));
    let (_, address) = server.listen();
    let mut accepted = Vec::new();
    let mut connected = Vec::new();
    while accepted.len() < count || connected.len() < count {
        // Never more under way than the backlog holds; the kernel would let the others wait for a second.
        let under_way = client.ring.sockets() - accepted.len();
        for _ in 0..(count - client.ring.sockets()).min(100 - under_way) {
            client.ring.connect(address, None).unwrap();
        }
        both(&mut server, &mut client);
        accepted.extend(server.seen.drain(..).map(|seen| match seen {
            Seen::Accepted(socket, _) => socket,
            other => panic!("{other:?}"),
        }));
        connected.extend(client.seen.drain(..).map(|seen| match seen {
            Seen::Connected(socket) => socket,
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!((server.ring.sockets(), client.ring.sockets()), (count, count));
    for round in 0..3 {
        echo_all(&mut server, &mut client, &connected, round);
    }
    for socket in connected {
        client.ring.close(socket);
    }
    while server.ring.sockets() + client.ring.sockets() > 0 {
        both(&mut server, &mut client);
        for seen in std::mem::take(&mut server.seen) {
            if let Seen::End(socket) = seen {
                server.ring.close(socket);
            }
        }
    }
}

fn both(server: &mut Host, client: &mut Host) {
    server.turn(Duration::ZERO);
    client.turn(Duration::ZERO);
}

/// Each client sends its own number, and gets it back.
fn echo_all(server: &mut Host, client: &mut Host, connected: &[SocketId], round: u32) {
    let bodies: Vec<[u8; 8]> = connected.iter().map(|socket| body(*socket, round)).collect();
    let slices: Vec<[IoSlice<'_>; 1]> = bodies.iter().map(|body| [IoSlice::new(body)]).collect();
    let mut short = Vec::new();
    let sends = connected.iter().zip(&slices).map(|(&socket, slices)| Send { socket, slices });
    client.ring.send_all(sends, &mut short).unwrap();
    let mut back = 0;
    while back < connected.len() {
        both(server, client);
        for seen in std::mem::take(&mut server.seen) {
            let Seen::Received(socket, bytes) = seen else { panic!("{seen:?}") };
            assert_eq!(server.send(socket, &bytes), 8);
        }
        for seen in std::mem::take(&mut client.seen) {
            let Seen::Received(socket, bytes) = seen else { panic!("{seen:?}") };
            assert_eq!(bytes, body(socket, round));
            back += 1;
        }
    }
    assert_eq!(short, []);
}

fn body(socket: SocketId, round: u32) -> [u8; 8] {
    (u64::from(round) << 32 | socket.index() as u64).to_be_bytes()
}
