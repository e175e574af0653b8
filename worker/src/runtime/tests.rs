//! Order and concurrency of handlers, under seeded schedules, on a core whose register and gateway are the test itself.

mod acks;
mod answers;
mod handing_over;
mod kept;
mod proof;
mod windows;

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;

use futures_lite::future::yield_now;
use protocol::inner::{ClientAddress, Cmd, Frame, Hello};
use protocol::register::Broadcast;

use super::*;
use crate::config::TAKEN_LINK_AGE;
use crate::{Client, Config, Message, time};

const CLIENTS: u32 = 5;

/// On another machine.
const GATEWAY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 2900);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Begun,
    Ended,
}

/// Handlers that wait as often as their message says, and note when they begin and end.
#[derive(Clone, Default)]
struct Recorder {
    steps: Rc<RefCell<Vec<(u32, u32, Step)>>>,
}

impl Recorder {
    fn note(&self, client: &Client, number: u32, step: Step) {
        self.steps.borrow_mut().push((client.id().connection_id, number, step));
    }
}

impl Events for Recorder {
    async fn on_message(&self, _gateway: &Gateway, client: &Client, message: Message) {
        let [number, waits] = parse(&message.text());
        self.note(client, number, Step::Begun);
        for _ in 0..waits {
            yield_now().await;
        }
        self.note(client, number, Step::Ended);
    }
}

fn parse(text: &str) -> [u32; 2] {
    let (number, waits) = text.split_once(' ').unwrap();
    [number.parse().unwrap(), waits.parse().unwrap()]
}

/// A core with a link to one gateway.
struct Stage {
    runtime: Runtime,
    now: Rc<Cell<Duration>>,
    register: ConnId,
    link: ConnId,
}

/// A core that begins, at a clock that stands still.
fn start(config: Config, own_gateway: Option<SocketAddrV4>, events: impl Events) -> Runtime {
    start_at(Rc::default(), config, own_gateway, events)
}

fn start_at(
    now: Rc<Cell<Duration>>,
    config: Config,
    own_gateway: Option<SocketAddrV4>,
    events: impl Events,
) -> Runtime {
    let (key_name, announced) = ("worker".to_owned(), Default::default());
    let setup = Setup { config, key_name, index: 0, announced, own_gateway };
    let host = Host { clock: Box::new(move || now.get()), wake: Box::new(|| {}) };
    let mut runtime = Runtime::new(setup, host, || events);
    runtime.turn();
    runtime
}

impl Stage {
    fn new(events: impl Events, max_concurrent_events: usize) -> Stage {
        Stage::with_clock(Rc::default(), events, max_concurrent_events)
    }

    fn with_clock(now: Rc<Cell<Duration>>, events: impl Events, max_concurrent_events: usize) -> Stage {
        let config = Config { max_concurrent_events, ..Config::default() };
        let mut runtime = start_at(Rc::clone(&now), config, None, events);
        let register = connected(&mut runtime);
        let mut list = Vec::new();
        Broadcast { addresses: vec![GATEWAY.to_string()] }.encode(&mut list);
        runtime.on_bytes(register, &list);
        let link = connected(&mut runtime);
        Stage { runtime, now, register, link }
    }

    fn offer(&mut self, client: u32, text: &str) {
        let body = text.as_bytes();
        self.say(Frame { gateway: GATEWAY, connection_id: client, body, ..Frame::command(Cmd::OnMessage) });
    }

    /// The gateway says this.
    fn say(&mut self, frame: Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.runtime.on_bytes(self.link, &bytes);
    }

    /// Time passes, and what is due is done.
    fn pass(&mut self, time: Duration) {
        self.now.set(self.now.get() + time);
        self.runtime.turn();
        self.settle();
    }

    /// Turns until nothing is to be done before its time.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            if !self.runtime.is_pending() {
                return;
            }
            self.runtime.turn();
        }
        panic!("it never settles");
    }

    /// Handlers that run, and events that wait.
    fn status(&self) -> (usize, usize) {
        let status = self.runtime.status();
        (status.handlers_running, status.events_waiting)
    }

    /// Whether our FIN was sent on the link, since this was last asked.
    fn is_link_finished(&mut self) -> bool {
        let mut actions = Vec::new();
        self.runtime.take_actions(&mut actions);
        actions.iter().any(|action| matches!(action, Action::Finish(conn) if *conn == self.link))
    }

    /// Whether the link was closed, since this was last asked.
    fn is_link_closed(&mut self) -> bool {
        let mut actions = Vec::new();
        self.runtime.take_actions(&mut actions);
        actions.iter().any(|action| matches!(action, Action::Close(conn) if *conn == self.link))
    }

    /// Whether the link was paused, or resumed, since this was last asked.
    fn reading(&mut self) -> Option<bool> {
        let mut actions = Vec::new();
        self.runtime.take_actions(&mut actions);
        let mut reading = actions.iter().filter_map(|action| match action {
            Action::Pause(_) => Some(false),
            Action::Resume(_) => Some(true),
            _ => None,
        });
        reading.next_back()
    }
}

