//! Types there and back, and what is refused.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use proptest::prelude::*;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::*;
use crate::{DEPTH_MAX, Object};

fn read<T: DeserializeOwned>(serialized: &str) -> Result<T, String> {
    from_serialized(serialized.as_bytes()).map_err(|error| error.to_string())
}

fn written<T: Serialize>(typed: T) -> Result<String, String> {
    let bytes = to_serialized(&typed).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[track_caller]
fn both_ways<T: Serialize + DeserializeOwned + PartialEq + Debug>(typed: T, serialized: &str) {
    assert_eq!(written(&typed).as_deref(), Ok(serialized));
    assert_eq!(read::<T>(serialized), Ok(typed));
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Everything {
    flag: bool,
    small: i8,
    big: u64,
    float: f64,
    single: f32,
    letter: char,
    text: String,
    bytes: Bytes,
    list: Vec<Option<u16>>,
    by_name: BTreeMap<String, i64>,
    by_number: BTreeMap<i32, ()>,
    tuple: (u8, String),
    wrapped: Wrapped,
    shapes: Vec<Shape>,
    #[serde(rename = "7")]
    seven: Unit,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Wrapped(i64);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Unit;

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Shape {
    Nothing,
    Circle(f64),
    Line(i64, i64),
    Label { text: String },
}

#[derive(PartialEq, Debug, Clone)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Take;
        impl Visitor<'_> for Take {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Take)
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Nothing),
        prop::num::f64::NORMAL.prop_map(Shape::Circle),
        any::<(i64, i64)>().prop_map(|(a, b)| Shape::Line(a, b)),
        ".{0,5}".prop_map(|text| Shape::Label { text }),
    ]
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (any::<bool>(), any::<i8>(), any::<u64>(), any::<f64>(), any::<f32>(), any::<char>());
    let texts = (".{0,9}", any::<Vec<u8>>(), any::<Vec<Option<u16>>>());
    let name = prop_oneof!["-?[0-9]{1,3}", ".{0,4}"];
    let maps = (prop::collection::btree_map(name, any::<i64>(), 0..5), any::<BTreeMap<i32, ()>>());
    let rest = (any::<(u8, String)>(), any::<i64>(), prop::collection::vec(shape(), 0..4));
    (numbers, texts, maps, rest).prop_map(|(numbers, texts, maps, rest)| Everything {
        flag: numbers.0,
        small: numbers.1,
        big: numbers.2,
        float: numbers.3,
        single: numbers.4,
        letter: numbers.5,
        text: texts.0,
        bytes: Bytes(texts.1),
        list: texts.2,
        by_name: maps.0,
        by_number: maps.1,
        tuple: rest.0,
        wrapped: Wrapped(rest.1),
        shapes: rest.2,
        seven: Unit,
    })
}

proptest! {
    #[test]
    fn identity(typed in everything()) {
        let value = to_value(&typed).unwrap();
        prop_assert_eq!(&from_value::<Everything>(&value).unwrap(), &typed);
        prop_assert_eq!(&from_serialized::<Everything>(&to_serialized(&typed).unwrap()).unwrap(), &typed);
        prop_assert_eq!(&from_array::<Everything>(value.as_array().unwrap()).unwrap(), &typed);
    }
}

