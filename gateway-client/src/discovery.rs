//! Where the gateways are: a connection to each register (WIRE.md §2). What is said and when is [`RegisterSet`]'s
//! business; here are its sockets and its clock.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::register_client::{Limits, Role};
use protocol::register_set::{Action, News, RegisterConn, RegisterSet};
use protocol::register_trouble::RegisterNews;
use protocol::{Credentials, Nonces};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::lookup_host;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use crate::config::{REGISTER_EVENTS_MAX, REGISTER_READ_SIZE, REGISTER_WRITES_MAX};
use crate::directory::Directory;
use crate::stream::{Dialler, Stream};

/// No register has said where the gateways are. Each reason begins with the register's address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no register has said where the gateways are: {}", .reasons.join("; "))]
pub struct ConnectError {
    /// One for each register.
    pub reasons: Vec<String>,
}

/// Follows all registers' lists, for ever.
pub(crate) async fn follow(directory: Arc<Directory>) {
    let config = directory.config();
    let limits = Limits {
        connect_ms: protocol::millis(config.connect_timeout),
        answer_ms: protocol::millis(config.reply_timeout),
    };
    let credentials = Credentials::new(config.secret_key.clone(), config.inner_auth, &Nonces::default());
    let set = RegisterSet::new(&config.register_addresses, Role::Follower, credentials, limits);
    let (tell, mut happened) = channel(REGISTER_EVENTS_MAX);
    let mut follower = Follower {
        set,
        directory,
        conns: Vec::new(),
        attempts: 0,
        tell,
        started: Instant::now(),
        log: RegisterNews::default(),
    };
    loop {
        follower.act();
        follower.await_event(&mut happened).await;
    }
}

/// The registers' clients with their sockets.
struct Follower {
    set: RegisterSet,
    directory: Arc<Directory>,
    conns: Vec<Conn>,
    /// Connections so far: each has a number of its own.
    attempts: u64,
    tell: Sender<Happened>,
    started: Instant,
    /// What the log said last.
    log: RegisterNews,
}

/// A connection, or an attempt.
struct Conn {
    conn: RegisterConn,
    attempt: u64,
    /// What is to be written; `None` until it stands.
    writes: Option<Sender<Vec<u8>>>,
    _reader: Reader,
}

/// Opens a connection and reads it, for as long as this is not dropped.
struct Reader(AbortHandle);

/// The task of a connection, which has it to itself but for what is sent.
struct Reporter {
    attempt: u64,
    tell: Sender<Happened>,
}

/// What tasks tell.
enum Happened {
    LookedUp(usize, io::Result<Vec<SocketAddr>>),
    /// Of an attempt.
    Of(u64, OfConn),
}

enum OfConn {
    /// What is sent there is written.
    Connected(Sender<Vec<u8>>),
    Bytes(Vec<u8>),
    Ended,
    Failed(io::Error),
}

impl Follower {
    fn now(&self) -> u64 {
        protocol::millis(self.started.elapsed())
    }

    /// When the registers' clients have something to do, if nothing happens before.
    fn deadline(&self) -> Instant {
        self.started + Duration::from_millis(self.set.deadline().min(self.now() + IDLE_MS_MAX))
    }

    async fn await_event(&mut self, happened: &mut Receiver<Happened>) {
        if let Ok(Some(happened)) = timeout_at(self.deadline(), happened.recv()).await {
            self.take(happened);
        }
    }

