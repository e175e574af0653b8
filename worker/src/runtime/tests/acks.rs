//! Gateways that keep events until they are safe (WIRE.md §14): when they are told so, and what becomes of events of a link that is
//! gone.

use std::cell::RefCell;
use std::net::SocketAddrV4;

use protocol::inner::ext::WorkerConnect;
use protocol::inner::{self, EventRange, FRAME_SIZE_MAX, Origin, Repeat, Run};

use super::*;
use crate::config::{DONE_DELAY, GATEWAYS_EXPECTED, STANDSTILL_MAX, UNSAFE_WINDOWS_MAX};
use crate::{ClientId, EventId, Hold};

/// Another gateway.
pub(super) const OTHER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 2900);

/// Does what its message says, and notes how it was told.
#[derive(Clone, Default)]
struct App {
    told: Rc<RefCell<Vec<(String, EventId, bool)>>>,
    holds: Rc<RefCell<Vec<Hold>>>,
}

impl Events for App {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let text = message.text().into_owned();
        self.told.borrow_mut().push((text.clone(), client.event_id(), client.is_repeat()));
        let elsewhere = ClientId { gateway: OTHER, connection_id: 9 };
        match text.split_once(' ').map_or((text.as_str(), 0), |(what, ms)| (what, ms.parse().unwrap())) {
            ("sleep", ms) => time::sleep(Duration::from_millis(ms)).await,
            ("elsewhere", ms) => {
                gateway.send_to_client(elsewhere, "x");
                time::sleep(Duration::from_millis(ms)).await;
            }
            ("later", ms) => {
                time::sleep(Duration::from_millis(ms)).await;
                gateway.send_to_client(elsewhere, "x");
                gateway.send_to_client(client.id(), "x");
            }
            ("echo", _) => gateway.send_to_client(client.id(), "x"),
            ("hold", _) => {
                let (hold, gateway) = (client.hold(), gateway.clone());
                gateway.clone().spawn(async move {
                    time::sleep(Duration::from_millis(100)).await;
                    gateway.send_to_client(elsewhere, "x");
                    drop(hold);
                });
            }
            ("keep", _) => self.holds.borrow_mut().push(client.hold()),
            _ => {}
        }
    }
}

/// A core with links to two gateways that keep events, or of which the first one does.
pub(super) struct Both {
    pub(super) stage: Stage,
    pub(super) other: ConnId,
    app: App,
}

pub(super) const RUN: Run = Run(0xabcd);

impl Both {
    pub(super) fn new(events: usize) -> Both {
        let mut both = Both::beside_another(events);
        both.greet_other(Some(Origin { run: RUN, link: 2 }), None);
        both.send(usize::MAX);
        both
    }

    /// The other keeps to windows, and says nothing of what it has taken.
    fn beside_older(events: usize) -> Both {
        let mut both = Both::beside_another(events);
        both.greet_other(None, None);
        both.send(usize::MAX);
        both
    }

    fn beside_another(events: usize) -> Both {
        let app = App::default();
        let mut stage = Stage::new(app.clone(), events * GATEWAYS_EXPECTED);
        let mut list = Vec::new();
        Broadcast { addresses: vec![GATEWAY.to_string(), OTHER.to_string()] }.encode(&mut list);
        let register = ConnId::clone(&stage.register);
        stage.runtime.on_bytes(register, &list);
        let other = connected(&mut stage.runtime);
        let mut both = Both { stage, other, app };
        both.greet(Some(Origin { run: RUN, link: 1 }), None);
        both
    }

    /// The gateway keeps events, and says what they are called, and what it has taken of the link before.
    pub(super) fn greet(&mut self, acks: Option<Origin>, taken: Option<u32>) {
        let hello = Hello { windows: true, acks, taken, ..Hello::default() };
        self.stage.say(Frame { body: &hello.encode(), ..Frame::command(Cmd::RingwayHello) });
    }

    /// The same of the other one.
    pub(super) fn greet_other(&mut self, acks: Option<Origin>, taken: Option<u32>) {
        self.as_other(|both| both.greet(acks, taken));
    }

    /// The other one says this.
    pub(super) fn other_says(&mut self, frame: Frame<'_>) {
        self.as_other(|both| both.stage.say(frame));
    }