#[test]
fn looks_as_php_would_write_it() {
    both_ways((1, "a".to_owned()), r#"a:2:{i:0;i:1;i:1;s:1:"a";}"#);
    both_ways(None::<i64>, "N;");
    both_ways(Some(0.1), "d:0.1;");
    both_ways(u64::MAX, r#"s:20:"18446744073709551615";"#);
    both_ways(Shape::Nothing, r#"s:7:"Nothing";"#);
    both_ways(Shape::Circle(1.0), r#"a:1:{s:6:"Circle";d:1;}"#);
    both_ways(Shape::Line(1, 2), r#"a:1:{s:4:"Line";a:2:{i:0;i:1;i:1;i:2;}}"#);
    both_ways(Shape::Label { text: "x".to_owned() }, r#"a:1:{s:5:"Label";a:1:{s:4:"text";s:1:"x";}}"#);
    both_ways(HashMap::from([("7".to_owned(), true)]), "a:1:{i:7;b:1;}");
    both_ways(HashMap::from([(7, true)]), "a:1:{i:7;b:1;}");
    both_ways(HashMap::from([(u64::MAX, true)]), r#"a:1:{s:20:"18446744073709551615";b:1;}"#);
    both_ways(HashMap::from([(true, 'x')]), r#"a:1:{i:1;s:1:"x";}"#);
    both_ways(vec![0_u8, 255], "a:2:{i:0;i:0;i:1;i:255;}");
    both_ways(BTreeMap::<String, i64>::new(), "a:0:{}");
}

#[test]
fn reads_what_means_the_same() {
    assert_eq!(read("i:5;"), Ok(5.0));
    assert_eq!(read("d:5;"), Ok(5));
    assert_eq!(read("d:-9.2233720368547758E+18;"), Ok(i64::MIN));
    assert_eq!(read(r#"s:2:"-5";"#), Ok(-5));
    assert_eq!(read("i:5;"), Ok("5".to_owned()));
    assert_eq!(read("i:1;"), Ok(true));
    assert_eq!(read("a:2:{i:4;i:1;i:2;i:2;}"), Ok(vec![1, 2]));
    assert_eq!(read("a:2:{i:4;i:1;i:2;i:2;}"), Ok(HashMap::from([(4, 1), (2, 2)])));
    assert_eq!(read(r#"E:13:"Shape:Nothing";"#), Ok(Shape::Nothing));
    assert_eq!(
        read("O:1:\"X\":3:{s:4:\"\0*\0p\";i:1;s:1:\"7\";i:2;s:4:\"\0X\0q\";r:1;}"),
        Ok(HashMap::from([(7, 2)]))
    );
    let value = Value::from("lent");
    assert_eq!(from_value::<&str>(&value), Ok("lent"));
}

#[test]
fn refuses_what_does_not() {
    assert_eq!(read::<i64>("d:1.5;").unwrap_err(), "invalid type: the float 1.5, expected i64");
    assert!(read::<i64>("d:9.2233720368547758E+18;").is_err());
    assert!(read::<i64>("d:NAN;").is_err());
    assert!(read::<i64>("d:INF;").is_err());
    assert_eq!(read::<u8>("i:256;").unwrap_err(), "invalid value: the int 256, expected u8");
    for text in ["", " 5", "05", "5.0", "1e3", "+18446744073709551615", "18446744073709551616"] {
        assert!(read::<u64>(&format!("s:{}:\"{text}\";", text.len())).is_err(), "{text}");
    }
    assert!(read::<f64>("i:9007199254740993;").is_err());
    assert!(read::<f64>("i:9223372036854775807;").is_err());
    assert!(read::<f64>(r#"s:3:"1.5";"#).is_err());
    assert!(read::<bool>("i:2;").is_err());
    assert!(read::<i64>("b:1;").is_err());
    assert!(read::<i64>("N;").is_err());
    assert!(read::<String>("d:5;").is_err());
    assert!(read::<(i64, i64)>("a:1:{i:0;i:1;}").is_err());
    assert_eq!(
        read::<(i64, i64)>("a:3:{i:0;i:1;i:1;i:2;i:2;i:3;}").unwrap_err(),
        "a list of 3, 1 more than expected"
    );
    assert_eq!(
        read::<Vec<i64>>(r#"a:1:{s:1:"a";i:1;}"#).unwrap_err(),
        "invalid type: an array with keys, expected a sequence"
    );
    assert_eq!(read::<String>("C:1:\"X\":0:{}").unwrap_err(), "an object that serializes itself");
    assert_eq!(read::<Shape>(r#"s:6:"Circus";"#).unwrap_err().split(',').next(), Some("unknown variant"));
    assert!(read::<Shape>(r#"s:6:"Circle";"#).is_err());
    assert!(read::<Shape>("a:0:{}").is_err());
    assert_eq!(read::<i64>("i:5").unwrap_err(), "not a PHP-serialized value, broken at byte 2");
}

#[test]
fn says_where_but_quotes_no_strings() {
    let error = read::<HashMap<String, Vec<Shape>>>(
        r#"a:1:{s:6:"shapes";a:2:{i:0;s:7:"Nothing";i:1;a:1:{s:5:"Label";a:1:{s:4:"text";N;}}}}"#,
    );
    assert_eq!(error.unwrap_err(), "at shapes.1.Label.text: invalid type: null, expected a string");
    let value = Array::from([("pin", "secret")]).into();
    let error = from_value::<HashMap<String, i64>>(&value).unwrap_err();
    assert_eq!((error.path().as_str(), error.message()), ("pin", "invalid type: a string, expected i64"));
    let error = from_value::<Everything>(&value).unwrap_err();
    assert_eq!((error.path().as_str(), error.message()), ("", "missing field `flag`"));
    let long = Array::from([("k".repeat(1 << 20), Value::Null)]).into();
    assert!(from_value::<HashMap<String, i64>>(&long).unwrap_err().to_string().len() < 200);
    let error = to_value(&HashMap::from([("a", HashMap::from([((), 1)]))])).unwrap_err();
    assert_eq!(error.to_string(), "at a: a key must be an int or a string");
}

#[test]
fn follows_references() {
    // $a = ['x' => [1]]; $a['y'] = &$a['x'];
    let shared = r#"a:2:{s:1:"x";a:1:{i:0;i:1;}s:1:"y";R:2;}"#;
    assert_eq!(read(shared), Ok(BTreeMap::from([("x".to_owned(), vec![1]), ("y".to_owned(), vec![1])])));
    // The reference to an object has a number too.
    let objects = r#"a:4:{i:0;O:1:"X":0:{}i:1;r:2;i:2;i:5;i:3;R:4;}"#;
    assert_eq!(read::<(Unread, Unread, i64, i64)>(objects), Ok((Unread {}, Unread {}, 5, 5)));
    let twice = r#"a:3:{i:0;O:1:"X":0:{}i:1;r:2;i:2;R:3;}"#;
    assert_eq!(read::<Vec<Unread>>(twice).map(|list| list.len()), Ok(3));
    for broken in ["a:1:{i:0;r:2;}", "a:1:{i:0;R:9;}", "a:2:{i:0;r:3;i:1;r:2;}"] {
        assert_eq!(read::<Vec<i64>>(broken).unwrap_err(), "at 0: a reference to nothing");
    }
    assert_eq!(read::<i64>("R:1;").unwrap_err(), "a reference to nothing");
}

#[derive(Deserialize, PartialEq, Debug)]
struct Unread {}

#[derive(Deserialize, Serialize, PartialEq, Debug)]
struct Nest(Vec<Nest>);

#[test]
fn references_cannot_multiply() {
    assert!(read::<Nest>("a:1:{i:0;R:1;}").unwrap_err().ends_with("nested deeper than 256"));
    assert!(read::<Nest>("a:2:{i:0;R:1;i:1;R:1;}").unwrap_err().ends_with("nested deeper than 256"));
    // Each list holds the one before twice: 2^40 lists in a few hundred bytes.
    let doubling: String = (1..40_u64).map(|i| format!("i:{i};a:2:{{i:0;R:{};i:1;R:{0};}}", 1 + i)).collect();
    let error = read::<Nest>(&format!("a:40:{{i:0;a:0:{{}}{doubling}}}")).unwrap_err();
    assert!(error.ends_with("too many references"), "{error}");
    // One long string, many times.
    let long = format!("i:0;s:100000:\"{}\";", "x".repeat(100_000));
    let many: String = (1..100).map(|i| format!("i:{i};R:2;")).collect();
    assert!(
        read::<Vec<String>>(&format!("a:100:{{{long}{many}}}")).unwrap_err().ends_with("too many references")
    );
}

#[test]
fn depth_is_limited_both_ways() {
    let nest = |depth| (1..depth).fold(Nest(Vec::new()), |inner, _| Nest(vec![inner]));
    let bytes = to_serialized(&nest(DEPTH_MAX)).unwrap();
    assert_eq!(from_serialized::<Nest>(&bytes), Ok(nest(DEPTH_MAX)));
    assert!(to_serialized(&nest(DEPTH_MAX + 1)).unwrap_err().to_string().ends_with("nested deeper than 256"));
    let deep = (0..DEPTH_MAX + 2).fold(Value::Null, |inner, _| Array::from(vec![inner]).into());
    assert!(from_value::<Nest>(&deep).unwrap_err().to_string().ends_with("nested deeper than 256"));
    #[derive(Serialize)]
    enum Chain {
        Link { next: Option<Box<Chain>> },
    }
    let chain = |links| {
        (1..links).fold(Chain::Link { next: None }, |chain, _| Chain::Link { next: Some(Box::new(chain)) })
    };
    assert!(decode(&to_serialized(&chain(DEPTH_MAX / 2)).unwrap()).is_ok());
    assert!(to_serialized(&chain(DEPTH_MAX / 2 + 1)).is_err());
}

#[test]
fn unread_elements_may_be_anything() {
    let session = "a:3:{s:1:\"c\";C:1:\"X\":1:{!}s:1:\"o\";O:1:\"X\":0:{}s:1:\"f\";d:NAN;}";
    assert_eq!(read::<Unread>(session), Ok(Unread {}));
}

#[test]
fn serde_attributes_work() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Session {
        #[serde(default)]
        visits: u32,
        #[serde(flatten)]
        rest: BTreeMap<String, i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        event: Option<Event>,
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(tag = "type")]
    enum Event {
        Move { x: f64 },
    }
    both_ways(
        Session { visits: 1, rest: [("7".to_owned(), 7)].into(), event: Some(Event::Move { x: 1.5 }) },
        r#"a:3:{s:6:"visits";i:1;i:7;i:7;s:5:"event";a:2:{s:4:"type";s:4:"Move";s:1:"x";d:1.5;}}"#,
    );
    assert_eq!(read("a:0:{}"), Ok(Session { visits: 0, rest: BTreeMap::new(), event: None }));
}

#[test]
fn assign_leaves_the_others_as_they_are() {
    #[derive(Serialize)]
    struct Ours {
        list: Vec<i64>,
        visits: i64,
    }
    let object = Value::Object(Box::new(Object { class: b"X".to_vec(), properties: Vec::new() }));
    let mut session = Array::from([("list", Array::from(vec![1, 2, 3]).into()), ("theirs", object.clone())]);
    assign(&mut session, &Ours { list: vec![9], visits: 1 }).unwrap();
    let list = Array::from(vec![9]).into();
    assert_eq!(session, Array::from([("list", list), ("theirs", object), ("visits", 1.into())]));
    assert!(assign(&mut session, &5).is_err() && session.len() == 3);
}

#[test]
fn assign_keeps_references_right() {
    // 'b' refers to an element of 'a', which is replaced; 'd' to 'c', whose number changes by that.
    let stored = r#"a:4:{s:1:"a";a:2:{i:0;i:1;i:1;i:2;}s:1:"b";R:3;s:1:"c";i:3;s:1:"d";R:5;}"#;
    let Ok(Value::Array(mut session)) = decode(stored.as_bytes()) else { panic!("an array") };
    assign(&mut session, &BTreeMap::from([("a", vec![7])])).unwrap();
    assert_eq!(
        String::from_utf8(to_bytes(&session.into())).unwrap(),
        r#"a:4:{s:1:"a";a:1:{i:0;i:7;}s:1:"b";i:1;s:1:"c";i:3;s:1:"d";R:5;}"#
    );
    let Ok(Value::Array(mut broken)) = decode(b"a:1:{i:0;r:7;}") else { panic!("an array") };
    assert!(assign(&mut broken, &[1]).is_err() && broken.len() == 1);
}
