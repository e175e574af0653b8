//! Query connections: one per gateway, opened at the first query, one question outstanding at a time (WIRE.md §3, §5).
//!
//! A question whose asker has gone away ends its connection, since its answer could not be told from the next one. A
//! gateway that lets questions pass without a word is not asked any more until it says that it is there
//! ([`protocol::calls::Trust`]).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;
use glommio::Task;
use glommio::net::TcpStream;
use glommio::timer::{sleep, timeout};
use hashbrown::HashMap;
use protocol::calls::{SUSPECT_AFTER, Trust, query};
use protocol::php::Value;
use tracing::{debug, info};

use super::Core;
use super::converse::{Answer, ByName, Reply, ask};
use crate::config::{QUERY_IDLE_TIMEOUT, QUERY_QUEUE_MAX};

/// The query connections of one core.
#[derive(Debug, Default)]
pub(crate) struct QueryLinks {
    by_address: RefCell<HashMap<SocketAddrV4, Rc<QueryLink>>>,
}

/// Questions to one gateway. It lives as long as its task, which ends when nobody asked for a while.
#[derive(Debug, Default)]
struct QueryLink {
    questions: RefCell<VecDeque<Rc<Exchange>>>,
    /// The task, asleep because there was no question.
    waker: RefCell<Option<Waker>>,
    /// The gateway was found dead since the last question.
    dead: Cell<bool>,
    trust: Cell<Trust>,
    /// The task, while it waits for an answer.
    mourner: RefCell<Option<Waker>>,
    task: RefCell<Option<Task<()>>>,
}

/// One question and what becomes of it.
struct Exchange {
    /// The frame to send.
    question: Rc<[u8]>,
    /// What to ask instead if the gateway does not know the question.
    by_name: Option<Rc<ByName>>,
    answer: RefCell<Answer>,
    /// The asker has gone away.
    abandoned: Cell<bool>,
    asker: RefCell<Option<Waker>>,
    /// The task, while it waits for the answer.
    task: RefCell<Option<Waker>>,
}

/// What became of a question.
#[derive(Debug)]
pub(crate) enum Asked {
    Answered(Value),
    /// For each name.
    ByName(Vec<Value>),
    Missing,
}

/// A question that was asked. Dropping it gives the answer up.
#[derive(Debug)]
pub(crate) struct Question(Rc<Exchange>);

impl Core {
    /// Asks a gateway, behind what was asked before.
    pub(crate) fn ask(self: &Rc<Self>, gateway: SocketAddrV4, question: &Rc<[u8]>) -> Question {
        self.ask_or_by_name(gateway, question, None)
    }

    /// The same of a question that the gateway may not know.
    pub(crate) fn ask_or_by_name(
        self: &Rc<Self>,
        gateway: SocketAddrV4,
        question: &Rc<[u8]>,
        by_name: Option<&Rc<ByName>>,
    ) -> Question {
        self.count(|counters| counters.queries += 1);
        let exchange = Rc::new(Exchange::new(question, by_name.cloned()));
        let link = self.query_link(gateway);
        let mut questions = link.questions.borrow_mut();
        if questions.len() >= QUERY_QUEUE_MAX || link.is_suspect() {
            exchange.finish(Answer::Failed);
            return Question(exchange);
        }
        questions.push_back(Rc::clone(&exchange));
        if let Some(waker) = link.waker.borrow_mut().take() {
            waker.wake();
        }
        Question(exchange)
    }

    fn query_link(self: &Rc<Self>, gateway: SocketAddrV4) -> Rc<QueryLink> {
        let mut links = self.query_links.by_address.borrow_mut();
        if let Some(link) = links.get(&gateway) {
            return Rc::clone(link);
        }
        let link = Rc::new(QueryLink::default());
        links.insert(gateway, Rc::clone(&link));
        let task = glommio::spawn_local(run(Rc::clone(self), gateway, Rc::clone(&link)));
        *link.task.borrow_mut() = Some(task);
        link
    }
}

