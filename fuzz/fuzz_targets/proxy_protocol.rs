//! Headers of the PROXY protocol: whole and in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::client::proxy_protocol::{HEADER_SIZE_MAX, decode};
use ringway_fuzz::pieces;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (cuts, bytes) = input;
    let (mut received, mut cut) = (Vec::new(), Ok(None));
    for piece in pieces(bytes, cuts) {
        received.extend_from_slice(piece);
        if !matches!(decode(&received), Ok(None)) {
            break;
        }
        assert!(received.len() < HEADER_SIZE_MAX);
    }
    if !received.is_empty() {
        cut = decode(&received);
    }
    assert_eq!(cut, decode(bytes));
    if let Ok(Some(header)) = cut {
        assert!((1..=received.len()).contains(&header.size));
        assert_eq!(decode(&bytes[..header.size]), Ok(Some(header)));
        assert_eq!(decode(&bytes[..header.size - 1]), Ok(None));
    }
});
