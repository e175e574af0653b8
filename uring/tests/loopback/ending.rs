//! How connections end: resets, half closes, refusals by the peer's side.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use ringway_uring::SocketId;
use socket2::SockRef;

use crate::common::{Host, Seen, config, pattern};

const ECONNREFUSED: Option<i32> = Some(111);
const ECONNRESET: Option<i32> = Some(104);

fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

fn failures(host: &Host, of: SocketId) -> usize {
    host.count(|seen| matches!(seen, Seen::Failed(socket, _) if *socket == of))
}

#[test]
fn a_reset_is_told_once_and_then_only_closed() {
    let (mut host, socket, peer) = Host::with_peer(config());
    reset(peer);
    host.until_seen(&Seen::Failed(socket, ECONNRESET));
    assert_eq!(host.send(socket, b"too late"), 0);
    host.settle();
    host.ring.close(socket);
    host.until_seen(&Seen::Closed(socket));
    assert_eq!(host.seen, [Seen::Failed(socket, ECONNRESET), Seen::Closed(socket)]);
    assert_eq!(host.ring.sockets(), 0);
}

#[test]
fn a_reset_that_a_send_meets_first_is_told_once() {
    let (mut host, socket, peer) = Host::with_peer(config());
    reset(peer);
    while host.send(socket, b"into the void") > 0 {}
    host.until(|seen| !seen.is_empty());
    host.settle();
    assert_eq!(failures(&host, socket), 1);
    assert_eq!(host.seen.len(), 1, "{:?}", host.seen);
}

#[test]
fn a_reset_of_a_blocked_socket_is_told() {
    let (mut host, socket, peer) = Host::with_peer(config());
    assert!(host.send(socket, &pattern(24 * 1024 * 1024)) < 24 * 1024 * 1024);
    reset(peer);
    host.until(|seen| seen.iter().any(|seen| matches!(seen, Seen::Failed(..))));
    host.settle();
    assert_eq!(failures(&host, socket), 1);
    host.ring.close(socket);
    host.until_seen(&Seen::Closed(socket));
    assert_eq!(host.seen.last(), Some(&Seen::Closed(socket)));
}

#[test]
fn a_reset_of_a_paused_socket_is_told_after_resume() {
    let (mut host, socket, peer) = Host::with_peer(config());
    host.ring.pause(socket);
    reset(peer);
    host.settle();
    host.ring.resume(socket);
    host.until_seen(&Seen::Failed(socket, ECONNRESET));
    assert_eq!(failures(&host, socket), 1);
}

#[test]
fn bytes_before_the_end_come_before_the_end() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    peer.write_all(b"last words").unwrap();
    drop(peer);
    host.until_seen(&Seen::End(socket));
    assert_eq!(host.seen, [Seen::Received(socket, b"last words".to_vec()), Seen::End(socket)]);
}

#[test]
fn after_the_peers_end_we_still_send() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    peer.shutdown(Shutdown::Write).unwrap();
    host.until_seen(&Seen::End(socket));
    let bytes = pattern(100_000);
    assert_eq!(host.send(socket, &bytes), bytes.len());
    host.ring.close(socket);
    let mut came = Vec::new();
    host.until_seen(&Seen::Closed(socket));
    peer.read_to_end(&mut came).unwrap();
    assert!(came == bytes);
    assert_eq!(host.count(|seen| matches!(seen, Seen::End(_))), 1);
}

#[test]
fn after_our_end_we_still_receive() {
    let (mut host, socket, mut peer) = Host::with_peer(config());
    host.send(socket, b"all I have");
    host.ring.shutdown(socket);
    host.ring.shutdown(socket);
    host.settle();
    assert_eq!(host.send(socket, b"skipped"), 7, "not reported as short");
    let mut came = Vec::new();
    peer.read_to_end(&mut came).unwrap();
    assert_eq!(came, b"all I have");
    peer.write_all(b"thanks").unwrap();
    drop(peer);
    host.until_seen(&Seen::End(socket));
    assert_eq!(host.received(socket), b"thanks");
    assert_eq!(failures(&host, socket), 0);
}

#[test]
fn a_reset_after_the_peers_end_is_told() {
    let (mut host, socket, peer) = Host::with_peer(config());
    peer.shutdown(Shutdown::Write).unwrap();
    host.until_seen(&Seen::End(socket));
    reset(peer);
    host.until_seen(&Seen::Failed(socket, ECONNRESET));
}

#[test]
fn a_refused_connect_fails_and_is_then_closed() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut host = Host::new(config());
    let socket = host.ring.connect(address, None).unwrap();
    host.until_seen(&Seen::Failed(socket, ECONNREFUSED));
    host.ring.close(socket);
    host.until_seen(&Seen::Closed(socket));
    assert_eq!(host.seen.len(), 2);
}
