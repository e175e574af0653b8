//! Which sessions this core has changed and not yet seen changed.
//!
//! Every event brings its client's session as it was when the gateway sent the event, so usually nothing need be
//! remembered. But an event that was on its way when a handler wrote the session brings the one from before
//! (WIRE.md §7). So what was written is remembered, as a hash, until an event shows it. While it is, an event that
//! shows something else is in doubt: the gateway is asked (203) before its handler runs. The client's later events
//! wait behind it as behind any handler.
//!
//! A gateway that answers on the link says what came of every write of this core's. To others the question travels on another
//! connection than the write, so it may overtake it (WIRE.md §5). Therefore:
//!
//! 1. It is put off until the command link has sent everything that was queued.
//! 2. It is repeated, with growing pauses, while the answer may be from before the write: it is not what was written,
//!    or it is what a merge was made into. A gateway that has confirmed a write once has done it for good.
//! 3. What was answered last is believed: then somebody else has written too. It takes the place of what was written,
//!    for the events that are still on their way. Only what the handler had seen before it wrote is not believed, for as long
//!    as anybody waits and the link lives: the write is on its way yet.
//!
//! Nothing is kept for a client that was never written to, nor for one whose session was seen since. Clients that
//! were written to and then say nothing share a table of limited size that forgets its oldest half.

use std::hash::BuildHasher;
use std::net::SocketAddrV4;

use hashbrown::{DefaultHashBuilder, HashMap};
use protocol::ClientId;
use protocol::inner::{Cmd, Frame};

use super::{Core, What};
use crate::Client;
use crate::config::{MERGE_RETRY_COUNT, SESSION_RETRY_PAUSES, SESSIONS_MAX};

/// Sessions in doubt. Invariant: a client is in one of the halves; each has at most `SESSIONS_MAX / 2`.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    young: Table,
    old: Table,
    /// Keyed at random, so no session can be made that hashes like another.
    hasher: DefaultHashBuilder,
}

type Table = HashMap<ClientId, Expected>;

/// What the next events of a client should show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// What this core has written, and what the handler had seen before.
    Written { written: u64, before: Option<u64> },
    /// What this core has merged into; it does not know what comes of that.
    Merged { before: Option<u64> },
    /// What the gateway has answered.
    Confirmed(u64),
}

impl Core {
    /// Whether the session that came with an event may be from before this core's own write. A new client is told from an
    /// earlier one of its number, of whose end nobody may have told.
    pub(crate) fn is_session_in_doubt(&mut self, client: &Client, what: &What) -> bool {
        if self.sessions.is_empty() {
            return false;
        }
        match what {
            What::WebsocketConnect(_) | What::Handshake(_) | What::Message(_) => {
                client.with_stored_session(|stored| self.sessions.is_in_doubt(client.id(), stored))
            }
            What::Connect => {
                self.sessions.forget(client.id());
                false
            }
            What::Close => false,
        }
    }

    /// A handler has ended, which had seen this session. What it made of it was commanded before.
    pub(crate) fn session_handled(&mut self, client: &Client) {
        if !self.sessions.is_empty() {
            client.with_stored_session(|seen| self.sessions.handled(client.id(), seen));
        }
    }

    /// [`Sessions::is_overtaken`].
    pub(crate) fn is_answer_overtaken(&mut self, client: ClientId, answer: &[u8], attempt: usize) -> bool {
        self.sessions.is_overtaken(client, answer, attempt)
    }

    /// What a gateway has answered behind all that this core has written.
    pub(crate) fn session_confirmed(&mut self, client: ClientId, answer: &[u8]) {
        self.sessions.confirm(client, answer);
    }

    /// Nothing more is expected of a client's session.
    pub(crate) fn forget_session(&mut self, client: ClientId) {
        self.sessions.forget(client);
    }
}

impl Sessions {
    /// Notes that a command which changes a session is on its way.
    pub(super) fn commanded(&mut self, gateway: SocketAddrV4, frame: &Frame<'_>) {
        let client = ClientId { gateway, connection_id: frame.connection_id };
        let before = match self.find(client) {
            Some(Expected::Written { written: hash, .. } | Expected::Confirmed(hash)) => Some(hash),
            Some(Expected::Merged { before }) => before,
            None => None,
        };
        if frame.cmd == Cmd::SetSession as u8 {
            let written = self.hash(frame.ext);
            self.insert(client, Expected::Written { written, before });
        } else if frame.cmd == Cmd::UpdateSession as u8 {
            self.insert(client, Expected::Merged { before });
        }
    }

