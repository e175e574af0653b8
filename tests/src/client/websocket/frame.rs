//! Frames as a client sends them, every bit at the test's will.

/// A frame's opcode. The reserved ones are there to be refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opcode(pub u8);

impl Opcode {
    /// The next part of a message.
    pub const CONTINUATION: Opcode = Opcode(0);
    /// A text message, or its first part.
    pub const TEXT: Opcode = Opcode(1);
    /// A binary message, or its first part.
    pub const BINARY: Opcode = Opcode(2);
    /// Taking leave.
    pub const CLOSE: Opcode = Opcode(8);
    /// Are you there?
    pub const PING: Opcode = Opcode(9);
    /// I am.
    pub const PONG: Opcode = Opcode(10);
}

/// The mask of every frame; a constant one makes failures repeatable.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame, not yet encoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    fin: bool,
    rsv: u8,
    opcode: Opcode,
    masked: bool,
    payload: Vec<u8>,
}

impl Frame {
    /// A last or only frame, masked, as clients must.
    pub fn new(opcode: Opcode, payload: &[u8]) -> Frame {
        Frame { fin: true, rsv: 0, opcode, masked: true, payload: payload.to_vec() }
    }

    /// A whole text message, or what pretends to be one.
    pub fn text(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(Opcode::TEXT, payload.as_ref())
    }

    /// A whole binary message.
    pub fn binary(payload: &[u8]) -> Frame {
        Frame::new(Opcode::BINARY, payload)
    }

    /// The last part of a message.
    pub fn continuation(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(Opcode::CONTINUATION, payload.as_ref())
    }

    /// A ping.
    pub fn ping(payload: &[u8]) -> Frame {
        Frame::new(Opcode::PING, payload)
    }

    /// A pong.
    pub fn pong(payload: &[u8]) -> Frame {
        Frame::new(Opcode::PONG, payload)
    }

    /// A close frame with this code and no reason.
    pub fn close(code: u16) -> Frame {
        Frame::close_because(code, b"")
    }

    /// A close frame with this code and reason.
    pub fn close_because(code: u16, reason: &[u8]) -> Frame {
        Frame::new(Opcode::CLOSE, &[&code.to_be_bytes(), reason].concat())
    }

    /// The same, with more to follow.
    pub fn unfinished(mut self) -> Frame {
        self.fin = false;
        self
    }

    /// The same, with these reserved bits (0 to 7, RSV1 is 4).
    pub fn rsv(mut self, bits: u8) -> Frame {
        assert!(bits <= 7);
        self.rsv = bits;
        self
    }

    /// The same without a mask, which only servers may send.
    pub fn unmasked(mut self) -> Frame {
        self.masked = false;
        self
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(14 + self.payload.len());
        bytes.push(u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode.0);
        let mask_bit = u8::from(self.masked) << 7;
        match self.payload.len() {
            size @ 0..=125 => bytes.push(mask_bit | size as u8),
            size @ 126..=0xffff => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(size as u16).to_be_bytes());
            }
            size => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&(size as u64).to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend_from_slice(&MASK);
            bytes.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend_from_slice(&self.payload);
        }
        bytes
    }
}