    fn as_other(&mut self, work: impl FnOnce(&mut Both)) {
        let link = std::mem::replace(&mut self.stage.link, self.other);
        work(self);
        self.other = std::mem::replace(&mut self.stage.link, link);
    }

    /// What the gateway is told now, but for pings; `room`: how many bytes the other takes.
    pub(super) fn send(&mut self, room: usize) -> Vec<(Cmd, Vec<EventRange>)> {
        let runtime = &mut self.stage.runtime;
        let (mut dirty, mut told) = (Vec::new(), Vec::new());
        runtime.take_dirty(&mut dirty);
        for conn in dirty {
            let bytes = runtime.unsent().of(conn).to_vec();
            let size = if conn == self.other { room.min(bytes.len()) } else { bytes.len() };
            if conn == self.stage.link {
                told = bytes;
            }
            runtime.on_sent(conn, size);
        }
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Some((frame, size)) = inner::decode(&told[at..], FRAME_SIZE_MAX).unwrap() {
            let cmd = Cmd::from_u8(frame.cmd).unwrap();
            let is_answer = matches!(cmd, Cmd::EventsDone | Cmd::EventsSafe);
            let ranges = if is_answer { EventRange::decode_all(frame.body).collect() } else { vec![] };
            frames.push((cmd, ranges));
            at += size;
        }
        frames.retain(|(cmd, _)| *cmd != Cmd::RingwayPing);
        frames
    }

    pub(super) fn send_in_time(&mut self, room: usize) -> Vec<(Cmd, Vec<EventRange>)> {
        self.stage.pass(DONE_DELAY);
        self.send(room)
    }

    /// Nobody holds any event any more.
    pub(super) fn let_go(&mut self) {
        self.app.holds.borrow_mut().clear();
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.app.told.borrow_mut().drain(..).map(|(text, _, _)| text).collect()
    }

    pub(super) fn unsettled(&self) -> usize {
        self.stage.runtime.status().events_unsettled
    }
}

pub(super) fn safe(first: u32, count: u32) -> (Cmd, Vec<EventRange>) {
    (Cmd::EventsSafe, vec![EventRange { first, count }])
}

pub(super) fn done(first: u32, count: u32) -> (Cmd, Vec<EventRange>) {
    (Cmd::EventsDone, vec![EventRange { first, count }])
}

#[test]
fn an_event_is_safe_behind_what_its_handler_said_in_the_same_write() {
    let mut both = Both::new(100);
    (0..3).for_each(|client| both.stage.offer(client, "echo"));
    let echo = (Cmd::SendToOne, vec![]);
    assert_eq!(both.send(0), [echo.clone(), echo.clone(), echo, safe(0, 3)]);
    both.stage.offer(1, "quiet");
    assert_eq!(both.send(0), []);
    assert_eq!(both.send_in_time(0), [safe(3, 1)]);
    assert_eq!(both.unsettled(), 0);
}

#[test]
fn what_was_said_at_a_gateway_that_says_nothing_of_it_is_to_be_sent_before() {
    let mut both = Both::beside_older(100);
    both.stage.offer(1, "elsewhere");
    // The client's next event is not safe before, others' are. But its share is its own again.
    both.stage.offer(1, "quiet");
    both.stage.offer(2, "quiet");
    assert_eq!(both.send_in_time(5), [done(0, 2), safe(2, 1)]);
    assert_eq!(both.unsettled(), 2);
    both.stage.runtime.on_writable(both.other);
    assert_eq!(both.send(usize::MAX), []);
    assert_eq!(both.send_in_time(usize::MAX), [safe(0, 2)]);
    assert_eq!(both.unsettled(), 0);
    // Of a handler that had waited since, too.
    both.stage.offer(3, "elsewhere 50");
    both.send(usize::MAX);
    both.stage.pass(Duration::from_millis(50));
    assert_eq!(both.send_in_time(0), [safe(3, 1)]);
}

#[test]
fn when_the_other_gateway_is_gone_nothing_is_waited_for() {
    let mut both = Both::beside_older(100);
    both.stage.offer(1, "elsewhere");
    assert_eq!(both.send_in_time(5), [done(0, 1)]);
    both.stage.runtime.on_end(both.other, io::ErrorKind::ConnectionReset.into());
    assert_eq!(both.send_in_time(0), [safe(0, 1)]);
    assert_eq!(both.unsettled(), 0);
}

