//! What is asked of gateways (WIRE.md §5): on the command link of those that answer there (`on_link`), so that an answer sees what
//! was commanded before; of others on a connection of its own (`connections`).

mod connections;
mod on_link;

use std::net::SocketAddrV4;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use protocol::inner::{AskId, MessageReport};
use protocol::php::Value;

use self::connections::QueryConnection;
use self::on_link::{LinkQuestions, OnLink};
use super::Core;
use super::link::Link;

/// Names a question, for as long as its asker waits: to gateways, too, that answer on the command link.
pub(crate) type QuestionId = AskId;

/// What a core asks its gateways.
#[derive(Debug, Default)]
pub(super) struct Queries {
    /// Gateways that are asked on connections.
    by_gateway: HashMap<SocketAddrV4, QueryConnection>,
    /// Gateways that answer on their links, as long as these stand.
    by_link: HashMap<SocketAddrV4, LinkQuestions>,
    /// Some of these do not answer.
    are_some_silent: bool,
    /// Questions for gateways that have not said yet where they answer.
    early: Vec<QuestionId>,
    /// Those whose asker waits.
    questions: HashMap<QuestionId, Question>,
    last_id: u32,
}

/// A question, and what has become of it.
#[derive(Debug)]
struct Question {
    gateway: SocketAddrV4,
    /// The frame to send.
    frame: Rc<[u8]>,
    /// What to ask instead if the gateway does not know the question.
    by_name: Option<Rc<ByName>>,
    /// It is a message to the gateway in this thread, which is to be sent whether anybody waits or not.
    is_message: bool,
    /// Nobody waits.
    is_given_up: bool,
    /// It was asked on the link.
    on_link: Option<OnLink>,
    answer: Option<Asked>,
    asker: Option<Waker>,
}

/// A question that some gateways know only for one name at a time ([`protocol::calls::Query::by_name`]).
#[derive(Debug)]
pub(crate) struct ByName {
    /// All frames.
    pub(crate) questions: Vec<u8>,
    /// How many they are.
    pub(crate) count: usize,
}

/// What became of a question.
#[derive(Debug)]
pub(crate) enum Asked {
    Answered(Reply),
    /// The gateway does not know the command, and was asked name by name.
    ByName(Vec<Value>),
    /// It was a message.
    Reported(MessageReport),
    Missing,
}

/// A reply, as it came and what it says.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) serialized: Bytes,
    pub(crate) value: Value,
}

/// Where a gateway is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Link,
    Connection,
    /// It will say so in a moment.
    Early,
}

impl Core {
    /// Asks a gateway, behind what was asked before. `by_name` is for a question that the gateway may not know. The asker
    /// takes the answer by [`Core::take_answer`], and gives the question up by [`Core::give_up_question`].
    pub(crate) fn ask(
        &mut self,
        now: Duration,
        gateway: SocketAddrV4,
        frame: &Rc<[u8]>,
        by_name: Option<&Rc<ByName>>,
    ) -> QuestionId {
        self.now = now;
        self.counters.queries += 1;
        let id = self.add_question(gateway, Rc::clone(frame), by_name.cloned());
        self.route_question(gateway, id);
        id
    }

    fn add_question(
        &mut self,
        gateway: SocketAddrV4,
        frame: Rc<[u8]>,
        by_name: Option<Rc<ByName>>,
    ) -> QuestionId {
        let id = self.queries.next_id();
        let question = Question {
            gateway,
            frame,
            by_name,
            is_message: false,
            is_given_up: false,
            on_link: None,
            answer: None,
            asker: None,
        };
        self.queries.questions.insert(id, question);
        id
    }

    fn route_question(&mut self, gateway: SocketAddrV4, id: QuestionId) {
        let is_asked = match self.way_to(gateway) {
            // Others have the event of the handler that asks.
            _ if self.is_revoked() => false,
            Way::Link => self.ask_on_link(gateway, id),
            Way::Connection => self.ask_on_connection(gateway, id),
            Way::Early => {
                self.queries.early.push(id);
                true
            }
        };
        if !is_asked {
            self.tell(id, Asked::Missing);
        }
    }

