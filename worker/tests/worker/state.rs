//! State of a core, and state that cores share.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::inner::Cmd;
use ringway_worker::{Client, Config, Events, Gateway, Message, Worker};

use crate::fake::{FakeGateway, FakeRegister, config};

struct Counting {
    here: Cell<u64>,
    everywhere: Arc<AtomicU64>,
}

impl Events for Counting {
    async fn on_message(&self, gateway: &Gateway, client: &Client, _message: Message) {
        self.here.set(self.here.get() + 1);
        let everywhere = self.everywhere.fetch_add(1, Ordering::Relaxed) + 1;
        gateway.send_to_client(client.id(), format!("{} {everywhere}", self.here.get()));
    }
}

#[test]
fn every_core_has_its_own_and_all_share_what_the_closure_holds() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let everywhere = Arc::new(AtomicU64::new(0));
    let config = Config { count: 2, ..config(&[&register]) };
    let _running = Worker::start(config, move |_core| Counting {
        here: Cell::new(0),
        everywhere: Arc::clone(&everywhere),
    })
    .unwrap();
    let mut links = [gateway.accept_worker(), gateway.accept_worker()];
    for (core, answer) in [(0, "1 1"), (0, "2 2"), (1, "1 3"), (0, "3 4")] {
        links[core].event(Cmd::OnMessage, 1, b"count");
        assert_eq!(links[core].frame().body, answer.as_bytes());
    }
}
