//! The text, frame and tcp codecs: whole and in pieces, and back from what was encoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::client::frame::{Frame, FrameCodec};
use protocol::client::tcp::TcpCodec;
use protocol::client::text::{Text, TextCodec};
use protocol::client::{Kind, Limits, Protocol};
use ringway_fuzz::{Heard, Unit, listen};

fuzz_target!(|input: (&[u8], u16, &[u8])| {
    let (cuts, package_size_max, bytes) = input;
    let limits = Limits::new(package_size_max.into());
    let whole = listen(&mut TextCodec::default(), &limits, bytes, &[]);
    assert_eq!(whole.units, listen(&mut TextCodec::default(), &limits, bytes, cuts).units);
    let whole = listen(&mut FrameCodec, &limits, bytes, &[]);
    assert_eq!(whole.units, listen(&mut FrameCodec, &limits, bytes, cuts).units);
    assert_eq!(joined(&listen(&mut TcpCodec, &limits, bytes, cuts)), bytes);

    let roomy = Limits::new(bytes.len() + 4);
    let mut encoded = Vec::new();
    Frame.encode(bytes, Kind::Unspecified, &mut encoded);
    assert_eq!(joined(&listen(&mut FrameCodec, &roomy, &encoded, cuts)), bytes);
    if !bytes.contains(&b'\n') && bytes.last() != Some(&b'\r') {
        encoded.clear();
        Text.encode(bytes, Kind::Unspecified, &mut encoded);
        assert_eq!(joined(&listen(&mut TextCodec::default(), &roomy, &encoded, cuts)), bytes);
    }
});

fn joined(heard: &Heard) -> Vec<u8> {
    let body = |unit: &Unit| match unit {
        Unit::Message(body, _) => body.clone(),
        other => panic!("{other:?}"),
    };
    heard.units.iter().flat_map(body).collect()
}
