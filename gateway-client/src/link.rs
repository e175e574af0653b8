//! The connection to one gateway shard: opened when there is something to send, replies taken in the order of the
//! questions, closed when idle. It knows packets and replies, not what they mean.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use crate::config::{
    Config, IDLE_TIMEOUT, PIPELINE_MAX, QUEUE_BYTES_MAX, QUEUE_MAX, RECONNECT_DELAY, REPLY_SIZE_MAX,
    WRITE_SIZE,
};

/// What is sent in one piece, and whether a reply comes back.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) bytes: Bytes,
    /// The packet ends with a question.
    pub(crate) asks: bool,
}

/// What became of a packet: the reply, empty if it asked nothing; `None` if the gateway cannot be reached, or did not
/// answer in time. An error of the receiver: the connection was lost meanwhile, or the queue was full.
pub(crate) type Outcome = oneshot::Receiver<Option<Vec<u8>>>;

/// Sends to one gateway. The task behind it ends with the last of its clones.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    jobs: mpsc::Sender<Job>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    connected: AtomicBool,
    queued_bytes: AtomicUsize,
}

#[derive(Debug)]
struct Job {
    packet: Packet,
    /// Gone with the packet, since it counts what is queued.
    room: Room,
    done: oneshot::Sender<Option<Vec<u8>>>,
}

/// A question that was sent.
#[derive(Debug)]
struct Question {
    done: oneshot::Sender<Option<Vec<u8>>>,
    deadline: Instant,
}

/// Counts a packet as queued for as long as it lives.
#[derive(Debug)]
struct Room {
    state: Arc<State>,
    size: usize,
}

impl Link {
    /// Starts the task that serves a gateway; nothing is opened yet. Needs a tokio runtime.
    pub(crate) fn start(address: SocketAddrV4, config: Arc<Config>) -> Link {
        let (sender, jobs) = mpsc::channel(QUEUE_MAX);
        let state = Arc::new(State::default());
        let task = LinkTask { address, config, jobs, state: Arc::clone(&state), told: false };
        tokio::spawn(task.run());
        Link { jobs: sender, state }
    }

    /// Queues a packet. One whose outcome is dropped before it was written is not sent.
    pub(crate) fn send(&self, packet: Packet) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let size = packet.bytes.len();
        let queued = self.state.queued_bytes.fetch_add(size, Ordering::Relaxed);
        let room = Room { state: Arc::clone(&self.state), size };
        // When the queue is full the job is not queued but dropped, which tells the asker.
        if queued < QUEUE_BYTES_MAX {
            let _ = self.jobs.try_send(Job { packet, room, done });
        }
        outcome
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.connected.load(Ordering::Relaxed)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.state.queued_bytes.fetch_sub(self.size, Ordering::Relaxed);
    }
}

struct LinkTask {
    address: SocketAddrV4,
    config: Arc<Config>,
    jobs: mpsc::Receiver<Job>,
    state: Arc<State>,
    /// That it cannot be reached was logged.
    told: bool,
}

impl LinkTask {
    async fn run(mut self) {
        let mut wait_until = Instant::now();
        while let Some(job) = self.jobs.recv().await {
            if job.done.is_closed() {
                continue;
            }
            if Instant::now() < wait_until {
                let _ = job.done.send(None);
                continue;
            }
            match open(self.address, self.config.connect_timeout).await {
                Ok(stream) => self.serve(stream, job).await,
                Err(error) => {
                    self.unreachable(job, &error);
                    wait_until = Instant::now() + RECONNECT_DELAY;
                }
            }
        }
    }

    /// Fails everything that waits for the connection.
    fn unreachable(&mut self, job: Job, error: &io::Error) {
        if !std::mem::replace(&mut self.told, true) {
            warn!(gateway = %self.address, "cannot connect to gateway: {error}");
        }
        let _ = job.done.send(None);
        while let Ok(job) = self.jobs.try_recv() {
            let _ = job.done.send(None);
        }
    }

