//! The one table of the calls: whoever has connections to gateways makes its methods of it.

/// Expands the macro `$methods` with every call of the Gateway API: `messages { … }` and other `commands { … }`, functions
/// without a value, and `queries { … }`, functions with the value of their answer, each with its doc. The function of the same name in
/// [`calls::command`](crate::calls::command) or [`calls::query`](crate::calls::query) makes what is to be sent.
///
/// Where it is used, the names of the arguments' types must be known: `Array`, `Body`, `ClientId`, `CloseReason`, `Name`.
#[macro_export]
macro_rules! with_calls {
    ($methods:ident) => {
        $methods! {
            messages {
                /// Sends to one client.
                fn send_to_client<'a>(client: ClientId, body: impl Into<Body<'a>>);
                /// Sends to every client of a uid.
                fn send_to_uid<'a>(uid: impl Into<Name>, body: impl Into<Body<'a>>);
                /// Sends to every client of each uid, in this order; a uid that is there twice gets it twice.
                fn send_to_uids<'a>(uids: impl IntoIterator<Item: Into<Name>>, body: impl Into<Body<'a>>);
                /// Sends to every member of a group.
                fn send_to_group<'a>(group: impl Into<Name>, body: impl Into<Body<'a>>);
                /// Sends to every member of a group but these.
                fn send_to_group_except<'a>(
                    group: impl Into<Name>,
                    exclude: &[ClientId],
                    body: impl Into<Body<'a>>
                );
                /// Sends to the members of each group, except to `exclude`; a member of two groups gets it twice.
                fn send_to_groups<'a>(
                    groups: impl IntoIterator<Item: Into<Name>>,
                    exclude: &[ClientId],
                    body: impl Into<Body<'a>>
                );
                /// Sends to every client of every gateway.
                fn send_to_all<'a>(body: impl Into<Body<'a>>);
                /// Sends to every client but these.
                fn send_to_all_except<'a>(exclude: &[ClientId], body: impl Into<Body<'a>>);
                /// Sends to these clients: one command for each gateway concerned, whatever their number.
                fn send_to_clients<'a>(clients: &[ClientId], body: impl Into<Body<'a>>);
            }
            commands {
                /// Closes a client when what is queued for it has been sent.
                fn close_client(client: ClientId);
                /// Sends a last message to a client and closes it when all has been sent.
                fn close_client_with<'a>(client: ClientId, body: impl Into<Body<'a>>);
                /// Closes a client when what is queued for it has been sent, and tells it why, if it is a websocket client
                /// (`CloseEvent.code` and `.reason` in a browser). Last words are sent before, by a call of their own.
                fn close_client_because(client: ClientId, reason: &CloseReason<'_>);
                /// Closes a client at once; what is queued for it is lost.
                fn destroy_client(client: ClientId);
                /// Gives a client a uid, in place of one it may have. A uid may have many clients.
                fn bind_uid(client: ClientId, uid: impl Into<Name>);
                /// Takes a client's uid away.
                fn unbind_uid(client: ClientId);
                /// Puts a client into a group. A client may be in many.
                fn join_group(client: ClientId, group: impl Into<Name>);
                /// Takes a client out of a group.
                fn leave_group(client: ClientId, group: impl Into<Name>);
                /// Makes all members leave a group.
                fn ungroup(group: impl Into<Name>);
                /// Replaces a client's session.
                fn set_session(client: ClientId, session: Array);
                /// Merges into a client's session: for each key of `update`, arrays are merged again, all else is replaced
                /// (WIRE.md §6).
                fn update_session(client: ClientId, update: Array);
            }
            queries {
                /// Whether the client is connected. No answer counts as no.
                fn is_online(client: ClientId) -> bool;
                /// The client's session; `None` when there is no such client.
                fn session(client: ClientId) -> Option<Array>;
                /// The client's uid; `None` when it has none, or when there is no such client.
                fn uid_of_client(client: ClientId) -> Option<Name>;
                /// The clients of a uid.
                fn client_ids_of_uid(uid: impl Into<Name>) -> Vec<ClientId>;
                /// The clients of each uid, in the order asked.
                fn client_ids_of_uids(
                    uids: impl IntoIterator<Item: Into<Name>>
                ) -> Vec<(Name, Vec<ClientId>)>;
                /// Whether the uid has a client.
                fn is_uid_online(uid: impl Into<Name>) -> bool;
                /// How many clients are connected, to all gateways.
                fn client_count() -> u64;
                /// How many members a group has.
                fn client_count_of_group(group: impl Into<Name>) -> u64;
                /// How many members each group has, in the order asked.
                fn client_counts_of_groups(groups: impl IntoIterator<Item: Into<Name>>) -> Vec<(Name, u64)>;
                /// All clients.
                fn client_ids() -> Vec<ClientId>;
                /// The members of a group.
                fn client_ids_of_group(group: impl Into<Name>) -> Vec<ClientId>;
                /// All uids that have a client, each once.
                fn uids() -> Vec<Name>;
                /// How many uids have a client.
                fn uid_count() -> u64;
                /// The uids of a group's members, each once.
                fn uids_of_group(group: impl Into<Name>) -> Vec<Name>;
                /// How many uids the members of a group have.
                fn uid_count_of_group(group: impl Into<Name>) -> u64;
                /// All groups that have a member.
                fn groups() -> Vec<Name>;
                /// Every client's session.
                fn sessions() -> Vec<(ClientId, Array)>;
                /// The session of every member of a group.
                fn sessions_of_group(group: impl Into<Name>) -> Vec<(ClientId, Array)>;
                /// All groups with the uids of their members, each once.
                fn all_group_uids() -> Vec<(Name, Vec<Name>)>;
                /// All groups with the number of uids that their members have.
                fn all_group_uid_counts() -> Vec<(Name, u64)>;
                /// All groups with their members.
                fn all_group_client_ids() -> Vec<(Name, Vec<ClientId>)>;
                /// All groups with the number of their members.
                fn all_group_client_id_counts() -> Vec<(Name, u64)>;
            }
        }
    };
}
