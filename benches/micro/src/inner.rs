//! What gateways and workers speak: frames, and what stands in them.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};

use protocol::ClientId;
use protocol::client::websocket::WebsocketCodec;
use protocol::client::{Codec, Decoded, Limits};
use protocol::inner::ext::{GroupTargets, Targets, decode_names, encode_names};
use protocol::inner::{self, Cmd, FRAME_SIZE_MAX, Frame, WebsocketRequest};

use crate::codecs::{HANDSHAKE, text};
use crate::meter::{Bench, MANY};
use crate::php::session;

const GATEWAY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 2900);
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 40_000);

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        encode(),
        decode(),
        encode_websocket_request(),
        decode_websocket_request(),
        decode_ext("decode 1,000 targets", Targets::Only((1..=1000).collect()).encode(), |ext| {
            black_box(Targets::decode(ext));
        }),
        decode_ext("decode group targets", one_group(), |ext| {
            black_box(GroupTargets::decode(ext));
        }),
        decode_ext("decode 10 names", ten_names(), |ext| {
            black_box(decode_names(ext));
        }),
        client_id(),
    ]
}

/// The event of a 64 B message from a client with a small session.
fn encode() -> Bench {
    Bench::new("inner/frame encode, 64 B and session", MANY, |meter| {
        let (session, body, mut out) = (session(), text(64), Vec::new());
        meter.each(
            || (),
            |()| {
                out.clear();
                event(&session, &body).encode(&mut out);
            },
        );
    })
}

fn decode() -> Bench {
    Bench::new("inner/frame decode, 64 B and session", MANY, |meter| {
        let mut bytes = Vec::new();
        event(&session(), &text(64)).encode(&mut bytes);
        meter.each(
            || (),
            |()| {
                let decoded = inner::decode(black_box(&bytes), FRAME_SIZE_MAX);
                assert!(matches!(black_box(decoded), Ok(Some(_))), "a whole frame");
            },
        );
    })
}

fn encode_websocket_request() -> Bench {
    Bench::new("inner/websocket request encode", MANY, |meter| {
        let mut out = Vec::new();
        meter.each(|| (), |()| write_websocket_request(&mut out));
    })
}

fn decode_websocket_request() -> Bench {
    Bench::new("inner/websocket request decode", MANY, |meter| {
        let mut bytes = Vec::new();
        write_websocket_request(&mut bytes);
        meter.each(
            || (),
            |()| {
                let request = WebsocketRequest::decode(black_box(&bytes)).expect("encoded above");
                black_box(request);
            },
        );
    })
}

/// The body of ON_WEBSOCKET_CONNECT, made from a browser's request.
fn write_websocket_request(out: &mut Vec<u8>) {
    out.clear();
    let (mut codec, limits) = (WebsocketCodec::default(), Limits::new(1024));
    let mut input = HANDSHAKE.to_vec();
    match codec.decode(&limits, &mut input, &mut Vec::new()) {
        Decoded::Handshake { request, .. } => {
            WebsocketRequest::from_request(&request, CLIENT.into(), 8282).encode(out);
        }
        other => panic!("not a handshake: {other:?}"),
    }
}

fn decode_ext(what: &str, ext: Vec<u8>, decode: fn(&[u8])) -> Bench {
    Bench::new(format!("inner/{what}"), MANY, move |meter| meter.each(|| (), |()| decode(black_box(&ext))))
}

fn client_id() -> Bench {
    Bench::new("inner/client id to text and back", MANY, |meter| {
        let id = ClientId { gateway: GATEWAY, connection_id: 4711 };
        meter.each(
            || (),
            |()| {
                let text = black_box(id).to_string();
                let back: ClientId = text.parse().expect("written above");
                black_box(back);
            },
        );
    })
}

fn event<'a>(session: &'a [u8], body: &'a [u8]) -> Frame<'a> {
    Frame {
        gateway: GATEWAY,
        client: CLIENT,
        connection_id: 4711,
        gateway_port: 8282,
        ext: session,
        body,
        ..Frame::command(Cmd::OnMessage)
    }
}

fn one_group() -> Vec<u8> {
    GroupTargets { groups: vec![b"lobby".to_vec()], ..GroupTargets::default() }.encode()
}

fn ten_names() -> Vec<u8> {
    let names: Vec<String> = (0..10).map(|index| format!("user {index}")).collect();
    encode_names(&names)
}
