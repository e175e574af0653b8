//! Asks a gateway for a session that is in doubt; why and how often is said in `crate::core::sessions`.

use std::rc::Rc;

use bytes::Bytes;
use protocol::ClientId;
use protocol::inner::{Cmd, Frame};

use super::{Shared, sleep};
use crate::Client;
use crate::config::{SESSION_PATIENCE, SESSION_RETRY_PAUSE_LAST, SESSION_RETRY_PAUSES};
use crate::core::{Asked, Delivery};
use crate::time::timeout;

impl Shared {
    /// The client's session as its gateway holds it now. `None`: there is no such client any more, or the gateway does
    /// not answer. Then what the event brought is the best there is, and the client's next events do not wait in vain.
    pub(super) async fn current_session(self: &Rc<Self>, client: &Client) -> Option<Bytes> {
        let (client, delivery) = (client.id(), client.delivery());
        let mut frame = Vec::new();
        Frame { connection_id: client.connection_id, ..Frame::command(Cmd::GetSessionByClientId) }
            .encode(&mut frame);
        let frame = Rc::from(frame);
        let (in_order, is_ours) = {
            let core = self.core.borrow();
            (core.answers_in_order(client.gateway), core.is_ours(client.gateway))
        };
        let answer = if in_order {
            self.session_behind_writes(client, delivery, &frame).await
        } else {
            let patience = if is_ours { SESSION_PATIENCE } else { self.query_timeout };
            timeout(patience, self.session_beside_writes(client, &frame)).await.flatten()
        };
        if answer.is_none() {
            self.core.borrow_mut().counters.queries_missing += 1;
        }
        let session = answer.filter(|answer| answer != NO_CLIENT);
        if session.is_none() {
            self.core.borrow_mut().forget_session(client);
        }
        session
    }

    /// On the link on which it was written: until the gateway answers, or the link ends, or others have the event.
    async fn session_behind_writes(
        self: &Rc<Self>,
        client: ClientId,
        delivery: Delivery,
        frame: &Rc<[u8]>,
    ) -> Option<Bytes> {
        let is_asked = || {
            let core = self.core.borrow();
            core.answers_in_order(client.gateway) && !core.is_taken_back(delivery)
        };
        while is_asked() {
            let question = self.ask(client.gateway, frame, None);
            question.answered().await;
            if let Asked::Answered(reply) = question.into_asked() {
                self.core.borrow_mut().session_confirmed(client, &reply.serialized);
                return Some(reply.serialized);
            }
            // It stands still, and is left out of what is asked until it says something.
            sleep(SESSION_RETRY_PAUSE_LAST).await;
        }
        None
    }

    /// On another connection, where the question may overtake what was written.
    async fn session_beside_writes(self: &Rc<Self>, client: ClientId, frame: &Rc<[u8]>) -> Option<Bytes> {
        let mut pauses = SESSION_RETRY_PAUSES.iter().copied();
        // Ends with the patience of whoever asks.
        for attempt in 0.. {
            let mark = self.core.borrow().mark(client.gateway)?;
            self.until(|core| core.is_flushed(mark)).await;
            let question = self.ask(client.gateway, frame, None);
            question.answered().await;
            match question.into_asked() {
                Asked::Answered(reply) => {
                    let answer = reply.serialized;
                    let overtaken = || self.core.borrow_mut().is_answer_overtaken(client, &answer, attempt);
                    if answer == NO_CLIENT || !overtaken() {
                        return Some(answer);
                    }
                }
                // One of ours that stood still is left out of what is asked, until it shows that it lives, or its link ends.
                _ if self.core.borrow().is_ours(client.gateway) => {}
                _ => return None,
            }
            sleep(pauses.next().unwrap_or(SESSION_RETRY_PAUSE_LAST)).await;
        }
        None
    }
}

/// What a gateway answers when it does not know the client: a serialized null.
const NO_CLIENT: &[u8] = b"N;";
