//! Where the gateways are: a connection to each register (WIRE.md §2). What is said and when is [`RegisterClient`]'s
//! business; here are its socket and its clock.

use std::sync::Arc;
use std::time::Duration;

use protocol::register_client::{Action, Connection, Limits, News, RegisterClient, Role};
use protocol::register_trouble::RegisterNews;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, warn};

use crate::config::REGISTER_READ_SIZE;
use crate::directory::Directory;

/// No register has said where the gateways are. Each reason begins with the register's address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no register has said where the gateways are: {}", .reasons.join("; "))]
pub struct ConnectError {
    /// One for each register.
    pub reasons: Vec<String>,
}

/// Follows one register's lists, for ever.
pub(crate) async fn follow(directory: Arc<Directory>, index: usize) {
    let config = directory.config();
    let register = config.register_addresses[index].clone();
    let limits = Limits {
        connect_ms: protocol::millis(config.connect_timeout),
        answer_ms: protocol::millis(config.reply_timeout),
    };
    let client = RegisterClient::new(register, Role::Follower, config.secret_key.clone(), limits);
    let mut follower = Follower {
        client,
        directory,
        index,
        stream: None,
        started: Instant::now(),
        log: RegisterNews::default(),
    };
    let mut buffer = vec![0; REGISTER_READ_SIZE];
    loop {
        follower.act().await;
        follower.write().await;
        follower.read(&mut buffer).await;
    }
}

/// A register's client with its socket.
struct Follower {
    client: RegisterClient,
    directory: Arc<Directory>,
    /// Which register it is.
    index: usize,
    stream: Option<TcpStream>,
    started: Instant,
    /// What the log said last.
    log: RegisterNews,
}

impl Follower {
    fn now(&self) -> u64 {
        protocol::millis(self.started.elapsed())
    }

    /// When the client has something to do, if nothing happens before.
    fn deadline(&self) -> Instant {
        self.started + Duration::from_millis(self.client.deadline().min(self.now() + IDLE_MS_MAX))
    }

    async fn act(&mut self) {
        self.client.on_tick(self.now());
        while let Some(action) = self.client.next_action() {
            match action {
                Action::Connect(connection) => self.connect(connection).await,
                Action::Close(_) => self.stream = None,
                Action::News(news) => self.hear(news),
            }
        }
    }

    /// The name is looked up within the same limit.
    async fn connect(&mut self, connection: Connection) {
        self.client.on_connecting(self.now(), connection);
        let connected = timeout_at(self.deadline(), TcpStream::connect(self.client.register())).await;
        let now = self.now();
        match connected {
            Ok(Ok(stream)) => {
                self.stream = Some(stream);
                self.client.on_connected(now, connection);
            }
            Ok(Err(error)) => self.client.on_failed(now, connection, error),
            Err(_) => self.client.on_tick(now),
        }
    }

    fn hear(&mut self, news: News) {
        let register = self.client.register();
        match news {
            News::Held => {
                self.log.held();
            }
            News::Gateways { gateways, left_out } => {
                debug!(register, gateways = gateways.len(), left_out, "list of gateways");
                self.directory.take(self.index, gateways);
            }
            News::Lost { error, was_held } => {
                if self.log.failed(&error, was_held) {
                    warn!(register, "no connection to register, trying on: {error}");
                }
                self.directory.lost(self.index, format!("{register}: {error}"));
            }
        }
    }

    async fn write(&mut self) {
        let (deadline, started) = (self.deadline(), self.started);
        let Some(stream) = &mut self.stream else { return };
        while !self.client.unsent(Connection::Main).is_empty() {
            let unsent = self.client.unsent(Connection::Main);
            match timeout_at(deadline, stream.write(unsent)).await {
                Ok(Ok(size)) => self.client.on_sent(Connection::Main, size),
                Ok(Err(error)) => {
                    let now = protocol::millis(started.elapsed());
                    return self.client.on_failed(now, Connection::Main, error);
                }
                // A register that takes nothing is silent, too, which the client notices.
                Err(_) => return,
            }
        }
    }

    /// Waits for what comes, or for the deadline.
    async fn read(&mut self, buffer: &mut [u8]) {
        let deadline = self.deadline();
        let Some(stream) = &mut self.stream else { return sleep_until(deadline).await };
        let Ok(result) = timeout_at(deadline, stream.read(buffer)).await else { return };
        let now = self.now();
        match result {
            Ok(0) => self.client.on_end_of_stream(now, Connection::Main),
            Ok(size) => self.client.on_bytes(now, Connection::Main, &buffer[..size]),
            Err(error) => self.client.on_failed(now, Connection::Main, error),
        }
    }
}

/// Longest sleep in ms, far below where clocks overflow.
const IDLE_MS_MAX: u64 = 3_600_000;
