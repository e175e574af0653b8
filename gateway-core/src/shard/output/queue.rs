//! What waits to be sent on a socket.

mod sealed;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use self::sealed::Sealed;
use crate::config::{
    CHUNK_SIZE_MAX, COPY_MAX, SLICES_PER_SEND_MAX, SPARE_LARGE_MAX, SPARE_LARGE_SIZE_MAX, SPARE_SMALL_MAX,
    SPARE_SMALL_SIZE_MAX,
};

/// The bytes queued for one socket, oldest first. Costs one pointer while empty.
///
/// Invariants: a queue that is there is not empty; `sent < front chunk's length`; `bytes` is what of the chunks is still to be
/// sent. For a client with TLS the chunks are plain, and only what is `sealed` goes out.
#[derive(Default)]
pub(crate) struct OutQueue(Option<Box<Queue>>);

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    sent: usize,
    bytes: usize,
    sealed: Sealed,
}

enum Chunk {
    Own(Vec<u8>),
    Shared(Rc<[u8]>),
    /// A piece of an answer, not to be taken for frames.
    Answer(Vec<u8>),
}

impl OutQueue {
    /// Bytes still to be sent.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.bytes + queue.sealed.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Appends a copy of `bytes`.
    pub(crate) fn append(&mut self, spare: &mut Spare, load: Load, bytes: &[u8]) {
        self.append_with(spare, load, bytes.len(), |out| out.extend_from_slice(bytes));
    }

    /// Appends what `write` puts behind the end of the buffer it is given: about `size` bytes.
    pub(crate) fn append_with(
        &mut self,
        spare: &mut Spare,
        load: Load,
        size: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let queue = self.0.get_or_insert_with(|| spare.queue());
        if !matches!(queue.chunks.back(), Some(Chunk::Own(buffer)) if buffer.len() < CHUNK_SIZE_MAX) {
            queue.chunks.push_back(Chunk::Own(spare.buffer(load, size)));
        }
        let Some(Chunk::Own(buffer)) = queue.chunks.back_mut() else { unreachable!("pushed above") };
        reserve(buffer, size);
        let before = buffer.len();
        write(buffer);
        queue.bytes += buffer.len() - before;
        if queue.bytes == 0 && queue.sealed.is_empty() {
            self.clear(spare);
        }
    }

    /// Appends a piece of an answer to a query, without a copy, and apart from frames.
    pub(crate) fn append_answer(&mut self, spare: &mut Spare, piece: Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let queue = self.0.get_or_insert_with(|| spare.queue());
        queue.bytes += piece.len();
        queue.chunks.push_back(Chunk::Answer(piece));
    }

    /// What is queued is answers to queries, and frames come behind it.
    pub(crate) fn set_apart(&mut self) {
        for chunk in self.0.iter_mut().flat_map(|queue| &mut queue.chunks) {
            if let Chunk::Own(answers) = chunk {
                *chunk = Chunk::Answer(std::mem::take(answers));
            }
        }
    }

    /// On a link: whole frames in order, in pieces, from the one on that is not wholly sent; each piece with how many of its
    /// bytes are sent. A frame is appended in one piece, so none begins in one and ends in another.
    pub(crate) fn unsent_frames(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let chunks = self.0.iter().flat_map(|queue| {
            let sent = std::iter::once(queue.sent).chain(std::iter::repeat(0));
            queue.chunks.iter().zip(sent)
        });
        chunks.filter_map(|(chunk, sent)| match chunk {
            Chunk::Own(frames) => Some((frames.as_slice(), sent)),
            Chunk::Shared(_) | Chunk::Answer(_) => None,
        })
    }

    /// Appends an encoded message that other queues get too.
    pub(crate) fn append_shared(&mut self, spare: &mut Spare, load: Load, message: &SharedMessage) {
        match &message.shared {
            Some(shared) => {
                let queue = self.0.get_or_insert_with(|| spare.queue());
                queue.bytes += shared.len();
                queue.chunks.push_back(Chunk::Shared(Rc::clone(shared)));
            }
            None => self.append(spare, load, &message.bytes),
        }
    }

