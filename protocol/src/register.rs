//! The register's JSON lines (WIRE.md §2).

use serde::de::MapAccess;

use crate::inner::{Answer, NONCE_SIZE, Nonce, Proof};
use crate::json::{self, Fields, Scalar, Shape};
use crate::php::{KeyRef, Unicode, write_json_string};

/// What a register is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// A gateway's inner address is there as long as this connection is.
    GatewayConnect {
        /// `ip:port`, not empty.
        address: String,
        /// `""` when the field is missing.
        secret_key: String,
        /// Where its process tells of itself, on the address that it connects from (WIRE.md §14).
        admin: Option<u16>,
    },
    /// Tell this connection the list, now and whenever it changes.
    WorkerConnect {
        /// `""` when the field is missing.
        secret_key: String,
        /// As of a gateway.
        admin: Option<u16>,
    },
    /// The answer to [`challenge_line`], before anything else.
    Prove {
        /// What it says.
        answer: Answer,
        /// What it will register, if it is a gateway; `""` when the field is missing.
        address: String,
    },
    /// Nothing, kept alive.
    Ping,
    /// The same, and the peer wants [`PONG`]; from then on it is dead when it is silent (WIRE.md §14). PHP's register
    /// takes it for a [`Request::Ping`].
    RingwayPing,
}

/// Why a line is no request. The connection ends in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or without an event. Answered with [`BAD_REQUEST`].
    #[error("not a request")]
    NotARequest,
    /// An event that a register does not know. Closed silently.
    #[error("unknown event")]
    UnknownEvent,
    /// A gateway without an address. Closed silently.
    #[error("empty address")]
    EmptyAddress,
    /// A proof that cannot be one. Closed silently.
    #[error("no proof")]
    NoProof,
    /// A key that is no string and so equals none. Closed silently.
    #[error("secret_key is not a string")]
    BadKey,
}

/// The line that answers [`RequestError::NotARequest`], with its newline.
pub const BAD_REQUEST: &[u8] = b"Bad request for Register service.\n";

/// The line that answers [`Request::RingwayPing`], with its newline.
pub const PONG: &[u8] = b"{\"event\":\"pong\"}\n";

impl Request {
    /// Reads one line, with or without its line end.
    pub fn decode(line: &[u8]) -> Result<Request, RequestError> {
        let (mut event, mut address, mut secret_key, mut ringway, mut admin) = (None, None, None, None, None);
        let (mut nonce, mut proof) = (None, None);
        let read = json::read_elements(line, |name, value| match name {
            KeyRef::Bytes(b"event") => event = Some(value),
            KeyRef::Bytes(b"address") => address = Some(value),
            KeyRef::Bytes(b"secret_key") => secret_key = Some(value),
            KeyRef::Bytes(b"ringway") => ringway = Some(value),
            KeyRef::Bytes(b"admin") => admin = port(&value),
            KeyRef::Bytes(b"nonce") => nonce = value.into_text(),
            KeyRef::Bytes(b"proof") => proof = value.into_text(),
            _ => {}
        });
        read.ok_or(RequestError::NotARequest)?;
        let event = event.filter(|event| !event.is_empty()).ok_or(RequestError::NotARequest)?;
        let event = event.into_text().ok_or(RequestError::UnknownEvent)?;
        match event.as_str() {
            "ping" if ringway == Some(Scalar::Int(1)) => Ok(Request::RingwayPing),
            "ping" => Ok(Request::Ping),
            "prove" => {
                let answer = [nonce, proof].map(|part| part.unwrap_or_default()).concat();
                Ok(Request::Prove {
                    answer: read_hex(&answer).ok_or(RequestError::NoProof)?,
                    address: address.and_then(Scalar::into_text).unwrap_or_default(),
                })
            }
            "worker_connect" => Ok(Request::WorkerConnect { secret_key: key(secret_key)?, admin }),
            "gateway_connect" => {
                let address = address.filter(|address| !address.is_empty()).and_then(Scalar::into_text);
                Ok(Request::GatewayConnect {
                    address: address.ok_or(RequestError::EmptyAddress)?,
                    secret_key: key(secret_key)?,
                    admin,
                })
            }
            _ => Err(RequestError::UnknownEvent),
        }
    }

