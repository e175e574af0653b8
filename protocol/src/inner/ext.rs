//! JSON in ext_data and in the bodies of 200 and 202: targets, exclusions, selections, authorization (WIRE.md §3, §5, §14).

use std::collections::HashSet;

use serde::de::MapAccess;

use super::hello::{Run, number};
use super::window::Window;
use crate::json::{self, Fields, IntoFields, Scalar, Shape};
use crate::php::write::decimal;
use crate::php::{KeyRef, Unicode, write_json_string};

/// Body of WORKER_CONNECT: who a worker is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorkerConnect {
    /// `<name>:<process number>`.
    pub worker_key: String,
    /// `None`: the field is missing or no string, which is a mismatch even when no key is set.
    pub secret_key: Option<String>,
    /// The worker said `"ringway":1`.
    pub ringway: bool,
    /// Which start of the worker it is; said by ours only, and by old ones not (WIRE.md §14).
    pub run: Option<Run>,
    /// How much the worker takes before it has said that something is done; said by ours only, and by old ones not (WIRE.md §14).
    pub window: Option<Window>,
    /// The worker says which events are safe, and knows those that come again; said by ours only, and by old ones not (WIRE.md §14).
    pub acks: bool,
    /// The worker wants to know what was taken of the link that had this number, and says the rest again; said by ours only,
    /// and with `acks` (WIRE.md §14).
    pub resume: Option<u32>,
    /// The worker answers websocket handshakes; said by ours only, and if its `Events` do (WIRE.md §14).
    pub handshakes: bool,
}

impl WorkerConnect {
    /// `None`: not a JSON object.
    pub fn decode(body: &[u8]) -> Option<WorkerConnect> {
        let mut connect = WorkerConnect::default();
        let (mut events, mut bytes) = (None, None);
        let shape = json::read_elements(body, |name, value| match name {
            KeyRef::Bytes(b"worker_key") => connect.worker_key = value.into_text().unwrap_or_default(),
            KeyRef::Bytes(b"secret_key") => connect.secret_key = value.into_text(),
            KeyRef::Bytes(b"ringway") => connect.ringway = value == Scalar::Int(1),
            KeyRef::Bytes(b"run") => connect.run = value.into_text().as_deref().and_then(Run::parse),
            KeyRef::Bytes(b"acks") => connect.acks = value == Scalar::Int(1),
            KeyRef::Bytes(b"handshakes") => connect.handshakes = value == Scalar::Int(1),
            KeyRef::Bytes(b"resume") => connect.resume = number(&value),
            KeyRef::Bytes(b"window_events") => events = amount(&value),
            KeyRef::Bytes(b"window_bytes") => bytes = amount(&value),
            _ => {}
        });
        connect.window = events.zip(bytes).map(|(events, bytes)| Window { events, bytes });
        matches!(shape, Some(Shape::Object(_))).then_some(connect)
    }