/// A gateway that takes nothing costs others their windows no more than for a moment.
#[test]
fn what_waits_is_said_to_be_done_when_half_of_a_window_is_and_safe_when_it_is_too_much() {
    let mut both = Both::new(8);
    for client in 0..3 {
        both.stage.offer(client, "elsewhere");
        assert_eq!(both.send(0), []);
    }
    both.stage.offer(3, "elsewhere");
    assert_eq!(both.send(0), [done(0, 4)]);
    assert_eq!(both.unsettled(), 4);
    let max = 8 * UNSAFE_WINDOWS_MAX as u32;
    let mut told = Vec::new();
    for client in 4..max + 4 {
        both.stage.offer(client, "elsewhere");
        told.extend(both.send(0));
    }
    let (last, before) = told.split_last().unwrap();
    assert!(before.iter().all(|(cmd, _)| *cmd == Cmd::EventsDone), "{before:?}");
    assert_eq!(last, &safe(0, max + 4));
    assert_eq!((both.unsettled(), both.stage.runtime.status().counters.events_unproven), (0, max as u64 + 4));
}

#[test]
fn what_is_held_is_not_done_before_it_is_let_go_and_what_was_said_until_then_is_sent() {
    let mut both = Both::beside_older(100);
    both.stage.offer(1, "hold");
    both.stage.offer(1, "quiet");
    assert_eq!(both.send_in_time(0), [safe(1, 1)], "the next event does not wait");
    assert_eq!((both.unsettled(), both.stage.status()), (1, (0, 0)));
    both.stage.pass(Duration::from_millis(100));
    assert_eq!(both.send_in_time(0), [done(0, 1)], "what was spawned is not sent yet");
    both.stage.runtime.on_writable(both.other);
    both.send(usize::MAX);
    assert_eq!(both.send_in_time(0), [safe(0, 1)]);
    // A core that stops gives up what is held, and it is not done.
    both.stage.offer(1, "hold");
    both.stage.runtime.shared.core.borrow_mut().give_up_held();
    both.stage.pass(Duration::from_millis(200));
    both.stage.runtime.on_writable(both.other);
    assert_eq!((both.send_in_time(usize::MAX), both.unsettled()), (vec![], 0));
    // More than once, and beyond the end of its link.
    both.stage.offer(2, "keep");
    both.stage.runtime.on_end(both.stage.link, io::ErrorKind::ConnectionReset.into());
    assert_eq!(both.unsettled(), 0);
    both.app.holds.borrow_mut().clear();
    assert_eq!(both.send_in_time(usize::MAX), []);
}

#[test]
fn an_event_has_a_name_and_says_whether_it_is_a_repeat() {
    let mut both = Both::new(100);
    both.stage.offer(1, "a");
    let first = EventId::new(Run(7), 8, 9);
    let body = Repeat { id: first, deliveries: 2 }.encode();
    both.stage.say(Frame { body: &body, ..Frame::command(Cmd::Repeat) });
    both.stage.offer(1, "b");
    both.stage.offer(1, "c");
    let [a, c] = [0, 2].map(|number| EventId::new(RUN, 1, number));
    let told: Vec<_> = both.app.told.borrow_mut().drain(..).collect();
    assert_eq!(told, [("a".into(), a, false), ("b".into(), first, true), ("c".into(), c, false)]);
    assert_eq!(both.send_in_time(0), [safe(0, 3)], "REPEAT has no number");
}

