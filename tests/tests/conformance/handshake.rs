//! The opening handshake. The public suite has no section for it; numbered 0.

use ringway_tests::client::websocket::{Event, Frame, WebsocketClient, request};

use super::case::Suite;

pub(crate) fn cases(suite: &mut Suite) {
    suite.unconnected("0.1_handshake_byte_by_byte", |address| {
        let mut client = WebsocketClient::connect_silently(address);
        client.send_chopped(&request("/", &[]), 1);
        client.await_accept();
        client.echo("late but here");
        client.close();
    });
    suite.unconnected("0.2_frames_right_behind_the_request", |address| {
        let mut client = WebsocketClient::connect_silently(address);
        client.send_bytes(&[request("/", &[]), Frame::text("early").encode()].concat());
        client.await_accept();
        client.expect(&Event::text("early"));
        client.close();
    });
    suite.unconnected("0.3_many_headers_and_a_long_query", |address| {
        let target = format!("/chat?token={}", "x".repeat(4000));
        let headers: Vec<String> = (0..40).map(|index| format!("X-Header-{index}: value {index}")).collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let mut client = WebsocketClient::connect_to(address, &target, &headers);
        client.echo("hello");
        client.close();
    });
    refusals(suite);
}

/// Requests that are no handshake, and the status that answers them (WIRE.md §10).
fn refusals(suite: &mut Suite) {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let version = "Sec-WebSocket-Version: 13";
    let table = [
        ("0.4_not_get", format!("POST / HTTP/1.1\r\nHost: a\r\n{key}\r\n{version}\r\n\r\n"), "400"),
        ("0.5_no_key", format!("GET / HTTP/1.1\r\nHost: a\r\n{version}\r\n\r\n"), "400"),
        ("0.6_no_version", format!("GET / HTTP/1.1\r\nHost: a\r\n{key}\r\n\r\n"), "400"),
        ("0.7_old_version", format!("GET / HTTP/1.1\r\n{key}\r\nSec-WebSocket-Version: 8\r\n\r\n"), "426"),
    ];
    for (number, request, status) in table {
        suite.unconnected(number, move |address| {
            let mut client = WebsocketClient::connect_silently(address);
            client.send_bytes(request.as_bytes());
            let response = client.read_response().expect("a refusal is said, not only done");
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
            client.read_to_end();
        });
    }
    suite.unconnected("0.9_head_has_no_body", |address| {
        let mut client = WebsocketClient::connect_silently(address);
        client.send_bytes(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.read_response().expect("a refusal is said, not only done");
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        assert_eq!(client.read_to_end(), b"");
    });
    suite.unconnected("0.10_a_bare_newline_is_answered_at_once", |address| {
        let mut client = WebsocketClient::connect_silently(address);
        client.send_bytes(b"GET / HTTP/1.1\nHost: a\n\n");
        let response = client.read_response().expect("a refusal is said, not only done");
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        client.read_to_end();
    });
    suite.unconnected("0.11_latin_1_in_the_query", |address| {
        let mut client = WebsocketClient::connect_silently(address);
        let mut latin_1 = request("/?name=Jos#", &[]);
        let at = latin_1.iter().position(|byte| *byte == b'#').expect("it is in the target");
        latin_1[at] = 0xe9;
        client.send_bytes(&latin_1);
        client.await_accept();
        client.echo("hello");
        client.close();
    });
    suite.unconnected("0.8_not_http", |address| {
        let mut client = WebsocketClient::connect_silently(address);
        client.send_bytes(b"\x16\x03\x01 this is not a request\r\n\r\n");
        let answer = client.read_to_end();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{}", answer.escape_ascii());
    });
}
