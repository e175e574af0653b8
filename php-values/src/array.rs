//! Arrays: ordered maps.

use indexmap::IndexMap;

use super::key::{Key, KeyRef};
use super::value::Value;

/// An ordered PHP array: keys are ints or byte strings, in order of insertion.
#[derive(Clone, Default)]
pub struct Array {
    // Boxed because most values of a big reply are small: a `Value` stays at 24 bytes.
    entries: Box<IndexMap<Key, Value>>,
    /// What `push` takes as its key: above every int key there ever was.
    next_index: i64,
}

impl Array {
    /// An empty array.
    pub fn new() -> Array {
        Array::default()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The element with this key.
    pub fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<&Value> {
        self.entries.get(&key.into())
    }

    /// The element with this key, to change.
    pub fn get_mut<'k>(&mut self, key: impl Into<KeyRef<'k>>) -> Option<&mut Value> {
        self.entries.get_mut(&key.into())
    }

    /// Whether there is an element with this key.
    pub fn contains_key<'k>(&self, key: impl Into<KeyRef<'k>>) -> bool {
        self.entries.contains_key(&key.into())
    }

    /// Sets an element: in its place if the key is there, else at the end. Returns what was there.
    pub fn insert(&mut self, key: impl Into<Key>, value: impl Into<Value>) -> Option<Value> {
        let key = key.into();
        if let Key::Int(int) = key {
            self.next_index = self.next_index.max(int.saturating_add(1));
        }
        self.entries.insert(key, value.into())
    }

    /// Appends an element under [`Array::next_key`], as `$array[] = $value` does. Returns whether there was one; if
    /// not, the value is dropped.
    pub fn push(&mut self, value: impl Into<Value>) -> bool {
        let key = self.next_key();
        let free = key.is_some();
        if let Some(key) = key {
            self.insert(key, value);
        }
        free
    }

    /// The key that an appended element gets: one more than the largest int key so far, at least 0. There is none
    /// after 9223372036854775807.
    pub fn next_key(&self) -> Option<Key> {
        let key = Key::Int(self.next_index);
        (!self.entries.contains_key(&key)).then_some(key)
    }

    /// Takes an element out; the others keep their order.
    pub fn remove<'k>(&mut self, key: impl Into<KeyRef<'k>>) -> Option<Value> {
        self.entries.shift_remove(&key.into())
    }

    /// All elements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Value)> + ExactSizeIterator {
        self.entries.iter()
    }

    /// All elements in order, values to change.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&Key, &mut Value)> + ExactSizeIterator {
        self.entries.iter_mut()
    }

    /// All keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Key> + ExactSizeIterator {
        self.entries.keys()
    }

    /// All values in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.entries.values()
    }

    /// Whether the keys are 0, 1, 2, … in this order.
    pub fn is_list(&self) -> bool {
        self.keys().zip(0..).all(|(key, index)| *key == Key::Int(index))
    }
}

/// Equal in keys, values and order.
impl PartialEq for Array {
    fn eq(&self, other: &Array) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl std::fmt::Debug for Array {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl IntoIterator for Array {
    type Item = (Key, Value);
    type IntoIter = indexmap::map::IntoIter<Key, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<K: Into<Key>, V: Into<Value>> FromIterator<(K, V)> for Array {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Array {
        let entries = entries.into_iter();
        let mut array = Array::new();
        array.entries.reserve(entries.size_hint().0);
        for (key, value) in entries {
            array.insert(key, value);
        }
        array
    }
}

impl<K: Into<Key>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Array {
    fn from(entries: [(K, V); N]) -> Array {
        entries.into_iter().collect()
    }
}

/// A list: keys 0, 1, 2, …
impl<V: Into<Value>> From<Vec<V>> for Array {
    fn from(values: Vec<V>) -> Array {
        (0_i64..).zip(values).collect()
    }
}
