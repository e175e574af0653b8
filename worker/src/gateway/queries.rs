//! Queries: asked of one gateway or of all, limited in time (WIRE.md §5).

use std::net::SocketAddrV4;
use std::rc::Rc;

use protocol::ClientId;
use protocol::calls::query::{self, Query};
use protocol::inner::{FRAME_SIZE_MAX, Frame};
use protocol::php::Array;

use super::Gateway;
use crate::core::{Asked, ByName};
use crate::runtime::Question;
use crate::time::timeout;
use crate::{Answer, Name};

macro_rules! methods {
    (
        messages { $($message:tt)* }
        commands { $($command:tt)* }
        queries { $($(#[$doc:meta])* fn $query:ident ($($arg:ident: $type:ty),*) -> $value:ty;)* }
    ) => {
        /// Queries.
        impl Gateway {
            $($(#[$doc])* pub async fn $query(&self, $($arg: $type),*) -> Answer<$value> {
                self.ask(query::$query($($arg),*)).await
            })*
        }
    };
}

protocol::with_calls!(methods);

impl Gateway {
    /// Asks gateways all at once. One that is known to be away is missing without being asked, and one that no
    /// register lists is never connected to: the address comes from a client id, which anybody can make up.
    async fn ask<T>(&self, query: Query<T>) -> Answer<T> {
        let gateways = query.gateways(|| self.shared.core.borrow().gateways());
        if query.frame().size() > FRAME_SIZE_MAX {
            return query.read(Vec::new(), gateways);
        }
        self.commanded(&gateways).await;
        let question = encode(&query.frame());
        let (reachable, mut missing): (Vec<_>, Vec<_>) =
            gateways.into_iter().partition(|&gateway| self.shared.core.borrow().is_reachable(gateway));
        let by_name = by_name(&query);
        let ask = |gateway| (gateway, self.shared.ask(gateway, &question, by_name.as_ref()));
        let questions: Vec<_> = reachable.into_iter().map(ask).collect();
        let mut replies = Vec::with_capacity(questions.len());
        for (gateway, asked) in self.answers(questions).await {
            match asked {
                Asked::Answered(reply) => replies.push((gateway, reply.value)),
                Asked::ByName(answers) => replies.push((gateway, query.join(answers))),
                Asked::Reported(_) | Asked::Missing => missing.push(gateway),
            }
        }
        self.shared.core.borrow_mut().counters.queries_missing += missing.len() as u64;
        query.read(replies, missing)
    }

    /// Waits until the gateway in this thread, which is asked on another connection than it is commanded, has been told what it
    /// was commanded.
    pub(super) async fn commanded(&self, concerned: &[SocketAddrV4]) {
        let mark = {
            let core = self.shared.core.borrow();
            let own = core.own_gateway().filter(|own| concerned.contains(own));
            own.and_then(|own| core.mark(own))
        };
        if let Some(mark) = mark {
            // If it takes nothing, it will not answer either.
            let _ = timeout(self.query_timeout, self.shared.until(move |core| core.is_flushed(mark))).await;
        }
    }

    /// What comes of questions in time. Late or not, the answers that are there count.
    pub(super) async fn answers(
        &self,
        questions: Vec<(SocketAddrV4, Question)>,
    ) -> Vec<(SocketAddrV4, Asked)> {
        let all = async {
            for (_, question) in &questions {
                question.answered().await;
            }
        };
        let _ = timeout(self.query_timeout, all).await;
        questions.into_iter().map(|(gateway, question)| (gateway, question.into_asked())).collect()
    }
}

fn by_name<T>(query: &Query<T>) -> Option<Rc<ByName>> {
    let (mut questions, mut count) = (Vec::new(), 0);
    for frame in query.by_name() {
        frame.encode(&mut questions);
        count += 1;
    }
    (count > 0).then(|| Rc::new(ByName { questions, count }))
}

fn encode(frame: &Frame<'_>) -> Rc<[u8]> {
    let mut out = Vec::with_capacity(frame.size());
    frame.encode(&mut out);
    out.into()
}
