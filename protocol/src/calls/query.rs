//! Queries: what gateways are asked, and what their replies mean (WIRE.md §5).

use std::fmt;
use std::net::SocketAddrV4;

use super::rows::{self, Grouped};
use super::{Answer, ClientDetails, Name};
use crate::ClientId;
use crate::inner::ext::{self, Field, Select, Where};
use crate::inner::{Cmd, Frame};
use crate::php::{Array, KeyRef, Value};

/// What each gateway said.
pub type Replies = Vec<(SocketAddrV4, Value)>;

/// A query, which gateways it concerns, and how to read what they say.
pub struct Query<T> {
    cmd: Cmd,
    connection_id: u32,
    ext: Vec<u8>,
    /// The names that a command for several names is about.
    names: Vec<Name>,
    to: To,
    read: Box<dyn FnOnce(Replies) -> T + Send>,
}

/// Which gateways are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    One(SocketAddrV4),
    All,
    /// Nobody has a name that is none, which on the wire would mean everybody.
    Nobody,
}

impl<T> Query<T> {
    /// The gateways to ask; `known` are those there are.
    pub fn gateways(&self, known: impl FnOnce() -> Vec<SocketAddrV4>) -> Vec<SocketAddrV4> {
        match self.to {
            To::One(gateway) => vec![gateway],
            To::All => known(),
            To::Nobody => Vec::new(),
        }
    }

    /// What each of them is asked.
    pub fn frame(&self) -> Frame<'_> {
        Frame { connection_id: self.connection_id, ext: &self.ext, ..Frame::command(self.cmd) }
    }

    /// The same asked name by name, for gateways that do not know the command for several: PHP has 16 since 3.1.1 and 28
    /// since 3.1.17, and older gateways say nothing to it. Nothing: every gateway knows the command.
    ///
    /// Who does not know what a gateway is sends [`guard`] behind the question, and looks at the first reply by
    /// [`is_guards`].
    pub fn by_name(&self) -> impl Iterator<Item = Frame<'_>> {
        let cmd = by_name(self.cmd);
        self.names.iter().filter_map(move |name| Some(Frame { ext: name.as_bytes(), ..Frame::command(cmd?) }))
    }

    /// What the gateway would have replied, of its replies to [`Query::by_name`].
    pub fn join(&self, replies: impl IntoIterator<Item = Value>) -> Value {
        let mut joined = Array::new();
        for (name, reply) in self.names.iter().zip(replies) {
            joined.insert(KeyRef::from_bytes(name.as_bytes()).to_key(), reply);
        }
        Value::Array(joined)
    }

    /// Makes the answer of what the gateways said.
    pub fn read(self, replies: Replies, missing: Vec<SocketAddrV4>) -> Answer<T> {
        Answer { value: (self.read)(replies), missing }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U + Send + 'static) -> Query<U>
    where
        T: 'static,
    {
        let read = self.read;
        Query {
            cmd: self.cmd,
            connection_id: self.connection_id,
            ext: self.ext,
            names: self.names,
            to: self.to,
            read: Box::new(move |replies| change(read(replies))),
        }
    }
}

impl<T> fmt::Debug for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("cmd", &self.cmd).field("to", &self.to).finish_non_exhaustive()
    }
}

/// A question that every gateway knows, and answers with an int: whether the client without a number is online. It also
/// serves to ask whether a gateway is there.
pub fn guard() -> Frame<'static> {
    Frame::command(Cmd::IsOnline)
}

/// Whether a reply is that to [`guard`], and not the one to a command for several names, which is an array.
pub fn is_guards(reply: &Value) -> bool {
    matches!(reply, Value::Int(_))
}

/// The command for one name, of a command for several that came later.
fn by_name(cmd: Cmd) -> Option<Cmd> {
    match cmd {
        Cmd::BatchGetClientIdByUid => Some(Cmd::GetClientIdByUid),
        Cmd::BatchGetClientCountByGroup => Some(Cmd::GetClientCountByGroup),
        _ => None,
    }
}

/// Whether the client is connected. No answer counts as no.
pub fn is_online(client: ClientId) -> Query<bool> {
    of_client(Cmd::IsOnline, client, |replies| rows::sum(&replies) > 0)
}