    /// Appends the line as PHP writes it, newline included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Request::GatewayConnect { address, secret_key, admin } => {
                out.extend_from_slice(br#"{"event":"gateway_connect", "address":"#);
                write_json_string(address, Unicode::Kept, out);
                out.extend_from_slice(br#", "secret_key":"#);
                write_json_string(secret_key, Unicode::Kept, out);
                end(*admin, out);
            }
            Request::WorkerConnect { secret_key, admin } => {
                out.extend_from_slice(br#"{"event":"worker_connect","secret_key":"#);
                write_json_string(secret_key, Unicode::Kept, out);
                end(*admin, out);
            }
            Request::Prove { answer, address } => {
                let (nonce, proof) = answer.split_at(NONCE_SIZE);
                out.extend_from_slice(br#"{"event":"prove","nonce":"#);
                write_hex(nonce, out);
                out.extend_from_slice(br#","proof":"#);
                write_hex(proof, out);
                if !address.is_empty() {
                    out.extend_from_slice(br#","address":"#);
                    write_json_string(address, Unicode::Kept, out);
                }
                out.extend_from_slice(b"}\n");
            }
            Request::Ping => out.extend_from_slice(b"{\"event\":\"ping\"}\n"),
            Request::RingwayPing => out.extend_from_slice(b"{\"event\":\"ping\",\"ringway\":1}\n"),
        }
    }
}

/// The end of a first line. PHP's register passes over a field that it does not know.
fn end(admin: Option<u16>, out: &mut Vec<u8>) {
    if let Some(port) = admin {
        out.extend_from_slice(format!(",\"admin\":{port}").as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

/// A port; whatever else it is, it is as if it were not there.
fn port(field: &Scalar<'_>) -> Option<u16> {
    if let Scalar::Int(port) = field { u16::try_from(*port).ok().filter(|port| *port != 0) } else { None }
}

/// The line that a register which wants the key proven says first, with its newline.
pub fn challenge_line(nonce: &Nonce) -> Vec<u8> {
    let mut line = br#"{"event":"challenge","nonce":"#.to_vec();
    write_hex(&nonce.0, &mut line);
    line.extend_from_slice(b"}\n");
    line
}

/// The line by which it proves that it knows the key itself, with its newline.
pub fn proof_line(proof: &Proof) -> Vec<u8> {
    let mut line = br#"{"event":"proof","proof":"#.to_vec();
    write_hex(proof, &mut line);
    line.extend_from_slice(b"}\n");
    line
}

/// As a JSON string.
fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).map_or(0, |digit| digit as u8);
    out.push(b'"');
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]));
    out.push(b'"');
}

/// So many bytes, or nothing.
fn read_hex<const SIZE: usize>(text: &str) -> Option<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    if text.len() != 2 * SIZE {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = [digits[0], digits[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(bytes)
}

fn key(field: Option<Scalar<'_>>) -> Result<String, RequestError> {
    match field {
        None | Some(Scalar::Null) => Ok(String::new()),
        Some(key) => key.into_text().ok_or(RequestError::BadKey),
    }
}

/// The register's list of gateways.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Broadcast {
    /// Inner addresses, `ip:port` each.
    pub addresses: Vec<String>,
}

/// What a register says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Response {
    /// The gateways there are now.
    Addresses(Vec<String>),
    /// [`PONG`].
    Pong,
    /// [`challenge_line`].
    Challenge(Nonce),
    /// [`proof_line`].
    Proof(Proof),
}

impl Response {
    /// Reads one line.
    pub fn decode(line: &[u8]) -> Result<Response, BroadcastError> {
        let mut fields = BroadcastFields::default();
        json::read_fields(line, &mut fields).ok_or(BroadcastError)?;
        match (fields.event.as_deref(), fields.addresses) {
            (Some("broadcast_addresses"), Some(addresses)) => Ok(Response::Addresses(addresses)),
            (Some("pong"), _) => Ok(Response::Pong),
            (Some("challenge"), _) => fields.nonce.map(Response::Challenge).ok_or(BroadcastError),
            (Some("proof"), _) => fields.proof.map(Response::Proof).ok_or(BroadcastError),
            _ => Err(BroadcastError),
        }
    }
}

/// A line that is no list of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a broadcast of addresses")]
pub struct BroadcastError;

impl Broadcast {
    /// Reads one line; the addresses may be a list or an object. Entries that are no strings are left out.
    pub fn decode(line: &[u8]) -> Result<Broadcast, BroadcastError> {
        match Response::decode(line)? {
            Response::Addresses(addresses) => Ok(Broadcast { addresses }),
            Response::Pong | Response::Challenge(_) | Response::Proof(_) => Err(BroadcastError),
        }
    }