/// Grants the connection that the core wants.
fn connected(runtime: &mut Runtime) -> ConnId {
    let mut actions = Vec::new();
    runtime.take_actions(&mut actions);
    let wanted = actions.iter().find_map(|action| match action {
        Action::Connect(conn, ..) => Some(*conn),
        _ => None,
    });
    let conn = wanted.expect("it wants a connection");
    runtime.on_connected(conn);
    conn
}

/// Notes where clients come from.
struct Seen(Rc<RefCell<Vec<String>>>);

impl Events for Seen {
    async fn on_message(&self, _gateway: &Gateway, client: &Client, message: Message) {
        self.0.borrow_mut().push(format!("{} {}", message.text(), client.address()));
    }
}

#[test]
fn a_client_has_the_address_that_is_said_in_front_of_its_event() {
    let seen = Rc::default();
    let mut stage = Stage::new(Seen(Rc::clone(&seen)), 10);
    let mut address = Vec::new();
    ClientAddress { ip: "2001:db8::1".parse().unwrap(), port: 5000 }.encode_frame(1, &mut address);
    stage.runtime.on_bytes(stage.link, &address);
    stage.offer(1, "one");
    // It is about that event alone: PHP's gateways say this of such clients.
    stage.offer(1, "two");
    let client = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 77);
    let three = Frame { gateway: GATEWAY, client, body: b"three", ..Frame::command(Cmd::OnMessage) };
    stage.say(three);
    assert_eq!(*seen.borrow(), ["one [2001:db8::1]:5000", "two 0.0.0.0:0", "three 192.0.2.1:77"]);
}

#[test]
fn events_of_a_client_never_overlap_nor_overtake() {
    for seed in 0..200 {
        let recorder = Recorder::default();
        let mut stage = Stage::new(recorder.clone(), 10_000);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut sent = [0; CLIENTS as usize];
        for _ in 0..100 {
            let client = random.u32(..CLIENTS);
            let waits = random.u32(..2) * random.u32(..6);
            let number = &mut sent[client as usize];
            stage.offer(client, &format!("{number} {waits}"));
            *number += 1;
            if random.bool() {
                stage.runtime.turn();
            }
        }
        stage.settle();
        check(seed, &recorder.steps.borrow(), &sent);
        assert_eq!((stage.status(), stage.runtime.shared.tasks.count()), ((0, 0), 0), "seed {seed}");
    }
}

/// Each client's handlers began and ended one after the other, in the order of its messages.
fn check(seed: u64, steps: &[(u32, u32, Step)], sent: &[u32]) {
    for (client, &count) in (0..).zip(sent) {
        let seen: Vec<_> =
            steps.iter().filter(|step| step.0 == client).map(|step| (step.1, step.2)).collect();
        let expected: Vec<_> =
            (0..count).flat_map(|number| [(number, Step::Begun), (number, Step::Ended)]).collect();
        assert_eq!(seen, expected, "seed {seed}, client {client}");
    }
}

#[test]
fn a_waiting_client_holds_up_nobody_else() {
    let recorder = Recorder::default();
    let mut stage = Stage::new(recorder.clone(), 10_000);
    stage.offer(1, "0 3");
    stage.offer(1, "1 0");
    stage.offer(2, "0 0");
    let expected = [(1, 0, Step::Begun), (2, 0, Step::Begun), (2, 0, Step::Ended)];
    assert_eq!(*recorder.steps.borrow(), expected);
}

#[test]
fn reading_stops_while_too_many_wait() {
    let mut stage = Stage::new(Recorder::default(), 2);
    stage.offer(1, "0 2");
    assert_eq!(stage.reading(), None);
    stage.offer(1, "1 0");
    assert_eq!(stage.reading(), Some(false));
    stage.settle();
    assert_eq!(stage.reading(), Some(true));
}

#[test]
fn a_handler_that_does_not_wait_leaves_nothing_behind() {
    let mut stage = Stage::new(Recorder::default(), 10_000);
    stage.settle();
    stage.offer(1, "0 0");
    assert_eq!((stage.status(), stage.runtime.shared.tasks.count()), ((0, 0), 0));
    assert!(!stage.runtime.is_pending());
}