    /// The body; without `secret_key` if that is `None`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = br#"{"worker_key":"#.to_vec();
        write_json_string(&self.worker_key, Unicode::Escaped, &mut out);
        if let Some(key) = &self.secret_key {
            out.extend_from_slice(br#","secret_key":"#);
            write_json_string(key, Unicode::Escaped, &mut out);
        }
        if self.ringway {
            out.extend_from_slice(br#","ringway":1"#);
        }
        if let Some(run) = self.run {
            out.extend_from_slice(format!(r#","run":"{run}""#).as_bytes());
        }
        if self.acks {
            out.extend_from_slice(br#","acks":1"#);
        }
        if let Some(link) = self.resume {
            out.extend_from_slice(format!(r#","resume":{link}"#).as_bytes());
        }
        if self.handshakes {
            out.extend_from_slice(br#","handshakes":1"#);
        }
        if let Some(Window { events, bytes }) = self.window {
            let window = format!(r#","window_events":{events},"window_bytes":{bytes}"#);
            out.extend_from_slice(window.as_bytes());
        }
        out.push(b'}');
        out
    }
}

/// Part of a window: at least 1.
fn amount(value: &Scalar) -> Option<u32> {
    number(value).filter(|amount| *amount > 0)
}

/// Body of GATEWAY_CLIENT_CONNECT: the key of a querying connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientConnect {
    /// As in [`WorkerConnect::secret_key`].
    pub secret_key: Option<String>,
}

impl ClientConnect {
    /// `None`: not a JSON object.
    pub fn decode(body: &[u8]) -> Option<ClientConnect> {
        // What a worker says besides is passed over.
        WorkerConnect::decode(body).map(|connect| ClientConnect { secret_key: connect.secret_key })
    }

    /// The body; without `secret_key` if that is `None`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = b"{".to_vec();
        if let Some(key) = &self.secret_key {
            out.extend_from_slice(br#""secret_key":"#);
            write_json_string(key, Unicode::Escaped, &mut out);
        }
        out.push(b'}');
        out
    }
}

/// ext_data of SEND_TO_ALL: who gets the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Targets {
    /// Everybody.
    All,
    /// These connections, in this order.
    Only(Vec<u32>),
    /// Everybody but these connections.
    Except(HashSet<u32>),
}

impl Targets {
    /// Empty ext_data is everybody. `connections` names clients by its values, `exclude` by its keys, and the former
    /// wins. `None`: broken JSON.
    pub fn decode(ext: &[u8]) -> Option<Targets> {
        if ext.is_empty() {
            return Some(Targets::All);
        }
        let mut fields = TargetFields::default();
        json::read_fields(ext, &mut fields)?;
        Some(match (fields.connections, fields.exclude) {
            (Some(connections), _) => Targets::Only(connections),
            (None, exclude) if exclude.is_empty() => Targets::All,
            (None, exclude) => Targets::Except(exclude),
        })
    }

    /// The ext_data; empty for everybody. Excluded connections are written in ascending order.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Targets::Except(ids) if !ids.is_empty() => {
                out.extend_from_slice(br#"{"exclude":"#);
                write_ids(&sorted(ids), &mut out);
                out.push(b'}');
            }
            Targets::All | Targets::Except(_) => {}
            Targets::Only(ids) => {
                out.extend_from_slice(br#"{"connections":"#);
                write_ids(ids, &mut out);
                out.push(b'}');
            }
        }
        out
    }
}

#[derive(Default)]
struct TargetFields {
    connections: Option<Vec<u32>>,
    exclude: HashSet<u32>,
}

impl<'de> Fields<'de> for TargetFields {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        match name {
            "connections" => {
                let mut ids = Vec::new();
                let shape = json::elements(values, |_, value| ids.extend(value.to_connection_id()))?;
                self.connections = (shape != Shape::Scalar(Scalar::Null)).then_some(ids);
            }
            "exclude" => self.exclude = read_excluded(values)?,
            _ => drop(values.next_value::<Scalar<'de>>()?),
        }
        Ok(())
    }
}

/// ext_data of SEND_TO_GROUP.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupTargets {
    /// Groups in order; a member of two gets the message twice.
    pub groups: Vec<Vec<u8>>,
    /// Connections that get nothing.
    pub exclude: HashSet<u32>,
}

impl GroupTargets {
    /// `None`: broken JSON, or no object.
    pub fn decode(ext: &[u8]) -> Option<GroupTargets> {
        read_object(ext)
    }

    /// The ext_data. Names that are not UTF-8 cannot be told and are left out; excluded connections are written in
    /// ascending order.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = br#"{"group":"#.to_vec();
        write_names(&self.groups, &mut out);
        out.extend_from_slice(br#","exclude":"#);
        if self.exclude.is_empty() {
            out.extend_from_slice(b"null");
        } else {
            write_ids(&sorted(&self.exclude), &mut out);
        }
        out.push(b'}');
        out
    }
}

impl<'de> Fields<'de> for GroupTargets {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        match name {
            "group" => self.groups = read_names(values)?,
            "exclude" => self.exclude = read_excluded(values)?,
            _ => drop(values.next_value::<Scalar<'de>>()?),
        }
        Ok(())
    }
}

/// ext_data of SEND_TO_UID and of the batch queries: names of uids or groups, the values of a list or an object.
/// `None`: broken JSON, or neither.
pub fn decode_names(ext: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let shape = json::read_elements(ext, |_, value| names.extend(value.to_name()))?;
    (!matches!(shape, Shape::Scalar(_))).then_some(names)
}

/// The JSON list of these names. Names that are not UTF-8 cannot be told and are left out.
pub fn encode_names<N: AsRef<[u8]>>(names: &[N]) -> Vec<u8> {
    let mut out = Vec::new();
    write_names(names, &mut out);
    out
}

/// ext_data of SELECT.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Select {
    /// What the reply holds of each client, in this order.
    pub fields: Vec<Field>,
    /// Which clients; `None`: everybody.
    pub condition: Option<Where>,
}

/// A field of a client that SELECT can ask for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    /// The stored session bytes.
    Session,
    /// The uid.
    Uid,
    /// The groups.
    Groups,
    /// Something else, answered with null.
    Unknown(String),
}

/// Which clients a SELECT is about: the union of the three. All empty: nobody.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Where {
    /// Members of these groups.
    pub groups: Vec<Vec<u8>>,
    /// Clients of these uids.
    pub uids: Vec<Vec<u8>>,
    /// These connections.
    pub connection_ids: Vec<u32>,
}

impl Field {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Field::Session => "session",
            Field::Uid => "uid",
            Field::Groups => "groups",
            Field::Unknown(name) => name,
        }
    }

    fn from_name(name: String) -> Field {
        match name.as_str() {
            "session" => Field::Session,
            "uid" => Field::Uid,
            "groups" => Field::Groups,
            _ => Field::Unknown(name),
        }
    }
}

