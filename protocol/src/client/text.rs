//! The text protocol: lines (WIRE.md §10).

use super::{Codec, Decoded, Kind, Limits, Malformed, Protocol};

/// What is known about the unfinished line at the start of the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TextCodec {
    /// Bytes at the start of the input that hold no newline, so a line that trickles in is searched once, not once
    /// per read.
    scanned: usize,
}

impl Codec for TextCodec {
    /// A message is what stands before the newline, without carriage returns at its end; an empty line is an empty
    /// message. The limit counts the newline.
    fn decode<'a>(&'a mut self, limits: &Limits, input: &'a mut [u8], _reply: &mut Vec<u8>) -> Decoded<'a> {
        let window = &input[..input.len().min(limits.package_size_max)];
        let scanned = self.scanned.min(window.len());
        let Some(found) = memchr::memchr(b'\n', &window[scanned..]) else {
            self.scanned = window.len();
            return if input.len() < limits.package_size_max {
                Decoded::NeedMore { consumed: 0 }
            } else {
                Decoded::Malformed(Malformed::TooLarge)
            };
        };
        self.scanned = 0;
        let line = &input[..scanned + found];
        let size = line.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
        Decoded::Message { consumed: line.len() + 1, body: &line[..size], kind: Kind::Unspecified }
    }
}

/// The text protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Text;

impl Protocol for Text {
    fn codec(&self) -> Box<dyn Codec> {
        Box::new(TextCodec::default())
    }

    /// Newlines inside `body` go out as they are: the receiver sees several messages, as with PHP.
    fn encode(&self, body: &[u8], _kind: Kind, out: &mut Vec<u8>) {
        out.reserve(body.len() + 1);
        out.extend_from_slice(body);
        out.push(b'\n');
    }
}
