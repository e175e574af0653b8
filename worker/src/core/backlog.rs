//! What one core has queued towards all its gateways, and what follows from it for the handlers it starts.
//!
//! A command is never dropped while its link lives: what handlers have said is kept, however much. So the limit is on
//! what is begun. An event of a gateway that takes too little is not started, and none at all while all outboxes
//! together are too large. What is still too much, said by handlers that had begun, or by spawned futures, costs the
//! fullest link.

use crate::config::{OUTBOXES_BYTES_MAX, OUTBOXES_START_BYTES_MAX};

/// Bytes that one core has queued towards all its gateways.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: usize,
}

impl Backlog {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, size: usize) {
        self.bytes += size;
    }

    /// Notes that so much was sent or forgotten.
    pub(super) fn take(&mut self, size: usize) {
        self.bytes -= size;
    }

    /// Whether handlers may be started at all.
    pub(super) fn lets_start(&self) -> bool {
        self.bytes <= OUTBOXES_START_BYTES_MAX
    }

    /// Whether a link has to go.
    pub(super) fn is_too_much(&self) -> bool {
        self.bytes > OUTBOXES_BYTES_MAX
    }
}

/// Whether a gateway takes too little for its clients' events to be started: half of `bytes_max` is queued. The other
/// half is for what handlers of other gateways' clients say there meanwhile.
pub(super) fn is_behind(queued_bytes: usize, bytes_max: usize) -> bool {
    queued_bytes >= (bytes_max / 2).max(1)
}
