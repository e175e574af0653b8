//! Requests, good and bad.

use proptest::prelude::*;
use ringway_protocol::client::websocket::{
    HANDSHAKE_SIZE_MAX, HEADER_COUNT_MAX, Peeked, WebsocketCodec, encode_retry_later, encode_tls_needed,
};
use ringway_protocol::client::{Codec, Decoded, Limits, Malformed};

use crate::harness::{Conn, LIMITS, REQUEST, Unit, cut, run, run_pieces, text};

const KEY: &str = "Sec-WebSocket-Key: k\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

fn request(headers: &str) -> Vec<u8> {
    format!("GET /chat HTTP/1.1\r\n{headers}\r\n").into_bytes()
}

/// The status of the refusal that this input must get.
fn refused(input: &[u8]) -> String {
    let units = run::<WebsocketCodec>(LIMITS, input);
    let [Unit::Reply(response), Unit::Malformed(Malformed::Handshake | Malformed::HeadTooLarge)] = &units[..]
    else {
        panic!("{units:?}");
    };
    let response = String::from_utf8(response.clone()).expect("refusals are ASCII");
    let (head, page) = response.split_once("\r\n\r\n").expect("a head ends");
    assert!(head.contains(&format!("\r\nContent-Length: {}", page.len())), "{head}");
    assert!(page.contains("<h1>"));
    head.to_owned()
}

fn accepted(input: &[u8]) {
    let units = run::<WebsocketCodec>(LIMITS, input);
    assert!(
        matches!(units[..], [Unit::Handshake(_)]),
        "{units:?} for {:?}",
        input.escape_ascii().to_string()
    );
}

#[test]
fn lenient_requests() {
    accepted(REQUEST);
    accepted(&request(&format!("{KEY}{VERSION}")));
    accepted(&request("sec-websocket-key:k\r\nSEC-WEBSOCKET-VERSION:   13 \r\n"));
    accepted(&request(&format!(
        "Host: x\r\nConnection: close\r\nUpgrade: h2c\r\nX-Utf8: é\r\n{KEY}{VERSION}"
    )));
    accepted(
        &[b"GET /", &[b'a'; 20_000][..], b" HTTP/1.0\r\n", KEY.as_bytes(), VERSION.as_bytes(), b"\r\n"]
            .concat(),
    );
}