    /// Whether no client at all is in doubt: the usual case, in which an event costs nothing here.
    pub(super) fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// How many clients are in doubt.
    pub(super) fn count(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Notes what a handler saw, in case that it has changed it.
    pub(super) fn handled(&mut self, client: ClientId, seen: &[u8]) {
        let expected = match self.find(client) {
            Some(Expected::Merged { before: None }) => Expected::Merged { before: Some(self.hash(seen)) },
            Some(Expected::Written { written, before: None }) => {
                Expected::Written { written, before: Some(self.hash(seen)) }
            }
            _ => return,
        };
        self.insert(client, expected);
    }

    /// The link to a gateway has ended. What was written on it has been read, or will never be.
    pub(super) fn link_ended(&mut self, gateway: SocketAddrV4) {
        for (client, expected) in self.young.iter_mut().chain(&mut self.old) {
            if let Expected::Written { before, .. } = expected
                && client.gateway == gateway
            {
                *before = None;
            }
        }
    }

    /// Whether an event with this session may be from before a write, so that the gateway is to be asked.
    pub(super) fn is_in_doubt(&mut self, client: ClientId, session: &[u8]) -> bool {
        match self.find(client) {
            None => false,
            Some(Expected::Written { written: hash, .. } | Expected::Confirmed(hash))
                if hash == self.hash(session) =>
            {
                self.forget(client);
                false
            }
            Some(_) => true,
        }
    }

    /// Whether this answer, of the `attempt`-th question from 0, may have overtaken the write; if it is believed, it is
    /// what events should show from now on.
    pub(super) fn is_overtaken(&mut self, client: ClientId, answer: &[u8], attempt: usize) -> bool {
        let hash = self.hash(answer);
        let attempts_max = match self.find(client) {
            Some(Expected::Written { written, .. }) if written == hash => 0,
            Some(Expected::Written { before, .. }) if before == Some(hash) => usize::MAX,
            Some(Expected::Written { .. }) => SESSION_RETRY_PAUSES.len(),
            Some(Expected::Merged { before }) if before == Some(hash) => MERGE_RETRY_COUNT,
            Some(_) => 0,
            None => return false,
        };
        if attempt < attempts_max {
            return true;
        }
        self.confirm(client, answer);
        false
    }

    /// Events show this from now on.
    fn confirm(&mut self, client: ClientId, answer: &[u8]) {
        let hash = self.hash(answer);
        self.insert(client, Expected::Confirmed(hash));
    }

    pub(super) fn forget(&mut self, client: ClientId) {
        if self.young.remove(&client).is_none() {
            self.old.remove(&client);
        }
    }

    fn find(&self, client: ClientId) -> Option<Expected> {
        self.young.get(&client).or_else(|| self.old.get(&client)).copied()
    }

    fn insert(&mut self, client: ClientId, expected: Expected) {
        self.old.remove(&client);
        if self.young.len() >= SESSIONS_MAX / 2 && !self.young.contains_key(&client) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(client, expected);
    }

    fn hash(&self, session: &[u8]) -> u64 {
        // Asked for an empty session, a gateway answers with an empty array (WIRE.md §5).
        let session = if session == EMPTY_ARRAY { b"" } else { session };
        self.hasher.hash_one(session)
    }
}

const EMPTY_ARRAY: &[u8] = b"a:0:{}";

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &[u8] = b"a:1:{i:0;i:0;}";
    const OURS: &[u8] = b"a:1:{i:0;i:1;}";
    const THEIRS: &[u8] = b"a:1:{i:0;i:2;}";

    fn client(connection_id: u32) -> ClientId {
        ClientId::new([127, 0, 0, 1].into(), 2900, connection_id)
    }

    fn command(sessions: &mut Sessions, cmd: Cmd, connection_id: u32, ext: &[u8]) {
        let client = client(connection_id);
        sessions.commanded(client.gateway, &Frame { connection_id, ext, ..Frame::command(cmd) });
    }

    fn written() -> Sessions {
        let mut sessions = Sessions::default();
        command(&mut sessions, Cmd::SetSession, 1, OURS);
        sessions
    }

    #[test]
    fn only_clients_written_to_are_in_doubt_until_it_is_seen() {
        let mut sessions = written();
        assert!(!sessions.is_in_doubt(client(2), BEFORE));
        assert!(sessions.is_in_doubt(client(1), BEFORE));
        assert!(!sessions.is_in_doubt(client(1), OURS));
        assert!(!sessions.is_in_doubt(client(1), BEFORE), "forgotten when it was seen");
    }

