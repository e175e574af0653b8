//! What waits to be sent on a socket.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use crate::config::{
    CHUNK_SIZE_MAX, COPY_MAX, SLICES_PER_SEND_MAX, SPARE_BUFFER_SIZE_MAX, SPARE_BUFFERS_MAX,
};

/// The bytes queued for one socket, oldest first. Costs one pointer while empty.
///
/// Invariants: a queue that is there is not empty; `sent < front chunk's length`; `bytes` is what is still to be sent.
#[derive(Default)]
pub struct OutQueue(Option<Box<Queue>>);

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    sent: usize,
    bytes: usize,
}

enum Chunk {
    Own(Vec<u8>),
    Shared(Rc<[u8]>),
}

impl OutQueue {
    /// Bytes still to be sent.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Appends a copy of `bytes`.
    pub fn append(&mut self, spare: &mut Spare, bytes: &[u8]) {
        self.append_with(spare, |out| out.extend_from_slice(bytes));
    }

    /// Appends what `write` puts behind the end of the buffer it is given.
    pub fn append_with(&mut self, spare: &mut Spare, write: impl FnOnce(&mut Vec<u8>)) {
        let queue = self.0.get_or_insert_with(|| spare.queue());
        if !matches!(queue.chunks.back(), Some(Chunk::Own(buffer)) if buffer.len() < CHUNK_SIZE_MAX) {
            queue.chunks.push_back(Chunk::Own(spare.buffer()));
        }
        let Some(Chunk::Own(buffer)) = queue.chunks.back_mut() else { unreachable!("pushed above") };
        let before = buffer.len();
        write(buffer);
        queue.bytes += buffer.len() - before;
        if queue.bytes == 0 {
            self.clear(spare);
        }
    }

    /// Appends an encoded message that other queues get too.
    pub fn append_shared(&mut self, spare: &mut Spare, message: &SharedMessage) {
        match &message.shared {
            Some(shared) => {
                let queue = self.0.get_or_insert_with(|| spare.queue());
                queue.bytes += shared.len();
                queue.chunks.push_back(Chunk::Shared(Rc::clone(shared)));
            }
            None => self.append(spare, &message.bytes),
        }
    }

    /// The front of the queue, for one send.
    pub fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        let (chunks, sent) = match &self.0 {
            Some(queue) => (queue.chunks.range(..), queue.sent),
            None => (Default::default(), 0),
        };
        let starts = std::iter::once(sent).chain(std::iter::repeat(0));
        chunks
            .zip(starts)
            .take(SLICES_PER_SEND_MAX)
            .map(|(chunk, start)| IoSlice::new(&chunk.bytes()[start..]))
    }

    /// Forgets `count` bytes at the front: they are sent.
    pub fn advance(&mut self, spare: &mut Spare, count: usize) {
        let Some(queue) = &mut self.0 else { return debug_assert_eq!(count, 0) };
        debug_assert!(count <= queue.bytes);
        queue.bytes -= count;
        queue.sent += count;
        while let Some(front) = queue.chunks.front()
            && queue.sent >= front.bytes().len()
        {
            queue.sent -= front.bytes().len();
            if let Some(Chunk::Own(buffer)) = queue.chunks.pop_front() {
                spare.keep_buffer(buffer);
            }
        }
        if queue.bytes == 0 {
            self.clear(spare);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self, spare: &mut Spare) {
        let Some(mut queue) = self.0.take() else { return };
        for chunk in queue.chunks.drain(..) {
            if let Chunk::Own(buffer) = chunk {
                spare.keep_buffer(buffer);
            }
        }
        (queue.sent, queue.bytes) = (0, 0);
        spare.keep_queue(queue);
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Own(buffer) => buffer,
            Chunk::Shared(shared) => shared,
        }
    }
}

/// A message encoded once for many queues: copied while small, shared when not.
pub struct SharedMessage {
    bytes: Vec<u8>,
    shared: Option<Rc<[u8]>>,
}

impl SharedMessage {
    pub fn new(encoded: Vec<u8>) -> SharedMessage {
        if encoded.len() <= COPY_MAX {
            return SharedMessage { bytes: encoded, shared: None };
        }
        SharedMessage { bytes: Vec::new(), shared: Some(encoded.into()) }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.shared.as_deref().unwrap_or(&self.bytes)
    }
}

/// Emptied buffers kept for the next message, so that the steady state does not allocate.
#[derive(Default)]
pub struct Spare {
    buffers: Vec<Vec<u8>>,
    #[expect(clippy::vec_box, reason = "the boxes themselves are what is kept for reuse")]
    queues: Vec<Box<Queue>>,
}

impl Spare {
    fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < SPARE_BUFFERS_MAX && buffer.capacity() <= SPARE_BUFFER_SIZE_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    fn queue(&mut self) -> Box<Queue> {
        self.queues.pop().unwrap_or_default()
    }

    fn keep_queue(&mut self, queue: Box<Queue>) {
        if self.queues.len() < SPARE_BUFFERS_MAX {
            self.queues.push(queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(queue: &OutQueue) -> Vec<u8> {
        queue.slices().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn small_messages_gather_in_one_slice() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        queue.append(&mut spare, b"one ");
        queue.append_shared(&mut spare, &SharedMessage::new(b"two ".to_vec()));
        queue.append(&mut spare, b"three");
        assert_eq!(queue.slices().count(), 1);
        assert_eq!(content(&queue), b"one two three");
        queue.advance(&mut spare, 5);
        assert_eq!((content(&queue), queue.len()), (b"wo three".to_vec(), 8));
        queue.advance(&mut spare, 8);
        assert!(queue.is_empty() && queue.slices().next().is_none());
    }

    #[test]
    fn large_messages_are_shared_and_keep_their_place() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        let large = vec![7; COPY_MAX + 1];
        queue.append(&mut spare, b"a");
        queue.append_shared(&mut spare, &SharedMessage::new(large.clone()));
        queue.append(&mut spare, b"b");
        let all = [b"a".as_slice(), &large, b"b"].concat();
        assert_eq!(content(&queue), all);
        for sent in 0..all.len() {
            assert_eq!((content(&queue), queue.len()), (all[sent..].to_vec(), all.len() - sent));
            queue.advance(&mut spare, 1);
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn nothing_appended_is_nothing_queued() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        queue.append(&mut spare, b"");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_used_buffer_comes_back() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        queue.append(&mut spare, b"x");
        queue.advance(&mut spare, 1);
        assert_eq!((spare.buffers.len(), spare.queues.len()), (1, 1));
        queue.append(&mut spare, b"y");
        assert_eq!((spare.buffers.len(), spare.queues.len()), (0, 0));
        assert_eq!(content(&queue), b"y");
    }
}
