//! Command numbers (WIRE.md §4, §5 and §14), named as PHP names them.

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $number:literal $wire:literal,)*) => {
        /// What a frame asks for or tells. Numbers that are not here are ignored by whoever gets them.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Cmd {
            $($(#[$doc])* $name = $number,)*
        }

        impl Cmd {
            /// Every command, by number.
            pub const ALL: &[Cmd] = &[$(Cmd::$name,)*];

            /// The command with this number, if there is one.
            pub fn from_u8(number: u8) -> Option<Cmd> {
                match number {
                    $($number => Some(Cmd::$name),)*
                    _ => None,
                }
            }

            /// The name on the wire's side of things, as in `SEND_TO_GROUP`. For logs.
            pub fn name(self) -> &'static str {
                match self {
                    $(Cmd::$name => $wire,)*
                }
            }
        }
    };
}

commands! {
    /// Gateway → worker: a client's TCP connection was accepted.
    OnConnect = 1 "ON_CONNECT",
    /// Gateway → worker: a client's message.
    OnMessage = 3 "ON_MESSAGE",
    /// Gateway → worker: a client's connection ended.
    OnClose = 4 "ON_CLOSE",
    /// To one client.
    SendToOne = 5 "SEND_TO_ONE",
    /// To all clients, or some, or all but some: [`super::ext::Targets`].
    SendToAll = 6 "SEND_TO_ALL",
    /// Close a client after what is queued for it and the body.
    Kick = 7 "KICK",
    /// Close a client at once.
    Destroy = 8 "DESTROY",
    /// Merge into a client's session.
    UpdateSession = 9 "UPDATE_SESSION",
    /// Query: every client's session.
    GetAllClientSessions = 10 "GET_ALL_CLIENT_SESSIONS",
    /// Query: is there such a client.
    IsOnline = 11 "IS_ONLINE",
    /// Bind a client to a uid.
    BindUid = 12 "BIND_UID",
    /// Take a client's uid away.
    UnbindUid = 13 "UNBIND_UID",
    /// To the clients of some uids.
    SendToUid = 14 "SEND_TO_UID",
    /// Query: the clients of a uid.
    GetClientIdByUid = 15 "GET_CLIENT_ID_BY_UID",
    /// Query: the clients of several uids.
    BatchGetClientIdByUid = 16 "BATCH_GET_CLIENT_ID_BY_UID",
    /// Put a client into a group.
    JoinGroup = 20 "JOIN_GROUP",
    /// Take a client out of a group.
    LeaveGroup = 21 "LEAVE_GROUP",
    /// To the members of some groups: [`super::ext::GroupTargets`].
    SendToGroup = 22 "SEND_TO_GROUP",
    /// Query: the sessions of a group's members.
    GetClientSessionsByGroup = 23 "GET_CLIENT_SESSIONS_BY_GROUP",
    /// Query: how many members a group has, or how many clients there are.
    GetClientCountByGroup = 24 "GET_CLIENT_COUNT_BY_GROUP",
    /// Query: fields of clients: [`super::ext::Select`].
    Select = 25 "SELECT",
    /// Query: all groups.
    GetGroupIdList = 26 "GET_GROUP_ID_LIST",
    /// Make all members leave a group.
    Ungroup = 27 "UNGROUP",
    /// Query: how many members several groups have.
    BatchGetClientCountByGroup = 28 "BATCH_GET_CLIENT_COUNT_BY_GROUP",
    /// A worker says who it is: [`super::ext::WorkerConnect`].
    WorkerConnect = 200 "WORKER_CONNECT",
    /// Keeps an inner connection alive.
    Ping = 201 "PING",
    /// A querying connection says its key: [`super::ext::ClientConnect`].
    GatewayClientConnect = 202 "GATEWAY_CLIENT_CONNECT",
    /// Query: one client's session.
    GetSessionByClientId = 203 "GET_SESSION_BY_CLIENT_ID",
    /// Replace a client's session.
    SetSession = 204 "SET_SESSION",
    /// Gateway → worker: a websocket handshake arrived: [`super::WebsocketRequest`].
    OnWebsocketConnect = 205 "ON_WEBSOCKET_CONNECT",
    /// Gateway → worker, ours: the gateway is a Ringway one too (WIRE.md §14).
    RingwayHello = 240 "RINGWAY_HELLO",
    /// Gateway → worker, ours: where the client of the next event comes from, by IPv6: [`super::ClientAddress`].
    ClientAddress = 241 "CLIENT_ADDRESS",
    /// Worker → gateway, ours: give no more events: [`super::drain::Drain`].
    Drain = 242 "DRAIN",
    /// Gateway → worker, ours: the answer to it, behind the last event.
    Drained = 243 "DRAINED",
    /// Worker → gateway, ours: whose earlier events are still handled; all others are free.
    DrainBusy = 244 "DRAIN_BUSY",
    /// Worker → gateway, ours: these are free too.
    DrainFree = 245 "DRAIN_FREE",
    /// Both ways, ours: a sign of life (WIRE.md §14).
    RingwayPing = 246 "RINGWAY_PING",
    /// Worker → gateway, ours: these events are safe: they may be forgotten, and are done: [`super::EventRange`].
    EventsSafe = 247 "EVENTS_SAFE",
    /// Worker → gateway, ours: these events are done, others may come: [`super::EventRange`].
    EventsDone = 248 "EVENTS_DONE",
    /// Gateway → worker, ours: so many frames of the link are taken: [`super::Receipt`].
    Receipt = 249 "RECEIPT",
    /// Gateway → worker, ours: a worker may have had the next event before: [`super::Repeat`].
    Repeat = 250 "REPEAT",
    /// Gateway → worker, ours: the answer to a query on this link, or a part of it: [`super::AskId`].
    Answer = 251 "ANSWER",
    /// Gateway → worker, ours: what became of a message: [`super::MessageReport`].
    Report = 252 "REPORT",
    /// Worker → gateway, ours: the answer to a handshake that was left to it: [`super::HandshakeAnswer`].
    HandshakeAnswer = 253 "HANDSHAKE_ANSWER",
    /// Both ways, ours, before anything else where it is at all: [`super::Acceptor`].
    Challenge = 254 "CHALLENGE",
}

impl Cmd {
    /// Whether the gateway answers with a reply.
    pub fn is_query(self) -> bool {
        matches!(
            self,
            Cmd::GetAllClientSessions
                | Cmd::IsOnline
                | Cmd::GetClientIdByUid
                | Cmd::BatchGetClientIdByUid
                | Cmd::GetClientSessionsByGroup
                | Cmd::GetClientCountByGroup
                | Cmd::Select
                | Cmd::GetGroupIdList
                | Cmd::BatchGetClientCountByGroup
                | Cmd::GetSessionByClientId
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for &cmd in Cmd::ALL {
            assert_eq!(Cmd::from_u8(cmd as u8), Some(cmd));
        }
        let known = (0..=u8::MAX).filter(|&number| Cmd::from_u8(number).is_some()).count();
        assert_eq!(known, Cmd::ALL.len());
        assert_eq!(Cmd::ALL.iter().filter(|cmd| cmd.is_query()).count(), 10);
    }
}
