//! Rows addressed by a socket's slot.

/// Rows in chunks, so that growing never moves or doubles what is there. A chunk is there while it has a row; so a walk over the
/// table of a shard that had many more clients once is as short as if it had not.
pub(super) struct Table<T> {
    chunks: Vec<Chunk<T>>,
}

struct Chunk<T> {
    /// None, or all of them.
    rows: Box<[Option<T>]>,
    /// How many are in use.
    count: usize,
}

impl<T> Default for Chunk<T> {
    fn default() -> Chunk<T> {
        Chunk { rows: Box::default(), count: 0 }
    }
}

impl<T> Table<T> {
    pub(super) fn new() -> Table<T> {
        Table { chunks: Vec::new() }
    }

    /// One past the highest index that may be in use.
    pub(super) fn end(&self) -> usize {
        self.chunks.len() * CHUNK_ROWS
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_ROWS)?.rows.get(index % CHUNK_ROWS)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK_ROWS)?.rows.get_mut(index % CHUNK_ROWS)?.as_mut()
    }

    /// Puts a row where none is.
    pub(super) fn insert(&mut self, index: usize, row: T) {
        let number = index / CHUNK_ROWS;
        if self.chunks.len() <= number {
            self.chunks.resize_with(number + 1, Chunk::default);
        }
        let chunk = &mut self.chunks[number];
        if chunk.rows.is_empty() {
            chunk.rows = (0..CHUNK_ROWS).map(|_| None).collect();
        }
        chunk.count += 1;
        let old = chunk.rows[index % CHUNK_ROWS].replace(row);
        assert!(old.is_none(), "the ring reuses a slot only after Closed");
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<T> {
        let number = index / CHUNK_ROWS;
        let chunk = self.chunks.get_mut(number)?;
        let row = chunk.rows.get_mut(index % CHUNK_ROWS)?.take()?;
        chunk.count -= 1;
        // The first is kept: who has one client after another need not allocate it each time.
        if chunk.count == 0 && number > 0 {
            chunk.rows = Box::default();
            let used = self.chunks.iter().rposition(|chunk| !chunk.rows.is_empty());
            self.chunks.truncate(used.map_or(0, |last| last + 1));
        }
        Some(row)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            let rows = chunk.rows.iter().enumerate();
            rows.filter_map(move |(index, row)| Some((number * CHUNK_ROWS + index, row.as_ref()?)))
        })
    }
}

/// Rows per chunk: an allocation of some 40 KiB for clients.
const CHUNK_ROWS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_and_go() {
        let mut table = Table::new();
        table.insert(0, "a");
        table.insert(1000, "b");
        assert_eq!(table.end(), 1024);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(0, &"a"), (1000, &"b")]);
        assert_eq!(table.chunks.iter().filter(|chunk| !chunk.rows.is_empty()).count(), 2);
        assert_eq!(table.get(500), None);
        assert_eq!(table.remove(1000), Some("b"));
        assert_eq!(table.end(), 256, "what is not in use is given back");
        assert_eq!(table.remove(1000), None);
        assert_eq!(table.remove(5000), None);
        assert_eq!(table.get(1000), None);
        table.insert(1000, "c");
        assert_eq!(table.remove(0), Some("a"));
        assert_eq!(table.remove(1000), Some("c"));
        assert_eq!((table.end(), table.iter().next()), (256, None), "but for the first rows");
    }
}