    /// Appends the line, the addresses as a list, newline included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"event":"broadcast_addresses","addresses":["#);
        for (index, address) in self.addresses.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_json_string(address, Unicode::Escaped, out);
        }
        out.extend_from_slice(b"]}\n");
    }
}

#[derive(Default)]
struct BroadcastFields {
    event: Option<String>,
    addresses: Option<Vec<String>>,
    nonce: Option<Nonce>,
    proof: Option<Proof>,
}

impl<'de> Fields<'de> for BroadcastFields {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        match name {
            "event" => self.event = values.next_value::<Scalar<'de>>()?.into_text(),
            "nonce" => {
                let nonce = values.next_value::<Scalar<'de>>()?.into_text();
                self.nonce = nonce.and_then(|nonce| read_hex(&nonce)).map(Nonce);
            }
            "proof" => {
                let proof = values.next_value::<Scalar<'de>>()?.into_text();
                self.proof = proof.and_then(|proof| read_hex(&proof));
            }
            "addresses" => {
                let mut addresses = Vec::new();
                let shape = json::elements(values, |_, value| addresses.extend(value.into_text()))?;
                self.addresses = (!matches!(shape, Shape::Scalar(_))).then_some(addresses);
            }
            _ => drop(values.next_value::<Scalar<'de>>()?),
        }
        Ok(())
    }
}

/// The longest line in bytes; beyond it is [`LineTooLong`]. Enough for the addresses of 40,000 shards.
pub const LINE_SIZE_MAX: usize = 1 << 20;

/// More than [`LINE_SIZE_MAX`] bytes without a line end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line too long")]
pub struct LineTooLong;

/// Cuts what arrives into lines. It holds at most [`LINE_SIZE_MAX`] bytes and what was last pushed, if every push is
/// followed by taking lines until there is none.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the first line not yet taken begins.
    start: usize,
    /// Up to here there is no line end; `start <= scanned <= buffer.len()`.
    scanned: usize,
}

impl Lines {
    /// Appends what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line without its line end, or `None` while it is not whole.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        let Some(size) = self.buffer[self.scanned..].iter().position(|&byte| byte == b'\n') else {
            self.scanned = self.buffer.len();
            return if self.scanned - self.start > LINE_SIZE_MAX { Err(LineTooLong) } else { Ok(None) };
        };
        let end = self.scanned + size;
        let line = &self.buffer[self.start..end];
        (self.start, self.scanned) = (end + 1, end + 1);
        if line.len() > LINE_SIZE_MAX {
            return Err(LineTooLong);
        }
        let trimmed = line.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
        Ok(Some(&line[..trimmed]))
    }

    /// What has come of the line that is not whole.
    pub fn unfinished(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

#[cfg(test)]
#[path = "register_tests.rs"]
mod tests;
