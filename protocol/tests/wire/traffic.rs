//! The recorded traffic in `golden/traffic.txt`, parsed.

use std::collections::HashMap;

/// One line of the table.
pub(crate) struct Record {
    /// Which recording it is from, for messages.
    pub capture: &'static str,
    pub kind: Kind,
    /// The header's fields as they were annotated when recorded.
    pub fields: HashMap<&'static str, &'static str>,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Frame,
    Reply,
    Register,
}

/// All records of a kind.
pub(crate) fn records(kind: Kind) -> Vec<Record> {
    let table = include_str!("../golden/traffic.txt");
    let records = table.lines().filter(|line| !line.starts_with('#')).map(record);
    records.filter(|record| record.kind == kind).collect()
}

fn record(line: &'static str) -> Record {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap();
    let (capture, _direction, kind) = (word(), word(), word());
    let kind = match kind {
        "frame" => Kind::Frame,
        "reply" => Kind::Reply,
        "register" => Kind::Register,
        other => panic!("{other}"),
    };
    let mut fields: HashMap<&str, &str> = words.map(|field| field.split_once('=').unwrap()).collect();
    let bytes = unhex(fields.remove("hex").unwrap());
    Record { capture, kind, fields, bytes }
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
