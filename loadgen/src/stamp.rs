//! What messages carry: the moment they were meant to be sent, and filling.
//!
//! The stamp is sixteen hex digits, so that a message is text, one line, and valid UTF-8. Its
//! receiver knows its latency without having kept anything.

use crate::clock::Nanos;

/// Bytes of a stamp.
pub(crate) const STAMP_SIZE: usize = 16;

/// Appends a message of `size` bytes, at least [`STAMP_SIZE`].
pub(crate) fn write(stamp: Nanos, size: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend((0..STAMP_SIZE).rev().map(|digit| HEX[(stamp.0 >> (4 * digit) & 0xf) as usize]));
    out.resize(start + size, b'.');
}

/// The stamp of a message; none if `body` is no message of `size` bytes that [`write`] made.
pub(crate) fn read(body: &[u8], size: usize) -> Option<Nanos> {
    let (digits, _) = body.split_first_chunk::<STAMP_SIZE>().filter(|_| body.len() == size)?;
    let mut digits = digits.iter().map(|digit| (*digit as char).to_digit(16));
    digits.try_fold(0, |stamp, digit| Some(stamp << 4 | u64::from(digit?))).map(Nanos)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_back() {
        for (stamp, size) in [(0, 16), (u64::MAX, 16), (0x0123_4567_89ab_cdef, 64), (1, 17)] {
            let mut body = Vec::new();
            write(Nanos(stamp), size, &mut body);
            assert_eq!((body.len(), read(&body, size)), (size, Some(Nanos(stamp))));
        }
    }

    #[test]
    fn what_is_not_ours_has_no_stamp() {
        assert_eq!(read(b"", 16), None);
        assert_eq!(read(b"0123456789abcde", 15), None);
        assert_eq!(read(b"0123456789abcdefx", 16), None);
        assert_eq!(read(b"hello to everybody", 18), None);
    }
}
