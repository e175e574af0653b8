//! Copies of what was sent, for as long as it may have to be sent again: oldest first, in a few buffers.

use std::collections::VecDeque;

use crate::config::{CHUNK_SIZE_MAX, RETAINED_CHUNKS_SPARE};

/// Records of any size, oldest first. Who asks knows their sizes.
///
/// Invariants: a record lies in one chunk, which never grows; none is used up; `bytes` is what of the chunks is not forgotten.
#[derive(Default)]
pub(super) struct Retained {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that are forgotten.
    start: usize,
    bytes: usize,
    /// Empty, for the next records.
    spare: Vec<Vec<u8>>,
}

impl Retained {
    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        let has_room = |chunk: &Vec<u8>| chunk.len() + record.len() <= chunk.capacity();
        if !self.chunks.back().is_some_and(has_room) {
            let chunk = match record.len() {
                ..=CHUNK_SIZE_MAX => self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_SIZE_MAX)),
                size => Vec::with_capacity(size),
            };
            self.chunks.push_back(chunk);
        }
        let chunk = self.chunks.back_mut().expect("pushed above");
        chunk.extend_from_slice(record);
        self.bytes += record.len();
    }

    /// The oldest record, of this size.
    pub(super) fn first(&self, size: usize) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| &chunk[self.start..self.start + size])
    }

    /// Forgets the oldest record, of this size.
    pub(super) fn pop(&mut self, size: usize) {
        self.bytes -= size;
        self.start += size;
        if self.chunks.front().is_none_or(|chunk| self.start < chunk.len()) {
            return;
        }
        self.start = 0;
        if let Some(mut chunk) = self.chunks.pop_front()
            && chunk.capacity() <= CHUNK_SIZE_MAX
            && self.spare.len() < RETAINED_CHUNKS_SPARE
        {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// All records, oldest first, of these sizes.
    pub(super) fn records(&self, sizes: impl Iterator<Item = usize>) -> impl Iterator<Item = &[u8]> {
        let (mut chunk, mut at) = (0, self.start);
        sizes.map(move |size| {
            if at >= self.chunks[chunk].len() {
                (chunk, at) = (chunk + 1, 0);
            }
            at += size;
            &self.chunks[chunk][at - size..at]
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn what_is_kept_is_what_was_pushed_and_not_popped() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut retained, mut model) = (Retained::default(), VecDeque::new());
        for round in 0..20_000_u32 {
            let is_full = model.len() > 200 || round > 15_000;
            if random.usize(..10) < if is_full { 3 } else { 6 } {
                let size = if random.usize(..100) == 0 { 2 * CHUNK_SIZE_MAX } else { random.usize(1..2_000) };
                let record = vec![random.u8(..); size];
                retained.push(&record);
                model.push_back(record);
            } else if let Some(record) = model.pop_front() {
                assert_eq!(retained.first(record.len()), record);
                retained.pop(record.len());
            }
            assert_eq!(retained.len(), model.iter().map(Vec::len).sum::<usize>());
            if round % 50 == 0 {
                assert!(retained.records(model.iter().map(Vec::len)).eq(model.iter().map(Vec::as_slice)));
            }
        }
        while let Some(record) = model.pop_front() {
            retained.pop(record.len());
        }
        assert!(retained.chunks.is_empty() && retained.len() == 0);
        assert_eq!(retained.spare.len(), RETAINED_CHUNKS_SPARE);
    }

    #[test]
    fn little_at_a_time_needs_one_buffer() {
        let mut retained = Retained::default();
        for _ in 0..10_000 {
            retained.push(&[7; 100]);
            retained.pop(100);
        }
        assert_eq!((retained.chunks.len(), retained.spare.len()), (0, 1));
    }
}
