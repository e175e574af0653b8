//! Commands: queued for the gateways, without an answer (WIRE.md §5).

use protocol::ClientId;
use protocol::calls::command::{self, Command, To};
use protocol::php::Array;
use tracing::debug;

use super::Gateway;
use crate::{Body, CloseReason, Name};

impl Gateway {
    /// Sends to one client.
    pub fn send_to_client<'a>(&self, client: ClientId, body: impl Into<Body<'a>>) {
        self.send(&command::send_to_client(client, body));
    }

    /// Sends to every client of a uid.
    pub fn send_to_uid<'a>(&self, uid: impl Into<Name>, body: impl Into<Body<'a>>) {
        self.send(&command::send_to_uid(uid, body));
    }

    /// Sends to every client of each uid, in this order; a uid that is there twice gets it twice.
    pub fn send_to_uids<'a>(&self, uids: impl IntoIterator<Item: Into<Name>>, body: impl Into<Body<'a>>) {
        self.send(&command::send_to_uids(uids, body));
    }

    /// Sends to every member of a group.
    pub fn send_to_group<'a>(&self, group: impl Into<Name>, body: impl Into<Body<'a>>) {
        self.send(&command::send_to_group(group, body));
    }

    /// Sends to every member of a group but these.
    pub fn send_to_group_except<'a>(
        &self,
        group: impl Into<Name>,
        exclude: &[ClientId],
        body: impl Into<Body<'a>>,
    ) {
        self.send(&command::send_to_group_except(group, exclude, body));
    }

    /// Sends to the members of each group, except to `exclude`; a member of two groups gets it twice.
    pub fn send_to_groups<'a>(
        &self,
        groups: impl IntoIterator<Item: Into<Name>>,
        exclude: &[ClientId],
        body: impl Into<Body<'a>>,
    ) {
        self.send(&command::send_to_groups(groups, exclude, body));
    }

    /// Sends to every client of every gateway.
    pub fn send_to_all<'a>(&self, body: impl Into<Body<'a>>) {
        self.send(&command::send_to_all(body));
    }

    /// Sends to every client but these.
    pub fn send_to_all_except<'a>(&self, exclude: &[ClientId], body: impl Into<Body<'a>>) {
        self.send(&command::send_to_all_except(exclude, body));
    }

    /// Sends to these clients: one command for each gateway concerned, whatever their number.
    pub fn send_to_clients<'a>(&self, clients: &[ClientId], body: impl Into<Body<'a>>) {
        self.send(&command::send_to_clients(clients, body));
    }

    /// Closes a client when what is queued for it has been sent.
    pub fn close_client(&self, client: ClientId) {
        self.send(&command::close_client(client));
    }

    /// Sends a last message to a client and closes it when all has been sent.
    pub fn close_client_with<'a>(&self, client: ClientId, body: impl Into<Body<'a>>) {
        self.send(&command::close_client_with(client, body));
    }

    /// Closes a client when what is queued for it has been sent, and tells it why, if it is a websocket client
    /// (`CloseEvent.code` and `.reason` in a browser). Last words are sent before.
    pub fn close_client_because(&self, client: ClientId, reason: &CloseReason<'_>) {
        self.send(&command::close_client_because(client, reason));
    }

    /// Closes a client at once; what is queued for it is lost.
    pub fn destroy_client(&self, client: ClientId) {
        self.send(&command::destroy_client(client));
    }

    /// Gives a client a uid, in place of one it may have. A uid may have many clients.
    pub fn bind_uid(&self, client: ClientId, uid: impl Into<Name>) {
        self.send(&command::bind_uid(client, uid));
    }

    /// Takes a client's uid away.
    pub fn unbind_uid(&self, client: ClientId) {
        self.send(&command::unbind_uid(client));
    }

    /// Puts a client into a group. A client may be in many.
    pub fn join_group(&self, client: ClientId, group: impl Into<Name>) {
        self.send(&command::join_group(client, group));
    }

    /// Takes a client out of a group.
    pub fn leave_group(&self, client: ClientId, group: impl Into<Name>) {
        self.send(&command::leave_group(client, group));
    }

    /// Makes all members leave a group.
    pub fn ungroup(&self, group: impl Into<Name>) {
        self.send(&command::ungroup(group));
    }

    /// Replaces a client's session.
    pub fn set_session(&self, client: ClientId, session: Array) {
        self.send(&command::set_session(client, session));
    }

    /// Merges into a client's session: for each key of `update`, arrays are merged again, all else is replaced
    /// (WIRE.md §6).
    pub fn update_session(&self, client: ClientId, update: Array) {
        self.send(&command::update_session(client, update));
    }

    /// Replaces a client's session, serialized already.
    pub(crate) fn store_session(&self, client: ClientId, session: &[u8]) {
        self.send(&command::store_session(client, session.to_vec()));
    }

    fn send(&self, command: &Command<'_>) {
        if command.names_refused() > 0 {
            self.core.count(|counters| counters.names_refused += command.names_refused());
            debug!("name ignored: neither \"\" nor \"0\" names a uid or a group");
        }
        match command.to() {
            To::One(gateway) => self.core.command(gateway, &command.frame(), command.kind()),
            To::All => self.core.broadcast(&command.frame(), command.kind()),
            To::Each(_) => {
                for (gateway, frame) in command.frames(&self.core.links.addresses()) {
                    self.core.command(gateway, &frame, command.kind());
                }
            }
        }
    }
}
