//! What a program with `--admin` tells of itself.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};

use serde_json::Value;

use crate::wait::LIMIT;

/// What programs have as `--admin-token` whose address is open to other machines; others do not ask for it.
pub const ADMIN_TOKEN: &str = "of tests";

/// The report of the program at this address.
pub fn report(address: SocketAddrV4) -> Value {
    let (_, body) = response(address);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body}"))
}

/// The status code and the body with which the program at this address answers `/status`.
pub fn response(address: SocketAddrV4) -> (u16, String) {
    let authorization = format!("Authorization: Bearer {ADMIN_TOKEN}\r\n");
    let (code, _, body) = get(address, "/status", &authorization);
    (code, body)
}

/// The status code, the head and the body with which it answers a request for `path`, with more lines of the head if there are to
/// be: each with its end.
pub fn get(address: SocketAddrV4, path: &str, head: &str) -> (u16, String, String) {
    exchange(address, &format!("GET {path}"), head, "")
}

/// The status code and the body with which it answers when this is put there.
pub fn put(address: SocketAddrV4, path: &str, body: &str) -> (u16, String) {
    let head = format!("Content-Length: {}\r\n", body.len());
    let (code, _, body) = exchange(address, &format!("PUT {path}"), &head, body);
    (code, body)
}

/// The same when this is posted there, with more lines of the head.
pub fn post(address: SocketAddrV4, path: &str, head: &str, body: &str) -> (u16, String) {
    let head = format!("{head}Content-Length: {}\r\n", body.len());
    let (code, _, body) = exchange(address, &format!("POST {path}"), &head, body);
    (code, body)
}

fn exchange(address: SocketAddrV4, what: &str, head: &str, body: &str) -> (u16, String, String) {
    let mut stream =
        TcpStream::connect(address).unwrap_or_else(|error| panic!("admin at {address}: {error}"));
    stream.set_read_timeout(Some(LIMIT)).expect("a read timeout can be set");
    let request = format!("{what} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{head}\r\n{body}");
    stream.write_all(request.as_bytes()).expect("the program reads requests");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the program answers");
    let code = response.split(' ').nth(1).and_then(|code| code.parse().ok());
    let (head, body) = response.split_once("\r\n\r\n").expect("a response has a body");
    (code.expect("a response has a status"), head.to_owned(), body.to_owned())
}

/// Inner connections of all shards or cores of the program at this address.
pub fn links(address: SocketAddrV4) -> u64 {
    rows(&report(address)).iter().map(|row| row["links"].as_u64().expect("links are counted")).sum()
}

/// The sum of a counter over all shards or cores of the program at this address.
pub fn counter(address: SocketAddrV4, name: &str) -> u64 {
    let report = report(address);
    let counter = |row: &Value| row["counters"][name].as_u64();
    rows(&report).iter().map(|row| counter(row).unwrap_or_else(|| panic!("no {name} in {row}"))).sum()
}

fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().expect("a report has rows")
}
