//! Inner frames, replies, client ids and the JSON inside of frames: what is decoded and encoded again stays the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::ClientId;
use protocol::inner::ext::{ClientConnect, GroupTargets, Select, Targets, WorkerConnect, decode_names};
use protocol::inner::{self, FRAME_SIZE_MAX, reply};

fuzz_target!(|bytes: &[u8]| {
    frames(bytes);
    json(bytes);
    let _ = reply::decode(bytes, 1024);
    if let Some(id) = str::from_utf8(bytes).ok().and_then(|text| text.parse::<ClientId>().ok()) {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
});

fn frames(mut bytes: &[u8]) {
    while let Ok(Some((frame, size))) = inner::decode(bytes, FRAME_SIZE_MAX) {
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        let again = inner::decode(&encoded, FRAME_SIZE_MAX).expect("a frame").expect("whole");
        assert_eq!(again, (frame, size));
        json(frame.ext);
        json(frame.body);
        bytes = &bytes[size..];
    }
}

fn json(bytes: &[u8]) {
    stable(bytes, WorkerConnect::decode, WorkerConnect::encode);
    stable(bytes, ClientConnect::decode, ClientConnect::encode);
    stable(bytes, Targets::decode, Targets::encode);
    stable(bytes, GroupTargets::decode, GroupTargets::encode);
    stable(bytes, Select::decode, Select::encode);
    let _ = decode_names(bytes);
}

fn stable<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: fn(&[u8]) -> Option<T>,
    encode: fn(&T) -> Vec<u8>,
) {
    let Some(value) = decode(bytes) else { return };
    assert_eq!(decode(&encode(&value)).as_ref(), Some(&value));
}
