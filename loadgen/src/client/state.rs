//! One client: a small state, of which a million are kept.

use tls::Session;
use uring::SocketId;

use super::wire::Wire;

/// How far a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// TCP connects, or TLS does its handshake.
    Connecting,
    /// The request was sent, its answer is awaited.
    Handshaking,
    /// Messages go both ways.
    Open,
}

/// One client. A million of them are kept, so whatever an idle one does not need is behind `backlog`.
pub(crate) struct Client {
    /// Its socket. The id differs from that of the client that had the slot before.
    pub socket: SocketId,
    /// Index of its destination in the plan.
    pub destination: u16,
    /// How far it is.
    pub stage: Stage,
    /// Its protocol, and the state of its decoder.
    pub wire: Wire,
    /// The TLS session that carries the protocol; none without TLS.
    pub session: Option<Box<Session>>,
    /// Bytes that wait, while there are any.
    pub backlog: Option<Box<Backlog>>,
}

/// Bytes that wait for more, or for room.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// The start of something not whole yet.
    pub input: Vec<u8>,
    /// What the socket had no room for. While there is any, later bytes go behind it.
    pub output: Vec<u8>,
}

/// Appends what `encode` appends to `out`, encrypted where there is TLS. `scratch` is used for that.
pub(crate) fn encode_within(
    session: &mut Option<Box<Session>>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>),
) {
    let Some(session) = session else { return encode(out) };
    scratch.clear();
    encode(scratch);
    if session.is_open() {
        // A session that is used up says nothing more: what is not sent shows as unanswered.
        let _ = session.seal(scratch, out);
    }
}

impl Client {
    /// Bytes that wait for room.
    pub(crate) fn unsent(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.output.len())
    }

    /// The backlog, made if there is none.
    pub(crate) fn backlog_mut(&mut self) -> &mut Backlog {
        self.backlog.get_or_insert_default()
    }

    /// Takes the unfinished input out, to be decoded together with the bytes behind it.
    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        self.take(|backlog| &mut backlog.input)
    }

    /// Takes what waits for room, to be sent again.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        self.take(|backlog| &mut backlog.output)
    }

    fn take(&mut self, part: fn(&mut Backlog) -> &mut Vec<u8>) -> Vec<u8> {
        let Some(backlog) = &mut self.backlog else { return Vec::new() };
        let bytes = std::mem::take(part(backlog));
        if backlog.input.is_empty() && backlog.output.is_empty() {
            self.backlog = None;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_is_small() {
        assert!(size_of::<Option<Client>>() <= 48);
    }
}
