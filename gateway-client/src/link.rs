//! The connection to one gateway shard: opened when there is something to send, replies taken in the order of the
//! questions, closed when idle. It knows packets and replies, not what they mean.

use std::io;
use std::net::SocketAddrV4;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use protocol::LogLimit;
use protocol::calls::{Trust, query};
use protocol::php;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use crate::config::{
    Config, IDLE_TIMEOUT, LOG_LINES_MAX, LOG_PERIOD_MS, PIPELINE_MAX, QUEUE_BYTES_MAX, QUEUE_MAX,
    RECONNECT_DELAY, REPLY_SIZE_MAX, WRITE_SIZE,
};
use crate::packet::{Asks, Done, Outcome, Packet};
use crate::proof;
use crate::stream::{Dialler, Stream};

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
    done: oneshot::Sender<Option<Done>>,
}

/// A question that was sent.
#[derive(Debug)]
struct Question {
    done: oneshot::Sender<Option<Done>>,
    asks: Asks,
    sent: Instant,
}

/// How a connection ended.
enum Ended {
    Lost(io::Error),
    /// The gateway took nothing, or did not say a word, for as long as it may; `replied`, it had before.
    Silent {
        replied: bool,
    },
}

/// Counts a packet as queued for as long as it lives.
#[derive(Debug)]
struct Room {
    state: Arc<State>,
    size: usize,
}

impl Link {
    /// Starts the task that serves a gateway; nothing is opened yet. `probe` asks whether the gateway is there. Needs a
    /// tokio runtime.
    pub(crate) fn start(address: SocketAddrV4, config: Arc<Config>, dialler: Dialler, probe: Bytes) -> Link {
        let (sender, jobs) = mpsc::channel(QUEUE_MAX);
        let state = Arc::new(State::default());
        let task = LinkTask {
            address,
            config,
            dialler,
            probe,
            jobs,
            state: Arc::clone(&state),
            told: false,
            told_refused: false,
        };
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
    dialler: Dialler,
    probe: Bytes,
    jobs: mpsc::Receiver<Job>,
    state: Arc<State>,
    /// That it cannot be reached was logged.
    told: bool,
    /// That it wants the key proven was.
    told_refused: bool,
}

impl LinkTask {
    async fn run(mut self) {
        let mut wait_until = Instant::now();
        let mut trust = Trust::default();
        while let Some(job) = self.jobs.recv().await {
            if job.done.is_closed() {
                continue;
            }
            if Instant::now() < wait_until {
                let _ = job.done.send(None);
                continue;
            }
            match proof::open(self.address, &self.dialler, &self.config).await {
                Ok(stream) => {
                    if let Some(Ended::Silent { replied }) = self.serve(stream, job).await {
                        trust = if replied { Trust::default() } else { trust };
                        trust.unanswered(self.config.reply_timeout);
                    }
                    if trust.is_suspect() {
                        self.leave_out().await;
                        trust.answered();
                    }
                }
                // Nobody there who refuses: each attempt would cost a call that long.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    self.unreachable(job, &error);
                    self.leave_out().await;
                }
                Err(error) => {
                    self.unreachable(job, &error);
                    wait_until = Instant::now() + RECONNECT_DELAY;
                }
            }
        }
    }

    /// Fails everything that is for the gateway at once, until it says that it is there, or nobody can send any more.
    async fn leave_out(&mut self) {
        if let Some(unsaid) = admit(&SILENT) {
            warn!(gateway = %self.address, unsaid, "a gateway does not answer, leaving it out until it does");
        }
        let mut there = pin!(until_there(self.address, &self.config, &self.dialler, &self.probe));
        loop {
            tokio::select! {
                biased;
                () = &mut there => break,
                job = self.jobs.recv() => match job {
                    Some(job) => { let _ = job.done.send(None); }
                    None => return,
                }
            }
        }
        if let Some(unsaid) = admit(&BACK) {
            info!(gateway = %self.address, unsaid, "the gateway answers again");
        }
    }

    /// Fails everything that waits for the connection.
    fn unreachable(&mut self, job: Job, error: &io::Error) {
        if !std::mem::replace(&mut self.told, true)
            && let Some(unsaid) = admit(&UNREACHABLE)
        {
            warn!(gateway = %self.address, unsaid, "cannot connect to gateway: {error}");
        }
        let _ = job.done.send(None);
        while let Ok(job) = self.jobs.try_recv() {
            let _ = job.done.send(None);
        }
    }

