//! Order and concurrency of handlers, under seeded schedules.

use std::net::{Ipv4Addr, SocketAddrV4};

use futures_lite::future::yield_now;
use glommio::LocalExecutorBuilder;
use protocol::inner::Cmd;

use super::*;
use crate::Config;
use crate::core::{Bridge, Launch};

const CLIENTS: u32 = 5;

const GATEWAY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2900);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Begun,
    Ended,
}

/// Handlers that wait as often as their message says, and note when they begin and end.
#[derive(Default)]
struct Recorder {
    steps: RefCell<Vec<(u32, u32, Step)>>,
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

fn event(client: u32, text: &str) -> Event {
    let body = text.as_bytes();
    Event::message(&Frame { gateway: GATEWAY, connection_id: client, body, ..Frame::command(Cmd::OnMessage) })
}

fn run<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F + Send + 'static) {
    LocalExecutorBuilder::default().spawn(|| async move { test().await }).unwrap().join().unwrap();
}

fn dispatch<E: Events>(events: E, max_concurrent_events: usize) -> Rc<Dispatch<E>> {
    let config = Config { max_concurrent_events, ..Config::default() };
    let report = crossbeam_channel::unbounded().0;
    let core = Core::new(Launch {
        config,
        key_name: "worker".to_owned(),
        index: 0,
        bridge: Bridge::new(&[0]),
        report,
        standing: Default::default(),
    });
    Dispatch::new(events, Gateway::new(core), || {})
}

/// Handlers that run, and events that wait.
fn status<E: Events>(dispatch: &Dispatch<E>) -> (usize, usize) {
    let status = dispatch.status();
    (status.handlers_running, status.events_waiting)
}

/// A small generator, so that a seed repeats a schedule.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % limit
    }
}

#[test]
fn events_of_a_client_never_overlap_nor_overtake() {
    run(|| async {
        for seed in 0..200 {
            let dispatch = dispatch(Recorder::default(), 10_000);
            let mut slot = Slot::new(Dispatch::handle);
            let mut random = Random(seed);
            let mut sent = [0; CLIENTS as usize];
            for _ in 0..100 {
                let client = random.below(CLIENTS);
                let waits = random.below(2) * random.below(6);
                let number = &mut sent[client as usize];
                dispatch.offer(&mut slot, event(client, &format!("{number} {waits}")));
                *number += 1;
                for _ in 0..random.below(2) {
                    yield_now().await;
                }
            }
            dispatch.fewer_busy_than(1).await;
            check(seed, &dispatch.events.steps.borrow(), &sent);
            assert_eq!((status(&dispatch), dispatch.busy().len()), ((0, 0), 0), "seed {seed}");
        }
    });
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
    run(|| async {
        let dispatch = dispatch(Recorder::default(), 10_000);
        let mut slot = Slot::new(Dispatch::handle);
        dispatch.offer(&mut slot, event(1, "0 3"));
        dispatch.offer(&mut slot, event(1, "1 0"));
        dispatch.offer(&mut slot, event(2, "0 0"));
        let expected = [(1, 0, Step::Begun), (2, 0, Step::Begun), (2, 0, Step::Ended)];
        assert_eq!(*dispatch.events.steps.borrow(), expected);
        dispatch.fewer_busy_than(1).await;
    });
}

#[test]
fn reading_stops_while_too_many_wait() {
    run(|| async {
        let dispatch = dispatch(Recorder::default(), 2);
        let mut slot = Slot::new(Dispatch::handle);
        assert!(dispatch.has_room_for(GATEWAY));
        dispatch.offer(&mut slot, event(1, "0 2"));
        assert!(dispatch.has_room_for(GATEWAY));
        dispatch.offer(&mut slot, event(1, "1 0"));
        assert!(!dispatch.has_room_for(GATEWAY));
        dispatch.room_for(GATEWAY).await;
        assert!(dispatch.has_room_for(GATEWAY));
        dispatch.fewer_busy_than(1).await;
    });
}

#[test]
fn a_handler_that_does_not_wait_leaves_nothing_behind() {
    run(|| async {
        let dispatch = dispatch(Recorder::default(), 10_000);
        let mut slot = Slot::new(Dispatch::handle);
        dispatch.offer(&mut slot, event(1, "0 0"));
        assert!(slot.place.is_none());
        assert_eq!((status(&dispatch), dispatch.busy().len()), ((0, 0), 0));
    });
}

#[test]
fn nothing_is_taken_once_the_core_stops() {
    run(|| async {
        let dispatch = dispatch(Recorder::default(), 10_000);
        dispatch.core().stopping.set(true);
        let mut slot = Slot::new(Dispatch::handle);
        dispatch.offer(&mut slot, event(1, "0 0"));
        assert!(dispatch.events.steps.borrow().is_empty());
        assert_eq!(dispatch.core().counters.borrow().events_dropped, 1);
    });
}

#[test]
fn no_more_handlers_run_than_may_and_the_others_follow_in_order() {
    run(|| async {
        let dispatch = dispatch(Recorder::default(), 2);
        let mut slot = Slot::new(Dispatch::handle);
        (0..5).for_each(|client| dispatch.offer(&mut slot, event(client, "0 3")));
        assert_eq!(status(&dispatch), (2, 3));
        dispatch.fewer_busy_than(1).await;
        let begun: Vec<_> = dispatch
            .events
            .steps
            .borrow()
            .iter()
            .filter(|step| step.2 == Step::Begun)
            .map(|step| step.0)
            .collect();
        assert_eq!(begun, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn what_has_no_time_to_be_handled_is_counted() {
    run(|| async {
        let dispatch = dispatch(Recorder::default(), 1);
        let mut slot = Slot::new(Dispatch::handle);
        (0..3).for_each(|client| dispatch.offer(&mut slot, event(client, "0 3")));
        dispatch.give_up_waiting();
        dispatch.fewer_busy_than(1).await;
        assert_eq!(dispatch.events.steps.borrow().len(), 2, "one handler, which had begun");
        assert_eq!(dispatch.core().counters.borrow().events_dropped, 2);
    });
}
