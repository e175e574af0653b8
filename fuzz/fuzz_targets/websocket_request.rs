//! What a worker is told of a handshake: queries, headers and cookies of any bytes.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use protocol::client::websocket::WebsocketCodec;
use protocol::client::{Codec, Decoded, Limits};
use protocol::inner::WebsocketRequest;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    query: &'a [u8],
    cookie: &'a [u8],
    /// Name and value.
    headers: Vec<(&'a [u8], &'a [u8])>,
}

fuzz_target!(|input: Input<'_>| {
    let mut bytes = [b"GET /?", input.query, b" HTTP/1.1\r\nCookie: ", input.cookie].concat();
    for (name, value) in &input.headers {
        bytes.extend([b"\r\n", *name, b": ", value].concat());
    }
    bytes.extend_from_slice(b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a\r\n\r\n");
    let limits = Limits::new(1024);
    let (mut codec, mut reply) = (WebsocketCodec::default(), Vec::new());
    let Decoded::Handshake { request, .. } = codec.decode(&limits, &mut bytes, &mut reply) else { return };
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 5000));
    let told = WebsocketRequest::from_request(&request, client, 8282);
    let mut encoded = Vec::new();
    told.encode(&mut encoded);
    // A query may nest deeper than a value may; the worker is told of it all the same or refuses it.
    if let Ok(again) = WebsocketRequest::decode(&encoded) {
        assert_eq!(again, told);
    }
});