    /// The front of the queue, for one send.
    pub(crate) fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
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

    /// Bytes in [`OutQueue::slices`].
    pub(crate) fn offered(&self) -> usize {
        match &self.0 {
            Some(queue) if queue.chunks.len() <= SLICES_PER_SEND_MAX => queue.bytes,
            _ => self.slices().map(|slice| slice.len()).sum(),
        }
    }

    /// Forgets `count` bytes at the front: they are sent.
    pub(crate) fn advance(&mut self, spare: &mut Spare, count: usize) {
        let Some(queue) = &mut self.0 else { return debug_assert_eq!(count, 0) };
        if !queue.sealed.is_empty() {
            queue.sealed.advance(spare, count);
            if queue.bytes == 0 && queue.sealed.is_empty() {
                self.clear(spare);
            }
            return;
        }
        self.advance_chunks(spare, count);
    }

    fn advance_chunks(&mut self, spare: &mut Spare, count: usize) {
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
        if queue.bytes == 0 && queue.sealed.is_empty() {
            self.clear(spare);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, spare: &mut Spare) {
        let Some(mut queue) = self.0.take() else { return };
        // Nearly always empty by now, and a drain of nothing costs more than all the rest here.
        while let Some(chunk) = queue.chunks.pop_front() {
            if let Chunk::Own(buffer) = chunk {
                spare.keep_buffer(buffer);
            }
        }
        queue.sealed.clear(spare);
        (queue.sent, queue.bytes) = (0, 0);
        spare.keep_queue(queue);
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Own(buffer) | Chunk::Answer(buffer) => buffer,
            Chunk::Shared(shared) => shared,
        }
    }
}

/// A message encoded once for many queues: copied while small, shared when not.
pub(crate) struct SharedMessage {
    bytes: Vec<u8>,
    shared: Option<Rc<[u8]>>,
}

impl SharedMessage {
    pub(crate) fn new(encoded: Vec<u8>) -> SharedMessage {
        if encoded.len() <= COPY_MAX {
            return SharedMessage { bytes: encoded, shared: None };
        }
        SharedMessage { bytes: Vec::new(), shared: Some(encoded.into()) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.shared.as_deref().unwrap_or(&self.bytes)
    }
}

/// Makes room for `size` bytes more. A buffer that a burst has grown is then of a size that is kept, not just above it.
fn reserve(buffer: &mut Vec<u8>, size: usize) {
    let size = buffer.len() + size;
    if size > buffer.capacity() {
        let whole = if size <= SPARE_LARGE_SIZE_MAX { size.next_power_of_two() } else { size };
        buffer.reserve_exact(whole - buffer.len());
    }
}

/// How much a queue usually holds, and so which buffer it begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Load {
    /// A message or a few, as for a client.
    #[default]
    Light,
    /// What many clients say in one turn, as for a worker.
    Heavy,
}

/// Emptied buffers kept for the next message, so that the steady state does not allocate. Small and large ones apart:
/// in one heap each would grow, sooner or later, to the size of the largest.
#[derive(Default)]
pub(crate) struct Spare {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    #[expect(clippy::vec_box, reason = "the boxes themselves are what is kept for reuse")]
    queues: Vec<Box<Queue>>,
}