    #[test]
    fn other_commands_put_nothing_in_doubt() {
        let mut sessions = Sessions::default();
        command(&mut sessions, Cmd::SendToOne, 1, OURS);
        assert!(!sessions.is_in_doubt(client(1), BEFORE));
    }

    #[test]
    fn an_answer_from_before_the_write_is_asked_for_again_but_not_for_ever() {
        let mut sessions = written();
        for attempt in 0..SESSION_RETRY_PAUSES.len() {
            assert!(sessions.is_overtaken(client(1), BEFORE, attempt));
        }
        assert!(!sessions.is_overtaken(client(1), BEFORE, SESSION_RETRY_PAUSES.len()));
        assert!(!sessions.is_in_doubt(client(1), BEFORE), "believed");
    }

    #[test]
    fn what_the_handler_had_seen_is_never_believed_while_its_write_is_on_its_way() {
        let mut sessions = written();
        sessions.handled(client(1), BEFORE);
        assert!(sessions.is_overtaken(client(1), BEFORE, 10 * SESSION_RETRY_PAUSES.len()));
        assert!(!sessions.is_overtaken(client(1), OURS, 0));
        command(&mut sessions, Cmd::SetSession, 1, THEIRS);
        assert!(sessions.is_overtaken(client(1), OURS, 10 * SESSION_RETRY_PAUSES.len()));
        sessions.link_ended(client(1).gateway);
        assert!(!sessions.is_overtaken(client(1), OURS, SESSION_RETRY_PAUSES.len()), "lost with the link");
    }

    #[test]
    fn what_is_confirmed_stays_expected_until_it_is_seen() {
        let mut sessions = written();
        assert!(!sessions.is_overtaken(client(1), OURS, 0));
        assert!(sessions.is_in_doubt(client(1), BEFORE), "a second event that was on its way");
        assert!(!sessions.is_overtaken(client(1), THEIRS, 0), "our write was done before: somebody else's");
        assert!(sessions.is_in_doubt(client(1), OURS));
        assert!(!sessions.is_in_doubt(client(1), THEIRS));
    }

    #[test]
    fn a_merge_is_done_when_anything_changed() {
        let mut sessions = Sessions::default();
        command(&mut sessions, Cmd::UpdateSession, 1, OURS);
        sessions.handled(client(1), BEFORE);
        assert!(sessions.is_in_doubt(client(1), BEFORE));
        assert!(sessions.is_in_doubt(client(1), THEIRS), "what comes of a merge is not known");
        assert!(sessions.is_overtaken(client(1), BEFORE, 0));
        assert!(!sessions.is_overtaken(client(1), THEIRS, 1));
        assert!(!sessions.is_in_doubt(client(1), THEIRS));
    }

    #[test]
    fn a_merge_into_a_write_has_the_write_before_it() {
        let mut sessions = written();
        command(&mut sessions, Cmd::UpdateSession, 1, THEIRS);
        command(&mut sessions, Cmd::UpdateSession, 1, THEIRS);
        sessions.handled(client(1), BEFORE);
        assert!(sessions.is_overtaken(client(1), OURS, 0));
        assert!(!sessions.is_overtaken(client(1), THEIRS, 0));
    }

    #[test]
    fn no_session_is_an_empty_one() {
        let mut sessions = Sessions::default();
        command(&mut sessions, Cmd::SetSession, 1, b"a:0:{}");
        assert!(!sessions.is_in_doubt(client(1), b""));
        command(&mut sessions, Cmd::SetSession, 1, b"");
        assert!(!sessions.is_overtaken(client(1), b"a:0:{}", 0));
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many() {
        let mut sessions = Sessions::default();
        let count = SESSIONS_MAX as u32;
        for connection_id in 0..=count {
            command(&mut sessions, Cmd::SetSession, connection_id, OURS);
        }
        assert!(sessions.young.len() + sessions.old.len() <= SESSIONS_MAX);
        assert!(!sessions.is_in_doubt(client(0), BEFORE));
        assert!(sessions.is_in_doubt(client(count / 2), BEFORE));
        assert!(sessions.is_in_doubt(client(count), BEFORE));
        sessions.forget(client(count / 2));
        assert!(!sessions.is_in_doubt(client(count / 2), BEFORE));
    }
}
