//! What a client still sends once our close frame is out: thrown away, up to its own close frame.

use super::header::{HEADER_SIZE_MAX, outline};

/// Where in its stream of frames a client is. Nothing of it is judged any more: frames that no client may send are skipped
/// by their length like all others.
///
/// Invariant: `head_size <= HEADER_SIZE_MAX`, and between calls the header in `head` is not whole.
#[derive(Debug)]
pub(super) struct Discard {
    head: [u8; HEADER_SIZE_MAX],
    head_size: u8,
    /// Payload bytes of the frame under way that are still to come.
    remaining: u64,
    /// The frame under way is a close frame.
    closes: bool,
}

impl Discard {
    /// Begins where `remaining` bytes of a frame are still to come, or none.
    pub(super) fn new(remaining: u64) -> Self {
        Self { head: [0; HEADER_SIZE_MAX], head_size: 0, remaining, closes: false }
    }

    /// Takes what has come. Returns whether a whole close frame was in it.
    pub(super) fn feed(&mut self, mut input: &[u8]) -> bool {
        loop {
            let skipped = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len());
            self.remaining -= skipped as u64;
            input = &input[skipped..];
            if self.remaining > 0 {
                return false;
            }
            if self.closes {
                return true;
            }
            let Some((byte, rest)) = input.split_first() else { return false };
            input = rest;
            self.take_header_byte(*byte);
        }
    }

    fn take_header_byte(&mut self, byte: u8) {
        self.head[usize::from(self.head_size)] = byte;
        self.head_size += 1;
        if let Some((closes, payload_size)) = outline(&self.head[..usize::from(self.head_size)]) {
            (self.closes, self.remaining) = (closes, payload_size);
            self.head_size = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{BINARY, CLOSE, TEXT, encode_frame};
    use super::*;

    /// The number of bytes after which a close frame has been seen, fed in pieces of `size`.
    fn seen_after(remaining: u64, input: &[u8], size: usize) -> Option<usize> {
        let mut discard = Discard::new(remaining);
        let mut fed = 0;
        for piece in input.chunks(size) {
            fed += piece.len();
            if discard.feed(piece) {
                return Some(fed);
            }
        }
        None
    }

    #[test]
    fn the_close_frame_is_found_behind_whatever_comes_before() {
        let mut frames = vec![0x88; 5];
        for (first, size) in [(TEXT, 0), (BINARY, 300), (0xf3, 125), (TEXT, 70_000)] {
            encode_frame(first, &vec![0x88; size], [1, 2, 3, 4], &mut frames);
        }
        // Not masked, as no client may send it.
        frames.extend_from_slice(b"\x81\x03abc");
        let before = frames.len();
        encode_frame(CLOSE, &[3, 232], [5, 6, 7, 8], &mut frames);
        let whole = frames.len();
        frames.extend_from_slice(b"more");
        assert_eq!(seen_after(5, &frames, 1), Some(whole));
        for size in [2, 7, 100, frames.len()] {
            assert_eq!(seen_after(5, &frames, size), Some(whole.next_multiple_of(size).min(frames.len())));
        }
        assert_eq!(seen_after(5, &frames[..before], 3), None);
        assert_eq!(seen_after(5, &frames[..whole - 1], 1), None);
    }

    #[test]
    fn nonsense_is_no_close_frame() {
        assert_eq!(
            seen_after(0, &[0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x88, 0x00], 1),
            None
        );
        assert_eq!(seen_after(u64::MAX, &[0x88, 0x80, 0, 0, 0, 0], 1), None);
    }
}
