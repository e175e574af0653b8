//! The two to fourteen bytes in front of each frame's payload (RFC 6455 §5.2).

use super::super::Malformed;

/// The largest payload of a control frame in bytes (RFC 6455 §5.5).
pub(super) const CONTROL_PAYLOAD_SIZE_MAX: usize = 125;

/// The largest header in bytes: two, a u64 length, a mask.
pub(super) const HEADER_SIZE_MAX: usize = 14;

/// Largest payload whose length stands in the second byte itself.
const SHORT_SIZE_MAX: u8 = 125;
/// The second byte's length field when a u16 length follows.
const MEDIUM: u8 = 126;

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
/// The first frame of a compressed message has this bit (RFC 7692 §6).
const RSV1: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    /// The first byte of a frame that is all of its message.
    pub(super) const fn whole(self) -> u8 {
        FIN | self as u8
    }

    /// The same, of a compressed message.
    pub(super) const fn whole_deflated(self) -> u8 {
        self.whole() | RSV1
    }

    fn from_wire(first: u8) -> Option<Self> {
        match first & OPCODE {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }
}

/// Which side sent the frames that are decoded: clients must mask, servers must not (RFC 6455 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sender {
    Client,
    Server,
}

/// A frame's header, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// Whether the message ends with this frame. Always true for control frames.
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    /// A compressed message begins with it.
    pub(super) deflated: bool,
    /// Zeros when the sender is a server.
    pub(super) mask: [u8; 4],
    /// Bytes of the header itself, 2 to 14.
    pub(super) size: usize,
    /// Bytes of payload announced; at most 125 for control frames, below 2^63 in any case.
    pub(super) payload_size: u64,
}

impl Header {
    /// Reads the header at the start of `input`; `None` when it is not whole yet.
    ///
    /// What can be judged by the first two bytes is judged when they are there. A length written longer than
    /// necessary is accepted: it is harmless, and PHP accepts it.
    ///
    /// `deflates`: messages may be compressed.
    pub(super) fn parse(sender: Sender, deflates: bool, input: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((&[first, second], rest)) = input.split_first_chunk() else {
            return Ok(None);
        };
        let (opcode, deflated) = check(sender, deflates, first, second)?;
        let Some((payload_size, length_size)) = length(second, rest) else {
            return Ok(None);
        };
        if i64::try_from(payload_size).is_err() {
            return Err(Malformed::Protocol);
        }
        let (mask, mask_size) = match sender {
            Sender::Server => ([0; 4], 0),
            Sender::Client => match rest[length_size..].first_chunk() {
                Some(mask) => (*mask, mask.len()),
                None => return Ok(None),
            },
        };
        let size = 2 + length_size + mask_size;
        Ok(Some(Self { fin: first & FIN != 0, opcode, deflated, mask, size, payload_size }))
    }
}

/// Appends a header: `first` as it goes out, and the mask if there is one.
pub(super) fn encode(first: u8, payload_size: usize, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let masked = if mask.is_some() { MASKED } else { 0 };
    if let Ok(short @ 0..=SHORT_SIZE_MAX) = u8::try_from(payload_size) {
        out.extend_from_slice(&[first, masked | short]);
    } else if let Ok(medium) = u16::try_from(payload_size) {
        let [high, low] = medium.to_be_bytes();
        out.extend_from_slice(&[first, masked | MEDIUM, high, low]);
    } else {
        out.extend_from_slice(&[first, masked | (MEDIUM + 1)]);
        out.extend_from_slice(&(payload_size as u64).to_be_bytes());
    }
    out.extend_from_slice(mask.as_ref().map_or(&[], |mask| mask.as_slice()));
}

/// Where a frame ends, and whether it is a close frame, whatever else is wrong with it; `None` when `head` is not all of
/// its header yet. The second value is the payload's size.
pub(super) fn outline(head: &[u8]) -> Option<(bool, u64)> {
    let (&[first, second], rest) = head.split_first_chunk()?;
    let (payload_size, length_size) = length(second, rest)?;
    let mask_size = if second & MASKED != 0 { 4 } else { 0 };
    let whole = rest.len() >= length_size + mask_size;
    whole.then_some((Opcode::from_wire(first) == Some(Opcode::Close), payload_size))
}