#[test]
fn nothing_is_taken_once_the_core_stops() {
    let recorder = Recorder::default();
    let mut stage = Stage::new(recorder.clone(), 10_000);
    stage.runtime.shared.core.borrow_mut().give_up_waiting();
    stage.offer(1, "0 0");
    assert!(recorder.steps.borrow().is_empty());
    assert_eq!(stage.runtime.status().counters.events_dropped, 1);
}

/// A gateway of ours gives a worker events before it hears what it has to say.
#[test]
fn a_core_that_ends_waits_for_gateways_that_have_not_said_yet_whether_they_are_ours() {
    let recorder = Recorder::default();
    let mut stage = Stage::new(recorder.clone(), 10_000);
    stage.runtime.stop();
    stage.settle();
    stage.pass(Duration::from_millis(500));
    stage.say(Frame { body: &Hello::default().encode(), ..Frame::command(Cmd::RingwayHello) });
    stage.offer(1, "0 0");
    stage.settle();
    assert_eq!(*recorder.steps.borrow(), [(1, 0, Step::Begun), (1, 0, Step::Ended)]);
    assert_eq!(stage.runtime.status().counters.events_dropped, 0);
}

/// PHP's never say so.
#[test]
fn a_core_that_ends_waits_no_longer_for_a_gateway_that_has_kept_its_link() {
    let mut stage = Stage::new(Recorder::default(), 10_000);
    stage.runtime.stop();
    stage.settle();
    stage.pass(TAKEN_LINK_AGE);
    stage.offer(1, "0 0");
    assert_eq!(stage.runtime.status().counters.events_dropped, 1, "it has had its time");
}

/// Its machine may be gone since before its first ping.
#[test]
fn a_gateway_that_has_greeted_and_then_says_nothing_for_a_minute_is_given_up() {
    for greets in [true, false] {
        let mut stage = Stage::new(Recorder::default(), 10_000);
        if greets {
            stage.say(Frame { body: &Hello::default().encode(), ..Frame::command(Cmd::RingwayHello) });
        }
        (0..55).for_each(|_| stage.pass(Duration::from_secs(1)));
        assert!(!stage.is_link_closed());
        (0..7).for_each(|_| stage.pass(Duration::from_secs(1)));
        assert!(stage.is_link_closed(), "PHP's ping every 25 s, too");
    }
}

#[test]
fn no_more_handlers_run_than_may_and_the_others_follow_in_order() {
    let recorder = Recorder::default();
    let mut stage = Stage::new(recorder.clone(), 2);
    (0..5).for_each(|client| stage.offer(client, "0 3"));
    assert_eq!(stage.status(), (2, 3));
    stage.settle();
    let begun: Vec<_> =
        recorder.steps.borrow().iter().filter(|step| step.2 == Step::Begun).map(|step| step.0).collect();
    assert_eq!(begun, [0, 1, 2, 3, 4]);
}

#[test]
fn what_has_no_time_to_be_handled_is_counted() {
    let recorder = Recorder::default();
    let mut stage = Stage::new(recorder.clone(), 1);
    (0..3).for_each(|client| stage.offer(client, "0 3"));
    stage.runtime.shared.core.borrow_mut().give_up_waiting();
    stage.settle();
    assert_eq!(recorder.steps.borrow().len(), 2, "one handler, which had begun");
    assert_eq!(stage.runtime.status().counters.events_dropped, 2);
}

#[test]
fn who_waits_until_something_is_sent_goes_on_at_once() {
    let mut stage = Stage::new(Recorder::default(), 10);
    let shared = Rc::clone(&stage.runtime.shared);
    let flushed = Rc::new(Cell::new(false));
    let tell = Rc::clone(&flushed);
    stage.runtime.shared.spawn(async move {
        let mark = shared.core.borrow().mark(GATEWAY).unwrap();
        shared.until(|core| core.is_flushed(mark)).await;
        tell.set(true);
    });
    stage.settle();
    assert!(!flushed.get(), "the link's first frame is not sent");
    let mut dirty = Vec::new();
    stage.runtime.take_dirty(&mut dirty);
    for conn in dirty {
        let size = stage.runtime.unsent().of(conn).len();
        stage.runtime.on_sent(conn, size);
    }
    assert!(stage.runtime.is_pending(), "nothing else might happen for a second");
    stage.settle();
    assert!(flushed.get());
}

/// Sleeps, and is woken at its time and not before.
struct Sleeper;

impl Events for Sleeper {
    async fn on_message(&self, _gateway: &Gateway, _client: &Client, message: Message) {
        time::sleep(Duration::from_millis(message.text().parse().unwrap())).await;
    }
}

