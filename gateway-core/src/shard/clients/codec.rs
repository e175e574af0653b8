//! A client's codec, one of the built-in ones without a box around it.

use protocol::client::frame::FrameCodec;
use protocol::client::tcp::TcpCodec;
use protocol::client::text::TextCodec;
use protocol::client::websocket::WebsocketCodec;
use protocol::client::{Codec, Decoded, Limits, Malformed};
use tracing::error;

use crate::ListenProtocol;

/// Any client's codec.
pub(crate) enum AnyCodec {
    Websocket(WebsocketCodec),
    Text(TextCodec),
    Frame(FrameCodec),
    Tcp(TcpCodec),
    /// Boxed twice: a pointer of one word leaves every client of the built-in ones a word smaller.
    Custom(Box<Box<dyn Codec>>),
    /// Stands in until the worker has answered the handshake: what comes behind that is left in the input.
    Unanswered(Box<WebsocketCodec>),
    /// Stands in until TLS stands: nothing is decoded before that.
    Securing,
}

impl AnyCodec {
    pub(crate) fn new(protocol: &ListenProtocol) -> AnyCodec {
        match protocol {
            ListenProtocol::Websocket(websocket) => AnyCodec::Websocket(WebsocketCodec::new(*websocket)),
            ListenProtocol::Text => AnyCodec::Text(TextCodec::default()),
            ListenProtocol::Frame => AnyCodec::Frame(FrameCodec),
            ListenProtocol::Tcp => AnyCodec::Tcp(TcpCodec),
            ListenProtocol::Custom(protocol) => AnyCodec::Custom(Box::new(protocol.codec())),
        }
    }

    pub(crate) fn decode<'a>(
        &'a mut self,
        limits: &Limits,
        input: &'a mut [u8],
        reply: &mut Vec<u8>,
    ) -> Decoded<'a> {
        match self {
            AnyCodec::Websocket(codec) => codec.decode(limits, input, reply),
            AnyCodec::Text(codec) => codec.decode(limits, input, reply),
            AnyCodec::Frame(codec) => codec.decode(limits, input, reply),
            AnyCodec::Tcp(codec) => codec.decode(limits, input, reply),
            AnyCodec::Custom(codec) => {
                let decoded = program::catch(|| codec.decode(limits, input, reply));
                decoded.unwrap_or_else(|panic| {
                    error!("a protocol of the gateway's own panicked, its client goes: {panic}");
                    Decoded::Malformed(Malformed::Protocol)
                })
            }
            AnyCodec::Securing | AnyCodec::Unanswered(_) => Decoded::NeedMore { consumed: 0 },
        }
    }

    /// Bytes of a message that is not whole which the codec keeps.
    pub(crate) fn kept_size(&self) -> usize {
        match self {
            AnyCodec::Websocket(codec) => codec.kept_size(),
            AnyCodec::Custom(codec) => codec.kept_size(),
            AnyCodec::Securing
            | AnyCodec::Unanswered(_)
            | AnyCodec::Text(_)
            | AnyCodec::Frame(_)
            | AnyCodec::Tcp(_) => 0,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        match self {
            AnyCodec::Websocket(codec) => codec.is_open(),
            AnyCodec::Custom(codec) => codec.is_open(),
            AnyCodec::Securing | AnyCodec::Unanswered(_) => false,
            AnyCodec::Text(_) | AnyCodec::Frame(_) | AnyCodec::Tcp(_) => true,
        }
    }

    /// Whether messages may be compressed.
    pub(crate) fn deflates(&self) -> bool {
        matches!(self, AnyCodec::Websocket(codec) if codec.deflates())
    }

    /// Whether a handshake over HTTP is to be answered.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            AnyCodec::Websocket(codec) => codec.is_handshaking(),
            codec => codec.is_unanswered(),
        }
    }

    /// Whether its worker has still to answer its handshake.
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self, AnyCodec::Unanswered(_))
    }

    /// The same client, once its handshake has been left to its worker.
    pub(crate) fn unanswered(self) -> AnyCodec {
        match self {
            AnyCodec::Websocket(codec) => AnyCodec::Unanswered(Box::new(codec)),
            codec => codec,
        }
    }

    /// See [`Codec::begin_close`].
    pub(crate) fn begin_close(&mut self) {
        match self {
            AnyCodec::Websocket(codec) => codec.begin_close(),
            AnyCodec::Custom(codec) => codec.begin_close(),
            AnyCodec::Securing
            | AnyCodec::Unanswered(_)
            | AnyCodec::Text(_)
            | AnyCodec::Frame(_)
            | AnyCodec::Tcp(_) => {}
        }
    }

    /// See [`Codec::awaits_close`].
    pub(crate) fn awaits_close(&self) -> bool {
        match self {
            AnyCodec::Websocket(codec) => codec.awaits_close(),
            AnyCodec::Custom(codec) => codec.awaits_close(),
            AnyCodec::Securing
            | AnyCodec::Unanswered(_)
            | AnyCodec::Text(_)
            | AnyCodec::Frame(_)
            | AnyCodec::Tcp(_) => false,
        }
    }
}

impl Default for AnyCodec {
    /// Stands in while the real one is out for decoding; allocates nothing.
    fn default() -> AnyCodec {
        AnyCodec::Tcp(TcpCodec)
    }
}
