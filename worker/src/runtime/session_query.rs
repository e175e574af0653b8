//! Asks a gateway for a session that is in doubt; why and how often is said in `crate::core::sessions`.

use std::rc::Rc;

use bytes::Bytes;
use protocol::ClientId;
use protocol::inner::{Cmd, Frame};

use super::{Shared, sleep};
use crate::config::SESSION_RETRY_PAUSES;
use crate::core::Asked;
use crate::time::timeout;

impl Shared {
    /// The client's session as its gateway holds it now. `None`: there is no such client any more, or the gateway does
    /// not answer. Then what the event brought is the best there is, and the client's next events do not wait in vain.
    pub(super) async fn current_session(self: &Rc<Self>, client: ClientId) -> Option<Bytes> {
        let answer = timeout(self.query_timeout, self.ask_for_session(client)).await.flatten();
        if answer.is_none() {
            self.core.borrow_mut().counters.queries_missing += 1;
        }
        let session = answer.filter(|answer| answer != NO_CLIENT);
        if session.is_none() {
            self.core.borrow_mut().forget_session(client);
        }
        session
    }

    async fn ask_for_session(self: &Rc<Self>, client: ClientId) -> Option<Bytes> {
        let mut frame = Vec::new();
        Frame { connection_id: client.connection_id, ..Frame::command(Cmd::GetSessionByClientId) }
            .encode(&mut frame);
        let frame = Rc::from(frame);
        let mut pauses = SESSION_RETRY_PAUSES.iter();
        for attempt in 0.. {
            let mark = self.core.borrow().mark(client.gateway)?;
            self.until(|core| core.is_flushed(mark)).await;
            let question = self.ask(client.gateway, &frame, None);
            question.answered().await;
            let Asked::Answered(reply) = question.into_asked() else { return None };
            let answer = reply.serialized;
            if answer == NO_CLIENT || !self.core.borrow_mut().is_answer_overtaken(client, &answer, attempt) {
                return Some(answer);
            }
            sleep(*pauses.next()?).await;
        }
        None
    }
}

/// What a gateway answers when it does not know the client: a serialized null.
const NO_CLIENT: &[u8] = b"N;";
