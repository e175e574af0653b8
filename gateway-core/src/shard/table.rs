//! Rows addressed by the socket's slot.

/// Rows in chunks, so that growing never moves or doubles what is there.
pub struct Table<T> {
    chunks: Vec<Box<[Option<T>]>>,
}

impl<T> Table<T> {
    pub fn new() -> Table<T> {
        Table { chunks: Vec::new() }
    }

    /// One past the highest index that may be in use.
    pub fn end(&self) -> usize {
        self.chunks.len() * CHUNK_ROWS
    }

    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_ROWS)?[index % CHUNK_ROWS].as_ref()
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK_ROWS)?[index % CHUNK_ROWS].as_mut()
    }

    /// Two rows at once; `None` if they are one, or either is not there.
    pub fn pair_mut(&mut self, a: usize, b: usize) -> Option<(&mut T, &mut T)> {
        let (chunk_a, chunk_b) = (a / CHUNK_ROWS, b / CHUNK_ROWS);
        let [a, b] = if chunk_a == chunk_b {
            self.chunks.get_mut(chunk_a)?.get_disjoint_mut([a % CHUNK_ROWS, b % CHUNK_ROWS]).ok()?
        } else {
            let [chunk_a, chunk_b] = self.chunks.get_disjoint_mut([chunk_a, chunk_b]).ok()?;
            [&mut chunk_a[a % CHUNK_ROWS], &mut chunk_b[b % CHUNK_ROWS]]
        };
        Some((a.as_mut()?, b.as_mut()?))
    }

    /// Puts a row where none is.
    pub fn insert(&mut self, index: usize, row: T) {
        while self.chunks.len() <= index / CHUNK_ROWS {
            self.chunks.push((0..CHUNK_ROWS).map(|_| None).collect());
        }
        let old = self.chunks[index / CHUNK_ROWS][index % CHUNK_ROWS].replace(row);
        assert!(old.is_none(), "the ring reuses a slot only after Closed");
    }

    pub fn remove(&mut self, index: usize) -> Option<T> {
        self.chunks.get_mut(index / CHUNK_ROWS)?[index % CHUNK_ROWS].take()
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.chunks.iter().flatten().enumerate().filter_map(|(index, row)| Some((index, row.as_ref()?)))
    }
}

/// Rows per chunk: an allocation of some 40 KiB.
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
        assert_eq!(table.pair_mut(0, 1000), Some((&mut "a", &mut "b")));
        for (a, b) in [(0, 0), (0, 1), (0, 5000)] {
            assert_eq!(table.pair_mut(a, b), None);
        }
        assert_eq!(table.remove(1000), Some("b"));
        assert_eq!(table.remove(1000), None);
        assert_eq!(table.remove(5000), None);
        assert_eq!(table.get(1000), None);
    }
}