/// The client's session; `None` when there is no such client.
pub fn session(client: ClientId) -> Query<Option<Array>> {
    of_client(Cmd::GetSessionByClientId, client, |replies| {
        replies.into_iter().find_map(|(_, value)| match value {
            Value::Array(session) => Some(session),
            _ => None,
        })
    })
}

/// The client's uid; `None` when it has none, or when there is no such client.
pub fn uid_of_client(client: ClientId) -> Query<Option<Name>> {
    let condition = Where { connection_ids: vec![client.connection_id], ..Where::default() };
    let first = |replies: Replies| rows::uids(&replies).into_iter().next();
    Query { to: To::One(client.gateway), ..select(&[Field::Uid], Some(condition), first) }
}

/// All that its gateway has of a client; `None` when there is no such client.
pub fn details(client: ClientId) -> Query<Option<ClientDetails>> {
    let condition = Where { connection_ids: vec![client.connection_id], ..Where::default() };
    let fields = [Field::Uid, Field::Groups, Field::Session];
    Query {
        to: To::One(client.gateway),
        ..select(&fields, Some(condition), |replies| rows::details(&replies))
    }
}

/// The clients of a uid.
pub fn client_ids_of_uid(uid: impl Into<Name>) -> Query<Vec<ClientId>> {
    of_name(Cmd::GetClientIdByUid, uid, |replies| rows::listed_clients(&replies))
}

/// The clients of each uid, in the order asked.
pub fn client_ids_of_uids(uids: impl IntoIterator<Item: Into<Name>>) -> Query<Vec<(Name, Vec<ClientId>)>> {
    of_names(Cmd::BatchGetClientIdByUid, uids, rows::clients_under)
}

/// Whether the uid has a client.
pub fn is_uid_online(uid: impl Into<Name>) -> Query<bool> {
    client_ids_of_uid(uid).map(|clients| !clients.is_empty())
}

/// How many clients are connected, to all gateways.
pub fn client_count() -> Query<u64> {
    of_all(Cmd::GetClientCountByGroup, |replies| rows::sum(&replies))
}

/// How many members a group has.
pub fn client_count_of_group(group: impl Into<Name>) -> Query<u64> {
    of_name(Cmd::GetClientCountByGroup, group, |replies| rows::sum(&replies))
}

/// How many members each group has, in the order asked.
pub fn client_counts_of_groups(groups: impl IntoIterator<Item: Into<Name>>) -> Query<Vec<(Name, u64)>> {
    of_names(Cmd::BatchGetClientCountByGroup, groups, rows::sum_under)
}

/// All clients.
pub fn client_ids() -> Query<Vec<ClientId>> {
    select(&[Field::Uid], None, |replies| rows::clients(&replies))
}

/// The members of a group.
pub fn client_ids_of_group(group: impl Into<Name>) -> Query<Vec<ClientId>> {
    select_group(group, |replies| rows::clients(&replies))
}

/// All uids that have a client, each once.
pub fn uids() -> Query<Vec<Name>> {
    select(&[Field::Uid], None, |replies| rows::uids(&replies))
}

/// How many uids have a client.
pub fn uid_count() -> Query<u64> {
    uids().map(|uids| uids.len() as u64)
}

/// The uids of a group's members, each once.
pub fn uids_of_group(group: impl Into<Name>) -> Query<Vec<Name>> {
    select_group(group, |replies| rows::uids(&replies))
}

/// How many uids the members of a group have.
pub fn uid_count_of_group(group: impl Into<Name>) -> Query<u64> {
    uids_of_group(group).map(|uids| uids.len() as u64)
}

/// All groups that have a member.
pub fn groups() -> Query<Vec<Name>> {
    of_all(Cmd::GetGroupIdList, |replies| rows::names(&replies))
}

/// Every client's session.
pub fn sessions() -> Query<Vec<(ClientId, Array)>> {
    of_all(Cmd::GetAllClientSessions, |replies| rows::sessions(&replies))
}

/// The session of every member of a group.
pub fn sessions_of_group(group: impl Into<Name>) -> Query<Vec<(ClientId, Array)>> {
    of_name(Cmd::GetClientSessionsByGroup, group, |replies| rows::sessions(&replies))
}

