//! What the chat asks of its history, passed on to tokio. Owns nothing but the way there.

use std::sync::Arc;

use ringway_apps::chat::{History, Line, NewLine};
use ringway_worker::Gateway;

use crate::database::{Database, Row};

/// A history kept in a database: the same on all cores, in all workers.
pub(crate) struct Kept {
    database: Arc<Database>,
}

impl Kept {
    pub(crate) fn new(database: Arc<Database>) -> Kept {
        Kept { database }
    }
}

impl History for Kept {
    async fn start(&self, gateway: &Gateway) {
        let database = Arc::clone(&self.database);
        gateway.tokio(async move { database.open().await }).await;
    }

    async fn keep(&self, gateway: &Gateway, line: NewLine<'_>) -> Option<u64> {
        let database = Arc::clone(&self.database);
        let [room, name, text] = [line.room, line.name, line.text].map(str::to_owned);
        let client = line.from.to_string();
        gateway.tokio(async move { database.keep(&room, &client, &name, &text).await }).await
    }

    async fn latest(&self, gateway: &Gateway, room: &str) -> Option<Vec<Line>> {
        let (database, room) = (Arc::clone(&self.database), room.to_owned());
        let rows = gateway.tokio(async move { database.latest(&room).await }).await?;
        Some(rows.into_iter().filter_map(line).collect())
    }
}

/// `None` if somebody else has written to the table, and no client's id.
fn line((number, at, client, name, text): Row) -> Option<Line> {
    Some(Line { number, at, from: client.parse().ok()?, name, text })
}
