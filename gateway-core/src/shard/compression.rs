//! Messages compressed and inflated (RFC 7692): what all clients of the shard share for that.

use protocol::client::websocket::{Deflater, Inflater, Websocket};
use protocol::client::{Kind, Malformed, Protocol};

use crate::config::COMPRESSION_BUFFER_KEPT_MAX;
use crate::{Counters, Settings};

/// One deflater and one inflater, which begin anew with each message.
pub(crate) struct Compression {
    deflater: Deflater,
    inflater: Inflater,
    min_size: usize,
    inflated_size_max: usize,
    /// A message on its way; kept for its memory.
    buffer: Vec<u8>,
    messages_compressed: u64,
    saved_bytes: u64,
    messages_inflated: u64,
}

impl Compression {
    /// `None`: no listener has it.
    pub(crate) fn new(settings: &Settings) -> Option<Box<Compression>> {
        let mut websockets = settings.listen.iter().filter_map(|listen| listen.protocol.websocket());
        websockets.any(|websocket| websocket.compression).then(|| {
            Box::new(Compression {
                deflater: Deflater::new(settings.compression_level),
                inflater: Inflater::default(),
                min_size: settings.compress_min_size,
                inflated_size_max: settings.max_inflated_size.unwrap_or(settings.max_package_size),
                buffer: Vec::new(),
                messages_compressed: 0,
                saved_bytes: 0,
                messages_inflated: 0,
            })
        })
    }

    /// Adds what was counted.
    pub(crate) fn count(&self, counters: &mut Counters) {
        counters.messages_compressed = self.messages_compressed;
        counters.compression_saved_bytes = self.saved_bytes;
        counters.messages_inflated = self.messages_inflated;
    }

    /// Whether a message is large enough to be compressed.
    pub(crate) fn is_for(&self, body: &[u8]) -> bool {
        body.len() >= self.min_size
    }

    /// Appends a message as clients get it that have agreed to compression: compressed, unless that makes it no smaller.
    pub(crate) fn encode(&mut self, websocket: &Websocket, body: &[u8], kind: Kind, out: &mut Vec<u8>) {
        self.deflater.deflate(body, &mut self.buffer);
        self.messages_compressed += 1;
        match body.len().checked_sub(self.buffer.len()) {
            None | Some(0) => websocket.encode(body, kind, out),
            Some(saved) => {
                self.saved_bytes += saved as u64;
                websocket.encode_deflated(body, &self.buffer, kind, out);
            }
        }
        self.buffer.shrink_to(COMPRESSION_BUFFER_KEPT_MAX);
    }

    /// The message in what a client sent compressed, to be given back by [`Compression::keep`].
    pub(crate) fn inflate(
        &mut self,
        websocket: &Websocket,
        payload: &[u8],
        kind: Kind,
    ) -> Result<Vec<u8>, Malformed> {
        self.messages_inflated += 1;
        let mut message = std::mem::take(&mut self.buffer);
        let inflated =
            websocket.inflate(&mut self.inflater, (payload, kind), self.inflated_size_max, &mut message);
        match inflated {
            Ok(()) => Ok(message),
            Err(malformed) => {
                self.keep(message);
                Err(malformed)
            }
        }
    }

    /// Keeps the memory of a message that is done with.
    pub(crate) fn keep(&mut self, mut message: Vec<u8>) {
        message.clear();
        message.shrink_to(COMPRESSION_BUFFER_KEPT_MAX);
        self.buffer = message;
    }
}