/// All groups with the uids of their members, each once.
pub fn all_group_uids() -> Query<Vec<(Name, Vec<Name>)>> {
    select(&[Field::Uid, Field::Groups], None, |replies| rows::uids_by_group(&replies))
}

/// All groups with the number of uids that their members have.
pub fn all_group_uid_counts() -> Query<Vec<(Name, u64)>> {
    all_group_uids().map(counts)
}

/// All groups with their members.
pub fn all_group_client_ids() -> Query<Vec<(Name, Vec<ClientId>)>> {
    select(&[Field::Groups], None, |replies| rows::clients_by_group(&replies))
}

/// All groups with the number of their members.
pub fn all_group_client_id_counts() -> Query<Vec<(Name, u64)>> {
    all_group_client_ids().map(counts)
}

fn of_all<T>(cmd: Cmd, read: impl FnOnce(Replies) -> T + Send + 'static) -> Query<T> {
    Query { cmd, connection_id: 0, ext: Vec::new(), names: Vec::new(), to: To::All, read: Box::new(read) }
}

fn of_client<T>(cmd: Cmd, client: ClientId, read: impl FnOnce(Replies) -> T + Send + 'static) -> Query<T> {
    Query { connection_id: client.connection_id, to: To::One(client.gateway), ..of_all(cmd, read) }
}

fn of_name<T>(cmd: Cmd, name: impl Into<Name>, read: impl FnOnce(Replies) -> T + Send + 'static) -> Query<T> {
    let name = name.into();
    let to = if name.is_empty() { To::Nobody } else { To::All };
    Query { ext: name.into_bytes(), to, ..of_all(cmd, read) }
}

/// Something about each name, in the order asked.
fn of_names<T: 'static>(
    cmd: Cmd,
    names: impl IntoIterator<Item: Into<Name>>,
    read: fn(&[(SocketAddrV4, Value)], &Name) -> T,
) -> Query<Vec<(Name, T)>> {
    let names: Vec<Name> = names.into_iter().map(Into::into).collect();
    let asked: Vec<_> = names.iter().filter(|name| !name.is_empty()).map(Name::as_bytes).collect();
    let (ext, to) =
        if asked.is_empty() { (Vec::new(), To::Nobody) } else { (ext::encode_names(&asked), To::All) };
    let asked = names.iter().filter(|name| !name.is_empty()).cloned().collect();
    let each = move |replies: Replies| {
        let about = |name: Name| (name.clone(), read(&replies, &name));
        names.into_iter().map(about).collect()
    };
    Query { ext, names: asked, to, ..of_all(cmd, each) }
}

fn select<T>(
    fields: &[Field],
    condition: Option<Where>,
    read: impl FnOnce(Replies) -> T + Send + 'static,
) -> Query<T> {
    let ext = Select { fields: fields.to_vec(), condition }.encode();
    Query { ext, ..of_all(Cmd::Select, read) }
}

/// The uids of a group's members.
fn select_group<T>(group: impl Into<Name>, read: impl FnOnce(Replies) -> T + Send + 'static) -> Query<T> {
    let group = group.into();
    let to = if group.is_empty() { To::Nobody } else { To::All };
    let condition = Where { groups: vec![group.into_bytes()], ..Where::default() };
    Query { to, ..select(&[Field::Uid], Some(condition), read) }
}

fn counts<T>(groups: Grouped<T>) -> Vec<(Name, u64)> {
    groups.into_iter().map(|(group, members)| (group, members.len() as u64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_for_several_names_can_be_asked_name_by_name() {
        let gateway = "127.0.0.1:2900".parse().expect("an address");
        let query = client_counts_of_groups(["g1", "", "7", "g1"]);
        let asked: Vec<_> = query.by_name().map(|frame| (frame.cmd, frame.ext)).collect();
        assert_eq!(asked, [(24, &b"g1"[..]), (24, b"7"), (24, b"g1")]);
        let joined = query.join([2, 3, 2].map(Value::Int));
        let answer = query.read(vec![(gateway, joined)], Vec::new());
        let counts: Vec<_> = answer.value.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 0, 3, 2]);
        let uids = client_ids_of_uids(["u"]);
        assert_eq!(uids.by_name().map(|frame| frame.cmd).collect::<Vec<_>>(), [15]);
        assert!(client_count().by_name().next().is_none());
    }
}
