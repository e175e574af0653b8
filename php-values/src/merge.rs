//! The recursive replace of UPDATE_SESSION (WIRE.md §6).

use std::collections::{HashMap, HashSet};

use super::array::Array;
use super::decode::{DEPTH_MAX, DecodeError, decode};
use super::encode::{encode, encode_leaf, encode_reference, object_start};
use super::value::{Reference, ReferenceKind, Value};
use super::write::{array_end, array_start, encode_key};

/// For each key of `update`: where both sides are arrays, the same again inside; else the new value. New keys go last.
/// Int keys are keys like any other. References are values like any other here; see [`merge_serialized`].
pub fn replace_recursive(base: &mut Array, update: Array) {
    for (key, new) in update {
        match (base.get_mut(&key), new) {
            (Some(Value::Array(inner)), Value::Array(new)) => replace_recursive(inner, new),
            (_, new) => {
                base.insert(key, new);
            }
        }
    }
}

/// `base` with `update` put over it as [`replace_recursive`] does, both serialized arrays, appended to `out`.
///
/// References go on meaning what they meant: they are numbered anew, and where the value that they name is gone, the
/// first of them becomes that value. `Err`: one side is no array, or broken; nothing is appended then.
pub fn merge_serialized(base: &[u8], update: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let (mut base, update) = (decode_array(base)?, decode_array(update)?);
    if !has_shared(&base) && !has_shared(&update) {
        if let (Value::Array(base), Value::Array(update)) = (&mut base, update) {
            replace_recursive(base, update);
        }
        encode(&base, out);
        return Ok(());
    }
    let before = out.len();
    let mut merger = Merger::new(&base, &update, out)?;
    let merged = match (&base, &update) {
        (Value::Array(base), Value::Array(update)) => merger.merged(base, update, 0),
        _ => Err(BROKEN_REFERENCE),
    };
    merged.inspect_err(|_| out.truncate(before))
}

fn decode_array(bytes: &[u8]) -> Result<Value, DecodeError> {
    decode(bytes)
        .and_then(|value| if value.as_array().is_some() { Ok(value) } else { Err(DecodeError { at: 0 }) })
}

/// Whether a value may stand in more than one place: references tell so, and of each case of an enum there is only one.
pub(super) fn has_shared(value: &Value) -> bool {
    match value {
        Value::Reference(_) | Value::Enum(_) => true,
        Value::Array(array) => array.values().any(has_shared),
        Value::Object(object) => object.properties.iter().any(|(_, value)| has_shared(value)),
        _ => false,
    }
}

/// Writes two trees as one. PHP numbers the values of a whole in the order they are written, so only the writer of the
/// merged whole knows the new numbers; it keeps, for each value of the two trees, the one it got.
struct Merger<'a, 'o> {
    /// The values of both trees by their old numbers, the update's after the base's. A reference to an object has a
    /// number too and stands here as what it refers to.
    values: Vec<&'a Value>,
    /// Where a value is in `values`; values are known by their addresses, which do not change while they are borrowed.
    indexes: HashMap<*const Value, usize>,
    /// What to add to a reference's target (counted from 1) to get an index into `values`, by the reference's address.
    origins: HashMap<*const Value, usize>,
    /// The values that references to variables name, by address.
    variables: HashSet<*const Value>,
    /// Where each enum case stands in `values` first; that is the index of all of its kind.
    cases: HashMap<&'a [u8], usize>,
    /// New numbers, by index into `values`; 0 while not written.
    numbers: Vec<u32>,
    /// How many numbers are given away.
    count: u32,
    out: &'o mut Vec<u8>,
}

impl<'a, 'o> Merger<'a, 'o> {
    fn new(base: &'a Value, update: &'a Value, out: &'o mut Vec<u8>) -> Result<Merger<'a, 'o>, DecodeError> {
        let mut merger = Merger {
            values: Vec::new(),
            indexes: HashMap::new(),
            origins: HashMap::new(),
            variables: HashSet::new(),
            cases: HashMap::new(),
            numbers: Vec::new(),
            count: 0,
            out,
        };
        merger.number(base, 0)?;
        merger.number(update, merger.values.len())?;
        merger.numbers = vec![0; merger.values.len()];
        Ok(merger)
    }

    /// Numbers `value` and what is inside as PHP did: everything counts but references to variables. References may
    /// only look back.
    fn number(&mut self, value: &'a Value, origin: usize) -> Result<(), DecodeError> {
        if let Value::Reference(reference) = value {
            self.origins.insert(value, origin);
            let target = *self.values[origin..].get(reference.target as usize - 1).ok_or(BROKEN_REFERENCE)?;
            match reference.kind {
                ReferenceKind::Object => self.values.push(target),
                ReferenceKind::Variable => {
                    self.variables.insert(target);
                }
            }
            return Ok(());
        }
        let next = self.values.len();
        let index =
            if let Value::Enum(case) = value { *self.cases.entry(case).or_insert(next) } else { next };
        self.indexes.insert(value, index);
        self.values.push(value);
        match value {
            Value::Array(array) => array.values().try_for_each(|value| self.number(value, origin)),
            Value::Object(object) => {
                object.properties.iter().try_for_each(|(_, value)| self.number(value, origin))
            }
            _ => Ok(()),
        }
    }

