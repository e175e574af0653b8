//! A worker's core with handlers that answer, sometimes late, and note what they were told.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use ringway_worker::core::{Action, Announced, ConnId, Setup};
use ringway_worker::runtime::{Host, Runtime};
use ringway_worker::{
    Client, ClientId, Config, Events, Gateway, HandshakeAnswer, Message, WebsocketRequest, time,
};

use crate::clients::{client_at, closed, is_welcome};
use crate::pushes::{Begun, Pushes};
use crate::world::Given;

/// What handlers note, and may know.
pub(crate) type Record = Rc<RefCell<Notes>>;

#[derive(Default)]
pub(crate) struct Notes {
    /// What handlers were told, in order.
    pub(crate) handled: Vec<String>,
    /// Which worker that was, for each of them.
    pub(crate) handled_by: Vec<usize>,
    /// Whether it was told that another may have been told before, for each of them.
    pub(crate) repeated: Vec<bool>,
    /// Clients of which a worker has heard.
    pub(crate) connected: BTreeSet<usize>,
    /// How much was handled when a worker's `on_stop` ran.
    pub(crate) stopped: BTreeMap<usize, usize>,
    /// Clients as their handlers know them.
    ids: BTreeMap<usize, ClientId>,
    /// What workers have said to clients that had not asked.
    pub(crate) pushes: Pushes,
    /// Clients that may not be there.
    pub(crate) left: BTreeSet<usize>,
    /// A gateway has thrown somebody out.
    pub(crate) are_thrown_out: bool,
    /// No link is lost while its worker lives.
    pub(crate) links_last: bool,
}

/// A core, and which pipes its connections send to: indices into the world's list.
pub(crate) struct Worker {
    pub(crate) runtime: Runtime,
    pub(crate) conns: HashMap<ConnId, usize>,
    /// What is to be done with them.
    pub(crate) actions: VecDeque<Action>,
    /// It begins nothing for a gateway that takes little.
    pub(crate) holds_back: bool,
    pub(crate) is_ending: bool,
    /// Handlers that it may run at once.
    pub(crate) concurrent_max: usize,
}

/// Answers each message with itself: at once, after a while, after a question to gateways, after joining a
/// group and counting it, or after it has written to the client's session. Some are news for another client, too, at once, after a while,
/// or of spawned work.
#[derive(Clone)]
struct Echo {
    number: usize,
    record: Record,
    random: Rc<RefCell<fastrand::Rng>>,
}

impl Events for Echo {
    async fn on_connect(&self, _gateway: &Gateway, client: &Client) {
        self.record.borrow_mut().connected.insert(client_at(client.address().port()));
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let of = self.note(client, message.text().into_owned());
        let choice = self.random.borrow_mut().u32(..64);
        match choice % 8 {
            // Longer than a core that ends waits for gateways.
            _ if choice == 63 => {
                let ms = self.random.borrow_mut().u64(6_000..10_000);
                time::sleep(Duration::from_millis(ms)).await;
                self.push(gateway, Some(of));
            }
            0 => {
                let ms = self.random.borrow_mut().u64(..200);
                time::sleep(Duration::from_millis(ms)).await;
                if choice >= 32 {
                    self.push(gateway, Some(of));
                }
            }
            1 => {
                let answer = gateway.is_online(client.id()).await;
                let is_said = answer.value || !answer.missing.is_empty() || self.may_have_gone(client);
                assert!(is_said, "a client that speaks is online");
            }
            5 if choice < 32 => return self.answer_reported(gateway, client, message).await,
            4 if choice < 32 => self.count_after_joining(gateway, client, &message.text()).await,
            2 => client.edit_session(|session| drop(session.insert("last", message.text().as_ref()))),
            3 => self.push(gateway, Some(of)),
            4 if choice >= 32 => {
                let (echo, gateway) = (self.clone(), gateway.clone());
                let ms = self.random.borrow_mut().u64(..200);
                gateway.clone().spawn(async move {
                    time::sleep(Duration::from_millis(ms)).await;
                    echo.push(&gateway, None);
                });
            }
            _ => {}
        }
        gateway.send_to_client(client.id(), message);
    }

    async fn on_close(&self, _gateway: &Gateway, client: &Client) {
        self.note(client, closed(client_at(client.address().port())));
    }

    async fn on_stop(&self, _gateway: &Gateway) {
        let mut record = self.record.borrow_mut();
        let handled = record.handled.len();
        record.stopped.insert(self.number, handled);
    }
}

/// The same, which lets most websockets in, some after a while.
struct Doorkeeper(Echo);

impl Events for Doorkeeper {
    const ANSWERS_HANDSHAKES: bool = true;

    async fn on_connect(&self, gateway: &Gateway, client: &Client) {
        self.0.on_connect(gateway, client).await;
    }

