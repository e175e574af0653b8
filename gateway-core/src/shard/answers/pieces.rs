//! A long reply as it grows: in pieces, so that nothing that is written is ever moved, and arrays whose counts are set last.

use protocol::inner::reply;
use protocol::php::write;

use crate::config::{PIECE_CAPACITY, PIECE_SIZE};

/// A reply's value, in order. All of it is within arrays.
///
/// Invariant: `before` is what all pieces but the last hold, and those that are to hold the start of an array.
pub(crate) struct Pieces {
    pieces: Vec<Vec<u8>>,
    before: usize,
}

/// An array that elements are still written to: the piece that is to hold its start.
pub(crate) struct OpenArray(usize);

impl Pieces {
    pub(crate) fn new() -> Pieces {
        Pieces { pieces: Vec::new(), before: 0 }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.before + self.pieces.last().map_or(0, Vec::len)
    }

    /// Where to append.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        if self.pieces.last().is_none_or(|last| last.len() >= PIECE_SIZE) {
            self.begin_piece(Vec::with_capacity(PIECE_CAPACITY));
        }
        self.pieces.last_mut().expect("begun above")
    }

    /// The same, with room for something of `size` bytes, so that it does not double what a piece takes.
    pub(crate) fn out_for(&mut self, size: usize) -> &mut Vec<u8> {
        let out = self.out();
        out.reserve(size + STRING_OVERHEAD_MAX);
        out
    }

    /// Begins an array of a length that is not known yet.
    pub(crate) fn open_array(&mut self) -> OpenArray {
        self.begin_piece(Vec::new());
        let start = OpenArray(self.pieces.len() - 1);
        self.begin_piece(Vec::new());
        start
    }

    /// Ends an array of `count` elements, which are all that was written since it was opened.
    pub(crate) fn close_array(&mut self, array: OpenArray, count: usize) {
        let start = &mut self.pieces[array.0];
        write::array_start(count, start);
        self.before += start.len();
        write::array_end(self.out());
    }

    /// The value, in order.
    pub(crate) fn into_pieces(self) -> Vec<Vec<u8>> {
        self.pieces
    }

    /// The whole reply; its value must be shorter than 4 GiB.
    pub(crate) fn finish(self) -> impl Iterator<Item = Vec<u8>> {
        let size = u32::try_from(self.len()).expect("bounded by REPLY_SIZE_MAX while it was written");
        let mut start = Vec::new();
        reply::encode_size(size, &mut start);
        std::iter::once(start).chain(self.pieces)
    }

    fn begin_piece(&mut self, piece: Vec<u8>) {
        self.before = self.len();
        self.pieces.push(piece);
    }
}

/// What a string takes beside its bytes, and the end of an array behind it: `s:…:"…";}`.
const STRING_OVERHEAD_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_where_their_arrays_begin() {
        let mut pieces = Pieces::new();
        let outer = pieces.open_array();
        write::encode_int(7, pieces.out());
        let inner = pieces.open_array();
        for index in 0..20_000 {
            write::encode_int(index, pieces.out());
            write::encode_null(pieces.out());
        }
        pieces.close_array(inner, 20_000);
        pieces.close_array(outer, 1);
        let size = pieces.len();
        let bytes: Vec<u8> = pieces.finish().flatten().collect();
        let (value, whole) = reply::decode(&bytes, size).unwrap().unwrap();
        assert_eq!((value.len(), whole), (size, bytes.len()));
        assert!(value.starts_with(b"a:1:{i:7;a:20000:{i:0;N;i:1;N;") && value.ends_with(b"i:19999;N;}}"));
        protocol::php::decode(value).unwrap();
    }
}
