//! Queries on command links (WIRE.md §14): many at a time, each answered by its number, behind what was commanded before. Messages
//! whose senders want a report, too.
//!
//! A gateway is not asked any more that has let a question pass without a word, of whatever kind, until it says something.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use protocol::calls::SUSPECT_AFTER;
use protocol::client::Kind;
use protocol::inner::{
    AskId, FLAG_MORE, FLAG_REPORT_WANTED, Frame, MessageReport, QUESTIONS_UNANSWERED_MAX,
    QUESTIONS_UNANSWERED_SIZE_MAX,
};
use protocol::php;
use tracing::info;

use super::super::Core;
use super::super::connections::ConnId;
use super::super::link::Link;
use super::super::links::{Refused, marked};
use super::{Asked, Queries, QuestionId, Reply};
use crate::config::{QUERY_QUEUE_MAX, REPLY_SIZE_MAX};

/// What a gateway is asked on its link.
///
/// Invariant: `unanswered_size` is the sum of `unanswered`.
#[derive(Debug)]
pub(super) struct LinkQuestions {
    conn: ConnId,
    /// Not said yet, as too much is unanswered.
    waiting: VecDeque<QuestionId>,
    /// The sizes of queries that were said and are not answered, though perhaps nobody waits any more.
    unanswered: HashMap<QuestionId, usize>,
    unanswered_size: usize,
    /// It has let a question pass, and has said nothing since.
    is_silent: bool,
}

/// A question that was said on a link.
#[derive(Debug)]
pub(super) struct OnLink {
    conn: ConnId,
    asked_at: Duration,
    /// What had been received on the link before.
    received: u64,
    /// The answer, as far as it has come.
    arrived: Vec<u8>,
}

impl LinkQuestions {
    /// Whether the gateway is not to be asked, because it does not answer.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Whether it may be asked more.
    fn has_room(&self) -> bool {
        self.unanswered.len() < QUESTIONS_UNANSWERED_MAX
            && self.unanswered_size < QUESTIONS_UNANSWERED_SIZE_MAX
    }

    fn said(&mut self, id: QuestionId, size: usize) {
        self.unanswered.insert(id, size);
        self.unanswered_size += size;
    }

    fn answered(&mut self, id: QuestionId) {
        self.unanswered_size -= self.unanswered.remove(&id).unwrap_or(0);
    }
}

impl OnLink {
    fn now(link: Option<&Link>, conn: ConnId, now: Duration) -> OnLink {
        let received = link.and_then(Link::open).map_or(0, |open| open.received);
        OnLink { conn, asked_at: now, received, arrived: Vec::new() }
    }
}

impl Core {
    /// The gateway answers on this link, or does not; then it is asked on a connection.
    pub(in crate::core) fn begin_answers(&mut self, gateway: SocketAddrV4, conn: ConnId, on_link: bool) {
        if let Some(before) = self.queries.by_link.remove(&gateway) {
            self.fail_all_on(before.conn, before.waiting);
        }
        if on_link {
            let questions = LinkQuestions {
                conn,
                waiting: VecDeque::new(),
                unanswered: HashMap::new(),
                unanswered_size: 0,
                is_silent: false,
            };
            self.queries.by_link.insert(gateway, questions);
        }
    }

    /// The link has ended, or nothing of it is heard any more: what was asked there is not answered.
    pub(in crate::core) fn end_answers(&mut self, gateway: SocketAddrV4) {
        self.fail_early(gateway);
        if let Some(ended) = self.queries.by_link.remove(&gateway) {
            self.fail_all_on(ended.conn, ended.waiting);
        }
    }

    fn fail_all_on(&mut self, conn: ConnId, waiting: VecDeque<QuestionId>) {
        let questions = self.queries.questions.iter();
        let mut failed: Vec<_> = questions
            .filter(|(_, question)| question.on_link.as_ref().is_some_and(|asked| asked.conn == conn))
            .map(|(id, _)| *id)
            .collect();
        // So that a run of the simulation can be repeated.
        failed.sort_unstable();
        failed.into_iter().chain(waiting).for_each(|id| self.tell(id, Asked::Missing));
    }

    /// Asks on the gateway's link. `false`: it cannot be asked.
    pub(super) fn ask_on_link(&mut self, gateway: SocketAddrV4, id: QuestionId) -> bool {
        let can_hear =
            !self.leaving && self.links.find(gateway).is_some_and(|link| link.answering().is_some());
        let Some(questions) = self.queries.by_link.get_mut(&gateway) else { return false };
        if !can_hear || questions.is_silent || questions.waiting.len() >= QUERY_QUEUE_MAX {
            return false;
        }
        questions.waiting.push_back(id);
        self.say_questions(gateway);
        true
    }

    /// Says as many of those that wait as may be unanswered.
    fn say_questions(&mut self, gateway: SocketAddrV4) {
        while let Some(questions) = self.queries.by_link.get_mut(&gateway).filter(|it| it.has_room())
            && let Some(id) = questions.waiting.pop_front()
        {
            let conn = questions.conn;
            // Unless its asker has gone away.
            let Some(question) = self.queries.questions.get_mut(&id) else { continue };
            let size = question.frame.len();
            questions.said(id, size);
            question.on_link = Some(OnLink::now(self.links.find(gateway), conn, self.now));
            self.connections.push_encoded(conn, |out| id.append(&question.frame, out));
            self.backlog.add(size);
            self.give_up_fullest_if_too_much();
        }
    }

