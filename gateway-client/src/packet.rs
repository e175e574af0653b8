//! What is sent to a gateway in one piece, and what becomes of it.

use bytes::Bytes;
use tokio::sync::oneshot;

/// What is sent in one piece, and whether a reply comes back.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) bytes: Bytes,
    pub(crate) asks: Asks,
}

/// What a packet ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asks {
    /// Commands only.
    Nothing,
    /// A question.
    One,
    /// A question that the gateway may not know, and a guard ([`protocol::calls::query::guard`]).
    Guarded,
    /// So many questions.
    Many(usize),
}

/// What became of a packet, if the gateway can be reached and answered in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Done {
    /// Written; it asked nothing.
    Written,
    Reply(Vec<u8>),
    Replies(Vec<Vec<u8>>),
    /// The gateway does not know the question.
    Unknown,
}

/// What became of a packet; `None` if the gateway cannot be reached, or did not answer in time. An error of the receiver:
/// the connection was lost meanwhile, or the queue was full.
pub(crate) type Outcome = oneshot::Receiver<Option<Done>>;
