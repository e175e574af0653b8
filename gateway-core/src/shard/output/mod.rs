//! What the shard wants done: bytes to send, and actions on sockets.

pub(super) mod queue;

use std::mem;

use uring::{Short, SocketId};

use crate::config::COPY_MAX;
use crate::shard::Action;
use crate::shard::links::LinkId;
use crate::shard::output::queue::{Load, OutQueue, SharedMessage, Spare};

/// One socket's outgoing side.
#[derive(Default)]
pub(crate) struct Outbound {
    pub queue: OutQueue,
    load: Load,
    /// Listed in [`Output::dirty`].
    dirty: bool,
    /// A send fell short; waits for room.
    blocked: bool,
}

impl Outbound {
    /// For much: a link's.
    pub(crate) fn heavy() -> Outbound {
        Outbound { load: Load::Heavy, ..Outbound::default() }
    }

    /// Bytes for the next send: with TLS only those that are encrypted.
    pub(crate) fn offered(&self, has_tls: bool) -> usize {
        let plain = if has_tls { 0 } else { self.queue.offered() };
        self.queue.sealed().map_or(0, |sealed| sealed.len()) + plain
    }

    /// Whether the kernel has no room for what is queued.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }
}

/// Collected for the glue until the end of the batch.
#[derive(Default)]
pub(crate) struct Output {
    pub spare: Spare,
    pub actions: Vec<Action>,
    /// Links of which the kernel is to be asked what their peers have acknowledged.
    pub unheard: Vec<LinkId>,
    /// Answers of codecs on their way to a queue; kept for its memory.
    pub reply: Vec<u8>,
    /// What fell short in a batch of sends; kept for its memory.
    pub short: Vec<Short>,
    dirty: Vec<SocketId>,
    /// Empty; kept for its memory.
    batch: Vec<SocketId>,
}

impl Output {
    /// Queues the little that `write` appends.
    pub(crate) fn append_with(
        &mut self,
        socket: SocketId,
        out: &mut Outbound,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.append_message(socket, out, 0, write);
    }

    /// Queues what `write` appends: about `size` bytes.
    pub(crate) fn append_message(
        &mut self,
        socket: SocketId,
        out: &mut Outbound,
        size: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        out.queue.append_with(&mut self.spare, out.load, size, write);
        self.mark(socket, out);
    }

    /// Queues a copy of `bytes`.
    pub(crate) fn append(&mut self, socket: SocketId, out: &mut Outbound, bytes: &[u8]) {
        out.queue.append(&mut self.spare, out.load, bytes);
        self.mark(socket, out);
    }

    /// Queues a message that other sockets get too.
    pub(crate) fn append_shared(&mut self, socket: SocketId, out: &mut Outbound, message: &SharedMessage) {
        out.queue.append_shared(&mut self.spare, out.load, message);
        self.mark(socket, out);
    }

    /// Queues a piece of an answer: apart from frames where there are any (`among_frames`), else without a copy if it is large.
    pub(crate) fn append_answer(
        &mut self,
        socket: SocketId,
        out: &mut Outbound,
        among_frames: bool,
        piece: Vec<u8>,
    ) {
        if !among_frames && piece.len() <= COPY_MAX {
            return self.append(socket, out, &piece);
        }
        out.queue.append_answer(&mut self.spare, piece);
        self.mark(socket, out);
    }

    /// Queues bytes that are encrypted already.
    pub(crate) fn append_sealed(&mut self, socket: SocketId, out: &mut Outbound, bytes: &[u8]) {
        out.queue.append_sealed(&mut self.spare, bytes);
        self.mark(socket, out);
    }

    /// Room again after a short send.
    pub(crate) fn unblock(&mut self, socket: SocketId, out: &mut Outbound) {
        out.blocked = false;
        self.mark(socket, out);
    }

    /// `sent` bytes are gone; `short` says that the kernel had no room for more.
    pub(crate) fn sent(&mut self, socket: SocketId, out: &mut Outbound, sent: usize, short: bool) {
        (out.dirty, out.blocked) = (false, short);
        out.queue.advance(&mut self.spare, sent);
        self.mark(socket, out);
    }

    /// Sockets with something to send, which is now the caller's to do.
    pub(crate) fn take_dirty(&mut self) -> Vec<SocketId> {
        mem::replace(&mut self.dirty, mem::take(&mut self.batch))
    }

    /// Keeps the memory of a list that is done with.
    pub(crate) fn keep_batch(&mut self, mut batch: Vec<SocketId>) {
        batch.clear();
        self.batch = batch;
    }

    /// Sockets that have something to send.
    pub(crate) fn dirty_count(&self) -> usize {
        self.dirty.len()
    }

    /// Whether anything waits to be sent or done.
    pub(crate) fn is_pending(&self) -> bool {
        !(self.dirty.is_empty() && self.actions.is_empty() && self.unheard.is_empty())
    }

    fn mark(&mut self, socket: SocketId, out: &mut Outbound) {
        if !out.dirty && !out.blocked && !out.queue.is_empty() {
            out.dirty = true;
            self.dirty.push(socket);
        }
    }
}
