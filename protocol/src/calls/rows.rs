//! Reads the replies to queries. What a gateway should not have said is left out.

use std::collections::HashSet;
use std::net::SocketAddrV4;

use indexmap::IndexMap;

use super::{ClientDetails, Name};
use crate::ClientId;
use crate::php::{self, Array, Key, KeyRef, Value};

/// Something for each group, groups in the order in which they were first seen.
pub(super) type Grouped<T> = Vec<(Name, Vec<T>)>;

type Replies = [(SocketAddrV4, Value)];

/// The sum of replies that are a number each.
pub(super) fn sum(replies: &Replies) -> u64 {
    replies.iter().filter_map(|(_, value)| count(value)).fold(0, u64::saturating_add)
}

/// The sum of what replies that are arrays have under a name.
pub(super) fn sum_under(replies: &Replies, name: &Name) -> u64 {
    under(replies, name).filter_map(|(_, value)| count(value)).fold(0, u64::saturating_add)
}

/// The clients of replies that are lists of connection ids.
pub(super) fn listed_clients(replies: &Replies) -> Vec<ClientId> {
    replies.iter().flat_map(|(gateway, value)| connections(*gateway, value)).collect()
}

/// The clients of replies that have a list of connection ids under a name.
pub(super) fn clients_under(replies: &Replies, name: &Name) -> Vec<ClientId> {
    under(replies, name).flat_map(|(gateway, value)| connections(gateway, value)).collect()
}

/// The names of replies that are lists of names, each once.
pub(super) fn names(replies: &Replies) -> Vec<Name> {
    let names = replies.iter().filter_map(|(_, value)| value.as_array()).flat_map(Array::values);
    once(names.filter_map(name))
}

/// The clients that replies have a row for.
pub(super) fn clients(replies: &Replies) -> Vec<ClientId> {
    rows(replies).map(|(client, _)| client).collect()
}

/// The uids in the rows, each once.
pub(super) fn uids(replies: &Replies) -> Vec<Name> {
    once(rows(replies).filter_map(|(_, row)| uid(row)))
}

/// What the first row has of a client.
pub(super) fn details(replies: &Replies) -> Option<ClientDetails> {
    let (_, row) = rows(replies).next()?;
    let session = row.get("session").and_then(Value::as_bytes).unwrap_or_default().to_vec();
    Some(ClientDetails { uid: uid(row), groups: row_groups(row).collect(), session })
}

/// The stored session of each row, decoded; empty when what is stored is not an array.
pub(super) fn sessions(replies: &Replies) -> Vec<(ClientId, Array)> {
    let decode = |stored: &[u8]| match php::decode(stored) {
        Ok(Value::Array(array)) => array,
        _ => Array::default(),
    };
    rows(replies).filter_map(|(client, stored)| Some((client, decode(stored.as_bytes()?)))).collect()
}

/// The uids of each group's members, each once.
pub(super) fn uids_by_group(replies: &Replies) -> Grouped<Name> {
    let mut groups: IndexMap<Name, Vec<Name>> = IndexMap::new();
    for (_, row) in rows(replies) {
        if let Some(uid) = uid(row) {
            row_groups(row).for_each(|group| groups.entry(group).or_default().push(uid.clone()));
        }
    }
    groups.into_iter().map(|(group, uids)| (group, once(uids.into_iter()))).collect()
}

/// The members of each group.
pub(super) fn clients_by_group(replies: &Replies) -> Grouped<ClientId> {
    let mut groups: IndexMap<Name, Vec<ClientId>> = IndexMap::new();
    for (client, row) in rows(replies) {
        row_groups(row).for_each(|group| groups.entry(group).or_default().push(client));
    }
    groups.into_iter().collect()
}

/// Rows of replies that are arrays from connection id to something.
fn rows(replies: &Replies) -> impl Iterator<Item = (ClientId, &Value)> {
    replies.iter().flat_map(|(gateway, value)| {
        value.as_array().into_iter().flat_map(Array::iter).filter_map(|(key, row)| match key {
            Key::Int(id) => Some((client(*gateway, *id)?, row)),
            Key::Bytes(_) => None,
        })
    })
}

fn under<'r>(replies: &'r Replies, name: &Name) -> impl Iterator<Item = (SocketAddrV4, &'r Value)> {
    replies
        .iter()
        .filter_map(move |(gateway, value)| Some((*gateway, value.get(KeyRef::from_bytes(name.as_bytes()))?)))
}

fn connections(gateway: SocketAddrV4, list: &Value) -> impl Iterator<Item = ClientId> {
    let ids = list.as_array().into_iter().flat_map(Array::values);
    ids.filter_map(move |id| client(gateway, id.as_int()?))
}

fn client(gateway: SocketAddrV4, connection_id: i64) -> Option<ClientId> {
    Some(ClientId { gateway, connection_id: connection_id.try_into().ok()? })
}

fn count(value: &Value) -> Option<u64> {
    value.as_int()?.try_into().ok()
}

fn uid(row: &Value) -> Option<Name> {
    name(row.get("uid")?)
}

fn row_groups(row: &Value) -> impl Iterator<Item = Name> {
    let groups = row.get("groups").and_then(Value::as_array);
    groups.into_iter().flat_map(Array::values).filter_map(name)
}

/// A name comes as a string, or as an int when it looks like one (WIRE.md §6).
fn name(value: &Value) -> Option<Name> {
    match value {
        Value::Int(int) => Some((*int).into()),
        value => Some(value.as_bytes()?.into()),
    }
}

fn once(names: impl Iterator<Item = Name>) -> Vec<Name> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(name.clone())).collect()
}
