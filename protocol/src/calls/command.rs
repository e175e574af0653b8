//! Commands: what gateways are told, without an answer (WIRE.md §5).

use std::collections::HashSet;
use std::net::SocketAddrV4;

use indexmap::IndexMap;

use super::{Body, Name};
use crate::ClientId;
use crate::client::Kind;
use crate::inner::ext::{self, GroupTargets, Targets};
use crate::inner::{CloseReason, Cmd, Frame, HandshakeAnswer};
use crate::php::{self, Array, Value};

/// A command, and which gateways it concerns.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    cmd: Cmd,
    connection_id: u32,
    ext: Vec<u8>,
    body: Body<'a>,
    to: To,
    /// ext_data of single gateways, in place of `ext`.
    own_ext: IndexMap<SocketAddrV4, Vec<u8>>,
    names_refused: u64,
}

/// Which gateways a command concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// This one: it gets [`Command::frame`].
    One(SocketAddrV4),
    /// All there are: each gets [`Command::frame`].
    All,
    /// Each gets its own: [`Command::frames`].
    Each(Each),
}

/// Which gateways get a frame of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Each {
    /// All there are, and some of them one of their own.
    All,
    /// Those whose clients are named, known or not. There may be none.
    Named,
}

impl Command<'_> {
    /// Which gateways it concerns.
    pub fn to(&self) -> To {
        self.to
    }

    /// What gateways get that get none of their own.
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            connection_id: self.connection_id,
            flag: self.body.flag(),
            ext: &self.ext,
            body: self.body.as_bytes(),
            ..Frame::command(self.cmd)
        }
    }

    /// Every gateway concerned and what it gets; `known` are the gateways there are. One that is named by a client id
    /// need not be among them.
    pub fn frames(&self, known: &[SocketAddrV4]) -> Vec<(SocketAddrV4, Frame<'_>)> {
        let frame = self.frame();
        match self.to {
            To::One(gateway) => vec![(gateway, frame)],
            To::All => known.iter().map(|&gateway| (gateway, frame)).collect(),
            To::Each(Each::All) => {
                let ext = |gateway| self.own_ext.get(gateway).unwrap_or(&self.ext);
                known.iter().map(|gateway| (*gateway, Frame { ext: ext(gateway), ..frame })).collect()
            }
            To::Each(Each::Named) => {
                self.own_ext.iter().map(|(&gateway, ext)| (gateway, Frame { ext, ..frame })).collect()
            }
        }
    }

    /// What websocket clients shall get, for gateways that can be told (WIRE.md §14).
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }

    /// How many names in it are none ([`Name::is_empty`]). They are left out; with no name left nobody gets it.
    pub fn names_refused(&self) -> u64 {
        self.names_refused
    }
}

/// To one client.
pub fn send_to_client<'a>(client: ClientId, body: impl Into<Body<'a>>) -> Command<'a> {
    Command { body: body.into(), ..to_client(Cmd::SendToOne, client) }
}

/// To every client of a uid.
pub fn send_to_uid<'a>(uid: impl Into<Name>, body: impl Into<Body<'a>>) -> Command<'a> {
    send_to_uids([uid], body)
}

/// To every client of each uid, in this order; a uid that is there twice gets it twice.
pub fn send_to_uids<'a>(uids: impl IntoIterator<Item: Into<Name>>, body: impl Into<Body<'a>>) -> Command<'a> {
    let (uids, names_refused) = names(uids);
    if uids.is_empty() {
        return Command { names_refused, ..to_nobody(Cmd::SendToUid) };
    }
    Command { ext: ext::encode_names(&uids), body: body.into(), names_refused, ..to_all(Cmd::SendToUid) }
}

/// To every member of a group.
pub fn send_to_group<'a>(group: impl Into<Name>, body: impl Into<Body<'a>>) -> Command<'a> {
    send_to_groups([group], &[], body)
}

/// To every member of a group but these.
pub fn send_to_group_except<'a>(
    group: impl Into<Name>,
    exclude: &[ClientId],
    body: impl Into<Body<'a>>,
) -> Command<'a> {
    send_to_groups([group], exclude, body)
}

/// To the members of each group, except to `exclude`; a member of two groups gets it twice.
pub fn send_to_groups<'a>(
    groups: impl IntoIterator<Item: Into<Name>>,
    exclude: &[ClientId],
    body: impl Into<Body<'a>>,
) -> Command<'a> {
    let (groups, names_refused) = names(groups);
    if groups.is_empty() {
        return Command { names_refused, ..to_nobody(Cmd::SendToGroup) };
    }
    let encode = |exclude| GroupTargets { groups: groups.clone(), exclude }.encode();
    Command { body: body.into(), names_refused, ..to_all_except(Cmd::SendToGroup, exclude, encode) }
}

/// To every client of every gateway.
pub fn send_to_all<'a>(body: impl Into<Body<'a>>) -> Command<'a> {
    send_to_all_except(&[], body)
}

/// To every client but these.
pub fn send_to_all_except<'a>(exclude: &[ClientId], body: impl Into<Body<'a>>) -> Command<'a> {
    let encode = |exclude: HashSet<u32>| {
        if exclude.is_empty() { Vec::new() } else { Targets::Except(exclude).encode() }
    };
    Command { body: body.into(), ..to_all_except(Cmd::SendToAll, exclude, encode) }
}

