//! Websocket handshakes, requests and answers: whole and in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::client::Limits;
use protocol::client::websocket::WebsocketCodec;
use protocol::client::websocket::client::{Answer, decode_answer};
use ringway_fuzz::{Unit, listen};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (cuts, bytes) = input;
    let limits = Limits::new(1024);
    let whole = listen(&mut WebsocketCodec::default(), &limits, bytes, &[]);
    let cut = listen(&mut WebsocketCodec::default(), &limits, bytes, cuts);
    assert_eq!((&whole.units, &whole.replies), (&cut.units, &cut.replies));
    if let Some(Unit::Handshake(_, _, response)) = whole.units.first() {
        // Made for another nonce: an answer, but not to this request.
        assert_eq!(decode_answer(response, [7; 16]), Answer::Malformed);
    }
    if decode_answer(bytes, [7; 16]) == Answer::NeedMore {
        for size in 0..bytes.len().min(64) {
            assert_eq!(decode_answer(&bytes[..size], [7; 16]), Answer::NeedMore);
        }
    }
});
