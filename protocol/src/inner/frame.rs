//! One frame of the inner protocol (WIRE.md §3): 28 bytes of header, ext_data, body.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Size of the header in bytes.
pub const HEADER_SIZE: usize = 28;
/// The largest frame in bytes, header included. Equal passes, more is [`FrameError`].
pub const FRAME_SIZE_MAX: usize = 10_485_760;
/// The largest frame between peers that both said `"ringway":1` (docs/WIRE.md §14): room for a client message of the
/// largest `--max-package-size`, with header and session.
pub const FRAME_SIZE_MAX_RINGWAY: usize = 64 * 1024 * 1024;
/// flag bit 0: the body is a scalar, raw bytes; clear: PHP-serialized.
pub const FLAG_SCALAR: u8 = 1;
/// flag bit 1: the body goes to the client without the protocol's encoding.
pub const FLAG_RAW: u8 = 2;
/// flag bit 2, ours (WIRE.md §14): the body is websocket text. Only between peers that said `"ringway":1`.
pub const FLAG_TEXT: u8 = 4;
/// flag bit 3, ours (WIRE.md §14): the body is websocket binary. Only between peers that said `"ringway":1`.
pub const FLAG_BINARY: u8 = 8;
/// flag bit 4, ours (WIRE.md §14): the sender wants to know that this was taken. Only towards a gateway that said acks.
pub const FLAG_RECEIPT_WANTED: u8 = 16;

/// flag bit 1 of ANSWER, ours (WIRE.md §14): more of the answer follows in another frame.
pub const FLAG_MORE: u8 = 2;
/// flag bit 5, ours (WIRE.md §14): whoever sends this message wants to be told what became of it.
pub const FLAG_REPORT_WANTED: u8 = 32;

/// flag bit 6 of ON_WEBSOCKET_CONNECT, ours (WIRE.md §14): the worker answers the handshake ([`super::HandshakeAnswer`]).
pub const FLAG_ANSWER_WANTED: u8 = 64;

/// A frame, its parts borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Command number, known or not; see [`super::Cmd::from_u8`].
    pub cmd: u8,
    /// The gateway's lan ip and inner port; unspecified and 0 towards the gateway.
    pub gateway: SocketAddrV4,
    /// The client's address; unspecified and 0 for IPv6 clients and towards the gateway.
    pub client: SocketAddrV4,
    /// Which client; 0 where not meaningful.
    pub connection_id: u32,
    /// `FLAG_*` bits.
    pub flag: u8,
    /// The port clients connect to; 0 towards the gateway.
    pub gateway_port: u16,
    /// Command-dependent, see WIRE.md §4 and §5.
    pub ext: &'a [u8],
    /// Command-dependent.
    pub body: &'a [u8],
}

/// A length that cannot be right: below the header's size or over the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed inner frame")]
pub struct FrameError;

/// The first frame in `input` and its size in bytes, or `None` while it is not whole.
///
/// A length below the header's or above `size_max` ([`FRAME_SIZE_MAX`], or [`FRAME_SIZE_MAX_RINGWAY`] from a peer that
/// may) is refused as soon as its 4 bytes are there. `ext_len` beyond the packet is taken as what is there (WIRE.md §3).
pub fn decode(input: &[u8], size_max: usize) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(length) = input.first_chunk() else {
        return Ok(None);
    };
    let size = u32::from_be_bytes(*length) as usize;
    if !(HEADER_SIZE..=size_max).contains(&size) {
        return Err(FrameError);
    }
    let Some((header, payload)) = input.get(..size).and_then(|packet| packet.split_first_chunk()) else {
        return Ok(None);
    };
    Ok(Some((Frame::from_parts(header, payload), size)))
}

impl Frame<'_> {
    /// A frame towards a gateway: address fields zero, flag scalar.
    pub fn command(cmd: super::Cmd) -> Frame<'static> {
        Frame {
            cmd: cmd as u8,
            gateway: UNSPECIFIED,
            client: UNSPECIFIED,
            connection_id: 0,
            flag: FLAG_SCALAR,
            gateway_port: 0,
            ext: &[],
            body: &[],
        }
    }

    /// Size on the wire in bytes.
    pub fn size(&self) -> usize {
        HEADER_SIZE + self.ext.len() + self.body.len()
    }

    /// Appends the frame. The caller has seen to it that the peer takes one of this size; beyond
    /// [`FRAME_SIZE_MAX_RINGWAY`] it panics.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.size());
        out.extend_from_slice(&self.header());
        out.extend_from_slice(self.ext);
        out.extend_from_slice(self.body);
    }

    /// The 28 bytes that go before `ext` and `body`, for callers that send the three parts from where they are.
    /// The same condition on the size as in [`Frame::encode`].
    pub fn header(&self) -> [u8; HEADER_SIZE] {
        assert!(self.size() <= FRAME_SIZE_MAX_RINGWAY, "a frame of {} bytes must not be sent", self.size());
        let of = |size: usize| u32::try_from(size).expect("the assertion keeps both far below 2^32");
        let (size, ext_len) = (of(self.size()), of(self.ext.len()));
        let mut header = [0; HEADER_SIZE];
        header[0..4].copy_from_slice(&size.to_be_bytes());
        header[4] = self.cmd;
        header[5..9].copy_from_slice(&self.gateway.ip().octets());
        header[9..11].copy_from_slice(&self.gateway.port().to_be_bytes());
        header[11..15].copy_from_slice(&self.client.ip().octets());
        header[15..17].copy_from_slice(&self.client.port().to_be_bytes());
        header[17..21].copy_from_slice(&self.connection_id.to_be_bytes());
        header[21] = self.flag;
        header[22..24].copy_from_slice(&self.gateway_port.to_be_bytes());
        header[24..28].copy_from_slice(&ext_len.to_be_bytes());
        header
    }
}

impl<'a> Frame<'a> {
    fn from_parts(header: &[u8; HEADER_SIZE], payload: &'a [u8]) -> Frame<'a> {
        let ext_len = u32_at(header, 24) as usize;
        let (ext, body) = payload.split_at(ext_len.min(payload.len()));
        Frame {
            cmd: header[4],
            gateway: SocketAddrV4::new(Ipv4Addr::from_bits(u32_at(header, 5)), u16_at(header, 9)),
            client: SocketAddrV4::new(Ipv4Addr::from_bits(u32_at(header, 11)), u16_at(header, 15)),
            connection_id: u32_at(header, 17),
            flag: header[21],
            gateway_port: u16_at(header, 22),
            ext,
            body,
        }
    }
}

fn u32_at(header: &[u8; HEADER_SIZE], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn u16_at(header: &[u8; HEADER_SIZE], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

const UNSPECIFIED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