    fn merged(&mut self, base: &'a Array, update: &'a Array, depth: usize) -> Result<(), DecodeError> {
        let added = update.keys().filter(|&key| !base.contains_key(key)).count();
        self.count += 1;
        array_start(base.len() + added, self.out);
        for (key, old) in base.iter() {
            encode_key(key, self.out);
            match update.get(key) {
                None => self.value(old, depth)?,
                Some(new) => match (self.resolve(old), self.resolve(new)) {
                    (Value::Array(old), Value::Array(new)) => self.merged(old, new, deeper(depth)?)?,
                    _ => self.value(new, depth)?,
                },
            }
        }
        for (key, new) in update.iter().filter(|(key, _)| !base.contains_key(*key)) {
            encode_key(key, self.out);
            self.value(new, depth)?;
        }
        array_end(self.out);
        Ok(())
    }

    fn value(&mut self, value: &'a Value, depth: usize) -> Result<(), DecodeError> {
        let target = self.resolve(value);
        let index = self.indexes[&std::ptr::from_ref(target)];
        let kind = match value {
            Value::Reference(reference) => Some(reference.kind),
            // The update may have brought a reference to a place in front of the value itself.
            _ if self.variables.contains(&std::ptr::from_ref(target)) => Some(ReferenceKind::Variable),
            Value::Object(_) | Value::Enum(_) | Value::Custom(_) => Some(ReferenceKind::Object),
            _ => None,
        };
        match kind {
            Some(kind) if self.numbers[index] > 0 => {
                self.count += u32::from(kind == ReferenceKind::Object);
                encode_reference(Reference { kind, target: self.numbers[index] }, self.out);
                Ok(())
            }
            _ => self.first(target, index, deeper(depth)?),
        }
    }

    /// Writes `value`, which is no reference, in full.
    fn first(&mut self, value: &'a Value, index: usize, depth: usize) -> Result<(), DecodeError> {
        self.count += 1;
        if self.numbers[index] == 0 {
            self.numbers[index] = self.count;
        }
        match value {
            Value::Array(array) => {
                array_start(array.len(), self.out);
                array.iter().try_for_each(|(key, value)| {
                    encode_key(key, self.out);
                    self.value(value, depth)
                })?;
                array_end(self.out);
            }
            Value::Object(object) => {
                object_start(object, self.out);
                object.properties.iter().try_for_each(|(key, value)| {
                    encode_key(key, self.out);
                    self.value(value, depth)
                })?;
                array_end(self.out);
            }
            leaf => encode_leaf(leaf, self.out),
        }
        Ok(())
    }

