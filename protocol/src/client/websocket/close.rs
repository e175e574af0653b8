//! Close codes and close frames (RFC 6455 §5.5.1 and §7.4).

use super::super::Malformed;
use super::header::{self, Opcode};

/// The purpose is fulfilled.
pub const NORMAL: u16 = 1000;
/// The server stops, or the page is left.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A kind of data that cannot be taken.
pub const UNSUPPORTED_DATA: u16 = 1003;
/// Text that is not UTF-8.
pub const INVALID_DATA: u16 = 1007;
/// A rule of the application broken.
pub const POLICY_VIOLATION: u16 = 1008;
/// A message too large.
pub const TOO_LARGE: u16 = 1009;
/// The server met a condition that it cannot serve.
pub const INTERNAL_ERROR: u16 = 1011;

/// The code that answers a violation.
pub(super) fn code_of(malformed: Malformed) -> u16 {
    match malformed {
        Malformed::TooLarge => TOO_LARGE,
        Malformed::Utf8 => INVALID_DATA,
        Malformed::Handshake | Malformed::Protocol => PROTOCOL_ERROR,
    }
}

/// Appends an unmasked close frame.
pub(super) fn encode(code: u16, out: &mut Vec<u8>) {
    header::encode(Opcode::Close.whole(), 2, None, out);
    out.extend_from_slice(&code.to_be_bytes());
}

/// The code in a client's close frame. An empty payload says [`NORMAL`], as PHP answers it.
pub(super) fn parse(payload: &[u8]) -> Result<u16, Malformed> {
    if payload.is_empty() {
        return Ok(NORMAL);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(Malformed::Protocol)?;
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1011 | 3000..=4999) {
        return Err(Malformed::Protocol);
    }
    match simdutf8::basic::from_utf8(reason) {
        Ok(_) => Ok(code),
        Err(_) => Err(Malformed::Utf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_sent_pass() {
        for code in 0..=u16::MAX {
            let good = [1000..=1003, 1007..=1011, 3000..=4999].iter().any(|range| range.contains(&code));
            let expected = if good { Ok(code) } else { Err(Malformed::Protocol) };
            assert_eq!(parse(&code.to_be_bytes()), expected);
        }
    }

    #[test]
    fn payloads_are_judged() {
        assert_eq!(parse(b""), Ok(NORMAL));
        assert_eq!(parse(b"\x03"), Err(Malformed::Protocol));
        assert_eq!(parse("\u{3}\u{7f}".as_bytes()), Err(Malformed::Protocol));
        assert_eq!(parse(b"\x03\xe9good bye \xe2\x82\xac"), Ok(GOING_AWAY));
        assert_eq!(parse(b"\x03\xe9good bye \xe2\x82"), Err(Malformed::Utf8));
    }
}