    /// Says once what an operator has to do.
    fn tell_refused(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.told_refused, true)
            && let Some(unsaid) = admit(&UNREACHABLE)
        {
            warn!(gateway = %self.address, unsaid, "cannot use gateway: {error}");
        }
    }

    /// Uses a connection until it ends. What was sent on it and not answered is lost with it. `None`: it was not needed any
    /// more.
    async fn serve(&mut self, stream: Stream, first: Job) -> Option<Ended> {
        debug!(gateway = %self.address, "connected to gateway");
        self.told = false;
        self.state.connected.store(true, Ordering::Relaxed);
        let ended = match stream {
            Stream::Plain(mut stream) => {
                let (reader, writer) = stream.split();
                self.exchange(reader, writer, first).await
            }
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                self.exchange(reader, writer, first).await
            }
        };
        self.state.connected.store(false, Ordering::Relaxed);
        match &ended {
            Ok(()) => debug!(gateway = %self.address, "connection closed"),
            Err(Ended::Lost(error)) if proof::is_refusal(error) => self.tell_refused(error),
            Err(Ended::Lost(error)) => debug!(gateway = %self.address, "lost gateway: {error}"),
            Err(Ended::Silent { .. }) => debug!(gateway = %self.address, "lost gateway: it is silent"),
        }
        ended.err()
    }

    /// Both directions of a connection, until one ends.
    async fn exchange(
        &mut self,
        reader: impl AsyncRead + Unpin,
        writer: impl AsyncWrite + Unpin,
        first: Job,
    ) -> Result<(), Ended> {
        let (asked, questions) = mpsc::channel(PIPELINE_MAX);
        // Reading first: a connection that has ended must not take another command.
        tokio::select! {
            biased;
            ended = read(reader, questions, self.config.reply_timeout) => ended,
            ended = write(writer, first, &mut self.jobs, asked, self.config.reply_timeout) => ended,
        }
    }
}

/// Asks a gateway whether it is there, less and less often, until it is.
async fn until_there(address: SocketAddrV4, config: &Config, dialler: &Dialler, probe: &[u8]) {
    let mut trust = Trust::default();
    loop {
        sleep(trust.probe_delay()).await;
        let answered = async {
            match proof::open(address, dialler, config).await? {
                Stream::Plain(stream) => ask(stream, probe).await,
                #[cfg(feature = "tls")]
                Stream::Tls(stream) => ask(stream, probe).await,
            }
        };
        if timeout(config.connect_timeout + config.reply_timeout, answered)
            .await
            .is_ok_and(|reply| reply.is_ok())
        {
            return;
        }
        trust.probe_unanswered();
    }
}

/// Whether a line of this kind may be logged now, and how many were not since the last: a register may list any number of
/// addresses, one more than the other.
fn admit(kind: &Mutex<LogLimit>) -> Option<u64> {
    static CLOCK: LazyLock<Instant> = LazyLock::new(Instant::now);
    let now_ms = protocol::millis(CLOCK.elapsed());
    kind.lock().unwrap_or_else(PoisonError::into_inner).admit(now_ms)
}

/// Lines about gateways that cannot be reached.
static UNREACHABLE: Mutex<LogLimit> = Mutex::new(LogLimit::new(LOG_LINES_MAX, LOG_PERIOD_MS));

/// Lines about gateways that do not answer.
static SILENT: Mutex<LogLimit> = Mutex::new(LogLimit::new(LOG_LINES_MAX, LOG_PERIOD_MS));

/// Lines about gateways that answer again.
static BACK: Mutex<LogLimit> = Mutex::new(LogLimit::new(LOG_LINES_MAX, LOG_PERIOD_MS));

/// Says something on a connection of its own, and waits for the reply.
async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, packet: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = BufReader::new(stream);
    stream.write_all(packet).await?;
    stream.flush().await?;
    read_reply(&mut stream, &AtomicBool::new(false)).await
}

/// Sends what is queued, several packets in one write, until nothing was for a while or nobody can send any more.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    first: Job,
    jobs: &mut mpsc::Receiver<Job>,
    asked: mpsc::Sender<Question>,
    reply_timeout: Duration,
) -> Result<(), Ended> {
    let mut next = Some(first);
    let mut batch = Batch::default();
    loop {
        // Nothing is unsent here, so waiting for answers cannot last for ever.
        let Ok(mut slot) = asked.reserve().await else { return Ok(()) };
        let job = match next.take() {
            Some(job) => job,
            None => match timeout(IDLE_TIMEOUT.max(reply_timeout), jobs.recv()).await {
                Ok(Some(job)) => job,
                Ok(None) | Err(_) => return Ok(writer.shutdown().await?),
            },
        };
        let sent = Instant::now();
        batch.add(job, slot, sent);
        while batch.out.len() < WRITE_SIZE {
            slot = match asked.try_reserve() {
                Ok(slot) => slot,
                Err(_) => break,
            };
            let Ok(job) = jobs.try_recv() else { break };
            batch.add(job, slot, sent);
        }
        timeout_at(sent + reply_timeout, write_out(&mut writer, &batch.out))
            .await
            .map_err(|_| Ended::Silent { replied: false })??;
        batch.written();
    }
}

