//! What a server says, read as strictly as RFC 6455 and our own design allow.

use cluster::conn::Excerpt;

/// One thing that a server says.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// A text message.
    Text(Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
    /// A message of this opcode that is compressed, as it came.
    Deflated(u8, Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame with its code, if it has one.
    Close(Option<u16>),
    /// The connection is closed.
    End,
}

impl Event {
    /// A text message.
    pub fn text(text: impl AsRef<[u8]>) -> Event {
        Event::Text(text.as_ref().to_vec())
    }

    /// A pong.
    pub fn pong(payload: &[u8]) -> Event {
        Event::Pong(payload.to_vec())
    }

    /// The first frame in `received` and its size, or `None` while it is not whole.
    ///
    /// Panics at what our gateways must never send: masked or fragmented frames, reserved bits but that of compression, opcodes
    /// they have no use for, a length that is not in its shortest form, text that is not UTF-8.
    pub(super) fn decode(received: &[u8]) -> Option<(Event, usize)> {
        let (&[first, second], rest) = received.split_first_chunk()?;
        let deflated = matches!(first, DEFLATED_TEXT | DEFLATED_BINARY);
        assert!(
            deflated || first & 0xf0 == 0x80,
            "neither fragments nor reserved bits come from a gateway: {first:#04x}"
        );
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (size, size_size) = decode_size(second, rest)?;
        let payload = rest.get(size_size..size_size + size)?;
        let opcode = first & 0x0f;
        assert!(opcode < 8 || size <= 125, "a control frame of {size} bytes");
        let event = match deflated {
            true => Event::Deflated(opcode, payload.to_vec()),
            false => Event::from_frame(opcode, payload),
        };
        Some((event, 2 + size_size + size))
    }

    fn from_frame(opcode: u8, payload: &[u8]) -> Event {
        match opcode {
            1 => {
                assert!(
                    std::str::from_utf8(payload).is_ok(),
                    "text that is not UTF-8: {:?}",
                    Excerpt(payload)
                );
                Event::Text(payload.to_vec())
            }
            2 => Event::Binary(payload.to_vec()),
            8 => Event::Close(close_code(payload)),
            9 => Event::Ping(payload.to_vec()),
            10 => Event::Pong(payload.to_vec()),
            other => panic!("a gateway sends no opcode {other}"),
        }
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Event::Text(body) => write!(out, "Text({:?})", Excerpt(body)),
            Event::Deflated(opcode, payload) => write!(out, "Deflated({opcode}, {:?})", Excerpt(payload)),
            Event::Binary(body) => write!(out, "Binary({:?})", Excerpt(body)),
            Event::Ping(body) => write!(out, "Ping({:?})", Excerpt(body)),
            Event::Pong(body) => write!(out, "Pong({:?})", Excerpt(body)),
            Event::Close(code) => write!(out, "Close({code:?})"),
            Event::End => out.write_str("End"),
        }
    }
}

/// The first byte of a compressed message.
const DEFLATED_TEXT: u8 = 0xc1;
const DEFLATED_BINARY: u8 = 0xc2;

/// The payload's size and how many bytes it is written in behind the first two.
fn decode_size(second: u8, rest: &[u8]) -> Option<(usize, usize)> {
    match second & 0x7f {
        126 => {
            let size = u16::from_be_bytes(*rest.first_chunk()?).into();
            assert!(size > 125, "{size} in 16 bits");
            Some((size, 2))
        }
        127 => {
            let size = u64::from_be_bytes(*rest.first_chunk()?) as usize;
            assert!(size > 0xffff, "{size} in 64 bits");
            Some((size, 8))
        }
        size => Some((size.into(), 0)),
    }
}

/// The code of a close frame; the reason behind it must be UTF-8.
fn close_code(payload: &[u8]) -> Option<u16> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        assert!(payload.is_empty(), "half a close code");
        return None;
    };
    assert!(std::str::from_utf8(reason).is_ok(), "a close reason that is not UTF-8");
    Some(u16::from_be_bytes(*code))
}
