//! Connections that fail or do not last, each for its cause.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use protocol::client::websocket::WebsocketCodec;
use protocol::client::{Codec, Decoded, Limits};

use crate::run;
use crate::server::{self, listen};
use loadgen::Failures;

/// The report of five websocket clients against `serve`: how they failed, and how they were lost.
fn against(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> (Failures, Failures) {
    let address = listen(serve);
    let report = run(&format!("--target ws://{address} --conns 5 --hold 0.2 --timeout 0.3"));
    assert_eq!(report.connections.opened + report.connections.failures.total(), 5);
    (report.connections.failures, report.connections.losses)
}

fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut input = vec![0; 4096];
    let size = stream.read(&mut input).unwrap();
    input.truncate(size);
    input
}

/// Holds the connection until the peer ends it.
fn hold(stream: &mut TcpStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

#[test]
fn refused() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = run(&format!("--target tcp://{address} --conns 5"));
    assert_eq!(report.connections.failures, Failures { refused: 5, ..Failures::default() });
    assert_eq!(report.connections.opened, 0);
}

#[test]
fn no_answer() {
    let (failures, _) = against(|mut stream| hold(&mut stream));
    assert_eq!(failures, Failures { timed_out: 5, ..Failures::default() });
}

#[test]
fn handshake_refused() {
    let (failures, _) = against(|mut stream| {
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").unwrap();
        hold(&mut stream);
    });
    assert_eq!(failures, Failures { handshake_refused: 5, ..Failures::default() });
}

#[test]
fn answers_that_are_none() {
    let (failures, _) = against(|mut stream| {
        read_request(&mut stream);
        stream.write_all(b"+OK\r\n\r\n").unwrap();
        hold(&mut stream);
    });
    assert_eq!(failures, Failures { protocol: 5, ..Failures::default() });
}

#[test]
fn closed_and_reset_in_the_handshake() {
    let (failures, _) = against(|mut stream| drop(read_request(&mut stream)));
    assert_eq!(failures, Failures { closed: 5, ..Failures::default() });
    // Closing with something unread resets.
    let (failures, _) = against(|stream| drop(stream.peek(&mut [0; 8])));
    assert_eq!(failures, Failures { reset: 5, ..Failures::default() });
}

#[test]
fn frames_that_are_none() {
    let (failures, losses) = against(|stream| {
        server::serve(stream, &*server::protocol("ws"), b"\x8f\x00", &|_, _, _| {});
    });
    assert_eq!((failures.total(), losses), (0, Failures { protocol: 5, ..Failures::default() }));
}

#[test]
fn lost_when_open() {
    let (failures, losses) = against(|mut stream| {
        let mut input = read_request(&mut stream);
        let (mut codec, mut answer) = (WebsocketCodec::default(), Vec::new());
        let limits = Limits::new(4096);
        let Decoded::Handshake { request, .. } = codec.decode(&limits, &mut input, &mut Vec::new()) else {
            panic!("no handshake")
        };
        request.accept(&[], &mut answer);
        stream.write_all(&answer).unwrap();
    });
    assert_eq!((failures.total(), losses), (0, Failures { closed: 5, ..Failures::default() }));
}
