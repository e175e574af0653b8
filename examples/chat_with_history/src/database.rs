//! The table of what was said. Runs on tokio. Owns the connections, and whether the database is there.
//!
//! A database that is away must not hold up the chat: the first call that fails says so in the log, and from then on calls
//! return at once, until an attempt in the background gets through.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// What was said, as it is in the table: number, milliseconds since 1970, client id, name, text.
pub(crate) type Row = (u64, u64, String, String, String);

/// A pool of connections, shared by all cores of the process.
pub(crate) struct Database {
    options: MySqlConnectOptions,
    /// Set by the first core that starts: a pool can be made on tokio only.
    pool: OnceCell<MySqlPool>,
    /// Whether the last that was heard of it was good.
    there: AtomicBool,
}

impl Database {
    /// Connects to nothing yet.
    ///
    /// `None`: `url` is no address of a database.
    pub(crate) fn new(url: &str) -> Option<Database> {
        // sqlx takes any scheme for its own.
        let known = ["mysql://", "mariadb://"].iter().any(|scheme| url.starts_with(scheme));
        let options = MySqlConnectOptions::from_str(url).ok().filter(|_| known)?;
        options.get_database()?;
        // What takes too long is told by `ask`, in one line.
        let options = options.disable_statement_logging();
        Some(Database { options, pool: OnceCell::new(), there: AtomicBool::new(false) })
    }

    /// Connects for the first time and sees to the table; goes on trying in the background if that fails.
    pub(crate) async fn open(self: &Arc<Self>) {
        self.pool
            .get_or_init(async || {
                let pool = MySqlPoolOptions::new()
                    .max_connections(CONNECTIONS_MAX)
                    .acquire_timeout(CONNECT_PATIENCE)
                    .connect_lazy_with(self.options.clone());
                match create_table(&pool).await {
                    Ok(()) => self.there.store(true, Ordering::Relaxed),
                    Err(error) => self.try_again(pool.clone(), &error),
                }
                pool
            })
            .await;
    }

    /// Adds a line to a room and returns its number. `None`: the database is away.
    pub(crate) async fn keep(
        self: &Arc<Self>,
        room: &str,
        client: &str,
        name: &str,
        text: &str,
    ) -> Option<u64> {
        self.ask(async |pool| {
            let insert = sqlx::query(INSERT).bind(room).bind(client).bind(name).bind(text);
            Ok(insert.execute(pool).await?.last_insert_id())
        })
        .await
    }

    /// The latest lines of a room, in order. `None`: the database is away.
    pub(crate) async fn latest(self: &Arc<Self>, room: &str) -> Option<Vec<Row>> {
        self.ask(async |pool| {
            let mut rows = sqlx::query_as(LATEST).bind(room).bind(LINES_SHOWN).fetch_all(pool).await?;
            rows.reverse();
            Ok(rows)
        })
        .await
    }

    async fn ask<T>(
        self: &Arc<Self>,
        question: impl AsyncFnOnce(&MySqlPool) -> sqlx::Result<T>,
    ) -> Option<T> {
        let pool = self.pool.get()?;
        if !self.there.load(Ordering::Relaxed) {
            return None;
        }
        let answer = timeout(PATIENCE, question(pool)).await;
        match answer.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(value) => Some(value),
            Err(error) => {
                // Of all who find it gone at the same time, one sees to it.
                if self.there.swap(false, Ordering::Relaxed) {
                    self.try_again(pool.clone(), &error);
                }
                None
            }
        }
    }

    /// Says what is wrong, and tries until it is not.
    fn try_again(self: &Arc<Self>, pool: MySqlPool, error: &sqlx::Error) {
        warn!("no history until the database is there: {error}");
        let database = Arc::clone(self);
        tokio::spawn(async move {
            sleep(RETRY_DELAY).await;
            while create_table(&pool).await.is_err() {
                sleep(RETRY_DELAY).await;
            }
            database.there.store(true, Ordering::Relaxed);
            info!("the database is there again");
        });
    }
}

async fn create_table(pool: &MySqlPool) -> sqlx::Result<()> {
    sqlx::query(CREATE).execute(pool).await.map(drop)
}

/// Lines of a room that a newcomer sees.
const LINES_SHOWN: u32 = 50;
/// Connections of this process. More questions wait for one.
const CONNECTIONS_MAX: u32 = 8;
/// How long one question may hold up its client before the database counts as away.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of it may be spent on a connection that is free, or a new one.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts to reach a database that is away.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Rooms are compared byte by byte: `Tea` and `tea` are two. Nothing is ever deleted.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS chat_history (
    number BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    room VARCHAR(32) COLLATE utf8mb4_bin NOT NULL,
    said_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    client CHAR(20) NOT NULL,
    name VARCHAR(32) NOT NULL,
    text VARCHAR(2000) NOT NULL,
    KEY latest (room, number)
) CHARACTER SET utf8mb4";

const INSERT: &str = "INSERT INTO chat_history (room, client, name, text) VALUES (?, ?, ?, ?)";

const LATEST: &str = "SELECT number, CAST(UNIX_TIMESTAMP(said_at) * 1000 AS UNSIGNED), client, name, text
    FROM chat_history WHERE room = ? ORDER BY number DESC LIMIT ?";