/// All of it to the kernel: TLS keeps what is written until it is flushed.
async fn write_out(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
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
    fn add(&mut self, job: Job, slot: mpsc::Permit<'_, Question>, sent: Instant) {
        if job.done.is_closed() {
            return;
        }
        self.out.extend_from_slice(&job.packet.bytes);
        if job.packet.asks == Asks::Nothing {
            self.commands.push(job);
        } else {
            self.rooms.push(job.room);
            slot.send(Question { done: job.done, asks: job.packet.asks, sent });
        }
    }

    fn written(&mut self) {
        self.out.clear();
        self.out.shrink_to(WRITE_SIZE);
        self.rooms.clear();
        for job in self.commands.drain(..) {
            let _ = job.done.send(Some(Done::Written));
        }
    }
}

/// Hands replies to those who asked, in order, until the connection ends or a reply is late.
async fn read(
    reader: impl AsyncRead + Unpin,
    mut questions: mpsc::Receiver<Question>,
    reply_timeout: Duration,
) -> Result<(), Ended> {
    let mut reader = BufReader::new(reader);
    let mut last_reply = None;
    loop {
        let question = tokio::select! {
            biased;
            question = questions.recv() => question,
            unasked = proof::read_unasked(&mut reader) => return Err(unasked.into()),
        };
        let Some(question) = question else { return Ok(()) };
        let begun = AtomicBool::new(false);
        let answer = answer(&mut reader, question.asks, &begun);
        if let Ok(answer) = timeout_at(question.sent + reply_timeout, answer).await {
            let _ = question.done.send(Some(answer?));
            last_reply = Some(Instant::now());
            continue;
        }
        let _ = question.done.send(None);
        // A gateway that has answered something since is there, and has much to do.
        let is_there = begun.load(Ordering::Relaxed) || last_reply.is_some_and(|reply| reply > question.sent);
        let silent = Ended::Silent { replied: last_reply.is_some() };
        return Err(if is_there { Ended::Lost(io::ErrorKind::TimedOut.into()) } else { silent });
    }
}

/// What comes back for a packet that asks.
async fn answer(reader: &mut (impl AsyncRead + Unpin), asks: Asks, begun: &AtomicBool) -> io::Result<Done> {
    if let Asks::Many(count) = asks {
        let mut replies = Vec::new();
        for _ in 0..count {
            replies.push(read_reply(reader, begun).await?);
        }
        return Ok(Done::Replies(replies));
    }
    let reply = read_reply(reader, begun).await?;
    if asks != Asks::Guarded {
        return Ok(Done::Reply(reply));
    }
    if php::decode(&reply).is_ok_and(|reply| query::is_guards(&reply)) {
        return Ok(Done::Unknown);
    }
    read_reply(reader, begun).await?;
    Ok(Done::Reply(reply))
}

/// One reply: a u32 length and that many bytes (WIRE.md §3). `begun` once there is something of it.
async fn read_reply(reader: &mut (impl AsyncRead + Unpin), begun: &AtomicBool) -> io::Result<Vec<u8>> {
    let size = reader.read_u32().await? as usize;
    begun.store(true, Ordering::Relaxed);
    if size > REPLY_SIZE_MAX {
        return Err(invalid("a reply beyond the limit"));
    }
    // It grows with what arrives, not with what is announced.
    let mut reply = Vec::new();
    let end = reader.take(size as u64).read_to_end(&mut reply).await;
    if proof::is_challenge(size, &reply) {
        return Err(proof::asks());
    }
    end?;
    if reply.len() < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(reply)
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended::Lost(error)
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_that_cannot_be_reached_do_not_fill_the_log() {
        let lines = (0..3_000).filter(|_| admit(&UNREACHABLE).is_some()).count();
        // A period may end meanwhile.
        assert!((LOG_LINES_MAX as usize..3_000 / 2).contains(&lines), "{lines}");
    }
}
