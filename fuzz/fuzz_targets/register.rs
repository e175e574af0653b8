//! The register's lines: whole and in pieces, and back from what was encoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::register::{Broadcast, Lines, Request};
use ringway_fuzz::pieces;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (cuts, bytes) = input;
    let lines = lines(bytes, &[]);
    assert_eq!(lines, self::lines(bytes, cuts));
    for line in lines.iter().chain([&bytes.to_vec()]) {
        let mut encoded = Vec::new();
        if let Ok(request) = Request::decode(line) {
            request.encode(&mut encoded);
            assert_eq!(Request::decode(&encoded), Ok(request));
        }
        encoded.clear();
        if let Ok(broadcast) = Broadcast::decode(line) {
            broadcast.encode(&mut encoded);
            assert_eq!(Broadcast::decode(&encoded), Ok(broadcast));
        }
    }
});

fn lines(bytes: &[u8], cuts: &[u8]) -> Vec<Vec<u8>> {
    let (mut cutter, mut lines) = (Lines::default(), Vec::new());
    for piece in pieces(bytes, cuts) {
        cutter.push(piece);
        while let Some(line) = cutter.next_line().expect("inputs are shorter than a line may be") {
            lines.push(line.to_vec());
        }
    }
    lines
}
