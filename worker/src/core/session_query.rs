//! Asks a gateway for a session that is in doubt; why and how often is said in [`super::sessions`].

use std::rc::Rc;

use bytes::Bytes;
use glommio::timer::{sleep, timeout};
use protocol::ClientId;
use protocol::inner::{Cmd, Frame};

use super::Core;
use crate::config::SESSION_RETRY_PAUSES;

impl Core {
    /// The client's session as its gateway holds it now. `None`: there is no such client any more, or the gateway does
    /// not answer. Then what the event brought is the best there is, and the client's next events do not wait in vain.
    pub(super) async fn current_session(self: &Rc<Self>, client: ClientId) -> Option<Bytes> {
        let asked = async { Ok(self.ask_for_session(client).await) };
        let answer = timeout(self.config.query_timeout, asked).await.ok().flatten();
        if answer.is_none() {
            self.count(|counters| counters.queries_missing += 1);
        }
        let session = answer.filter(|answer| answer != NO_CLIENT);
        if session.is_none() {
            self.sessions.forget(client);
        }
        session
    }

    async fn ask_for_session(self: &Rc<Self>, client: ClientId) -> Option<Bytes> {
        let mut question = Vec::new();
        Frame { connection_id: client.connection_id, ..Frame::command(Cmd::GetSessionByClientId) }
            .encode(&mut question);
        let question = Rc::from(question);
        let mut pauses = SESSION_RETRY_PAUSES.iter();
        for attempt in 0.. {
            self.links.find(client.gateway)?.flushed().await;
            let asked = self.ask(client.gateway, &question);
            asked.answered().await;
            let answer = asked.into_serialized()?;
            if answer == NO_CLIENT || !self.sessions.is_overtaken(client, &answer, attempt) {
                return Some(answer);
            }
            sleep(*pauses.next()?).await;
        }
        None
    }
}

/// What a gateway answers when it does not know the client: a serialized null.
const NO_CLIENT: &[u8] = b"N;";