impl Select {
    /// `None`: broken JSON, or no object.
    pub fn decode(ext: &[u8]) -> Option<Select> {
        read_object(ext)
    }

    /// The ext_data. Names that are not UTF-8 cannot be told and are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = br#"{"fields":"#.to_vec();
        let fields: Vec<&str> = self.fields.iter().map(Field::name).collect();
        write_names(&fields, &mut out);
        out.extend_from_slice(br#","where":"#);
        match &self.condition {
            None => out.extend_from_slice(b"[]"),
            Some(condition) => condition.write(&mut out),
        }
        out.push(b'}');
        out
    }
}

impl<'de> Fields<'de> for Select {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        match name {
            "fields" => {
                let fields = &mut self.fields;
                fields.clear();
                json::elements(values, |_, value| fields.extend(value.into_text().map(Field::from_name)))?;
            }
            "where" => {
                let mut condition = Where::default();
                let everybody = match values.next_value_seed(IntoFields(&mut condition))? {
                    Shape::Scalar(value) => value.is_empty(),
                    Shape::List(count) | Shape::Object(count) => count == 0,
                };
                self.condition = (!everybody).then_some(condition);
            }
            _ => drop(values.next_value::<Scalar<'de>>()?),
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Where {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        match name {
            "groups" => self.groups = read_names(values)?,
            "uid" => self.uids = read_names(values)?,
            "connection_id" => {
                let ids = &mut self.connection_ids;
                ids.clear();
                json::elements(values, |_, value| ids.extend(value.to_connection_id()))?;
            }
            _ => drop(values.next_value::<Scalar<'de>>()?),
        }
        Ok(())
    }
}

impl Where {
    /// Only what is there is written, but never nothing at all: that would mean everybody.
    fn write(&self, out: &mut Vec<u8>) {
        let nothing = self.groups.is_empty() && self.uids.is_empty() && self.connection_ids.is_empty();
        let mut separator = b'{';
        let mut name = |name: &[u8], out: &mut Vec<u8>| {
            out.push(separator);
            out.extend_from_slice(name);
            separator = b',';
        };
        if nothing || !self.groups.is_empty() {
            name(br#""groups":"#, out);
            write_names(&self.groups, out);
        }
        if !self.uids.is_empty() {
            name(br#""uid":"#, out);
            write_names(&self.uids, out);
        }
        if !self.connection_ids.is_empty() {
            name(br#""connection_id":"#, out);
            write_ids(&self.connection_ids, out);
        }
        out.push(b'}');
    }
}

fn read_object<'de, T: Fields<'de> + Default>(input: &'de [u8]) -> Option<T> {
    let mut fields = T::default();
    let shape = json::read_fields(input, &mut fields)?;
    matches!(shape, Shape::Object(_)).then_some(fields)
}

fn read_names<'de, A: MapAccess<'de>>(values: &mut A) -> Result<Vec<Vec<u8>>, A::Error> {
    let mut names = Vec::new();
    json::elements(values, |_, value| names.extend(value.to_name()))?;
    Ok(names)
}

/// The keys; what they stand for does not matter.
fn read_excluded<'de, A: MapAccess<'de>>(values: &mut A) -> Result<HashSet<u32>, A::Error> {
    let mut ids = HashSet::new();
    json::elements(values, |key, _| ids.extend(json::key_to_connection_id(key)))?;
    Ok(ids)
}

/// `["g1","7"]`
fn write_names<N: AsRef<[u8]>>(names: &[N], out: &mut Vec<u8>) {
    out.push(b'[');
    let names = names.iter().filter_map(|name| str::from_utf8(name.as_ref()).ok());
    for (index, name) in names.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_json_string(name, Unicode::Escaped, out);
    }
    out.push(b']');
}

/// `{"1":1,"5":5}`, which is good for readers of keys and of values alike; none are `[]`, as PHP has it.
fn write_ids(ids: &[u32], out: &mut Vec<u8>) {
    if ids.is_empty() {
        return out.extend_from_slice(b"[]");
    }
    let mut separator = b'{';
    for id in ids {
        out.extend_from_slice(&[separator, b'"']);
        decimal(*id, out);
        out.extend_from_slice(b"\":");
        decimal(*id, out);
        separator = b',';
    }
    out.push(b'}');
}

fn sorted(ids: &HashSet<u32>) -> Vec<u32> {
    let mut ids: Vec<u32> = ids.iter().copied().collect();
    ids.sort_unstable();
    ids
}

#[cfg(test)]
#[path = "ext_tests.rs"]
mod tests;
