//! Client protocols: the contract, and the four that come with it.
//!
//! A [`Codec`] is one client's decoding state; it owns positions and half-done messages, never a socket. A
//! [`Protocol`] belongs to a listener: it makes codecs and encodes what goes out, once for all its clients.
//! Both can be implemented outside this crate. The codecs here are plain data, so that a client can be handed over
//! to another process. What a proxy says in front of all that is [`proxy_protocol`].
//!
//! ```
//! use ringway_protocol::client::{Codec, Decoded, Limits, text::TextCodec};
//!
//! let mut codec = TextCodec::default();
//! let limits = Limits::new(1024);
//! let mut input = b"hello\r\nwor".to_vec();
//! let mut reply = Vec::new();
//! let Decoded::Message { consumed, body, .. } = codec.decode(&limits, &mut input, &mut reply) else { panic!() };
//! assert_eq!((consumed, body), (7, &b"hello"[..]));
//! let rest = codec.decode(&limits, &mut input[7..], &mut reply);
//! assert!(matches!(rest, Decoded::NeedMore { consumed: 0 }));
//! ```

pub mod frame;
pub mod proxy_protocol;
pub mod tcp;
pub mod text;
pub mod websocket;

/// What a message is to a websocket client. Other protocols do not know the difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Not said: the gateway's `--websocket-type` decides.
    #[default]
    Unspecified,
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// Bounds that a listener sets on its clients' messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The largest message in bytes, headers included, as WIRE.md §10 counts them: a text line with its newline, a
    /// frame with its length, the payloads of a websocket message with the header of its last frame. Beyond:
    /// [`Malformed::TooLarge`]. PHP's default is 10485760.
    pub package_size_max: usize,
    /// The largest head of a websocket's request in bytes, with its blank line. Beyond: refused with 431,
    /// [`Malformed::HeadTooLarge`].
    pub head_size_max: usize,
    /// The most frames of one websocket message. Beyond: [`Malformed::Fragments`].
    pub fragments_max: usize,
}

impl Limits {
    /// Of messages up to this size; of all else as a gateway has it unless told otherwise.
    pub const fn new(package_size_max: usize) -> Limits {
        Limits { package_size_max, head_size_max: websocket::HANDSHAKE_SIZE_MAX, fragments_max: usize::MAX }
    }
}

/// What a decoder made of the bytes so far.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// No whole unit in what is left. The caller drops `consumed` bytes, keeps the rest, and calls again with the rest
    /// and more behind it.
    NeedMore {
        /// Bytes at the start of the input that the codec has taken over (0 for protocols that wait for a whole unit).
        consumed: usize,
    },
    /// A whole message.
    Message {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// The message, borrowed from the input or from the codec; valid until the next call.
        body: &'a [u8],
        /// What kind the sender said it is.
        kind: Kind,
    },
    /// A whole websocket message that is compressed, which codecs give only where that was agreed upon: inflate it with
    /// [`websocket::Websocket::inflate`].
    Deflated {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// What came, borrowed as the body of [`Decoded::Message`] is.
        payload: &'a [u8],
        /// What kind the sender said it is; nothing of that is checked.
        kind: Kind,
    },
    /// A websocket handshake asks to be accepted: answer it with [`websocket::Request::accept`] or
    /// [`websocket::Request::refuse`]. The codec is open from here on.
    Handshake {
        /// Bytes of the input that are done with.
        consumed: usize,
        /// The request, borrowed from the input.
        request: websocket::Request<'a>,
    },
    /// The peer takes its leave; the answer, if it wants one, is in `reply`. Send that, then close.
    Close {
        /// Bytes of the input that are done with.
        consumed: usize,
    },
    /// The peer broke the protocol; last words, if there are any, are in `reply`. Send them, then close.
    Malformed(Malformed),
}

/// How a peer broke its protocol. For counting; the connection ends in any case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Malformed {
    /// A message over [`Limits::package_size_max`].
    #[error("message too large")]
    TooLarge,
    /// A request over [`Limits::head_size_max`], or with more than [`websocket::HEADER_COUNT_MAX`] headers.
    #[error("request head too large")]
    HeadTooLarge,
    /// A message in more than [`Limits::fragments_max`] frames.
    #[error("too many fragments")]
    Fragments,
    /// A handshake that is not one.
    #[error("bad handshake")]
    Handshake,
    /// A rule of the framing broken.
    #[error("protocol violated")]
    Protocol,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// A message that is said to be compressed, and is not.
    #[error("bad compression")]
    Compression,
}

/// One client's decoding state.
///
/// The gateway calls [`Codec::decode`] again and again on what is left, also when that is nothing, until it says
/// [`Decoded::NeedMore`]; then with more bytes behind the rest. A codec may count on the rest being the same bytes as
/// before, and frees the memory of the last message in that final call. After [`Decoded::Close`] and
/// [`Decoded::Malformed`] there is no next call, unless the codec [leaves](Codec::awaits_close).
pub trait Codec {
    /// Decodes the next unit of `input`, which is the codec's to change (unmasking happens in place). Answers that
    /// the protocol itself demands (a pong, a close frame) are appended to `reply`, to be sent in this order.
    ///
    /// However the input is cut into calls, the units and the replies are the same. No input may make it panic, and
    /// what it keeps must be bounded by `limits` and by what really arrived.
    fn decode<'a>(&'a mut self, limits: &Limits, input: &'a mut [u8], reply: &mut Vec<u8>) -> Decoded<'a>;

    /// Bytes that the codec itself keeps of a message that is not whole; those that it leaves in the input are known
    /// anyway. A client that makes the gateway hold too much is closed.
    fn kept_size(&self) -> usize {
        0
    }

    /// Whether messages may be sent. Before that the gateway holds them back; afterwards there is nobody to send to.
    fn is_open(&self) -> bool {
        true
    }

    /// We have said that we close ([`Protocol::encode_close`]). Called while the codec is open; what was not consumed
    /// before comes again.
    fn begin_close(&mut self) {}

    /// Whether we have said that we close, and the peer's answer to that is awaited. Meanwhile [`Codec::decode`]
    /// consumes and drops whatever comes, and [`Decoded::Close`] says that the answer was in it.
    fn awaits_close(&self) -> bool {
        false
    }
}

/// A client protocol as a listener speaks it. Shared by all shards.
#[expect(unused_variables, reason = "what nobody overrides takes notice of nothing")]
pub trait Protocol: Send + Sync + 'static {
    /// The state of a new client.
    fn codec(&self) -> Box<dyn Codec>;

    /// Appends `body` as the wire wants it.
    fn encode(&self, body: &[u8], kind: Kind, out: &mut Vec<u8>);

    /// Appends what is said before the server closes, if anything is (`code` and `reason` as in RFC 6455 §7.4).
    fn encode_close(&self, code: u16, reason: &str, out: &mut Vec<u8>) {}

    /// Appends a protocol-level ping, if the protocol has one; returns whether it has.
    fn encode_ping(&self, out: &mut Vec<u8>) -> bool {
        false
    }
}

/// Whether `input` begins with `word`, or is the beginning of it.
fn begins_alike(input: &[u8], word: &[u8]) -> bool {
    input.iter().zip(word).all(|(byte, expected)| byte == expected)
}
