//! Queries on connections of their own: to PHP's gateways, to older ones of ours, and to the one in the core's own thread. One
//! connection per gateway, opened at the first question, one question outstanding at a time (WIRE.md §3, §5).
//!
//! A question whose asker has gone away ends its connection, since its answer could not be told from the next one. A
//! gateway that lets questions pass without a word is not asked any more until it says that it is there
//! ([`protocol::calls::Trust`]).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use protocol::calls::{SUSPECT_AFTER, Trust, query};
use protocol::inner::reply;
use protocol::php;
use tracing::{debug, info};

use super::super::connections::ConnId;
use super::super::proof::Aim;
use super::super::{Core, Timer};
use super::{Asked, QuestionId, Reply};
use crate::config::{
    ANSWER_TIME_USUAL, BUFFER_KEEP_SIZE, CONNECT_TIMEOUT, PROOF_TIMEOUT, QUERY_IDLE_TIMEOUT, QUERY_QUEUE_MAX,
    REPLY_SIZE_MAX,
};

/// Questions to one gateway. It lives until nobody has asked for a while.
#[derive(Debug, Default)]
pub(super) struct QueryConnection {
    waiting: VecDeque<QuestionId>,
    conn: Option<ConnId>,
    is_open: bool,
    /// What was asked and is not answered.
    current: Option<Current>,
    /// Bytes that came and make no whole reply yet.
    arrived: Vec<u8>,
    trust: Trust,
    /// When to give up an attempt to connect, to ask whether a suspect gateway is there, or to end.
    due: Duration,
}

#[derive(Debug)]
struct Current {
    what: What,
    asked_at: Duration,
    /// The connection had been used before, so that its end may only mean that the gateway had closed it.
    is_kept: bool,
    /// Replies that came and are not all.
    replies: Vec<Reply>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Question(QuestionId),
    /// Whether the gateway is there.
    Probe,
}

impl QueryConnection {
    /// Whether its gateway is not to be asked, because it does not answer.
    pub(super) fn is_suspect(&self) -> bool {
        self.trust.is_suspect()
    }
}

impl Core {
    /// Asks on the gateway's connection, behind what was asked before. `false`: it cannot be asked.
    pub(super) fn ask_on_connection(&mut self, gateway: SocketAddrV4, id: QuestionId) -> bool {
        let link = self.queries.by_gateway.entry(gateway).or_default();
        if link.waiting.len() >= QUERY_QUEUE_MAX || link.trust.is_suspect() {
            return false;
        }
        link.waiting.push_back(id);
        self.ask_next(gateway);
        true
    }

    /// Nobody waits for the answer any more, if this is what was asked last.
    pub(super) fn give_up_on_connection(&mut self, gateway: SocketAddrV4, id: QuestionId) {
        let now = self.now;
        // One that is heard is there, and has much to do.
        let is_heard = self.links.find(gateway).is_some_and(|link| link.is_heard());
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        let Some(current) = link.current.take_if(|current| current.what == What::Question(id)) else {
            return;
        };
        let silent = now.saturating_sub(current.asked_at).min(SUSPECT_AFTER);
        // Who waits for a moment only finds nobody silent.
        if !is_heard && silent >= ANSWER_TIME_USUAL {
            link.trust.unanswered(if silent == SUSPECT_AFTER { silent } else { Duration::ZERO });
            if link.trust.is_suspect() {
                self.suspect(gateway);
            }
        }
        self.close_queries(gateway);
        self.ask_next(gateway);
    }

    /// A gateway has shown that it lives.
    pub(in crate::core) fn trust(&mut self, gateway: SocketAddrV4) {
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        if link.trust.is_suspect() {
            self.close_queries(gateway);
            self.trusted(gateway);
        } else {
            link.trust.answered();
        }
    }

    /// A gateway was found dead: what it was asked fails, and its connection is not used again.
    pub(in crate::core) fn give_up_queries(&mut self, gateway: SocketAddrV4) {
        self.close_queries(gateway);
        self.failed(gateway, &io::ErrorKind::TimedOut.into());
    }

    /// The connection stands, and the key is to be proven first.
    pub(in crate::core) fn queries_proving(&mut self, gateway: SocketAddrV4) {
        self.queries_wait(gateway, PROOF_TIMEOUT);
    }

