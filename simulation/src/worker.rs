//! A worker's core with handlers that answer, sometimes late, and note what they were told.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use ringway_worker::core::{ConnId, Setup};
use ringway_worker::runtime::{Host, Runtime};
use ringway_worker::{Client, Config, Events, Gateway, Message, time};

use crate::clients::{client_at, closed};

/// What handlers note, and may know.
pub(crate) type Record = Rc<RefCell<Notes>>;

#[derive(Default)]
pub(crate) struct Notes {
    /// What handlers were told, in order.
    pub(crate) handled: Vec<String>,
    /// Clients that may not be there.
    pub(crate) left: BTreeSet<usize>,
}

/// A core, and which pipes its connections send to: indices into the world's list.
pub(crate) struct Worker {
    pub(crate) runtime: Runtime,
    pub(crate) conns: HashMap<ConnId, usize>,
    /// It begins nothing for a gateway that takes little.
    pub(crate) holds_back: bool,
    pub(crate) is_ending: bool,
}

/// Answers each message with itself: at once, after a while, after a question to gateways, or after it has written to the
/// client's session.
struct Echo {
    record: Record,
    random: RefCell<fastrand::Rng>,
}

impl Events for Echo {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        self.record.borrow_mut().handled.push(message.text().into_owned());
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
                let has_left = self.record.borrow().left.contains(&client_at(client.addr().port()));
                let is_said = answer.value || !answer.missing.is_empty() || has_left;
                assert!(is_said, "a client that speaks is online");
            }
            2 => client.edit_session(|session| drop(session.insert("last", message.text().as_ref()))),
            _ => {}
        }
        gateway.send_to_client(client.id(), message);
    }

    async fn on_close(&self, _gateway: &Gateway, client: &Client) {
        self.record.borrow_mut().handled.push(closed(client_at(client.addr().port())));
    }
}

impl Worker {
    pub(crate) fn new(number: usize, record: Record, now: &Rc<Cell<Duration>>, seed: u64) -> Worker {
        // Handlers get the time that they want: what is lost then is lost to another fault.
        let drain_timeout = Duration::from_secs(3_600);
        let holds_back = number.is_multiple_of(2);
        let send_to_gateway_buffer_size = if holds_back { SEND_TO_GATEWAY_BUFFER_SIZE } else { 10_240_000 };
        let config = Config {
            max_concurrent_events: CONCURRENT_EVENTS_MAX,
            send_to_gateway_buffer_size,
            drain_timeout,
            ..Config::default()
        };
        let setup = Setup {
            config,
            key_name: format!("worker {number}"),
            index: 0,
            announced: Default::default(),
            own_gateway: None,
        };
        let clock = Rc::clone(now);
        let host = Host { clock: Box::new(move || clock.get()), wake: Box::new(|| {}) };
        let events = Echo { record, random: RefCell::new(fastrand::Rng::with_seed(seed)) };
        Worker {
            runtime: Runtime::new(setup, host, || events),
            conns: HashMap::new(),
            holds_back,
            is_ending: false,
        }
    }
}

/// Handlers that run at once.
pub(crate) const CONCURRENT_EVENTS_MAX: usize = 3;

/// Bytes queued for a gateway, half of which hold its clients' events up.
pub(crate) const SEND_TO_GATEWAY_BUFFER_SIZE: usize = 400;
