//! Messages compressed and inflated (RFC 7692 §7.2), each for itself: nothing of one is kept for the next.
//!
//! So one [`Deflater`] and one [`Inflater`] serve all clients of a thread, what many get is compressed once, and an idle
//! client costs nothing for it.

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::super::Malformed;

/// What ends each flush and is not sent (RFC 7692 §7.2.1).
const FLUSH_END: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// What a message is inflated with behind it: the end that was not sent, and an empty last block. Only behind a message that
/// was whole that is the end of the stream.
const MESSAGE_END: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// Streams that end within one message. Peers that cannot flush otherwise end one (RFC 7692 §7.2.3.4); to begin anew
/// costs as much as a hundred bytes, which nobody is to ask for with two.
const STREAMS_MAX: usize = 64;

/// Room that is made for output at first, in bytes.
const OUT_SIZE_FIRST: usize = 4096;

/// Compresses messages.
pub struct Deflater(Compress);

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

impl Deflater {
    /// `level` is zlib's, from 1, fast, to 9, small.
    pub fn new(level: u32) -> Self {
        Self(Compress::new(Compression::new(level.clamp(1, 9)), false))
    }

    /// Replaces `out` by the compressed message, as a frame has it.
    pub fn deflate(&mut self, message: &[u8], out: &mut Vec<u8>) {
        out.clear();
        self.0.reset();
        let mut rest = message;
        loop {
            // All room is used only if there is more to come.
            out.reserve(rest.len() / 2 + OUT_SIZE_FIRST);
            let before = self.0.total_in();
            self.0
                .compress_vec(rest, out, FlushCompress::Sync)
                .expect("there is nothing that cannot be compressed");
            rest = &rest[taken(before, self.0.total_in())..];
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        debug_assert!(out.ends_with(&FLUSH_END));
        out.truncate(out.len() - FLUSH_END.len());
    }
}

/// Inflates messages.
pub struct Inflater(Decompress);

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(false))
    }
}

/// How far some input was taken.
enum Taken {
    /// All of it, and more may come.
    All,
    /// The stream ends behind so many bytes of it.
    Ended(usize),
}

impl Inflater {
    /// Replaces `out` by the message whose frames had `payload`. It is never longer than `size_max`, by more than what its buffer
    /// had room for before: a message that inflates to more is given up on the way there.
    ///
    /// # Errors
    /// [`Malformed::TooLarge`], or [`Malformed::Compression`] for what is no compressed message, or not all of one.
    pub fn inflate(&mut self, payload: &[u8], size_max: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.clear();
        if payload.is_empty() {
            // What a peer flushes that has nothing new.
            return Ok(());
        }
        let mut rest = payload;
        for _ in 0..STREAMS_MAX {
            self.0.reset(false);
            match self.take(rest, size_max, out)? {
                Taken::Ended(size) if size == rest.len() => return Ok(()),
                Taken::Ended(size) => rest = &rest[size..],
                Taken::All => {
                    return match self.take(&MESSAGE_END, size_max, out)? {
                        Taken::Ended(size) if size == MESSAGE_END.len() => Ok(()),
                        Taken::Ended(_) | Taken::All => Err(Malformed::Compression),
                    };
                }
            }
        }
        Err(Malformed::Compression)
    }

    /// Goes on with `input`, to its end or that of the stream.
    fn take(&mut self, input: &[u8], size_max: usize, out: &mut Vec<u8>) -> Result<Taken, Malformed> {
        let mut rest = input;
        loop {
            if out.len() == out.capacity() {
                // One byte too many is how it shows that there is more.
                out.reserve(out.len().max(OUT_SIZE_FIRST).min(size_max + 1 - out.len()));
            }
            let (taken_before, size_before) = (self.0.total_in(), out.len());
            let status = self.0.decompress_vec(rest, out, FlushDecompress::Sync);
            let status = status.map_err(|_| Malformed::Compression)?;
            let size = taken(taken_before, self.0.total_in());
            rest = &rest[size..];
            if out.len() > size_max {
                return Err(Malformed::TooLarge);
            }
            match status {
                Status::StreamEnd => return Ok(Taken::Ended(input.len() - rest.len())),
                _ if out.len() == out.capacity() => {}
                _ if rest.is_empty() => return Ok(Taken::All),
                _ if size == 0 && out.len() == size_before => return Err(Malformed::Compression),
                _ => {}
            }
        }
    }
}