/// Judges the first two bytes. The only RSV bit that may have a meaning says that the message is compressed.
fn check(sender: Sender, deflates: bool, first: u8, second: u8) -> Result<(Opcode, bool), Malformed> {
    let opcode = Opcode::from_wire(first).ok_or(Malformed::Protocol)?;
    let mask_is_right = (second & MASKED != 0) == (sender == Sender::Client);
    let control_is_right = !opcode.is_control() || (first & FIN != 0 && second & !MASKED <= SHORT_SIZE_MAX);
    let deflated = first & RSV != 0;
    let rsv_is_right =
        !deflated || deflates && first & RSV == RSV1 && matches!(opcode, Opcode::Text | Opcode::Binary);
    if !rsv_is_right || !mask_is_right || !control_is_right {
        return Err(Malformed::Protocol);
    }
    Ok((opcode, deflated))
}

/// The payload's length, and how many bytes of `rest` it took.
fn length(second: u8, rest: &[u8]) -> Option<(u64, usize)> {
    match second & !MASKED {
        short @ 0..=SHORT_SIZE_MAX => Some((short.into(), 0)),
        MEDIUM => rest.first_chunk().map(|bytes| (u16::from_be_bytes(*bytes).into(), bytes.len())),
        _ => rest.first_chunk().map(|bytes| (u64::from_be_bytes(*bytes), bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_headers_are_read_back() {
        for payload_size in [0, 1, 125, 126, 127, 65_535, 65_536, 10_485_760] {
            for (sender, mask) in [(Sender::Server, None), (Sender::Client, Some([1, 2, 3, 4]))] {
                let mut out = Vec::new();
                encode(Opcode::Text.whole(), payload_size, mask, &mut out);
                for cut in 0..out.len() {
                    assert_eq!(
                        Header::parse(sender, false, &out[..cut]),
                        Ok(None),
                        "{payload_size} cut at {cut}"
                    );
                }
                let expected = Header {
                    fin: true,
                    opcode: Opcode::Text,
                    deflated: false,
                    mask: mask.unwrap_or_default(),
                    size: out.len(),
                    payload_size: payload_size as u64,
                };
                assert_eq!(Header::parse(sender, true, &out), Ok(Some(expected)));
            }
        }
    }

    #[test]
    fn only_known_opcodes_without_rsv_pass() {
        for first in 0..=255u8 {
            let header = Header::parse(Sender::Client, false, &[first, 0x80, 0, 0, 0, 0]);
            let opcode = first & 0x0f;
            let good =
                first & 0x70 == 0 && (opcode <= 2 || ((8..=10).contains(&opcode) && first & 0x80 != 0));
            assert_eq!(header.is_ok(), good, "{first:02x}");
        }
    }

    #[test]
    fn compressed_messages_begin_with_rsv1_where_that_is_agreed_upon() {
        for first in 0..=255u8 {
            let header = Header::parse(Sender::Client, true, &[first, 0x80, 0, 0, 0, 0]);
            let opcode = first & 0x0f;
            let good = match first & 0x70 {
                0 => opcode <= 2 || ((8..=10).contains(&opcode) && first & 0x80 != 0),
                0x40 => opcode == 1 || opcode == 2,
                _ => false,
            };
            assert_eq!(header.is_ok(), good, "{first:02x}");
            assert_eq!(header.is_ok_and(|header| header.unwrap().deflated), good && first & 0x40 != 0);
        }
    }

    #[test]
    fn masks_belong_to_clients() {
        assert_eq!(Header::parse(Sender::Client, false, &[0x81, 0]), Err(Malformed::Protocol));
        assert_eq!(Header::parse(Sender::Server, false, &[0x81, 0x80]), Err(Malformed::Protocol));
    }

    #[test]
    fn control_frames_are_short() {
        assert_eq!(Header::parse(Sender::Client, false, &[0x89, 0x80 | 126]), Err(Malformed::Protocol));
        assert_eq!(Header::parse(Sender::Client, false, &[0x89, 0x80 | 125]), Ok(None));
    }

    #[test]
    fn lengths_have_63_bits() {
        let header = |top: u8| Header::parse(Sender::Server, false, &[0x82, 127, top, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(header(0x80), Err(Malformed::Protocol));
        assert_eq!(header(0x7f).unwrap().unwrap().payload_size, 0x7f << 56);
    }

    #[test]
    fn longer_than_necessary_lengths_pass() {
        let header =
            Header::parse(Sender::Server, false, &[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 5]).unwrap().unwrap();
        assert_eq!((header.payload_size, header.size), (5, 10));
    }
}
