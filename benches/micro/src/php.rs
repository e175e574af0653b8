//! PHP's values: sessions, replies, JSON.

use std::hint::black_box;

use protocol::php::{self, Array, Value};
use serde::{Deserialize, Serialize};

use crate::meter::{Bench, MANY};

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
        decode("session", small.clone()),
        decode("100 rows", large.clone()),
        encode("session", &small),
        encode("100 rows", &large),
        merge(),
        typed_read(),
        typed_write(),
        json(),
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

fn decode(what: &str, bytes: Vec<u8>) -> Bench {
    Bench::new(format!("php/unserialize {what}"), MANY, move |meter| {
        meter.each(
            || (),
            |()| {
                black_box(php::decode(black_box(&bytes)).expect("serialized above"));
            },
        );
    })
}

fn encode(what: &str, bytes: &[u8]) -> Bench {
    let value = php::decode(bytes).expect("serialized above");
    Bench::new(format!("php/serialize {what}"), MANY, move |meter| {
        let mut out = Vec::new();
        meter.each(
            || (),
            |()| {
                out.clear();
                php::encode(black_box(&value), &mut out);
            },
        );
    })
}

/// What UPDATE_SESSION does.
fn merge() -> Bench {
    Bench::new("php/merge session", MANY, |meter| {
        let (base, mut update, mut out) = (session(), Array::new(), Vec::new());
        update.insert("room", "kitchen");
        update.insert("typing", true);
        let update = php::to_bytes(&update.into());
        meter.each(
            || (),
            |()| {
                out.clear();
                php::merge_serialized(black_box(&base), &update, &mut out).expect("two arrays");
            },
        );
    })
}

fn typed_read() -> Bench {
    Bench::new("php/read session into a struct", MANY, |meter| {
        let bytes = session();
        meter.each(
            || (),
            |()| {
                let person: Person = php::from_serialized(black_box(&bytes)).expect("written from one");
                black_box(person);
            },
        );
    })
}

fn typed_write() -> Bench {
    Bench::new("php/write session from a struct", MANY, |meter| {
        let person = person();
        meter.each(
            || (),
            |()| {
                black_box(php::to_serialized(black_box(&person)).expect("a struct of scalars is an array"));
            },
        );
    })
}

/// A body that is an array goes to websocket clients as JSON.
fn json() -> Bench {
    Bench::new("php/json 100 rows", MANY, |meter| {
        let value = rows();
        meter.each(
            || (),
            |()| {
                black_box(php::to_json(black_box(&value)).expect("text and numbers"));
            },
        );
    })
}