    /// Sends a message to one gateway and asks for a report. One that cannot give it gets the message all the same.
    pub(crate) fn command_reported(
        &mut self,
        now: Duration,
        gateway: SocketAddrV4,
        frame: &Frame<'_>,
        kind: Kind,
    ) -> QuestionId {
        self.now = now;
        if self.own_gateway() == Some(gateway) {
            return self.ask_own_to_send(gateway, frame, kind);
        }
        let id = self.add_question(gateway, [].into(), None);
        let on_link = self.queries.by_link.get(&gateway).map(|questions| questions.conn);
        let asked = on_link.map(|conn| OnLink::now(self.links.find(gateway), conn, now));
        let frame = match asked {
            Some(_) => Frame { client: id.address(), flag: frame.flag | FLAG_REPORT_WANTED, ..*frame },
            None => *frame,
        };
        let is_asked = asked.is_some();
        if let Some(question) = self.queries.questions.get_mut(&id) {
            question.on_link = asked;
        }
        // It may be the end of the link.
        if !self.command(gateway, &frame, kind) || !is_asked {
            self.tell(id, Asked::Missing);
        }
        id
    }

    /// The same, to the gateway in the core's thread: on the connection for queries, where the report is a reply.
    fn ask_own_to_send(&mut self, gateway: SocketAddrV4, frame: &Frame<'_>, kind: Kind) -> QuestionId {
        let mut bytes = Vec::with_capacity(frame.size());
        let frame = marked(frame, kind, true);
        if let Some(frame) = frame {
            Frame { flag: frame.flag | FLAG_REPORT_WANTED, ..frame }.encode(&mut bytes);
        }
        let id = self.add_question(gateway, bytes.into(), None);
        match frame {
            // Nothing is said before it is known whether others have the event, nor if they have.
            Some(frame) if !self.may_say() => {
                self.command(gateway, &frame, Kind::Unspecified);
                self.tell(id, Asked::Missing);
            }
            Some(frame) => {
                self.note_command(gateway, &frame);
                if let Some(question) = self.queries.questions.get_mut(&id) {
                    question.is_message = true;
                }
                self.route_question(gateway, id);
            }
            None => {
                self.dropped(gateway, Refused::TooLarge);
                self.tell(id, Asked::Missing);
            }
        }
        id
    }

    /// ANSWER: all of it or a part. Of one that nobody waits for, nothing is kept.
    pub(in crate::core) fn on_answer(&mut self, gateway: SocketAddrV4, frame: &Frame<'_>) {
        let Some(id) = NonZeroU32::new(frame.connection_id).map(AskId) else { return };
        let has_more = frame.flag & FLAG_MORE != 0;
        if !has_more && let Some(questions) = self.queries.by_link.get_mut(&gateway) {
            questions.answered(id);
            self.say_questions(gateway);
        }
        let Some(asked) = self.queries.asked_on(gateway, id) else { return };
        if asked.arrived.len() + frame.body.len() > REPLY_SIZE_MAX {
            return self.tell(id, Asked::Missing);
        }
        let is_whole = asked.arrived.is_empty() && !has_more;
        if !is_whole {
            asked.arrived.extend_from_slice(frame.body);
        }
        if has_more {
            return;
        }
        let serialized = match is_whole {
            true => Bytes::copy_from_slice(frame.body),
            false => std::mem::take(&mut asked.arrived).into(),
        };
        // An empty one says that there is none.
        let answer = match php::decode(&serialized) {
            Ok(value) => Asked::Answered(Reply { serialized, value }),
            Err(_) => Asked::Missing,
        };
        self.tell(id, answer);
    }

    /// REPORT: what became of a message.
    pub(in crate::core) fn on_report(&mut self, gateway: SocketAddrV4, frame: &Frame<'_>) {
        if let Some(id) = NonZeroU32::new(frame.connection_id).map(AskId)
            && let Some(report) = MessageReport::decode(frame.body)
            && self.queries.asked_on(gateway, id).is_some()
        {
            self.tell(id, Asked::Reported(report));
        }
    }

    /// Nobody waits any more for the answer to what was asked. If the gateway has said nothing at all since, it may stand still.
    pub(super) fn give_up_on_link(&mut self, gateway: SocketAddrV4, asked: &OnLink) {
        let received = self.links.find(gateway).and_then(Link::open).map(|open| open.received);
        let Some(questions) = self.queries.by_link.get_mut(&gateway).filter(|it| it.conn == asked.conn)
        else {
            return;
        };
        let silent = self.now.saturating_sub(asked.asked_at);
        if received != Some(asked.received) || silent < SUSPECT_AFTER || questions.is_silent {
            return;
        }
        info!(%gateway, core = self.index, "a gateway does not answer, not asking it until it says something");
        questions.is_silent = true;
        self.queries.are_some_silent = true;
        let (conn, waiting) = (questions.conn, std::mem::take(&mut questions.waiting));
        self.fail_all_on(conn, waiting);
    }

    /// Something came on a link.
    pub(in crate::core) fn trust_link(&mut self, gateway: SocketAddrV4) {
        if !self.queries.are_some_silent {
            return;
        }
        if let Some(questions) = self.queries.by_link.get_mut(&gateway)
            && std::mem::take(&mut questions.is_silent)
        {
            info!(%gateway, core = self.index, "the gateway answers again");
        }
        self.queries.are_some_silent = self.queries.by_link.values().any(LinkQuestions::is_silent);
    }
}

impl Queries {
    /// A question that a gateway was asked on its link, and has not answered.
    fn asked_on(&mut self, gateway: SocketAddrV4, id: QuestionId) -> Option<&mut OnLink> {
        let conn = self.by_link.get(&gateway)?.conn;
        let question = self.questions.get_mut(&id).filter(|question| question.answer.is_none())?;
        question.on_link.as_mut().filter(|asked| asked.conn == conn)
    }
}
