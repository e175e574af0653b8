//! Close codes and close frames (RFC 6455 §5.5.1 and §7.4).

use super::super::Malformed;
use super::header::{self, CONTROL_PAYLOAD_SIZE_MAX, Opcode};

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

/// The service is restarting.
pub const SERVICE_RESTART: u16 = 1012;
/// The server cannot serve now; later it may.
pub const TRY_AGAIN_LATER: u16 = 1013;
/// A server behind this one gave no good answer.
pub const BAD_GATEWAY: u16 = 1014;

/// The peer has been silent for too long; of the codes that are for applications.
pub const HEARTBEAT_MISSED: u16 = 4000;

/// What let the peer in has expired; of the codes that are for applications.
pub const TOKEN_EXPIRED: u16 = 4401;

/// The longest reason in bytes: what a control frame has room for behind the code.
pub const REASON_SIZE_MAX: usize = CONTROL_PAYLOAD_SIZE_MAX - size_of::<u16>();

/// Whether a close frame may say this code: those that are defined and not only for internal use (RFC 6455 §7.4 and
/// its registry), and 3000 to 4999, which are for libraries and applications.
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The code that answers a violation.
pub fn code_of(malformed: Malformed) -> u16 {
    match malformed {
        Malformed::TooLarge => TOO_LARGE,
        Malformed::Utf8 | Malformed::Compression => INVALID_DATA,
        Malformed::Fragments => POLICY_VIOLATION,
        Malformed::Handshake | Malformed::HeadTooLarge | Malformed::Protocol => PROTOCOL_ERROR,
    }
}

/// Appends an unmasked close frame. A reason that is too long is cut between two characters.
pub(super) fn encode(code: u16, reason: &str, out: &mut Vec<u8>) {
    let mut end = reason.len().min(REASON_SIZE_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason[..end];
    header::encode(Opcode::Close.whole(), size_of::<u16>() + reason.len(), None, out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// The code in a client's close frame. An empty payload says [`NORMAL`], as PHP answers it.
pub(super) fn parse(payload: &[u8]) -> Result<u16, Malformed> {
    if payload.is_empty() {
        return Ok(NORMAL);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(Malformed::Protocol)?;
    let code = u16::from_be_bytes(*code);
    if !is_close_code(code) {
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
            let good = [1000..=1003, 1007..=1014, 3000..=4999].iter().any(|range| range.contains(&code));
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

    #[test]
    fn reasons_fit_into_a_control_frame() {
        let encoded = |reason: &str| {
            let mut out = Vec::new();
            encode(4001, reason, &mut out);
            out
        };
        assert_eq!(encoded(""), b"\x88\x02\x0f\xa1");
        assert_eq!(encoded("gone"), b"\x88\x06\x0f\xa1gone");
        assert_eq!(encoded(&"x".repeat(123)).len(), 127);
        let cut = encoded(&"é".repeat(62));
        assert_eq!((cut.len(), cut[1]), (126, 124), "61 characters of two bytes, and a code");
    }
}
