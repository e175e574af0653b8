//! A worker's core with handlers that answer, sometimes late, and note what they were told.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use ringway_worker::core::{ConnId, Setup};
use ringway_worker::runtime::{Host, Runtime};
use ringway_worker::{Client, Config, Events, Gateway, Message, time};

use crate::faults::Faults;

/// What handlers were told, in order.
pub(crate) type Handled = Rc<RefCell<Vec<String>>>;

/// A core, and which pipes its connections send to: indices into the world's list.
pub(crate) struct Worker {
    pub(crate) runtime: Runtime,
    pub(crate) conns: HashMap<ConnId, usize>,
    pub(crate) is_ending: bool,
}

/// Answers each message with itself: at once, after a while, after a question to gateways, or after it has written to the
/// client's session.
struct Echo {
    handled: Handled,
    faults: Faults,
    random: RefCell<fastrand::Rng>,
}

impl Events for Echo {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        self.handled.borrow_mut().push(message.text().into_owned());
        let choice = self.random.borrow_mut().u32(..64);
        match choice % 8 {
            // Longer than a core that ends waits for gateways.
            _ if choice == 63 => {
                let ms = self.random.borrow_mut().u64(6_000..10_000);
                time::sleep(Duration::from_millis(ms)).await;
            }
            0 => {
                let ms = self.random.borrow_mut().u64(..200);
                time::sleep(Duration::from_millis(ms)).await;
            }
            1 => {
                let answer = gateway.is_online(client.id()).await;
                let may_be_gone = self.faults == Faults::Outages;
                let is_said = answer.value || !answer.missing.is_empty() || may_be_gone;
                assert!(is_said, "a client that speaks is online");
            }
            2 => client.edit_session(|session| drop(session.insert("last", message.text().as_ref()))),
            _ => {}
        }
        gateway.send_to_client(client.id(), message);
    }
}

impl Worker {
    pub(crate) fn new(
        number: usize,
        faults: Faults,
        handled: Handled,
        now: &Rc<Cell<Duration>>,
        seed: u64,
    ) -> Worker {
        // Handlers get the time that they want: what is lost then is lost to another fault.
        let drain_timeout = Duration::from_secs(3_600);
        let config = Config { max_concurrent_events: 3, drain_timeout, ..Config::default() };
        let setup =
            Setup { config, key_name: format!("worker {number}"), index: 0, announced: Default::default() };
        let clock = Rc::clone(now);
        let host = Host { clock: Box::new(move || clock.get()), wake: Box::new(|| {}) };
        let events = Echo { handled, faults, random: RefCell::new(fastrand::Rng::with_seed(seed)) };
        Worker { runtime: Runtime::new(setup, host, || events), conns: HashMap::new(), is_ending: false }
    }
}
