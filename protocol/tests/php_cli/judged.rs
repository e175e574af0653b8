//! Random values there and back, and merged.

use proptest::prelude::*;
use ringway_protocol::php::{
    self, Array, Custom, Key, Object, Value, decode, merge_serialized, to_bytes, to_json,
};

use crate::peer::Peer;

/// Depth to which PHP makes random values.
const DEPTH: u8 = 4;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn leaf() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        (-100_000_i32..100_000).prop_map(|int| Value::Float(f64::from(int) / 100.0)),
        bytes().prop_map(Value::Bytes),
        bytes().prop_map(|data| Value::Custom(Box::new(Custom { class: b"Old".to_vec(), data }))),
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

fn array_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Array> {
    prop::collection::vec((key(), value), 0..6).prop_map(|entries| entries.into_iter().collect())
}

fn object_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let name = "[a-z]{0,3}|[0-9]{1,3}|\0\\*\0[a-z]|\0Unknown\0[a-z]".prop_map(String::into_bytes);
    let class = prop_oneof![Just("stdClass"), Just("Unknown"), Just("Some\\Where")];
    (class, prop::collection::btree_map(name, value, 0..4)).prop_map(|(class, properties)| {
        let properties = properties.into_iter().map(|(name, value)| (Key::Bytes(name), value)).collect();
        Value::Object(Box::new(Object { class: class.into(), properties }))
    })
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 6, |inner| {
        prop_oneof![array_of(inner.clone()).prop_map(Value::Array), object_of(inner)]
    })
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn php_reads_what_we_write() {
    let Some(php) = Peer::shared() else { return };
    proptest!(cases(2000), |(value in value())| {
        let bytes = to_bytes(&value);
        let back = php.ask(b'e', &bytes).unwrap();
        prop_assert_eq!(escaped(&back), escaped(&bytes));
        // NAN is not equal to itself, so values are compared by their text.
        prop_assert_eq!(format!("{:?}", decode(&back).unwrap()), format!("{value:?}"));
    });
}

#[test]
fn php_writes_floats_as_we_do() {
    let Some(php) = Peer::shared() else { return };
    let float = prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        any::<i64>().prop_map(|int| int as f64),
        (any::<u32>(), 0_i32..40).prop_map(|(int, power)| f64::from(int) / 2_f64.powi(power)),
        (any::<u32>(), -30_i32..30).prop_map(|(int, power)| f64::from(int) * 10_f64.powi(power)),
    ];
    proptest!(cases(100), |(floats in prop::collection::vec(float, 200))| {
        let bytes = to_bytes(&Array::from(floats).into());
        prop_assert_eq!(escaped(&php.ask(b'e', &bytes).unwrap()), escaped(&bytes));
    });
}

#[test]
fn we_write_what_php_wrote() {
    let Some(php) = Peer::shared() else { return };
    let mut references = 0;
    for seed in 0..5000 {
        let bytes = php.generated(b'c', seed, DEPTH);
        let value =
            decode(&bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}: {}", escaped(&bytes)));
        assert_eq!(escaped(&to_bytes(&value)), escaped(&bytes), "seed {seed}");
        references += usize::from(format!("{value:?}").contains("Reference("));
    }
    assert!(references > 100, "only {references} values had references");
}

#[test]
fn we_merge_as_php_does() {
    let Some(php) = Peer::shared() else { return };
    for seed in 0..5000 {
        let base = php.generated(b'g', seed, DEPTH);
        let update = php.generated(b'g', seed + 1_000_000, DEPTH);
        assert_merged(php, &base, &update);
    }
}

/// PHP serializes what it merged of arrays that are inside themselves with null in the place of one of them, which is
/// lost then. Ours keeps it, in a form that PHP reads.
#[test]
fn merged_circles_are_readable() {
    let Some(php) = Peer::shared() else { return };
    for seed in 0..1000 {
        let base = php.generated(b'c', seed, DEPTH);
        let update = php.generated(b'c', seed + 1_000_000, DEPTH);
        let mut merged = Vec::new();
        merge_serialized(&base, &update, &mut merged).unwrap();
        assert_eq!(escaped(&php.ask(b'e', &merged).unwrap()), escaped(&merged), "seed {seed}");
    }
}

#[test]
fn we_merge_our_own_as_php_does() {
    let Some(php) = Peer::shared() else { return };
    proptest!(cases(2000), |(base in array_of(value()), update in array_of(value()))| {
        assert_merged(php, &to_bytes(&base.into()), &to_bytes(&update.into()));
    });
}

#[track_caller]
fn assert_merged(php: &Peer, base: &[u8], update: &[u8]) {
    let theirs = php.merged(base, update).unwrap();
    let mut ours = Vec::new();
    merge_serialized(base, update, &mut ours).unwrap();
    assert_eq!(escaped(&ours), escaped(&theirs), "{}\n  with {}", escaped(base), escaped(update));
}

#[test]
fn we_write_json_as_php_does() {
    let Some(php) = Peer::shared() else { return };
    let mut refused = 0;
    for seed in 0..2000 {
        let bytes = php.generated(b'p', seed, DEPTH);
        let ours = to_json(&decode(&bytes).unwrap()).ok().map(|json| escaped(&json));
        let theirs = php.ask(b'j', &bytes).ok().map(|json| escaped(&json));
        assert_eq!(ours, theirs, "{}", escaped(&bytes));
        refused += usize::from(ours.is_none());
    }
    assert!(refused < 1000, "{refused} of 2000 had no JSON form");
}

/// What a Rust worker stores by way of its types is what PHP would have stored.
#[test]
fn typed_sessions_are_phps() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Session {
        name: String,
        balance: f64,
        friends: std::collections::BTreeMap<String, Vec<Option<i64>>>,
    }
    let Some(php) = Peer::shared() else { return };
    let friends = prop::collection::btree_map(
        "[0-9]{1,3}|.{0,5}",
        prop::collection::vec(any::<Option<i64>>(), 0..4),
        0..4,
    );
    proptest!(cases(500), |(name in ".{0,9}", balance in any::<f64>(), friends in friends)| {
        let bytes = php::to_serialized(&Session { name, balance, friends }).unwrap();
        let back = php.ask(b'e', &bytes).unwrap();
        prop_assert_eq!(escaped(&back), escaped(&bytes));
        let session: Session = php::from_serialized(&back).unwrap();
        prop_assert_eq!(escaped(&php::to_serialized(&session).unwrap()), escaped(&bytes));
    });
}