#[test]
fn events_without_a_name_get_one_that_nobody_else_has() {
    let app = App::default();
    let mut stage = Stage::new(app.clone(), 100);
    (0..3).for_each(|client| stage.offer(client, "a"));
    let mut ids: Vec<_> = app.told.borrow().iter().map(|(_, id, _)| *id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

/// Its gateway gives them to others.
#[test]
fn what_has_not_begun_when_the_link_is_gone_does_not_begin() {
    let mut both = Both::new(100);
    both.stage.offer(1, "sleep 100");
    (0..3).for_each(|_| both.stage.offer(1, "quiet"));
    both.stage.offer(2, "sleep 100");
    assert_eq!((both.stage.status(), both.told().len()), ((2, 3), 2));
    both.stage.runtime.on_end(both.stage.link, io::ErrorKind::ConnectionReset.into());
    assert_eq!(both.stage.status(), (2, 0));
    both.stage.pass(Duration::from_millis(100));
    assert_eq!((both.stage.status(), both.told()), ((0, 0), vec![]));
    assert_eq!(both.stage.runtime.status().counters.events_returned, 3);
    assert_eq!(both.stage.runtime.status().counters.events_dropped, 0);
}

#[test]
fn what_has_no_time_at_a_stop_is_not_said_to_be_done() {
    let mut both = Both::new(100);
    both.stage.offer(1, "sleep 900");
    both.stage.offer(1, "quiet");
    both.stage.runtime.shared.core.borrow_mut().give_up_waiting();
    both.stage.offer(2, "quiet");
    assert_eq!(both.send_in_time(0), []);
    assert_eq!(both.stage.runtime.status().counters.events_returned, 2);
}

/// A handler that blocks its core for so long is not to run again and again.
/// Its link was lost while it stood still: others have what is in front of the end.
#[test]
fn a_core_that_stood_still_for_a_moment_reads_all_that_has_come_before_anything_begins() {
    let mut both = Both::new(100);
    let clock = Rc::clone(&both.stage.now);
    clock.set(clock.get() + Duration::from_secs(2));
    both.stage.offer(1, "first");
    assert_eq!(both.told(), [""; 0]);
    both.stage.runtime.on_end(both.stage.link, io::ErrorKind::ConnectionReset.into());
    both.stage.pass(Duration::ZERO);
    assert_eq!(both.told(), [""; 0], "they are others'");
    // What comes of a link that stands begins in the next turn.
    let other = both.other;
    clock.set(clock.get() + Duration::from_secs(2));
    let frame = Frame { gateway: OTHER, connection_id: 1, body: b"second", ..Frame::command(Cmd::OnMessage) };
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    both.stage.runtime.on_bytes(other, &bytes);
    both.stage.pass(Duration::ZERO);
    assert_eq!(both.told(), ["second"]);
}

#[test]
fn what_had_ended_when_the_core_stood_still_is_said() {
    let mut both = Both::new(100);
    both.stage.pass(Duration::from_millis(10));
    both.stage.offer(1, "echo");
    both.stage.now.set(both.stage.now.get() + STANDSTILL_MAX);
    both.stage.runtime.turn();
    assert_eq!(both.send(0), [(Cmd::SendToOne, vec![]), safe(0, 1)]);
    both.stage.offer(1, "quiet");
    both.stage.pass(Duration::from_secs(2));
    assert_eq!((both.send(0), both.told()), (vec![], vec!["echo".to_owned()]), "nothing is read nor said");
}

/// As after SIGSTOP: whatever its links still hold was given to others meanwhile.
#[test]
fn a_core_that_stood_still_for_long_begins_nothing_that_came_before() {
    for (time, is_over) in [(STANDSTILL_MAX - Duration::from_millis(1), false), (STANDSTILL_MAX, true)] {
        let mut both = Both::new(100);
        both.stage.pass(Duration::from_millis(10));
        both.stage.now.set(both.stage.now.get() + time);
        both.stage.offer(1, "quiet");
        both.stage.settle();
        assert_eq!(both.told().is_empty(), is_over);
        assert_eq!(both.stage.is_link_finished(), is_over);
        assert_eq!(both.stage.runtime.status().counters.standstills, u64::from(is_over));
    }
}

#[test]
fn who_wants_nothing_twice_asks_for_nothing_to_be_kept() {
    for at_most_once in [false, true] {
        let config = Config { at_most_once, ..Config::default() };
        let mut runtime = start(config, None, App::default());
        let register = connected(&mut runtime);
        let mut list = Vec::new();
        Broadcast { addresses: vec![GATEWAY.to_string()] }.encode(&mut list);
        runtime.on_bytes(register, &list);
        let link = connected(&mut runtime);
        let hello = runtime.unsent().of(link).to_vec();
        let (frame, _) = inner::decode(&hello, FRAME_SIZE_MAX).unwrap().unwrap();
        let connect = WorkerConnect::decode(frame.body).unwrap();
        assert_eq!((connect.acks, connect.window.is_some()), (!at_most_once, true));
    }
}
