//! Query connections: one per gateway, opened at the first query, one question outstanding at a time (WIRE.md §3, §5).
//!
//! A question whose asker has gone away ends its connection, since its answer could not be told from the next one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use glommio::Task;
use glommio::net::TcpStream;
use glommio::timer::timeout;
use hashbrown::HashMap;
use protocol::inner::reply;
use protocol::php::{self, Value};
use tracing::debug;

use super::Core;
use super::connect::connect;
use crate::config::{QUERY_IDLE_TIMEOUT, QUERY_QUEUE_MAX, QUERY_READ_SIZE, REPLY_SIZE_MAX};

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
    /// The task, while it waits for an answer.
    mourner: RefCell<Option<Waker>>,
    task: RefCell<Option<Task<()>>>,
}

/// One question and what becomes of it.
struct Exchange {
    /// The frame to send.
    question: Rc<[u8]>,
    answer: RefCell<Answer>,
    /// The asker has gone away.
    abandoned: Cell<bool>,
    asker: RefCell<Option<Waker>>,
    /// The task, while it waits for the answer.
    task: RefCell<Option<Waker>>,
}

#[derive(Debug)]
enum Answer {
    Awaited,
    Given(Reply),
    Failed,
}

/// A reply, as it came and what it says.
#[derive(Debug)]
struct Reply {
    serialized: Bytes,
    value: Value,
}

/// A question that was asked. Dropping it gives the answer up.
#[derive(Debug)]
pub(crate) struct Question(Rc<Exchange>);

impl Core {
    /// Asks a gateway, behind what was asked before.
    pub(crate) fn ask(self: &Rc<Self>, gateway: SocketAddrV4, question: &Rc<[u8]>) -> Question {
        self.count(|counters| counters.queries += 1);
        let exchange = Rc::new(Exchange::new(question));
        let link = self.query_link(gateway);
        let mut questions = link.questions.borrow_mut();
        if questions.len() >= QUERY_QUEUE_MAX {
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

    /// The answer, if it has come.
    pub(crate) fn into_answer(self) -> Option<Value> {
        self.take().map(|reply| reply.value)
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
            Answer::Failed => None,
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
    fn new(question: &Rc<[u8]>) -> Exchange {
        Exchange {
            question: Rc::clone(question),
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
        let ask = async { Some(ask(gateway, &mut connection, &authorization, &exchange.question).await) };
        let give_up = async {
            exchange.abandoned().await;
            None
        };
        let died = async {
            link.died().await;
            Some(Err(io::ErrorKind::TimedOut.into()))
        };
        match future::or(ask, future::or(give_up, died)).await {
            Some(Ok(reply)) => exchange.finish(Answer::Given(reply)),
            Some(Err(error)) => {
                debug!(%gateway, "query not answered: {error}");
                connection = None;
                exchange.finish(Answer::Failed);
            }
            None => connection = None,
        }
    }
    core.query_links.by_address.borrow_mut().remove(&gateway);
    // This task ends by itself; dropping its handle would cancel it while it runs.
    if let Some(task) = link.task.borrow_mut().take() {
        task.detach();
    }
}

/// Asks once, or again on a new connection when one that was kept turns out to be dead.
async fn ask(
    gateway: SocketAddrV4,
    connection: &mut Option<TcpStream>,
    authorization: &[u8],
    question: &[u8],
) -> io::Result<Reply> {
    let packet = [authorization, question].concat();
    if let Some(kept) = connection.as_mut() {
        match converse(kept, &packet).await {
            Err(error) if is_loss(&error) => {}
            done => return done,
        }
    }
    converse(connection.insert(connect(gateway).await?), &packet).await
}

/// Whether the gateway has closed the connection, as opposed to having answered nonsense.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// Sends a question and reads the one reply.
async fn converse(stream: &mut TcpStream, packet: &[u8]) -> io::Result<Reply> {
    stream.write_all(packet).await?;
    let mut arrived = Vec::new();
    let mut buffer = vec![0; QUERY_READ_SIZE];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            size => arrived.extend_from_slice(&buffer[..size]),
        }
        let Some((serialized, size)) = reply::decode(&arrived, REPLY_SIZE_MAX).map_err(invalid)? else {
            continue;
        };
        if size != arrived.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more than one reply"));
        }
        let value = php::decode(serialized).map_err(invalid)?;
        let length_size = size - serialized.len();
        return Ok(Reply { serialized: Bytes::from(arrived).slice(length_size..), value });
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