    fn way_to(&self, gateway: SocketAddrV4) -> Way {
        if self.queries.by_link.contains_key(&gateway) {
            Way::Link
        } else if self.links.find(gateway).is_some_and(Link::may_greet) {
            Way::Early
        } else {
            Way::Connection
        }
    }

    /// Whether a gateway answers behind what it was commanded before.
    pub(crate) fn answers_in_order(&self, gateway: SocketAddrV4) -> bool {
        self.way_to(gateway) == Way::Link
    }

    /// A gateway has said something: now it is known where it answers.
    pub(super) fn route_early(&mut self, gateway: SocketAddrV4) {
        if self.queries.early.is_empty() {
            return;
        }
        let early = self.take_early(gateway);
        early.into_iter().for_each(|id| self.route_question(gateway, id));
    }

    /// It has not, and is gone.
    fn fail_early(&mut self, gateway: SocketAddrV4) {
        let early = self.take_early(gateway);
        early.into_iter().for_each(|id| self.tell(id, Asked::Missing));
    }

    fn take_early(&mut self, gateway: SocketAddrV4) -> Vec<QuestionId> {
        let Queries { early, questions, .. } = &mut self.queries;
        early
            .extract_if(.., |id| questions.get(id).is_none_or(|question| question.gateway == gateway))
            .collect()
    }

    /// Whether a question is answered, or will never be. If not yet, `asker` is woken then.
    pub(crate) fn poll_answer(&mut self, id: QuestionId, asker: &Waker) -> bool {
        let Some(question) = self.queries.questions.get_mut(&id) else { return true };
        if question.answer.is_none() {
            question.asker = Some(asker.clone());
        }
        question.answer.is_some()
    }

    /// Takes the answer, if it has come.
    pub(crate) fn take_answer(&mut self, id: QuestionId) -> Asked {
        let question = self.queries.questions.get_mut(&id);
        question.and_then(|question| question.answer.take()).unwrap_or(Asked::Missing)
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn give_up_question(&mut self, now: Duration, id: QuestionId) {
        self.now = now;
        let Some(mut question) = self.queries.questions.remove(&id) else { return };
        if question.is_message && question.answer.is_none() {
            (question.is_given_up, question.asker) = (true, None);
            self.queries.questions.insert(id, question);
            return;
        }
        match question.on_link {
            Some(asked) => self.give_up_on_link(question.gateway, &asked),
            None => self.give_up_on_connection(question.gateway, id),
        }
    }

    /// Whether a gateway is not to be asked, because it does not answer.
    pub(super) fn is_suspect(&self, gateway: SocketAddrV4) -> bool {
        let Queries { by_link, by_gateway, .. } = &self.queries;
        match by_link.get(&gateway) {
            Some(link) => link.is_silent(),
            None => by_gateway.get(&gateway).is_some_and(QueryConnection::is_suspect),
        }
    }

    /// All questions fail, and all connections are closed, with the worker.
    pub(crate) fn leave_queries(&mut self) {
        let mut gateways: Vec<_> = self.queries.by_gateway.keys().copied().collect();
        // So that a run of the simulation can be repeated.
        gateways.sort_unstable();
        gateways.into_iter().for_each(|gateway| self.give_up_queries(gateway));
        self.queries.by_gateway.clear();
        let mut unanswered: Vec<_> = self.queries.questions.keys().copied().collect();
        unanswered.sort_unstable();
        unanswered.into_iter().for_each(|id| self.tell(id, Asked::Missing));
    }

    fn tell(&mut self, id: QuestionId, answer: Asked) {
        if let Some(question) = self.queries.questions.get_mut(&id)
            && question.answer.is_none()
        {
            question.answer = Some(answer);
            question.on_link = None;
            if let Some(asker) = question.asker.take() {
                asker.wake();
            }
            if question.is_given_up {
                self.queries.questions.remove(&id);
            }
        }
    }
}

impl Queries {
    /// Whom to wake, of those who ask; nobody is from here on.
    pub(super) fn forget_askers(&mut self) -> Vec<Waker> {
        self.questions.values_mut().filter_map(|question| question.asker.take()).collect()
    }

    fn next_id(&mut self) -> QuestionId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = NonZeroU32::new(self.last_id).map(AskId)
                && !self.questions.contains_key(&id)
            {
                return id;
            }
        }
    }
}
