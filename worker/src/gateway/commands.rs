//! Commands: queued for the gateways, without an answer (WIRE.md §5).

use std::collections::HashSet;
use std::net::SocketAddrV4;

use hashbrown::HashMap;
use protocol::ClientId;
use protocol::client::Kind;
use protocol::inner::ext::{self, GroupTargets, Targets};
use protocol::inner::{Cmd, Frame};
use protocol::php::{self, Array, Value};
use tracing::debug;

use super::Gateway;
use crate::{Body, Name};

impl Gateway {
    /// Sends to one client.
    pub fn send_to_client<'a>(&self, client: ClientId, body: impl Into<Body<'a>>) {
        let body = body.into();
        let frame = Frame { body: body.as_bytes(), ..to_client(Cmd::SendToOne, client) };
        self.core.command(client.gateway, &frame, body.kind());
    }

    /// Sends to every client of a uid.
    pub fn send_to_uid<'a>(&self, uid: impl Into<Name>, body: impl Into<Body<'a>>) {
        self.send_to_uids([uid], body);
    }

    /// Sends to every client of each uid, in this order; a uid that is there twice gets it twice.
    pub fn send_to_uids<'a>(&self, uids: impl IntoIterator<Item: Into<Name>>, body: impl Into<Body<'a>>) {
        let uids = self.names(uids);
        if uids.is_empty() {
            return;
        }
        let body = body.into();
        let ext = ext::encode_names(&uids);
        let frame = Frame { ext: &ext, body: body.as_bytes(), ..Frame::command(Cmd::SendToUid) };
        self.core.broadcast(&frame, body.kind());
    }

    /// Sends to every member of a group.
    pub fn send_to_group<'a>(&self, group: impl Into<Name>, body: impl Into<Body<'a>>) {
        self.send_to_groups([group], &[], body);
    }

    /// Sends to every member of a group but these.
    pub fn send_to_group_except<'a>(
        &self,
        group: impl Into<Name>,
        exclude: &[ClientId],
        body: impl Into<Body<'a>>,
    ) {
        self.send_to_groups([group], exclude, body);
    }

    /// Sends to the members of each group, except to `exclude`; a member of two groups gets it twice.
    pub fn send_to_groups<'a>(
        &self,
        groups: impl IntoIterator<Item: Into<Name>>,
        exclude: &[ClientId],
        body: impl Into<Body<'a>>,
    ) {
        let groups = self.names(groups);
        if groups.is_empty() {
            return;
        }
        let body = body.into();
        self.broadcast_except(Cmd::SendToGroup, exclude, &body, |exclude| {
            GroupTargets { groups: groups.clone(), exclude }.encode()
        });
    }

    /// Sends to every client of every gateway.
    pub fn send_to_all<'a>(&self, body: impl Into<Body<'a>>) {
        self.send_to_all_except(&[], body);
    }

    /// Sends to every client but these.
    pub fn send_to_all_except<'a>(&self, exclude: &[ClientId], body: impl Into<Body<'a>>) {
        let body = body.into();
        self.broadcast_except(Cmd::SendToAll, exclude, &body, |exclude| {
            if exclude.is_empty() { Vec::new() } else { Targets::Except(exclude).encode() }
        });
    }

    /// Sends to these clients: one command for each gateway concerned, whatever their number.
    pub fn send_to_clients<'a>(&self, clients: &[ClientId], body: impl Into<Body<'a>>) {
        let body = body.into();
        for (gateway, connections) in by_gateway(clients) {
            let ext = Targets::Only(connections).encode();
            let frame = Frame { ext: &ext, body: body.as_bytes(), ..Frame::command(Cmd::SendToAll) };
            self.core.command(gateway, &frame, body.kind());
        }
    }

    /// Closes a client when what is queued for it has been sent.
    pub fn close_client(&self, client: ClientId) {
        // PHP writes "no message" as a serialized null, flag 0 (WIRE.md §3).
        let frame = Frame { flag: 0, body: b"N;", ..to_client(Cmd::Kick, client) };
        self.command(client, &frame);
    }

    /// Sends a last message to a client and closes it when all has been sent.
    pub fn close_client_with<'a>(&self, client: ClientId, body: impl Into<Body<'a>>) {
        let body = body.into();
        let frame = Frame { body: body.as_bytes(), ..to_client(Cmd::Kick, client) };
        self.core.command(client.gateway, &frame, body.kind());
    }

    /// Closes a client at once; what is queued for it is lost.
    pub fn destroy_client(&self, client: ClientId) {
        self.command(client, &to_client(Cmd::Destroy, client));
    }

    /// Gives a client a uid, in place of one it may have. A uid may have many clients.
    pub fn bind_uid(&self, client: ClientId, uid: impl Into<Name>) {
        self.command_with_name(Cmd::BindUid, client, uid);
    }

    /// Takes a client's uid away.
    pub fn unbind_uid(&self, client: ClientId) {
        self.command(client, &to_client(Cmd::UnbindUid, client));
    }

    /// Puts a client into a group. A client may be in many.
    pub fn join_group(&self, client: ClientId, group: impl Into<Name>) {
        self.command_with_name(Cmd::JoinGroup, client, group);
    }

    /// Takes a client out of a group.
    pub fn leave_group(&self, client: ClientId, group: impl Into<Name>) {
        self.command_with_name(Cmd::LeaveGroup, client, group);
    }

    /// Makes all members leave a group.
    pub fn ungroup(&self, group: impl Into<Name>) {
        if let Some(group) = self.name(group) {
            let frame = Frame { ext: group.as_bytes(), ..Frame::command(Cmd::Ungroup) };
            self.core.broadcast(&frame, Kind::Unspecified);
        }
    }

    /// Replaces a client's session.
    pub fn set_session(&self, client: ClientId, session: Array) {
        self.store_session(client, &php::to_bytes(&Value::Array(session)));
    }

    /// Merges into a client's session: for each key of `update`, arrays are merged again, all else is replaced
    /// (WIRE.md §6).
    pub fn update_session(&self, client: ClientId, update: Array) {
        let ext = php::to_bytes(&Value::Array(update));
        self.command(client, &Frame { ext: &ext, ..to_client(Cmd::UpdateSession, client) });
    }

    /// Replaces a client's session, serialized already.
    pub(crate) fn store_session(&self, client: ClientId, session: &[u8]) {
        self.command(client, &Frame { ext: session, ..to_client(Cmd::SetSession, client) });
    }

    fn command(&self, client: ClientId, frame: &Frame<'_>) {
        self.core.command(client.gateway, frame, Kind::Unspecified);
    }

    fn command_with_name(&self, cmd: Cmd, client: ClientId, name: impl Into<Name>) {
        if let Some(name) = self.name(name) {
            self.command(client, &Frame { ext: name.as_bytes(), ..to_client(cmd, client) });
        }
    }

    /// To every gateway, each told which of its own clients to leave out.
    fn broadcast_except(
        &self,
        cmd: Cmd,
        exclude: &[ClientId],
        body: &Body<'_>,
        encode: impl Fn(HashSet<u32>) -> Vec<u8>,
    ) {
        let everybody = encode(HashSet::new());
        let frame = Frame { ext: &everybody, body: body.as_bytes(), ..Frame::command(cmd) };
        if exclude.is_empty() {
            return self.core.broadcast(&frame, body.kind());
        }
        let mut excluded = by_gateway(exclude);
        for gateway in self.core.links.addresses() {
            match excluded.remove(&gateway) {
                Some(connections) => {
                    let ext = encode(connections.into_iter().collect());
                    self.core.command(gateway, &Frame { ext: &ext, ..frame }, body.kind());
                }
                None => self.core.command(gateway, &frame, body.kind()),
            }
        }
    }

    fn names(&self, names: impl IntoIterator<Item: Into<Name>>) -> Vec<Vec<u8>> {
        names.into_iter().filter_map(|name| Some(self.name(name)?.into_bytes())).collect()
    }

    /// The name, unless it is none.
    fn name(&self, name: impl Into<Name>) -> Option<Name> {
        let name = name.into();
        if name.is_empty() {
            self.core.count(|counters| counters.names_refused += 1);
            debug!("command ignored: neither \"\" nor \"0\" names a uid or a group");
            return None;
        }
        Some(name)
    }
}

fn to_client(cmd: Cmd, client: ClientId) -> Frame<'static> {
    Frame { connection_id: client.connection_id, ..Frame::command(cmd) }
}

fn by_gateway(clients: &[ClientId]) -> HashMap<SocketAddrV4, Vec<u32>> {
    let mut connections: HashMap<SocketAddrV4, Vec<u32>> = HashMap::new();
    for client in clients {
        connections.entry(client.gateway).or_default().push(client.connection_id);
    }
    connections
}