/// To these clients: one command for each gateway concerned, whatever their number.
pub fn send_to_clients<'a>(clients: &[ClientId], body: impl Into<Body<'a>>) -> Command<'a> {
    let own = by_gateway(clients).into_iter();
    let own_ext = own.map(|(gateway, ids)| (gateway, Targets::Only(ids).encode())).collect();
    Command { body: body.into(), own_ext, ..to_nobody(Cmd::SendToAll) }
}

/// Closes a client when what is queued for it has been sent.
pub fn close_client(client: ClientId) -> Command<'static> {
    // PHP writes "no message" as a serialized null, flag 0 (WIRE.md §3).
    close_client_with(client, Body::php(&Value::Null))
}

/// Sends a last message to a client and closes it when all has been sent.
pub fn close_client_with<'a>(client: ClientId, body: impl Into<Body<'a>>) -> Command<'a> {
    Command { body: body.into(), ..to_client(Cmd::Kick, client) }
}

/// Closes a client when what is queued for it has been sent, and tells it why, if it is a websocket client.
pub fn close_client_because(client: ClientId, reason: &CloseReason<'_>) -> Command<'static> {
    Command { ext: reason.encode(), ..close_client(client) }
}

/// Closes a client at once; what is queued for it is lost.
pub fn destroy_client(client: ClientId) -> Command<'static> {
    to_client(Cmd::Destroy, client)
}

/// Gives a client a uid, in place of one it may have.
pub fn bind_uid(client: ClientId, uid: impl Into<Name>) -> Command<'static> {
    with_name(uid, to_client(Cmd::BindUid, client))
}

/// Takes a client's uid away.
pub fn unbind_uid(client: ClientId) -> Command<'static> {
    to_client(Cmd::UnbindUid, client)
}

/// Puts a client into a group.
pub fn join_group(client: ClientId, group: impl Into<Name>) -> Command<'static> {
    with_name(group, to_client(Cmd::JoinGroup, client))
}

/// Takes a client out of a group.
pub fn leave_group(client: ClientId, group: impl Into<Name>) -> Command<'static> {
    with_name(group, to_client(Cmd::LeaveGroup, client))
}

/// Makes all members leave a group.
pub fn ungroup(group: impl Into<Name>) -> Command<'static> {
    with_name(group, to_all(Cmd::Ungroup))
}

/// Replaces a client's session.
pub fn set_session(client: ClientId, session: Array) -> Command<'static> {
    store_session(client, php::to_bytes(&Value::Array(session)))
}

/// Replaces a client's session by one that is serialized already.
pub fn store_session(client: ClientId, session: Vec<u8>) -> Command<'static> {
    Command { ext: session, ..to_client(Cmd::SetSession, client) }
}

/// Answers a client's handshake that was left to the worker (WIRE.md §14).
pub fn answer_handshake(client: ClientId, answer: &HandshakeAnswer) -> Command<'static> {
    answer.encode(client.connection_id, |frame| Command {
        ext: frame.ext.to_vec(),
        body: Body::from(frame.body.to_vec()),
        ..to_client(Cmd::HandshakeAnswer, client)
    })
}

/// Merges into a client's session (WIRE.md §6).
pub fn update_session(client: ClientId, update: Array) -> Command<'static> {
    Command { ext: php::to_bytes(&Value::Array(update)), ..to_client(Cmd::UpdateSession, client) }
}

fn to_client(cmd: Cmd, client: ClientId) -> Command<'static> {
    Command { connection_id: client.connection_id, ..new(cmd, To::One(client.gateway)) }
}

fn to_all(cmd: Cmd) -> Command<'static> {
    new(cmd, To::All)
}

fn to_nobody(cmd: Cmd) -> Command<'static> {
    new(cmd, To::Each(Each::Named))
}

/// To every gateway, each told which of its own clients to leave out.
fn to_all_except(
    cmd: Cmd,
    exclude: &[ClientId],
    encode: impl Fn(HashSet<u32>) -> Vec<u8>,
) -> Command<'static> {
    let everybody = Command { ext: encode(HashSet::new()), ..to_all(cmd) };
    if exclude.is_empty() {
        return everybody;
    }
    let own = by_gateway(exclude).into_iter();
    let own_ext = own.map(|(gateway, ids)| (gateway, encode(ids.into_iter().collect()))).collect();
    Command { to: To::Each(Each::All), own_ext, ..everybody }
}

fn with_name(name: impl Into<Name>, command: Command<'static>) -> Command<'static> {
    let name = name.into();
    if name.is_empty() {
        return Command { names_refused: 1, ..to_nobody(command.cmd) };
    }
    Command { ext: name.into_bytes(), ..command }
}

fn new(cmd: Cmd, to: To) -> Command<'static> {
    Command {
        cmd,
        connection_id: 0,
        ext: Vec::new(),
        body: Body::empty(),
        to,
        own_ext: IndexMap::new(),
        names_refused: 0,
    }
}

/// The names, and how many more there were that are none.
fn names(names: impl IntoIterator<Item: Into<Name>>) -> (Vec<Vec<u8>>, u64) {
    let mut refused = 0;
    let mut kept = Vec::new();
    for name in names {
        let name = name.into();
        if name.is_empty() {
            refused += 1;
        } else {
            kept.push(name.into_bytes());
        }
    }
    (kept, refused)
}

fn by_gateway(clients: &[ClientId]) -> IndexMap<SocketAddrV4, Vec<u32>> {
    let mut connections: IndexMap<SocketAddrV4, Vec<u32>> = IndexMap::new();
    for client in clients {
        connections.entry(client.gateway).or_default().push(client.connection_id);
    }
    connections
}