    async fn on_handshake(&self, _: &Gateway, client: &Client, _: &WebsocketRequest) -> HandshakeAnswer {
        let ms = self.0.random.borrow_mut().u64(..100);
        if ms > 50 {
            time::sleep(Duration::from_millis(ms)).await;
        }
        match is_welcome(client_at(client.address().port())) {
            true => HandshakeAnswer::accept().with_header("X-Door", "open"),
            false => HandshakeAnswer::refuse(403, "not you"),
        }
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        self.0.on_message(gateway, client, message).await;
    }

    async fn on_close(&self, gateway: &Gateway, client: &Client) {
        self.0.on_close(gateway, client).await;
    }

    async fn on_stop(&self, gateway: &Gateway) {
        self.0.on_stop(gateway).await;
    }
}

impl Notes {
    fn note(&mut self, worker: usize, is_repeat: bool, what: String) {
        self.handled.push(what);
        self.handled_by.push(worker);
        self.repeated.push(is_repeat);
    }
}

impl Echo {
    fn note(&self, client: &Client, what: String) -> Begun {
        let mut record = self.record.borrow_mut();
        record.ids.insert(client_at(client.address().port()), client.id());
        let event = record.handled.len();
        record.note(self.number, client.is_repeat(), what);
        Begun { event, at: record.pushes.next_moment() }
    }

    /// A query sees what was commanded before it, unless a link was lost in between.
    async fn count_after_joining(&self, gateway: &Gateway, client: &Client, text: &str) {
        let group = format!("{}:{text}", self.number);
        gateway.join_group(client.id(), &*group);
        let answer = gateway.client_count_of_group(&*group).await;
        gateway.leave_group(client.id(), &*group);
        let is_seen = answer.value == 1 || !answer.missing.is_empty() || self.may_have_gone(client);
        assert!(
            is_seen || !self.record.borrow().links_last,
            "a query overtook the command before it: {answer:?}"
        );
    }

    /// A message to a client that is there is queued for it.
    async fn answer_reported(&self, gateway: &Gateway, client: &Client, message: Message) {
        let report = gateway.reported().send_to_client(client.id(), message).await;
        let is_said = (report.queued, report.dropped) == (1, 0) || !report.missing.is_empty();
        assert!(is_said || self.may_have_gone(client), "who speaks gets its answer: {report:?}");
    }

    fn may_have_gone(&self, client: &Client) -> bool {
        let record = self.record.borrow();
        record.left.contains(&client_at(client.address().port())) || record.are_thrown_out
    }

    /// Says something to any client, whoever serves it. `of`: as the handler of this.
    fn push(&self, gateway: &Gateway, of: Option<Begun>) {
        let mut record = self.record.borrow_mut();
        let index = self.random.borrow_mut().usize(..record.ids.len());
        let Some((client, id)) = record.ids.iter().nth(index).map(|(client, id)| (*client, *id)) else {
            return;
        };
        let text = record.pushes.add(self.number, client, of);
        gateway.send_to_client(id, text);
    }
}

impl Worker {
    pub(crate) fn new(
        number: usize,
        record: Record,
        now: &Rc<Cell<Duration>>,
        seed: u64,
        own_gateway: Option<SocketAddrV4>,
        given: &Given,
        answers_handshakes: bool,
    ) -> Worker {
        // Handlers get the time that they want: what is lost then is lost to another fault.
        let drain_timeout = Duration::from_secs(3_600);
        let holds_back = number.is_multiple_of(2);
        let send_to_gateway_buffer_size = if holds_back { SEND_TO_GATEWAY_BUFFER_SIZE } else { 10_240_000 };
        // What it grants to a gateway is less than a client's share, or more.
        let concurrent_max = if number % 4 == 1 { MANY_CONCURRENT_EVENTS } else { CONCURRENT_EVENTS_MAX };
        let config = Config {
            max_concurrent_events: concurrent_max,
            send_to_gateway_buffer_size,
            drain_timeout,
            register_addresses: given.register_addresses.clone(),
            secret_key: given.credentials.secret_key.clone(),
            inner_auth: given.inner_auth(),
            ..Config::default()
        };
        let setup = Setup {
            config,
            key_name: format!("worker {number}"),
            index: 0,
            announced: Announced::with_nonces(given.nonces()).into(),
            own_gateway,
        };
        let clock = Rc::clone(now);
        let host = Host { clock: Box::new(move || clock.get()), wake: Box::new(|| {}) };
        let events = Echo { number, record, random: Rc::new(RefCell::new(fastrand::Rng::with_seed(seed))) };
        let runtime = match answers_handshakes {
            true => Runtime::new(setup, host, || Doorkeeper(events)),
            false => Runtime::new(setup, host, || events),
        };
        Worker {
            runtime,
            conns: HashMap::new(),
            actions: VecDeque::new(),
            holds_back,
            is_ending: false,
            concurrent_max,
        }
    }
}

/// Handlers that run at once.
pub(crate) const CONCURRENT_EVENTS_MAX: usize = 3;

/// The same of some workers: each gateway may have 20 events in flight.
const MANY_CONCURRENT_EVENTS: usize = 320;

/// Bytes queued for a gateway, half of which hold its clients' events up.
pub(crate) const SEND_TO_GATEWAY_BUFFER_SIZE: usize = 400;
