//! PHP's values: sessions, replies, JSON.

use std::hint::black_box;

use protocol::php::{self, Array, Value};
use serde::{Deserialize, Serialize};

use crate::meter::{Bench, encode, repeat};

/// A session as a chat would have it, 100 B or so.
#[derive(Serialize, Deserialize, Clone)]
struct Person {
    name: String,
    room: String,
    seen: i64,
    admin: bool,
}

pub(crate) fn benches() -> Vec<Bench> {
    let (small, large) = (session(), php::to_bytes(&rows()));
    vec![
        unserialize("session", small.clone()),
        unserialize("100 rows", large.clone()),
        serialize("session", small),
        serialize("100 rows", large),
        merge(),
        repeat("php/read session into a struct", || {
            let bytes = session();
            move || {
                drop(black_box(php::from_serialized::<Person>(black_box(&bytes)).expect("written from one")))
            }
        }),
        repeat("php/write session from a struct", || {
            let person = person();
            move || {
                drop(black_box(
                    php::to_serialized(black_box(&person)).expect("a struct of scalars is an array"),
                ))
            }
        }),
        // A body that is an array goes to websocket clients as JSON.
        repeat("php/json 100 rows", || {
            let value = rows();
            move || drop(black_box(php::to_json(black_box(&value)).expect("text and numbers")))
        }),
    ]
}

/// A session of some 100 bytes, serialized.
pub(crate) fn session() -> Vec<u8> {
    php::to_serialized(&person()).expect("a struct of scalars is an array")
}

fn person() -> Person {
    Person { name: "Grete Müller".into(), room: "lobby".into(), seen: 1_767_225_600, admin: false }
}

/// As a query for many clients answers.
fn rows() -> Value {
    let mut rows = Array::new();
    for index in 0..100 {
        let mut row = Array::new();
        row.insert("uid", Value::from(format!("user {index}")));
        row.insert("session", Value::from(session()));
        rows.insert(index, row);
    }
    rows.into()
}

fn unserialize(what: &str, bytes: Vec<u8>) -> Bench {
    repeat(format!("php/unserialize {what}"), move || {
        let bytes = bytes.clone();
        move || drop(black_box(php::decode(black_box(&bytes)).expect("serialized above")))
    })
}

fn serialize(what: &str, bytes: Vec<u8>) -> Bench {
    encode(format!("php/serialize {what}"), move || {
        let value = php::decode(&bytes).expect("serialized above");
        move |out| php::encode(black_box(&value), out)
    })
}

/// What UPDATE_SESSION does.
fn merge() -> Bench {
    encode("php/merge session", || {
        let (base, mut update) = (session(), Array::new());
        update.insert("room", "kitchen");
        update.insert("typing", true);
        let update = php::to_bytes(&update.into());
        move |out| php::merge_serialized(black_box(&base), &update, out).expect("two arrays")
    })
}
