//! What leaves in one turn: all bytes in one buffer, one gathered send per socket.

use std::io::{self, IoSlice};
use std::ops::Range;

use uring::{Ring, Send, Short, SocketId};

/// The bytes of one turn. Empty between turns.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// Socket and place of each part of the bytes. Parts of one socket go out in the order of their bytes.
    parts: Vec<(SocketId, Range<usize>)>,
    short: Vec<Short>,
}

impl Outbox {
    /// Appends what `write` appends, for `socket`.
    pub(super) fn stage(&mut self, socket: SocketId, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let end = self.bytes.len();
        match self.parts.last_mut() {
            Some((last, range)) if *last == socket => range.end = end,
            _ => self.parts.push((socket, start..end)),
        }
    }

    /// Sends everything. `keep` takes what a socket had no room for, in order.
    ///
    /// # Errors
    /// The kernel refuses the ring.
    pub(super) fn flush(&mut self, ring: &mut Ring, mut keep: impl FnMut(SocketId, &[u8])) -> io::Result<()> {
        if self.parts.is_empty() {
            return Ok(());
        }
        self.parts.sort_unstable_by_key(|(socket, range)| (*socket, range.start));
        let slices: Vec<IoSlice<'_>> =
            self.parts.iter().map(|(_, range)| IoSlice::new(&self.bytes[range.clone()])).collect();
        let mut rest = slices.as_slice();
        let sends = self.parts.chunk_by(|(one, _), (other, _)| one == other).map(|parts| {
            let (slices, others) = rest.split_at(parts.len());
            rest = others;
            Send { socket: parts[0].0, slices }
        });
        ring.send_all(sends, &mut self.short)?;
        drop(slices);
        self.keep_unsent(&mut keep);
        self.bytes.clear();
        self.parts.clear();
        Ok(())
    }

    /// Needs the parts sorted.
    fn keep_unsent(&mut self, keep: &mut impl FnMut(SocketId, &[u8])) {
        for Short { socket, mut sent } in self.short.drain(..) {
            let first = self.parts.partition_point(|(other, _)| *other < socket);
            for (_, range) in self.parts[first..].iter().take_while(|(other, _)| *other == socket) {
                let taken = sent.min(range.len());
                sent -= taken;
                keep(socket, &self.bytes[range.start + taken..range.end]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_fit_is_kept_in_order() {
        let mut outbox = Outbox::default();
        let [one, other] = [SocketId::new(1, 0), SocketId::new(2, 0)];
        for (socket, bytes) in [(other, "ab"), (one, "12"), (one, "34"), (other, "cd")] {
            outbox.stage(socket, |out| out.extend_from_slice(bytes.as_bytes()));
        }
        assert_eq!(outbox.parts.len(), 3);
        outbox.parts.sort_unstable_by_key(|(socket, range)| (*socket, range.start));
        outbox.short.extend([Short { socket: other, sent: 1 }, Short { socket: one, sent: 4 }]);
        let mut kept = Vec::new();
        outbox.keep_unsent(&mut |socket, bytes| {
            if !bytes.is_empty() {
                kept.push((socket, bytes.to_vec()));
            }
        });
        assert_eq!(kept, [(other, b"b".to_vec()), (other, b"cd".to_vec())]);
    }
}
