//! Merging sessions that are well-formed, with references to anywhere.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use protocol::php::{self, Array, Custom, Key, Object, Reference, ReferenceKind, Value};

#[derive(Arbitrary, Clone, Debug)]
enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(Vec<u8>),
    Enum(u8),
    Custom(Vec<u8>),
    Array(Vec<(Name, Tree)>),
    Object(Vec<(Name, Tree)>),
    Reference { variable: bool, target: u8 },
}

/// Few names, so that both sides often have the same.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Name {
    Int(u8),
    Text(u8),
}

fuzz_target!(|input: (Vec<(Name, Tree)>, Vec<(Name, Tree)>)| {
    let has_references = input.0.iter().chain(&input.1).any(|(_, tree)| refers(tree));
    let (base, update) = (serialized(input.0), serialized(input.1));
    let mut merged = b"kept".to_vec();
    let Ok(()) = php::merge_serialized(&base, &update, &mut merged) else {
        assert_eq!(merged, b"kept");
        assert!(has_references || php::decode(&base).is_err() || php::decode(&update).is_err());
        return;
    };
    let merged = merged.strip_prefix(b"kept").expect("what was there stays");
    assert!(merged.len() <= 16 * (base.len() + update.len() + 16), "{} bytes", merged.len());
    let value = php::decode(merged).expect("a session that can be read again");
    assert_eq!(php::to_bytes(&value), merged);
    if !has_references {
        let mut again = Vec::new();
        php::merge_serialized(merged, &update, &mut again).expect("two arrays");
        assert_eq!(again, merged);
    }
});

fn refers(tree: &Tree) -> bool {
    match tree {
        Tree::Reference { .. } | Tree::Enum(_) => true,
        Tree::Array(entries) | Tree::Object(entries) => entries.iter().any(|(_, tree)| refers(tree)),
        _ => false,
    }
}

fn serialized(entries: Vec<(Name, Tree)>) -> Vec<u8> {
    php::to_bytes(&Value::Array(array(entries)))
}

fn array(entries: Vec<(Name, Tree)>) -> Array {
    entries.into_iter().map(|(name, tree)| (key(name), value(tree))).collect()
}

fn key(name: Name) -> Key {
    match name {
        Name::Int(int) => Key::Int((int % 8).into()),
        Name::Text(text) => Key::Bytes(vec![b'a' + text % 8]),
    }
}

fn value(tree: Tree) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Bool(bool) => Value::Bool(bool),
        Tree::Int(int) => Value::Int(int),
        Tree::Float(float) => Value::Float(float),
        Tree::Bytes(bytes) => Value::Bytes(bytes),
        Tree::Enum(case) => Value::Enum([b"Suit:".as_slice(), &[b'A' + case % 4]].concat().into()),
        Tree::Custom(data) => Value::Custom(Box::new(Custom { class: b"X".to_vec(), data })),
        Tree::Array(entries) => Value::Array(array(entries)),
        Tree::Object(entries) => {
            let properties = entries.into_iter().map(|(name, tree)| (key(name), value(tree))).collect();
            Value::Object(Box::new(Object { class: b"O".to_vec(), properties }))
        }
        Tree::Reference { variable, target } => {
            let kind = if variable { ReferenceKind::Variable } else { ReferenceKind::Object };
            Value::Reference(Reference { kind, target: u32::from(target % 32) + 1 })
        }
    }
}
