//! A worker whose handlers are closures, and what tests need to play the rest of its cluster.

use std::sync::mpsc::{Receiver, Sender, channel};

use protocol::inner;
use ringway_worker::{Client, Config, Events, Gateway, Kind, Message, Running, WebsocketRequest, Worker};

pub(crate) use cluster::peer::{CLIENT, FakeGateway, FakeRegister, Link, NO_GATEWAYS, Received};
pub(crate) use cluster::wait::LIMIT;

/// Handlers for whom a closure runs at each message, and which tell the test what happens.
pub(crate) struct App<F> {
    on_message: F,
    tell: Sender<String>,
}

impl<F> Events for App<F>
where
    F: AsyncFn(&Gateway, &Client, Message, &Sender<String>) + 'static,
{
    async fn on_start(&self, gateway: &Gateway) {
        self.tell(format!("start {}", gateway.core_index()));
    }

    async fn on_connect(&self, _gateway: &Gateway, client: &Client) {
        self.tell(format!(
            "connect {} from {} at {}",
            client.id().connection_id,
            client.address(),
            client.gateway_port()
        ));
    }

    async fn on_websocket_connect(&self, _gateway: &Gateway, client: &Client, request: &WebsocketRequest) {
        let name = request.get.get("name").and_then(|name| name.as_str()).unwrap_or("nobody");
        self.tell(format!("websocket {} {name}", client.id().connection_id));
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        (self.on_message)(gateway, client, message, &self.tell).await;
    }

    async fn on_close(&self, _gateway: &Gateway, client: &Client) {
        self.tell(format!("close {}", client.id().connection_id));
    }

    async fn on_stop(&self, gateway: &Gateway) {
        gateway.send_to_all("bye");
        self.tell("stop".to_owned());
    }
}

impl<F> App<F> {
    fn tell(&self, what: String) {
        let _ = self.tell.send(what);
    }
}

/// A worker with one core.
pub(crate) struct FakeWorker {
    pub(crate) running: Running,
    told: Receiver<String>,
}

impl FakeWorker {
    /// Starts a worker and waits until it is ready.
    pub(crate) fn start<F>(register: &FakeRegister, on_message: F) -> FakeWorker
    where
        F: AsyncFn(&Gateway, &Client, Message, &Sender<String>) + Clone + Send + 'static,
    {
        FakeWorker::start_with(config(&[register]), on_message)
    }

    pub(crate) fn start_with<F>(config: Config, on_message: F) -> FakeWorker
    where
        F: AsyncFn(&Gateway, &Client, Message, &Sender<String>) + Clone + Send + 'static,
    {
        let (tell, told) = channel();
        let running =
            Worker::start(config, move |_| App { on_message: on_message.clone(), tell: tell.clone() })
                .unwrap();
        let worker = FakeWorker { running, told };
        assert_eq!(worker.told(), "start 0");
        worker.running.ready().unwrap();
        worker
    }

    /// For tests that stop it on another thread and go on listening.
    pub(crate) fn into_parts(self) -> (Running, Receiver<String>) {
        (self.running, self.told)
    }

    /// What a handler told next.
    pub(crate) fn told(&self) -> String {
        self.told.recv_timeout(LIMIT).expect("something from a handler")
    }
}

pub(crate) fn config(registers: &[&FakeRegister]) -> Config {
    Config {
        name: "BW".to_owned(),
        count: 1,
        register_addresses: registers.iter().map(|register| register.address.to_string()).collect(),
        ..Config::default()
    }
}

/// The simplest app.
pub(crate) async fn echo(gateway: &Gateway, client: &Client, message: Message, _tell: &Sender<String>) {
    gateway.send_to_client(client.id(), message);
}

/// What tests compare.
pub(crate) fn sent(frame: &Received) -> (u8, u32, u8, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (frame.cmd, frame.connection_id, frame.flag, text(&frame.ext), text(&frame.body))
}

/// The flag bit of a kind.
pub(crate) fn kind_flag(kind: Kind) -> u8 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Text => inner::FLAG_TEXT,
        Kind::Binary => inner::FLAG_BINARY,
    }
}
