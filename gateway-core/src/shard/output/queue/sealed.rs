//! The encrypted front of a queue, for clients with TLS.

use std::io::IoSlice;

use super::{Load, OutQueue, Queue, Spare, reserve};
use crate::config::SEAL_SIZE_MAX;

/// Encrypted bytes, of which the first `sent` are sent.
///
/// Invariant: `sent < buffer.len()`, or both are 0.
#[derive(Default)]
pub(super) struct Sealed {
    buffer: Vec<u8>,
    sent: usize,
}

impl Sealed {
    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.sent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Forgets `count` bytes at the front: they are sent.
    pub(super) fn advance(&mut self, spare: &mut Spare, count: usize) {
        self.sent += count;
        debug_assert!(self.sent <= self.buffer.len());
        if self.sent == self.buffer.len() {
            self.clear(spare);
        }
    }

    pub(super) fn clear(&mut self, spare: &mut Spare) {
        self.sent = 0;
        if !self.buffer.is_empty() {
            spare.keep_buffer(std::mem::take(&mut self.buffer));
        }
    }

    /// The buffer, for `size` bytes more, sealed.
    fn room(&mut self, spare: &mut Spare, size: usize) -> &mut Vec<u8> {
        let size = size + tls::SEALED_OVERHEAD_MAX;
        if self.buffer.capacity() == 0 {
            self.buffer = spare.buffer(Load::Light, size);
        }
        reserve(&mut self.buffer, size);
        &mut self.buffer
    }
}

impl OutQueue {
    /// What is encrypted and not sent yet.
    pub(crate) fn sealed(&self) -> Option<IoSlice<'_>> {
        let sealed = &self.0.as_ref()?.sealed;
        (!sealed.is_empty()).then(|| IoSlice::new(&sealed.buffer[sealed.sent..]))
    }

    /// Appends encrypted bytes, before all that is not encrypted yet.
    pub(crate) fn append_sealed(&mut self, spare: &mut Spare, bytes: &[u8]) {
        if !bytes.is_empty() {
            let queue = self.0.get_or_insert_with(|| spare.queue());
            queue.sealed.room(spare, bytes.len()).extend_from_slice(bytes);
        }
    }

    /// Encrypts the next bytes by `seal`, up to [`SEAL_SIZE_MAX`] of them, unless others are still under way. `scratch` is
    /// for gathering them.
    pub(crate) fn seal<E>(
        &mut self,
        spare: &mut Spare,
        scratch: &mut Vec<u8>,
        seal: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(queue) = &mut self.0 else { return Ok(()) };
        let under_way = queue.sealed.sent > 0 || queue.sealed.buffer.len() >= SEAL_SIZE_MAX;
        if under_way || queue.bytes == 0 {
            return Ok(());
        }
        let Queue { chunks, sent, sealed, .. } = &mut **queue;
        let first = chunks.front().map_or(&[][..], |chunk| &chunk.bytes()[*sent..]);
        let whole = chunks.len() == 1 || first.len() >= SEAL_SIZE_MAX;
        let plain = if whole {
            &first[..first.len().min(SEAL_SIZE_MAX)]
        } else {
            scratch.clear();
            scratch.extend_from_slice(first);
            for chunk in chunks.iter().skip(1) {
                let room = SEAL_SIZE_MAX - scratch.len();
                scratch.extend_from_slice(&chunk.bytes()[..chunk.bytes().len().min(room)]);
            }
            scratch
        };
        let count = plain.len();
        let result = seal(plain, sealed.room(spare, count));
        self.advance_chunks(spare, count);
        result
    }

    /// Forgets what is not encrypted yet.
    pub(crate) fn clear_plain(&mut self, spare: &mut Spare) {
        let bytes = self.0.as_ref().map_or(0, |queue| queue.bytes);
        self.advance_chunks(spare, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::SharedMessage;
    use super::*;
    use crate::config::COPY_MAX;

    /// A cipher that only says what it got.
    fn bracket(plain: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
        out.push(b'<');
        out.extend_from_slice(plain);
        out.push(b'>');
        Ok(())
    }

    /// Everything that is sent when each send takes `step` bytes.
    fn sent(queue: &mut OutQueue, spare: &mut Spare, step: usize) -> Vec<u8> {
        let (mut sent, mut scratch) = (Vec::new(), Vec::new());
        while !queue.is_empty() {
            let before = queue.len();
            queue.seal(spare, &mut scratch, bracket).unwrap();
            let slice = queue.sealed().expect("what is there gets sealed");
            let count = slice.len().min(step);
            sent.extend_from_slice(&slice[..count]);
            queue.advance(spare, count);
            assert!(queue.len() <= before + 2);
        }
        sent
    }

    #[test]
    fn all_is_sealed_in_order_record_by_record() {
        for step in [1, 100, usize::MAX] {
            let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
            let large = SharedMessage::new(vec![b'l'; 2 * SEAL_SIZE_MAX + COPY_MAX]);
            queue.append_sealed(&mut spare, b"!");
            queue.append(&mut spare, Load::Light, b"small");
            queue.append_shared(&mut spare, Load::Light, &large);
            queue.append(&mut spare, Load::Light, b"end");
            let plain = [b"small", large.as_bytes(), b"end"].concat();
            let records: Vec<u8> =
                plain.chunks(SEAL_SIZE_MAX).flat_map(|part| [b"<", part, b">"].concat()).collect();
            let got = sent(&mut queue, &mut spare, step);
            assert_eq!(got.len(), records.len() + 1, "{step}");
            assert!(got == [b"!".as_slice(), &records].concat());
        }
    }

    #[test]
    fn what_waits_behind_a_record_stays_plain_and_can_be_dropped() {
        let (mut queue, mut spare) = (OutQueue::default(), Spare::default());
        queue.append(&mut spare, Load::Light, &[b'x'; SEAL_SIZE_MAX + 10]);
        queue.seal(&mut spare, &mut Vec::new(), bracket).unwrap();
        queue.advance(&mut spare, 1);
        queue.seal(&mut spare, &mut Vec::new(), bracket).unwrap();
        assert_eq!(queue.sealed().unwrap().len(), SEAL_SIZE_MAX + 1);
        assert_eq!(queue.len(), SEAL_SIZE_MAX + 11);
        queue.append_sealed(&mut spare, b"alert");
        queue.clear_plain(&mut spare);
        assert_eq!(queue.len(), SEAL_SIZE_MAX + 6);
        queue.advance(&mut spare, SEAL_SIZE_MAX + 6);
        assert!(queue.is_empty());
    }
}