impl QueryLinks {
    /// Whether a gateway is not to be asked, because it does not answer.
    pub(super) fn is_suspect(&self, gateway: SocketAddrV4) -> bool {
        self.by_address.borrow().get(&gateway).is_some_and(|link| link.is_suspect())
    }

    /// A gateway has shown that it lives.
    pub(super) fn trust(&self, gateway: SocketAddrV4) {
        if let Some(link) = self.by_address.borrow().get(&gateway) {
            link.trust.set(Trust::default());
            if let Some(waker) = link.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// A gateway was found dead: what it was asked fails, and its connection is not used again.
    pub(super) fn give_up(&self, gateway: SocketAddrV4) {
        if let Some(link) = self.by_address.borrow().get(&gateway) {
            link.dead.set(true);
            if let Some(mourner) = link.mourner.borrow_mut().take() {
                mourner.wake();
            }
        }
    }

    /// The tasks of all connections, to be cancelled.
    pub(super) fn take_tasks(&self) -> Vec<Task<()>> {
        self.by_address.borrow_mut().drain().filter_map(|(_, link)| link.task.borrow_mut().take()).collect()
    }
}

impl Question {
    /// Ready when the answer is there, or will never be.
    pub(crate) async fn answered(&self) {
        poll_fn(|cx| {
            if !matches!(*self.0.answer.borrow(), Answer::Awaited) {
                return Poll::Ready(());
            }
            *self.0.asker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// What has become of it until now.
    pub(crate) fn into_asked(self) -> Asked {
        if let Answer::ByName(values) = &mut *self.0.answer.borrow_mut() {
            return Asked::ByName(std::mem::take(values));
        }
        self.take().map_or(Asked::Missing, |reply| Asked::Answered(reply.value))
    }

    /// The answer byte for byte, if it has come.
    pub(super) fn into_serialized(self) -> Option<Bytes> {
        self.take().map(|reply| reply.serialized)
    }

    fn take(&self) -> Option<Reply> {
        let mut answer = self.0.answer.borrow_mut();
        match std::mem::replace(&mut *answer, Answer::Failed) {
            Answer::Given(reply) => Some(reply),
            Answer::Awaited => {
                // Left as it was, so that dropping the question gives it up.
                *answer = Answer::Awaited;
                None
            }
            Answer::ByName(_) | Answer::Failed => None,
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.0.abandoned.set(true);
        if let Some(task) = self.0.task.borrow_mut().take() {
            task.wake();
        }
    }
}

impl Exchange {
    fn new(question: &Rc<[u8]>, by_name: Option<Rc<ByName>>) -> Exchange {
        Exchange {
            question: Rc::clone(question),
            by_name,
            answer: RefCell::new(Answer::Awaited),
            abandoned: Cell::new(false),
            asker: RefCell::new(None),
            task: RefCell::new(None),
        }
    }

    fn finish(&self, answer: Answer) {
        *self.answer.borrow_mut() = answer;
        if let Some(asker) = self.asker.borrow_mut().take() {
            asker.wake();
        }
    }

    /// Ready when the asker has gone away.
    async fn abandoned(&self) {
        poll_fn(|cx| {
            if self.abandoned.get() {
                return Poll::Ready(());
            }
            *self.task.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("answer", &self.answer).field("abandoned", &self.abandoned).finish()
    }
}

impl QueryLink {
    fn is_suspect(&self) -> bool {
        self.trust.get().is_suspect()
    }

    /// Ready when the gateway has shown that it lives.
    async fn trusted(&self) {
        poll_fn(|cx| {
            if !self.is_suspect() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Nobody waits any more for an answer, after so long a silence.
    fn unanswered(&self, silent: Duration) {
        let mut trust = self.trust.get();
        trust.unanswered(silent);
        self.trust.set(trust);
        if trust.is_suspect() {
            // Who is behind it would wait in vain.
            let questions = std::mem::take(&mut *self.questions.borrow_mut());
            questions.iter().for_each(|exchange| exchange.finish(Answer::Failed));
        }
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Rc<Exchange>> {
        if let Some(exchange) = self.questions.borrow_mut().pop_front() {
            return Poll::Ready(exchange);
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when the gateway was found dead.
    async fn died(&self) {
        poll_fn(|cx| {
            if self.dead.take() {
                return Poll::Ready(());
            }
            *self.mourner.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Asks what is queued until nothing was for [`QUERY_IDLE_TIMEOUT`].
async fn run(core: Rc<Core>, gateway: SocketAddrV4, link: Rc<QueryLink>) {
    let authorization = core.authorization();
    let mut connection = None;
    while let Ok(exchange) =
        timeout(QUERY_IDLE_TIMEOUT, async { Ok(poll_fn(|cx| link.poll_next(cx)).await) }).await
    {
        if exchange.abandoned.get() {
            continue;
        }
        if link.dead.take() {
            connection = None;
        }
        exchange_one(&core, gateway, &link, &mut connection, &authorization, &exchange).await;
        if link.is_suspect() && !probe(&core, gateway, &link, &mut connection, &authorization).await {
            break;
        }
    }
    core.query_links.by_address.borrow_mut().remove(&gateway);
    // This task ends by itself; dropping its handle would cancel it while it runs.
    if let Some(task) = link.task.borrow_mut().take() {
        task.detach();
    }
}

/// Asks one question, until it is answered, given up, or the gateway found dead.
async fn exchange_one(
    core: &Core,
    gateway: SocketAddrV4,
    link: &QueryLink,
    connection: &mut Option<TcpStream>,
    authorization: &[u8],
    exchange: &Exchange,
) {
    let silent = Cell::new(Duration::ZERO);
    let by_name = exchange.by_name.as_deref();
    let ask = async { Some(ask(gateway, connection, authorization, &exchange.question, by_name).await) };
    let give_up = async {
        exchange.abandoned().await;
        None
    };
    let died = async {
        link.died().await;
        Some(Err(io::ErrorKind::TimedOut.into()))
    };
    let late = async {
        sleep(SUSPECT_AFTER).await;
        silent.set(SUSPECT_AFTER);
        future::pending().await
    };
    match future::or(ask, future::or(give_up, future::or(died, late))).await {
        Some(Ok(answer)) => {
            link.trust.set(Trust::default());
            exchange.finish(answer);
        }
        Some(Err(error)) => {
            debug!(%gateway, "query not answered: {error}");
            *connection = None;
            exchange.finish(Answer::Failed);
        }
        None => {
            *connection = None;
            // One that is heard is there, and has much to do.
            if !core.links.find(gateway).is_some_and(|link| link.is_heard()) {
                link.unanswered(silent.get());
            }
        }
    }
}

/// Asks a suspect gateway whether it is there, until it is. `false`: no register lists it any more.
async fn probe(
    core: &Core,
    gateway: SocketAddrV4,
    link: &QueryLink,
    connection: &mut Option<TcpStream>,
    authorization: &[u8],
) -> bool {
    info!(%gateway, core = core.index, "a gateway does not answer, not asking it until it does");
    let mut question = Vec::new();
    query::guard().encode(&mut question);
    while link.is_suspect() {
        let mut trust = link.trust.get();
        let wait = async { sleep(trust.probe_delay()).await };
        future::or(link.trusted(), wait).await;
        if core.links.find(gateway).is_none() {
            return false;
        }
        let ask = async { Ok(ask(gateway, connection, authorization, &question, None).await.is_ok()) };
        let ask = timeout(core.config.query_timeout, ask);
        let trusted = async {
            link.trusted().await;
            true
        };
        if future::or(trusted, async { ask.await.unwrap_or(false) }).await {
            trust.answered();
        } else {
            *connection = None;
            trust.probe_unanswered();
        }
        link.trust.set(trust);
    }
    info!(%gateway, core = core.index, "the gateway answers again");
    true
}