    pub(in crate::core) fn queries_opened(&mut self, gateway: SocketAddrV4) {
        if let Some(link) = self.queries.by_gateway.get_mut(&gateway) {
            link.is_open = true;
            self.send_current(gateway);
        }
    }

    pub(in crate::core) fn queries_received(&mut self, gateway: SocketAddrV4, bytes: &[u8]) {
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        link.arrived.extend_from_slice(bytes);
        match self.take_replies(gateway) {
            Ok(()) => {}
            Err(error) => {
                self.close_queries(gateway);
                self.failed(gateway, &error);
            }
        }
    }

    /// The connection ended. One that was kept may only have been closed since: the question is asked once more.
    pub(in crate::core) fn queries_ended(&mut self, gateway: SocketAddrV4, error: &io::Error) {
        self.close_queries(gateway);
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        match &mut link.current {
            Some(current) if current.is_kept && is_loss(error) => {
                current.is_kept = false;
                current.replies.clear();
                self.connect_queries(gateway);
            }
            _ => self.failed(gateway, error),
        }
    }

    /// Does what is due: nobody takes the connection, or has asked, or a suspect gateway is to be asked whether it is there.
    pub(in crate::core) fn queries_due(&mut self, gateway: SocketAddrV4) {
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        if link.due > self.now {
            return self.timers.arm(Timer::Queries(gateway), link.due);
        }
        match &link.current {
            Some(current) if !link.is_open || current.what == What::Probe => {
                self.close_queries(gateway);
                self.failed(gateway, &io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
            }
            Some(_) => {}
            None if link.trust.is_suspect() => self.probe(gateway),
            None => {
                self.close_queries(gateway);
                self.queries.by_gateway.remove(&gateway);
            }
        }
    }

    /// Asks the next question, if there is one and none is outstanding.
    fn ask_next(&mut self, gateway: SocketAddrV4) {
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        if link.current.is_some() || link.trust.is_suspect() {
            return;
        }
        while let Some(id) = link.waiting.pop_front() {
            // Unless its asker has gone away.
            if self.queries.questions.contains_key(&id) {
                return self.ask_now(gateway, What::Question(id));
            }
        }
        self.queries_wait(gateway, QUERY_IDLE_TIMEOUT);
    }

    fn ask_now(&mut self, gateway: SocketAddrV4, what: What) {
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        link.current = Some(Current { what, asked_at: self.now, is_kept: link.is_open, replies: Vec::new() });
        if link.is_open { self.send_current(gateway) } else { self.connect_queries(gateway) }
    }

    fn connect_queries(&mut self, gateway: SocketAddrV4) {
        let conn = self.dial(gateway, Aim::Queries);
        if let Some(link) = self.queries.by_gateway.get_mut(&gateway) {
            link.conn = Some(conn);
            self.queries_wait(gateway, CONNECT_TIMEOUT);
        }
    }

    fn send_current(&mut self, gateway: SocketAddrV4) {
        let authorization = self.authorization();
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        let (Some(conn), Some(current)) = (link.conn, &link.current) else { return };
        let mut guard = Vec::new();
        query::guard().encode(&mut guard);
        let out = self.connections.tail(conn);
        out.extend_from_slice(&authorization);
        match current.what {
            What::Probe => {
                out.extend_from_slice(&guard);
                self.queries_wait(gateway, self.config.query_timeout);
            }
            What::Question(id) => {
                let Some(question) = self.queries.questions.get(&id) else { return };
                out.extend_from_slice(&question.frame);
                if question.by_name.is_some() {
                    out.extend_from_slice(&guard);
                }
            }
        }
    }

    /// Takes whole replies out of what has arrived, until the question is answered.
    fn take_replies(&mut self, gateway: SocketAddrV4) -> io::Result<()> {
        while let Some(link) = self.queries.by_gateway.get_mut(&gateway) {
            let Some((serialized, size)) = reply::decode(&link.arrived, REPLY_SIZE_MAX).map_err(invalid)?
            else {
                return Ok(());
            };
            let Some(current) = &mut link.current else { break };
            let value = php::decode(serialized).map_err(invalid)?;
            let length_size = size - serialized.len();
            let rest = link.arrived.split_off(size);
            let whole = Bytes::from(std::mem::replace(&mut link.arrived, rest));
            current.replies.push(Reply { serialized: whole.slice(length_size..), value });
            if let Some(answer) = self.answered(gateway) {
                let link = self.queries.by_gateway.get_mut(&gateway);
                if link.is_some_and(|link| !link.arrived.is_empty()) {
                    break;
                }
                self.finish(gateway, answer);
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "more replies than questions"))
    }

    /// The answer, once all replies are there. A question that the gateway may not know has a guard behind it: if that is
    /// what is answered first, it does not, and is asked name by name.
    fn answered(&mut self, gateway: SocketAddrV4) -> Option<Asked> {
        let link = self.queries.by_gateway.get_mut(&gateway)?;
        let (conn, current) = (link.conn?, link.current.as_mut()?);
        let by_name = match current.what {
            What::Probe => None,
            What::Question(id) => self.queries.questions.get(&id)?.by_name.as_ref(),
        };
        let mut replies = std::mem::take(&mut current.replies);
        let Some(by_name) = by_name else { return replies.pop().map(Asked::Answered) };
        let unknown = query::is_guards(&replies.first()?.value);
        let expected = if unknown { 1 + by_name.count } else { 2 };
        if unknown && replies.len() == 1 {
            self.connections.tail(conn).extend_from_slice(&by_name.questions);
        }
        if replies.len() < expected {
            current.replies = replies;
            return None;
        }
        Some(if unknown {
            Asked::ByName(replies.drain(1..).map(|reply| reply.value).collect())
        } else {
            Asked::Answered(replies.swap_remove(0))
        })
    }

    /// The current question is answered.
    fn finish(&mut self, gateway: SocketAddrV4, answer: Asked) {
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        link.arrived.shrink_to(BUFFER_KEEP_SIZE);
        match link.current.take().map(|current| current.what) {
            Some(What::Question(id)) => {
                link.trust.answered();
                self.tell(id, answer);
                self.ask_next(gateway);
            }
            Some(What::Probe) => self.trusted(gateway),
            None => {}
        }
    }

    /// The connection is gone, and what was asked is not answered.
    pub(super) fn failed(&mut self, gateway: SocketAddrV4, error: &io::Error) {
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        match link.current.take().map(|current| current.what) {
            Some(What::Question(id)) => {
                debug!(%gateway, "query not answered: {error}");
                self.tell(id, Asked::Missing);
            }
            Some(What::Probe) => {
                link.trust.probe_unanswered();
                let delay = link.trust.probe_delay();
                return self.queries_wait(gateway, delay);
            }
            None => {}
        }
        self.ask_next(gateway);
    }

    /// A gateway does not answer: who waits behind that would wait in vain.
    fn suspect(&mut self, gateway: SocketAddrV4) {
        info!(%gateway, core = self.index, "a gateway does not answer, not asking it until it does");
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        let delay = link.trust.probe_delay();
        for id in std::mem::take(&mut link.waiting) {
            self.tell(id, Asked::Missing);
        }
        self.queries_wait(gateway, delay);
    }

    fn probe(&mut self, gateway: SocketAddrV4) {
        if self.links.find(gateway).is_some() {
            return self.ask_now(gateway, What::Probe);
        }
        self.close_queries(gateway);
        self.queries.by_gateway.remove(&gateway);
    }

    fn trusted(&mut self, gateway: SocketAddrV4) {
        info!(%gateway, core = self.index, "the gateway answers again");
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        link.trust.answered();
        link.current = None;
        self.ask_next(gateway);
    }

    fn queries_wait(&mut self, gateway: SocketAddrV4, delay: Duration) {
        if let Some(link) = self.queries.by_gateway.get_mut(&gateway) {
            link.due = self.now + delay;
            self.timers.arm(Timer::Queries(gateway), link.due);
        }
    }

    fn close_queries(&mut self, gateway: SocketAddrV4) {
        let Some(link) = self.queries.by_gateway.get_mut(&gateway) else { return };
        link.is_open = false;
        link.arrived = Vec::new();
        if let Some(conn) = link.conn.take() {
            self.close(conn);
        }
    }
}

/// Whether the gateway has closed the connection, as opposed to having answered nonsense.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