    /// What a reference refers to; any other value is itself.
    fn resolve(&self, value: &'a Value) -> &'a Value {
        match value {
            Value::Reference(reference) => {
                self.values[self.origins[&std::ptr::from_ref(value)] + reference.target as usize - 1]
            }
            _ => value,
        }
    }
}

/// One level further in. A chain of references whose targets are gone can make a tree deeper than both that it came from.
fn deeper(depth: usize) -> Result<usize, DecodeError> {
    if depth <= DEPTH_MAX { Ok(depth + 1) } else { Err(BROKEN_REFERENCE) }
}

const BROKEN_REFERENCE: DecodeError = DecodeError { at: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(base: &str, update: &str) -> Result<String, DecodeError> {
        let mut out = b"x".to_vec();
        let result = merge_serialized(base.as_bytes(), update.as_bytes(), &mut out);
        let text = String::from_utf8(out.split_off(1)).unwrap();
        if result.is_err() {
            assert_eq!(text, "");
        }
        result.map(|()| text)
    }

    /// Base, update, and what array_replace_recursive of PHP 8.2 makes of them.
    #[test]
    fn merges_as_php_does() {
        for (base, update, merged) in [
            ("a:0:{}", "a:0:{}", "a:0:{}"),
            (r#"a:2:{i:0;i:1;i:1;i:2;}"#, r#"a:1:{i:0;i:9;}"#, r#"a:2:{i:0;i:9;i:1;i:2;}"#),
            (
                r#"a:1:{s:1:"a";a:1:{s:1:"x";i:1;}}"#,
                r#"a:2:{s:1:"b";N;s:1:"a";a:1:{s:1:"y";i:2;}}"#,
                r#"a:2:{s:1:"a";a:2:{s:1:"x";i:1;s:1:"y";i:2;}s:1:"b";N;}"#,
            ),
            (r#"a:1:{s:1:"a";a:1:{s:1:"x";i:1;}}"#, r#"a:1:{s:1:"a";i:5;}"#, r#"a:1:{s:1:"a";i:5;}"#),
            (r#"a:1:{s:1:"a";i:5;}"#, r#"a:1:{s:1:"a";a:0:{}}"#, r#"a:1:{s:1:"a";a:0:{}}"#),
            (
                r#"a:1:{s:1:"o";O:1:"X":1:{s:1:"p";d:0.1;}}"#,
                r#"a:1:{s:1:"o";a:1:{i:0;i:1;}}"#,
                r#"a:1:{s:1:"o";a:1:{i:0;i:1;}}"#,
            ),
        ] {
            assert_eq!(merge(base, update).as_deref(), Ok(merged));
        }
    }

    #[test]
    fn references_keep_their_meaning() {
        let object = r#"O:8:"stdClass":0:{}"#;
        // The numbers of the update move behind the base's.
        assert_eq!(
            merge(r#"a:1:{s:1:"a";i:1;}"#, &format!(r#"a:2:{{s:1:"x";{object}s:1:"y";r:2;}}"#)),
            Ok(format!(r#"a:3:{{s:1:"a";i:1;s:1:"x";{object}s:1:"y";r:3;}}"#))
        );
        // What was put in front shifts the base's own.
        assert_eq!(
            merge(
                &format!(r#"a:3:{{s:1:"a";a:0:{{}}s:1:"x";{object}s:1:"y";r:3;}}"#),
                r#"a:1:{s:1:"a";a:1:{i:0;i:1;}}"#
            ),
            Ok(format!(r#"a:3:{{s:1:"a";a:1:{{i:0;i:1;}}s:1:"x";{object}s:1:"y";r:4;}}"#))
        );
        // The target is gone: the first reference becomes the value.
        assert_eq!(
            merge(&format!(r#"a:3:{{s:1:"x";{object}s:1:"y";r:2;s:1:"z";r:2;}}"#), r#"a:1:{s:1:"x";i:5;}"#),
            Ok(format!(r#"a:3:{{s:1:"x";i:5;s:1:"y";{object}s:1:"z";r:3;}}"#))
        );
        assert_eq!(
            merge(r#"a:2:{s:1:"x";i:1;s:1:"y";R:2;}"#, r#"a:1:{s:1:"x";i:5;}"#),
            Ok(r#"a:2:{s:1:"x";i:5;s:1:"y";i:1;}"#.to_owned())
        );
        // A reference came to stand in front of its target.
        assert_eq!(
            merge(r#"a:1:{i:7;s:0:"";}"#, "a:2:{i:1;d:2;i:7;R:2;}"),
            Ok("a:2:{i:7;d:2;i:1;R:2;}".to_owned())
        );
        // There is one of each case of an enum.
        assert_eq!(
            merge(r#"a:1:{i:0;E:6:"Suit:H";}"#, r#"a:2:{i:1;E:6:"Suit:H";i:2;E:6:"Suit:S";}"#),
            Ok(r#"a:3:{i:0;E:6:"Suit:H";i:1;r:2;i:2;E:6:"Suit:S";}"#.to_owned())
        );
        // An object inside itself, reached from outside after its place is gone.
        assert_eq!(
            merge(
                r#"a:2:{s:1:"x";O:1:"A":1:{s:1:"c";O:1:"B":1:{s:1:"p";r:2;}}s:1:"y";r:3;}"#,
                r#"a:1:{s:1:"x";i:5;}"#
            ),
            Ok(r#"a:2:{s:1:"x";i:5;s:1:"y";O:1:"B":1:{s:1:"p";O:1:"A":1:{s:1:"c";r:3;}}}"#.to_owned())
        );
    }

    #[test]
    fn refuses_what_is_no_array() {
        for (base, update) in [
            ("i:1;", "a:0:{}"),
            ("a:0:{}", "N;"),
            ("a:0:{}", "a:1:{i:0;r:5;}"),
            ("a:1:{i:0;r:2;}", "a:0:{}"),
            ("x", "a:0:{}"),
        ] {
            assert!(merge(base, update).is_err(), "{base} {update}");
        }
    }

    /// The base's own place for `o` comes first, so the object's second place becomes the reference.
    #[test]
    fn objects_of_all_kinds_are_written_once() {
        for object in [r#"O:1:"X":0:{}"#, r#"C:1:"X":2:{ab}"#, r#"E:3:"X:Y";"#] {
            assert_eq!(
                merge(r#"a:1:{s:1:"o";i:1;}"#, &format!(r#"a:2:{{s:1:"n";{object}s:1:"o";r:2;}}"#)),
                Ok(format!(r#"a:2:{{s:1:"o";{object}s:1:"n";r:2;}}"#))
            );
        }
    }

    /// Each object refers to the one before; with their array gone they would nest a hundred thousand deep.
    #[test]
    fn chains_of_references_do_not_overflow_the_stack() {
        let count = 100_000;
        let mut objects = String::new();
        for index in 0..count {
            let inside = if index == 0 { "N;".to_owned() } else { format!("r:{};", 1 + index * 2) };
            objects.push_str(&format!(r#"i:{index};O:1:"A":1:{{s:1:"p";{inside}}}"#));
        }
        let base = format!(r#"a:2:{{s:1:"x";a:{count}:{{{objects}}}s:1:"y";r:{};}}"#, 1 + count * 2);
        assert!(merge(&base, r#"a:1:{s:1:"x";i:5;}"#).is_err());
        assert!(merge(&base, r#"a:1:{s:1:"z";i:5;}"#).is_ok());
    }
}
