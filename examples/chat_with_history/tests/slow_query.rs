//! Queries of handlers of one's own against a real MariaDB, by sqlx on the bridge to tokio.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::mariadb::MariaDb;
use ringway_tests::{Clients, Cluster};
use ringway_worker::{Client, Config, Events, Gateway, Message, Worker};
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use tokio::sync::OnceCell;

/// Answers a message by the result of the query in it.
struct Sql {
    url: String,
    /// Of all cores.
    pool: Arc<OnceCell<MySqlPool>>,
}

impl Events for Sql {
    async fn on_start(&self, gateway: &Gateway) {
        let (url, pool) = (self.url.clone(), Arc::clone(&self.pool));
        let connected = gateway.tokio(async move {
            pool.get_or_try_init(|| MySqlPoolOptions::new().max_connections(4).connect(&url)).await.map(drop)
        });
        connected.await.unwrap();
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let pool = self.pool.get().unwrap().clone();
        let query = message.text().into_owned();
        let answered =
            gateway.tokio(async move { sqlx::query_scalar::<_, i64>(&query).fetch_one(&pool).await });
        let answer = answered.await.map_or_else(|error| error.to_string(), |value| value.to_string());
        gateway.send_to_client(client.id(), answer);
    }
}

fn ask(client: &mut WebsocketClient, query: &str, answer: &str) {
    client.send_text(query);
    client.expect(&Event::text(answer));
}

/// The database itself makes a query wait until another client has had its answers.
#[test]
fn a_query_that_takes_long_holds_up_its_client_alone() {
    let Some(database) = MariaDb::start() else { return };
    let cluster = Cluster::builder().workers(0).start();
    let config = Config {
        count: 1,
        register_addresses: vec![cluster.register_address().to_string()],
        ..Config::default()
    };
    let (url, pool) = (database.url(), Arc::default());
    let running =
        Worker::start(config, move |_core| Sql { url: url.clone(), pool: Arc::clone(&pool) }).unwrap();
    running.ready().unwrap();
    let [mut slow, mut quick] = [cluster.websocket(0), cluster.websocket(0)];
    slow.send_text("SELECT SLEEP(1000)");
    slow.send_text("SELECT 2");
    let running_query = "SELECT CAST(COALESCE(MAX(id), 0) AS SIGNED) FROM information_schema.processlist \
                         WHERE info LIKE 'SELECT SLEEP(1%'";
    let id = ringway_tests::wait::wait_until("the slow query to run", || {
        quick.send_text(running_query);
        match quick.receive() {
            Event::Text(id) if id != b"0" => Some(String::from_utf8(id).unwrap()),
            _ => None,
        }
    });
    for number in 0..100 {
        ask(&mut quick, &format!("SELECT {number}"), &number.to_string());
    }
    quick.send_text(&format!("KILL QUERY {id}"));
    let ended = slow.receive();
    let interrupted = matches!(&ended, Event::Text(text) if String::from_utf8_lossy(text).contains("1317"));
    assert!(interrupted, "{ended:?}");
    slow.expect(&Event::text("2"));
    running.stop().unwrap();
    drop((slow, quick));
    cluster.stop();
}