/// Between two counts of what was taken.
fn taken(before: u64, after: u64) -> usize {
    usize::try_from(after - before).expect("no more is taken than was given")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE_MAX: usize = 1 << 20;

    fn deflated(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Deflater::new(6).deflate(message, &mut out);
        out
    }

    fn inflated(payload: &[u8], size_max: usize) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        Inflater::default().inflate(payload, size_max, &mut out).map(|()| out)
    }

    /// RFC 7692 §7.2.3.1 and §7.2.3.6.
    #[test]
    fn the_examples_of_the_rfc_are_written() {
        assert_eq!(deflated(b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(deflated(b""), [0x00]);
    }

    /// RFC 7692 §7.2.3.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for payload in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            // A block without compression.
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            // A last block.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            // Two blocks.
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflated(payload, SIZE_MAX).as_deref(), Ok(&b"Hello"[..]), "{payload:02x?}");
        }
        assert_eq!(inflated(&[0x00], SIZE_MAX).as_deref(), Ok(&b""[..]));
        assert_eq!(inflated(&[], SIZE_MAX).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let whole = deflated(&b"an example, an example of an example".repeat(30));
        for cut in 1..whole.len() - 1 {
            assert_eq!(inflated(&whole[..cut], SIZE_MAX), Err(Malformed::Compression), "cut at {cut}");
        }
        for wrong in [&b"\xff"[..], b"plain text", b"\x06", &[0x00, 0x05, 0x00, 0xff, 0xff]] {
            assert_eq!(inflated(wrong, SIZE_MAX), Err(Malformed::Compression), "{wrong:02x?}");
        }
    }

    #[test]
    fn a_message_may_inflate_to_so_much_and_no_more() {
        let zeros = vec![0; SIZE_MAX];
        let payload = deflated(&zeros);
        assert!(payload.len() < SIZE_MAX / 900, "{}", payload.len());
        assert_eq!(inflated(&payload, SIZE_MAX).map(|message| message.len()), Ok(SIZE_MAX));
        assert_eq!(inflated(&payload, SIZE_MAX - 1), Err(Malformed::TooLarge));
        let mut out = Vec::new();
        assert_eq!(Inflater::default().inflate(&payload, 1_000, &mut out), Err(Malformed::TooLarge));
        assert!(out.capacity() < 3_000, "{}", out.capacity());
    }

    #[test]
    fn streams_that_end_are_few() {
        const ENDED: [u8; 2] = [0x03, 0x00];
        assert_eq!(inflated(&ENDED.repeat(STREAMS_MAX), SIZE_MAX).as_deref(), Ok(&b""[..]));
        assert_eq!(inflated(&ENDED.repeat(STREAMS_MAX + 1), SIZE_MAX), Err(Malformed::Compression));
    }

    proptest! {
        #[test]
        fn messages_come_back(
            messages in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..3000), 0usize..100), 1..6),
            level in 1u32..=9,
        ) {
            let (mut deflater, mut inflater) = (Deflater::new(level), Inflater::default());
            let (mut payload, mut out) = (Vec::new(), Vec::new());
            for (modulus, message, times) in messages {
                // From what has no pattern to what is nothing but one.
                let message: Vec<u8> = message.iter().map(|byte| byte % modulus.max(1)).collect();
                let message = message.repeat(times);
                deflater.deflate(&message, &mut payload);
                prop_assert_eq!(inflater.inflate(&payload, message.len(), &mut out), Ok(()));
                prop_assert_eq!(&out, &message);
            }
        }

        #[test]
        fn any_bytes_are_judged(payload in prop::collection::vec(any::<u8>(), 0..300), size_max in 0usize..5000) {
            if let Ok(message) = inflated(&payload, size_max) {
                prop_assert!(message.len() <= size_max);
            }
        }
    }
}