#[test]
fn a_handler_that_sleeps_is_woken_at_its_time() {
    let mut stage = Stage::new(Sleeper, 10);
    stage.offer(1, "30");
    stage.offer(2, "20");
    stage.settle();
    let mut running = Vec::new();
    for ms in [0, 19, 20, 29, 30] {
        stage.now.set(Duration::from_millis(ms));
        assert!(stage.runtime.next_at().is_some_and(|at| at <= Duration::from_millis(30)));
        stage.runtime.turn();
        stage.settle();
        running.push(stage.status().0);
    }
    assert_eq!(running, [2, 2, 1, 1, 0]);
}

#[test]
fn what_waits_when_the_core_is_dropped_is_dropped_with_it() {
    let events = Sleeper;
    let alive = Rc::new(());
    let mut stage = Stage::new(events, 10);
    stage.offer(1, "1000");
    let held = Rc::clone(&alive);
    stage.runtime.shared.spawn(async move {
        std::future::pending::<()>().await;
        drop(held);
    });
    stage.settle();
    let shared = Rc::downgrade(&stage.runtime.shared);
    drop(stage);
    assert_eq!((Rc::strong_count(&alive), shared.strong_count()), (1, 0));
}

/// Handlers that keep their core busy for a while, and some that sleep and note how late that ended.
#[derive(Clone, Default)]
struct Busy {
    now: Rc<Cell<Duration>>,
    worked: Rc<RefCell<Vec<u32>>>,
    slept: Rc<Cell<u32>>,
    late_max: Rc<Cell<Duration>>,
}

impl Events for Busy {
    async fn on_message(&self, _gateway: &Gateway, client: &Client, message: Message) {
        if &*message.text() == "sleep" {
            let due = self.now.get() + Duration::from_millis(5);
            time::sleep(Duration::from_millis(5)).await;
            self.late_max.set(self.late_max.get().max(self.now.get() - due));
            self.slept.set(self.slept.get() + 1);
        } else {
            self.now.set(self.now.get() + Duration::from_micros(100));
            self.worked.borrow_mut().push(client.id().connection_id);
        }
    }
}

/// Sleepers are many, and each has work that waits behind its sleep, as others have.
#[test]
fn sleeps_end_in_time_however_much_waits() {
    const SLEEPERS: u32 = 100;
    let events = Busy::default();
    let mut stage = Stage::with_clock(Rc::clone(&events.now), events.clone(), 10_000);
    let mut bytes = Vec::new();
    let mut say = |connection_id: u32, body: &[u8]| {
        let message = Frame::command(Cmd::OnMessage);
        Frame { gateway: GATEWAY, connection_id, body, ..message }.encode(&mut bytes);
    };
    for number in 0..SLEEPERS {
        say(CLIENTS + number, b"sleep");
    }
    for number in 0..3_000 {
        say(number % (CLIENTS + SLEEPERS), b"work");
    }
    stage.runtime.on_bytes(stage.link, &bytes);
    stage.settle();
    for _ in 0..100 {
        stage.pass(Duration::from_millis(1));
    }
    assert_eq!((events.slept.get(), events.worked.borrow().len()), (SLEEPERS, 3_000));
    let late = events.late_max.get();
    assert!(late < Duration::from_millis(6), "{late:?}");
    for client in 0..CLIENTS + SLEEPERS {
        let count = events.worked.borrow().iter().filter(|worked| **worked == client).count();
        assert!(count >= 28, "{client} had {count}");
    }
}

/// Handlers that compute for as many ms as the message says, and then perhaps again after they have waited.
struct Computing {
    now: Rc<Cell<Duration>>,
}

impl Computing {
    fn compute(&self, ms: u32) {
        self.now.set(self.now.get() + Duration::from_millis(ms.into()));
    }
}

impl Events for Computing {
    async fn on_message(&self, _gateway: &Gateway, _client: &Client, message: Message) {
        let [before, after] = parse(&message.text());
        self.compute(before);
        if after > 0 {
            yield_now().await;
            self.compute(after);
        }
    }
}

#[test]
fn who_holds_up_the_core_is_counted_and_nobody_else() {
    let now: Rc<Cell<Duration>> = Rc::default();
    let mut stage = Stage::with_clock(Rc::clone(&now), Computing { now: Rc::clone(&now) }, 100);
    let slow = |stage: &Stage| stage.runtime.status().counters.slow_handlers;
    for (text, count) in [("49 0", 0), ("50 0", 1), ("0 0", 1), ("20 40", 1), ("0 60", 2), ("70 80", 4)] {
        // Nothing of the time between events is anybody's.
        now.set(now.get() + Duration::from_secs(1));
        stage.offer(7, text);
        now.set(now.get() + Duration::from_secs(1));
        stage.settle();
        assert_eq!(slow(&stage), count, "{text}");
    }
}
