//! PHP values: what goes out comes back, what comes in cannot hurt.

use proptest::prelude::*;
use ringway_protocol::php::{
    self, Array, Custom, DEPTH_MAX, Key, KeyRef, Object, Reference, ReferenceKind, Value, decode, encode,
    replace_recursive, to_bytes,
};

fn leaf() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        (-1000_i32..1000).prop_map(|int| Value::Float(f64::from(int) / 100.0)),
        bytes().prop_map(Value::Bytes),
        bytes().prop_map(|case| Value::Enum(case.into())),
        (bytes(), bytes()).prop_map(|(class, data)| Value::Custom(Box::new(Custom { class, data }))),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<i64>().prop_map(Key::Int),
        (0_i64..4).prop_map(Key::Int),
        "[a-c]{0,2}|-?[0-9]{1,20}".prop_map(Key::from),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(Key::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    tree_of(leaf())
}

fn tree_of(leaf: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    leaf.prop_recursive(5, 60, 6, |inner| {
        let array = prop::collection::vec((key(), inner.clone()), 0..6)
            .prop_map(|entries| entries.into_iter().collect::<Array>().into());
        // Property names are strings as they are, also those that an array would make ints of.
        let name = prop_oneof![key(), "[0-9]{1,3}".prop_map(|name| Key::Bytes(name.into_bytes()))];
        let object = ("[A-Z][a-z]{0,5}", prop::collection::vec((name, inner), 0..4)).prop_map(
            |(class, properties)| Value::Object(Box::new(Object { class: class.into_bytes(), properties })),
        );
        prop_oneof![array, object]
    })
}