impl Spare {
    /// One for `size` bytes as a start.
    fn buffer(&mut self, load: Load, size: usize) -> Vec<u8> {
        match load {
            // What grows beyond a small one is none any more, and there would be one less.
            Load::Light if size > SPARE_SMALL_SIZE_MAX => self.large.pop().unwrap_or_default(),
            Load::Light => self.small.pop().unwrap_or_default(),
            Load::Heavy => self.large.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_SIZE_MAX)),
        }
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        match buffer.capacity() {
            ..=SPARE_SMALL_SIZE_MAX if self.small.len() < SPARE_SMALL_MAX => self.small.push(buffer),
            ..=SPARE_LARGE_SIZE_MAX if self.large.len() < SPARE_LARGE_MAX => self.large.push(buffer),
            _ => {}
        }
    }

    fn queue(&mut self) -> Box<Queue> {
        self.queues.pop().unwrap_or_default()
    }

    fn keep_queue(&mut self, queue: Box<Queue>) {
        if self.queues.len() < SPARE_SMALL_MAX {
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
        queue.append(&mut spare, Load::Light, b"one ");
        queue.append_shared(&mut spare, Load::Light, &SharedMessage::new(b"two ".to_vec()));
        queue.append(&mut spare, Load::Light, b"three");
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
        queue.append(&mut spare, Load::Light, b"a");
        queue.append_shared(&mut spare, Load::Light, &SharedMessage::new(large.clone()));
        queue.append(&mut spare, Load::Light, b"b");
        let all = [b"a".as_slice(), &large, b"b"].concat();
        assert_eq!(content(&queue), all);
        for sent in 0..all.len() {
            assert_eq!((content(&queue), queue.len()), (all[sent..].to_vec(), all.len() - sent));
            queue.advance(&mut spare, 1);
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_owned_keeps_its_place() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        let large = vec![7; 3 * CHUNK_SIZE_MAX];
        for piece in [vec![], b"a".to_vec(), large.clone(), b"b".to_vec(), vec![]] {
            queue.append_answer(&mut spare, piece);
        }
        assert_eq!(content(&queue), [b"a".as_slice(), &large, b"b"].concat());
        queue.advance(&mut spare, queue.len());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_burst_leaves_a_buffer_that_is_kept() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        for _ in 0..20 {
            queue.append(&mut spare, Load::Light, &[7; 66]);
        }
        queue.advance(&mut spare, queue.len());
        assert_eq!((spare.small.len(), spare.large.len()), (1, 0));
    }

    #[test]
    fn what_is_offered_is_what_the_slices_hold() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        let shared = SharedMessage::new(vec![7; COPY_MAX + 1]);
        for _ in 0..2 * SLICES_PER_SEND_MAX {
            let bytes: usize = queue.slices().map(|slice| slice.len()).sum();
            assert_eq!(queue.offered(), bytes);
            queue.append_shared(&mut spare, Load::Light, &shared);
        }
        assert!(queue.offered() < queue.len());
    }

    #[test]
    fn nothing_appended_is_nothing_queued() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        queue.append(&mut spare, Load::Light, b"");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_used_buffer_comes_back() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        queue.append(&mut spare, Load::Light, b"x");
        queue.advance(&mut spare, 1);
        assert_eq!((spare.small.len(), spare.queues.len()), (1, 1));
        queue.append(&mut spare, Load::Light, b"y");
        assert_eq!((spare.small.len(), spare.queues.len()), (0, 0));
        assert_eq!(content(&queue), b"y");
    }

    #[test]
    fn a_grown_buffer_goes_to_who_needs_it() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        for (size, kept) in [
            (SPARE_SMALL_SIZE_MAX, (1, 0)),
            (SPARE_LARGE_SIZE_MAX, (0, 1)),
            (SPARE_LARGE_SIZE_MAX + 1, (0, 0)),
        ] {
            queue.append(&mut spare, Load::Light, &vec![7; size]);
            queue.clear(&mut spare);
            assert_eq!((spare.small.len(), spare.large.len()), kept, "{size}");
            (spare.small, spare.large) = Default::default();
        }
    }

    #[test]
    fn spare_buffers_are_bounded() {
        let mut spare = Spare::default();
        for _ in 0..2 * (SPARE_SMALL_MAX + SPARE_LARGE_MAX) {
            spare.keep_buffer(Vec::with_capacity(1));
            spare.keep_buffer(Vec::with_capacity(SPARE_LARGE_SIZE_MAX));
        }
        assert_eq!((spare.small.len(), spare.large.len()), (SPARE_SMALL_MAX, SPARE_LARGE_MAX));
    }
}