#[test]
fn refusals() {
    assert!(refused(b"POST / HTTP/1.1\r\n").starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(refused(b"\x16\x03\x01").starts_with("HTTP/1.1 400 "));
    assert!(refused(b"GEX").starts_with("HTTP/1.1 400 "));
    assert!(refused(b"GET /\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(refused(&request("no colon\r\n")).starts_with("HTTP/1.1 400 "));
    assert!(refused(&request(VERSION)).starts_with("HTTP/1.1 400 "));
    assert!(refused(&request(&format!("Sec-WebSocket-Key: \r\n{VERSION}"))).starts_with("HTTP/1.1 400 "));
    let head = refused(&request(KEY));
    assert!(
        head.starts_with("HTTP/1.1 400 ") && head.contains("\r\nSec-WebSocket-Version: 13\r\n"),
        "{head}"
    );
    let head = refused(&request(&format!("{KEY}Sec-WebSocket-Version: 8\r\n")));
    assert!(
        head.starts_with("HTTP/1.1 426 ") && head.contains("\r\nSec-WebSocket-Version: 13\r\n"),
        "{head}"
    );
}

#[test]
fn bare_newlines_end_no_request() {
    let input = format!("GET / HTTP/1.1\n{KEY}{VERSION}\n\r\n\r\n");
    assert!(refused(input.as_bytes()).starts_with("HTTP/1.1 400 "));
}

/// A request that could only ever end by a bare newline gets its answer with the first one.
#[test]
fn the_first_bare_newline_is_enough() {
    assert!(refused(b"GET / HTTP/1.1\n").starts_with("HTTP/1.1 400 "));
    assert!(refused(format!("GET / HTTP/1.1\r\n{KEY}X: y\n").as_bytes()).starts_with("HTTP/1.1 400 "));
    let units = run_pieces::<WebsocketCodec>(LIMITS, [&b"GET / HTTP/1.1\r"[..], b"\nX: y"]);
    assert!(units.is_empty(), "{units:?}");
}

#[test]
fn head_has_an_answer_without_a_body() {
    for input in [&b"HEAD "[..], b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let units = run::<WebsocketCodec>(LIMITS, input);
        let [Unit::Reply(response), Unit::Malformed(Malformed::Handshake)] = &units[..] else {
            panic!("{units:?}");
        };
        let response = String::from_utf8(response.clone()).unwrap();
        assert!(response.starts_with("HTTP/1.1 400 ") && response.ends_with("\r\n\r\n"), "{response}");
        assert!(response.contains("\r\nContent-Length: ") && !response.contains("<h1>"), "{response}");
    }
    assert!(refused(b"HEADER").starts_with("HTTP/1.1 400 "));
    assert!(run::<WebsocketCodec>(LIMITS, b"HEAD").is_empty());
}

#[test]
fn a_target_may_be_latin_1() {
    let input =
        [&b"GET /caf\xe9?name=Jos\xe9&x=\xff HTTP/1.1\r\n"[..], KEY.as_bytes(), VERSION.as_bytes(), b"\r\n"];
    let units = run::<WebsocketCodec>(LIMITS, &input.concat());
    assert_eq!(units, [Unit::Handshake(b"/caf\xe9?name=Jos\xe9&x=\xff".to_vec())]);
    for target in [&b""[..], b"/a b", b"/\x01", b"/\x7f", b"/a\tb"] {
        let line = [b"GET ", target, b" HTTP/1.1\r\n", KEY.as_bytes(), VERSION.as_bytes(), b"\r\n"].concat();
        assert!(refused(&line).starts_with("HTTP/1.1 400 "), "{}", target.escape_ascii());
    }
    for version in ["HTTP/1.2", "HTTP/2.0", "http/1.1", ""] {
        let line = format!("GET / {version}\r\n{KEY}{VERSION}\r\n");
        assert!(refused(line.as_bytes()).starts_with("HTTP/1.1 400 "), "{version}");
    }
}

#[test]
fn who_may_come_again_is_told_when() {
    let mut out = Vec::new();
    encode_retry_later(503, 7, &mut out);
    let response = String::from_utf8(out).unwrap();
    assert!(response.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n"), "{response}");
}

#[test]
fn plain_http_at_a_tls_port_is_known() {
    for (begun, body) in [
        (&b"GET / HTTP/1.1\r\n"[..], true),
        (b"OPTIONS * HTTP/1.1", true),
        (b"G", true),
        (b"HEAD / HTTP/1.1", false),
    ] {
        let mut out = Vec::new();
        assert!(encode_tls_needed(begun, &mut out));
        let response = String::from_utf8(out).unwrap();
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
        assert!(response.contains("\r\nContent-Type: text/plain\r\n"), "{response}");
        assert_eq!(response.ends_with("This is a TLS port: use https:// or wss://.\n"), body, "{response}");
    }
    for begun in [&b""[..], b" ", b"\x16\x03\x01", b"hello", b"GETTINGON /", b"G\xffT /"] {
        assert!(!encode_tls_needed(begun, &mut Vec::new()), "{}", begun.escape_ascii());
    }
}

#[test]
fn the_size_is_bounded() {
    let sized = |size: usize| {
        let frame = request(&format!("{KEY}{VERSION}X: \r\n")).len();
        request(&format!("{KEY}{VERSION}X: {}\r\n", "x".repeat(size - frame)))
    };
    accepted(&sized(HANDSHAKE_SIZE_MAX));
    assert!(refused(&sized(HANDSHAKE_SIZE_MAX + 1)).starts_with("HTTP/1.1 431 "));
    let endless = [b"GET /", &vec![b'x'; HANDSHAKE_SIZE_MAX][..]].concat();
    assert!(refused(&endless).starts_with("HTTP/1.1 431 "));
}

#[test]
fn the_size_is_as_it_is_set() {
    let request = request(&format!("{KEY}{VERSION}"));
    for (head_size_max, is_taken) in [(request.len(), true), (request.len() - 1, false)] {
        let limits = Limits { head_size_max, ..LIMITS };
        let (mut codec, mut reply) = (WebsocketCodec::default(), Vec::new());
        let is_asked = matches!(codec.peek(&limits, &request), Peeked::Request(_));
        let mut input = request.clone();
        let decoded = codec.decode(&limits, &mut input, &mut reply);
        assert_eq!((is_asked, matches!(decoded, Decoded::Handshake { .. })), (is_taken, is_taken));
        assert!(is_taken || matches!(decoded, Decoded::Malformed(Malformed::HeadTooLarge)));
    }
}

#[test]
fn the_header_count_is_bounded() {
    let with = |count: usize| request(&format!("{KEY}{VERSION}{}", "X: y\r\n".repeat(count - 2)));
    accepted(&with(HEADER_COUNT_MAX));
    assert!(refused(&with(HEADER_COUNT_MAX + 1)).starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_request_can_be_looked_at() {
    let mut input = b"GET /chat?tok=1?x HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n".to_vec();
    let mut codec = WebsocketCodec::default();
    assert!(!codec.is_open());
    let Decoded::Handshake { request, consumed } = codec.decode(&LIMITS, &mut input, &mut Vec::new()) else {
        panic!("no handshake");
    };
    assert_eq!((request.method(), request.version()), ("GET", 1));
    assert_eq!(request.target(), b"/chat?tok=1?x");
    assert_eq!((request.path(), request.query()), (&b"/chat"[..], &b"tok=1?x"[..]));
    assert_eq!((request.header("X-a"), request.header("x-b")), (Some(&b"1"[..]), None));
    let names: Vec<_> = request.headers().map(|(name, _)| name).collect();
    assert_eq!(names, ["X-A", "x-a", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]);

    let mut out = Vec::new();
    request.accept(&["Sec-WebSocket-Protocol: chat", "Server: x"], &mut out);
    let response = String::from_utf8(out).unwrap();
    assert!(response.starts_with("HTTP/1.1 101 Switching Protocol\r\nUpgrade: websocket\r\n"));
    assert!(response.ends_with("=\r\nSec-WebSocket-Protocol: chat\r\nServer: x\r\n\r\n"), "{response}");
    let mut out = Vec::new();
    request.refuse(403, &mut out);
    assert!(out.starts_with(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n"));
    assert_eq!(consumed, input.len());
    assert!(codec.is_open());
}

#[test]
fn frames_behind_the_request_come_after_it() {
    let input = [REQUEST, b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0"].concat();
    let mut conn = Conn::new(WebsocketCodec::default(), LIMITS);
    conn.receive(&input);
    let expected =
        [Unit::Handshake(b"/".to_vec()), text("hi"), Unit::Reply(b"\x88\x02\x03\xe8".to_vec()), Unit::Close];
    assert_eq!(conn.units, expected);
    assert!(!conn.codec.is_open());
}

proptest! {
    #[test]
    fn mutated_requests(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        sizes in prop::collection::vec(1usize..40, 1..5),
    ) {
        let mut input = REQUEST.to_vec();
        for (index, byte) in changes {
            let index = index.index(input.len());
            input[index] = byte;
        }
        let units = run::<WebsocketCodec>(LIMITS, &input);
        prop_assert_eq!(run_pieces::<WebsocketCodec>(LIMITS, cut(&input, &sizes)), units);
    }
}