/// Without enums: the second one of a case is written as a reference by a merge.
fn array() -> impl Strategy<Value = Array> {
    let value = tree_of(leaf().prop_filter("no enum", |leaf| !matches!(leaf, Value::Enum(_))));
    prop::collection::vec((key(), value), 0..6).prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #[test]
    fn identity(value in value()) {
        let bytes = to_bytes(&value);
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(to_bytes(&decoded), bytes.clone());
        // NAN is not equal to itself, so trees are compared by their text.
        prop_assert_eq!(format!("{decoded:?}"), format!("{value:?}"));
        for end in 0..bytes.len() {
            prop_assert!(decode(&bytes[..end]).is_err(), "cut at {}", end);
        }
    }

    #[test]
    fn floats_read_back_to_the_same_bits(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        let Value::Float(back) = decode(&to_bytes(&Value::Float(float))).unwrap() else { panic!("a float") };
        prop_assert!(back.to_bits() == bits || back.is_nan() && float.is_nan());
    }

    #[test]
    fn mutated(value in value(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = to_bytes(&value);
        for (index, byte) in changes {
            *index.get_mut(&mut bytes) = byte;
        }
        if let Ok(decoded) = decode(&bytes) {
            // What is written is canonical from the first time on.
            let canonical = to_bytes(&decoded);
            prop_assert_eq!(to_bytes(&decode(&canonical).unwrap()), canonical);
            let _ = php::to_json(&decoded);
        }
    }

    #[test]
    fn near_misses(bytes in r#"[aOCENsibdrR:;{}"0-9INFA.+-]{0,30}"#) {
        if let Ok(value) = decode(bytes.as_bytes()) {
            let _ = php::to_json(&value);
        }
        let _ = php::merge_serialized(bytes.as_bytes(), bytes.as_bytes(), &mut Vec::new());
        let in_array = format!("a:1:{{i:0;{bytes}}}");
        let _ = php::merge_serialized(in_array.as_bytes(), in_array.as_bytes(), &mut Vec::new());
    }

    /// The two ways to merge agree where both can: a reference anywhere makes the merge write as it goes.
    #[test]
    fn merges_agree(base in array(), update in array()) {
        let mut merged = base.clone();
        replace_recursive(&mut merged, update.clone());
        let mut written = Vec::new();
        php::merge_serialized(&to_bytes(&base.clone().into()), &to_bytes(&update.clone().into()), &mut written).unwrap();
        prop_assert_eq!(&written, &to_bytes(&merged.clone().into()));

        let reference = Value::Reference(Reference { kind: ReferenceKind::Variable, target: 2 });
        let first = |array: Array| -> Array { [(Key::from("first"), Value::Null)].into_iter().chain(array).chain([(Key::from("last"), reference.clone())]).collect() };
        let mut written = Vec::new();
        php::merge_serialized(&to_bytes(&first(base).into()), &to_bytes(&update.into()), &mut written).unwrap();
        let kept = decode(&written).unwrap();
        for (key, value) in merged.iter().filter(|(key, _)| **key != Key::from("last") && **key != Key::from("first")) {
            prop_assert_eq!(format!("{:?}", kept.get(key)), format!("{:?}", Some(value)));
        }
    }

    #[test]
    fn keys_are_ints_just_when_they_print_the_same(text in "[-+ ]?[0-9]{1,21}|[0-9a-z.]{0,4}") {
        let canonical = text.parse::<i64>().ok().filter(|int| int.to_string() == text);
        prop_assert_eq!(Key::from(text.as_str()), canonical.map_or_else(|| Key::Bytes(text.clone().into_bytes()), Key::Int));
        let array = Array::from([(text.as_str(), 1)]);
        prop_assert_eq!(array.get(KeyRef::from(text.as_str())).and_then(Value::as_int), Some(1));
    }
}

#[test]
fn what_php_writes() {
    for serialized in [
        "N;",
        "b:0;",
        "i:-9223372036854775808;",
        "d:-0;",
        "d:NAN;",
        "d:1.0E+300;",
        "s:3:\"a\"b\";",
        "s:2:\"\u{ff}\";",
        "a:2:{i:-5;a:0:{}s:2:\"-0\";N;}",
        "O:8:\"stdClass\":2:{s:1:\"5\";i:1;s:4:\"\0*\0x\";R:2;}",
        "O:11:\"ArrayObject\":4:{i:0;i:0;i:1;a:0:{}i:2;a:0:{}i:3;N;}",
        "C:11:\"ArrayObject\":21:{x:i:0;a:0:{};m:a:0:{}}",
        "E:11:\"Suit:Hearts\";",
        "a:2:{i:0;O:1:\"X\":0:{}i:1;r:2;}",
    ] {
        assert_eq!(to_bytes(&decode(serialized.as_bytes()).unwrap()), serialized.as_bytes(), "{serialized}");
    }
}

#[test]
fn what_php_reads_but_does_not_write() {
    for (serialized, canonical) in [
        ("i:+5;", "i:5;"),
        ("d:1.50;", "d:1.5;"),
        ("d:1e3;", "d:1000;"),
        ("d:.5;", "d:0.5;"),
        ("d:0.10000000000000000555;", "d:0.1;"),
        ("a:1:{s:1:\"5\";i:1;}", "a:1:{i:5;i:1;}"),
        ("a:3:{i:1;i:1;i:2;i:2;s:1:\"1\";i:3;}", "a:2:{i:1;i:3;i:2;i:2;}"),
    ] {
        assert_eq!(to_bytes(&decode(serialized.as_bytes()).unwrap()), canonical.as_bytes(), "{serialized}");
    }
}

#[test]
fn what_nobody_writes() {
    for (serialized, at) in [
        ("", 0),
        ("i:1", 2),
        ("i:1;x", 4),
        ("i:9223372036854775808;", 22),
        ("i:1.5;", 6),
        ("b:2;", 3),
        ("d:inf;", 6),
        ("d:nan;", 6),
        ("d:;", 3),
        ("s:4:\"abc\";", 9),
        ("s:2:\"abc\";", 7),
        ("s:-1:\"\";", 5),
        ("s:99999999999:\"\";", 15),
        ("a:1:{}", 6),
        ("a:1:{i:0;}", 10),
        ("a:0:{i:0;i:0;}", 5),
        ("a:1:{d:1;i:0;}", 7),
        ("a:9999999999:{", 14),
        ("r:0;", 4),
        ("x:1;", 2),
    ] {
        assert_eq!(decode(serialized.as_bytes()).map_err(|error| error.at), Err(at), "{serialized}");
    }
}

#[test]
fn deep_values_are_refused_where_the_limit_says() {
    let nested = |depth: usize| {
        format!("{}{}", "a:1:{i:0;".repeat(depth), "}".repeat(depth)).replacen("i:0;}", "i:0;N;}", 1)
    };
    let deepest = decode(nested(DEPTH_MAX).as_bytes()).unwrap();
    assert_eq!(to_bytes(&deepest), nested(DEPTH_MAX).as_bytes());
    assert_eq!(php::to_json(&deepest).unwrap().len(), DEPTH_MAX * 2 + 4);
    drop(deepest);
    assert!(decode(nested(DEPTH_MAX + 1).as_bytes()).is_err());
    assert!(decode("a:1:{i:0;".repeat(1_000_000).as_bytes()).is_err());
    assert!(decode("O:1:\"X\":1:{i:0;".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn counts_are_not_believed() {
    // A count that the input cannot hold must not become an allocation.
    for serialized in [
        "a:4611686018427387904:{",
        "O:1:\"X\":4611686018427387904:{",
        "s:4611686018427387904:\"",
        "C:1:\"X\":4611686018427387904:{",
    ] {
        assert!(decode(serialized.as_bytes()).is_err());
    }
}

#[test]
fn sessions_are_pleasant_to_use() {
    let mut session = Array::from([("name", Value::from("Ann")), ("age", 42.into())]);
    session.insert("rooms", Array::from(vec!["a", "b"]));
    session.insert("7", true);
    assert_eq!(session.get("name").and_then(Value::as_str), Some("Ann"));
    assert_eq!(session.get("age").and_then(Value::as_int), Some(42));
    assert_eq!(session.get(7).and_then(Value::as_bool), Some(true));
    let rooms = session.get_mut("rooms").and_then(Value::as_array_mut).unwrap();
    assert!(rooms.is_list() && rooms.push("c"));
    assert_eq!(rooms.values().filter_map(Value::as_bytes).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    assert_eq!(session.remove("age"), Some(42.into()));
    let mut out = Vec::new();
    encode(&session.into(), &mut out);
    assert_eq!(
        str::from_utf8(&out),
        Ok(r#"a:3:{s:4:"name";s:3:"Ann";s:5:"rooms";a:3:{i:0;s:1:"a";i:1;s:1:"b";i:2;s:1:"c";}i:7;b:1;}"#)
    );
}

#[test]
fn arrays_with_another_order_are_not_equal() {
    assert_ne!(Array::from([("a", 1), ("b", 2)]), Array::from([("b", 2), ("a", 1)]));
    assert_eq!(size_of::<Value>(), 24);
}