    /// Uses a connection until it ends. What was sent on it and not answered is lost with it.
    async fn serve(&mut self, mut stream: TcpStream, first: Job) {
        debug!(gateway = %self.address, "connected to gateway");
        self.told = false;
        self.state.connected.store(true, Ordering::Relaxed);
        let (reader, writer) = stream.split();
        let (asked, questions) = mpsc::channel(PIPELINE_MAX);
        // Reading first: a connection that has ended must not take another command.
        let ended = tokio::select! {
            biased;
            ended = read(reader, questions) => ended,
            ended = write(writer, first, &mut self.jobs, asked, self.config.reply_timeout) => ended,
        };
        self.state.connected.store(false, Ordering::Relaxed);
        match ended {
            Ok(()) => debug!(gateway = %self.address, "connection closed"),
            Err(error) => debug!(gateway = %self.address, "lost gateway: {error}"),
        }
    }
}

async fn open(address: SocketAddrV4, limit: Duration) -> io::Result<TcpStream> {
    let stream = timeout(limit, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends what is queued, several packets in one write, until nothing was for a while or nobody can send any more.
async fn write(
    mut writer: WriteHalf<'_>,
    first: Job,
    jobs: &mut mpsc::Receiver<Job>,
    asked: mpsc::Sender<Question>,
    reply_timeout: Duration,
) -> io::Result<()> {
    let mut next = Some(first);
    let mut batch = Batch::default();
    loop {
        // Nothing is unsent here, so waiting for answers cannot last for ever.
        let Ok(mut slot) = asked.reserve().await else { return Ok(()) };
        let job = match next.take() {
            Some(job) => job,
            None => match timeout(IDLE_TIMEOUT.max(reply_timeout), jobs.recv()).await {
                Ok(Some(job)) => job,
                Ok(None) | Err(_) => return writer.shutdown().await,
            },
        };
        let deadline = Instant::now() + reply_timeout;
        batch.add(job, slot, deadline);
        while batch.out.len() < WRITE_SIZE {
            slot = match asked.try_reserve() {
                Ok(slot) => slot,
                Err(_) => break,
            };
            let Ok(job) = jobs.try_recv() else { break };
            batch.add(job, slot, deadline);
        }
        timeout_at(deadline, writer.write_all(&batch.out)).await??;
        batch.written();
    }
}

/// What goes out in one write.
#[derive(Default)]
struct Batch {
    out: Vec<u8>,
    /// Who waits for nothing but the write. The bytes count as queued until then.
    commands: Vec<Job>,
    rooms: Vec<Room>,
}

impl Batch {
    /// A question gets its place before it is sent, since the answer may come at once.
    fn add(&mut self, job: Job, slot: mpsc::Permit<'_, Question>, deadline: Instant) {
        if job.done.is_closed() {
            return;
        }
        self.out.extend_from_slice(&job.packet.bytes);
        if job.packet.asks {
            self.rooms.push(job.room);
            slot.send(Question { done: job.done, deadline });
        } else {
            self.commands.push(job);
        }
    }

    fn written(&mut self) {
        self.out.clear();
        self.out.shrink_to(WRITE_SIZE);
        self.rooms.clear();
        for job in self.commands.drain(..) {
            let _ = job.done.send(Some(Vec::new()));
        }
    }
}

/// Hands replies to those who asked, in order, until the connection ends or a reply is late.
async fn read(reader: ReadHalf<'_>, mut questions: mpsc::Receiver<Question>) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    loop {
        let question = tokio::select! {
            biased;
            question = questions.recv() => question,
            unasked = reader.read_u8() => {
                unasked?;
                return Err(invalid("bytes that nobody asked for"));
            }
        };
        let Some(question) = question else { return Ok(()) };
        match timeout_at(question.deadline, read_reply(&mut reader)).await {
            Ok(reply) => {
                let _ = question.done.send(Some(reply?));
            }
            Err(late) => {
                let _ = question.done.send(None);
                return Err(late.into());
            }
        }
    }
}

/// One reply: a u32 length and that many bytes (WIRE.md §3).
async fn read_reply(reader: &mut BufReader<ReadHalf<'_>>) -> io::Result<Vec<u8>> {
    let size = reader.read_u32().await? as usize;
    if size > REPLY_SIZE_MAX {
        return Err(invalid("a reply beyond the limit"));
    }
    // It grows with what arrives, not with what is announced.
    let mut reply = Vec::new();
    reader.take(size as u64).read_to_end(&mut reply).await?;
    if reply.len() < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(reply)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