    fn take(&mut self, happened: Happened) {
        let now = self.now();
        let (attempt, what) = match happened {
            Happened::LookedUp(index, found) => return self.set.on_looked_up(now, index, found),
            Happened::Of(attempt, what) => (attempt, what),
        };
        // One that was closed may have had something to tell.
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.attempt == attempt) else { return };
        match what {
            OfConn::Connected(writes) => {
                conn.writes = Some(writes);
                self.set.on_connected(now, conn.conn);
            }
            OfConn::Bytes(bytes) => self.set.on_bytes(now, conn.conn, &bytes),
            OfConn::Ended => self.set.on_end_of_stream(now, conn.conn),
            OfConn::Failed(error) => self.set.on_failed(now, conn.conn, error),
        }
    }

    /// Does what is due, and what the registers' clients want.
    fn act(&mut self) {
        self.set.on_tick(self.now());
        self.write();
        while let Some(action) = self.set.next_action() {
            match action {
                Action::LookUp(index) => self.look_up(index),
                Action::Connect(conn, address) => self.connect(conn, address),
                Action::Close(conn) => self.conns.retain(|other| other.conn != conn),
                Action::Tell(register, news) => self.hear(register, news),
                Action::Unlisted => {}
            }
        }
        self.directory.compare(&self.set);
    }

    /// Within the limit for a connection.
    fn look_up(&self, index: usize) {
        let (name, tell) = (self.set.name(index).to_owned(), self.tell.clone());
        let limit = self.directory.config().connect_timeout;
        tokio::spawn(async move {
            let found = timeout(limit, lookup_host(&name)).await;
            let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            // Nobody follows any more who has been dropped.
            let _ = tell.send(Happened::LookedUp(index, found.map(Iterator::collect))).await;
        });
    }

    fn connect(&mut self, conn: RegisterConn, address: SocketAddr) {
        self.attempts += 1;
        let reporter = Reporter { attempt: self.attempts, tell: self.tell.clone() };
        let dialler = self.directory.dialler().clone();
        let reader = Reader(tokio::spawn(reporter.run(dialler, address)).abort_handle());
        self.conns.push(Conn { conn, attempt: self.attempts, writes: None, _reader: reader });
    }

    fn hear(&mut self, register: String, news: News) {
        match news {
            News::Held => {
                self.log.held(&register);
            }
            News::Listed { gateways, left_out } => {
                debug!(register, gateways = gateways.len(), left_out, "list of gateways");
                self.directory.take(&register, gateways);
            }
            News::Lost { error, was_held } => {
                if self.log.failed(&register, &error, was_held) {
                    warn!(register, "no connection to register, trying on: {error}");
                }
                let problem = format!("{register}: {error}");
                self.directory.lost(register, problem);
            }
        }
    }

    /// Sends what there is room for; a register that takes nothing is silent, too, which its client notices.
    fn write(&mut self) {
        for Conn { conn, writes, .. } in &self.conns {
            let Some(writes) = writes else { continue };
            let unsent = self.set.unsent(*conn);
            let size = unsent.len();
            // One that has ended tells so by itself.
            if size > 0 && writes.try_send(unsent.to_vec()).is_ok() {
                self.set.on_sent(*conn, size);
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reporter {
    /// Whether anybody hears it.
    async fn tell(&self, what: OfConn) -> bool {
        self.tell.send(Happened::Of(self.attempt, what)).await.is_ok()
    }

    /// Opens the connection, and tells all that comes of it.
    async fn run(self, dialler: Dialler, address: SocketAddr) {
        let end = match dialler.connect(address).await {
            Ok(Stream::Plain(stream)) => self.serve(stream).await,
            #[cfg(feature = "tls")]
            Ok(Stream::Tls(stream)) => self.serve(stream).await,
            Err(error) => Err(error),
        };
        self.tell(end.map_or_else(OfConn::Failed, |()| OfConn::Ended)).await;
    }

    /// Until the connection ends, or nobody hears of it.
    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (send, mut writes) = channel::<Vec<u8>>(REGISTER_WRITES_MAX);
        let mut is_heard = self.tell(OfConn::Connected(send)).await;
        let mut buffer = vec![0; REGISTER_READ_SIZE];
        while is_heard {
            tokio::select! {
                size = reader.read(&mut buffer) => match size? {
                    0 => break,
                    size => is_heard = self.tell(OfConn::Bytes(buffer[..size].to_vec())).await,
                },
                Some(bytes) = writes.recv() => {
                    writer.write_all(&bytes).await?;
                    writer.flush().await?;
                }
            }
        }
        Ok(())
    }
}

/// Longest sleep in ms, far below where clocks overflow.
const IDLE_MS_MAX: u64 = 3_600_000;
