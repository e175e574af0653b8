//! Gateways that keep to windows (WIRE.md §14): what they are granted, what they are told, and when.

use protocol::inner::ext::WorkerConnect;
use protocol::inner::{self, EventRange, FRAME_SIZE_MAX, Window};

use super::*;
use crate::config::{DONE_DELAY, GATEWAYS_EXPECTED};

/// Sleeps for as many ms as its message says, and then sends it back if it begins with `echo`, panics if with `panic`.
struct App;

impl Events for App {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let text = message.text().into_owned();
        let (what, ms) = text.split_once(' ').unwrap();
        if ms != "0" {
            time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
        }
        match what {
            "echo" => gateway.send_to_client(client.id(), message),
            "panic" => panic!("as it was told"),
            _ => {}
        }
    }
}

/// A stage whose gateway keeps to windows, of so many events.
fn windowed(events: usize) -> Stage {
    let mut stage = Stage::new(App, events * GATEWAYS_EXPECTED);
    stage.greet();
    stage
}

impl Stage {
    /// The gateway says that it keeps to windows.
    fn greet(&mut self) {
        let hello = Hello { windows: true, ..Hello::default() };
        self.say(Frame { body: &hello.encode(), ..Frame::command(Cmd::RingwayHello) });
        self.told();
    }

    /// What the core sends to the gateway now; `room`: how many bytes of it go out.
    fn send(&mut self, room: usize) -> Vec<u8> {
        let (mut dirty, mut sent) = (Vec::new(), Vec::new());
        self.runtime.take_dirty(&mut dirty);
        for conn in dirty {
            let bytes = self.runtime.unsent().of(conn).to_vec();
            let size = if conn == self.link { room.min(bytes.len()) } else { bytes.len() };
            if conn == self.link {
                sent.extend_from_slice(&bytes[..size]);
            }
            self.runtime.on_sent(conn, size);
        }
        sent
    }

    /// The gateway hears in one piece what the core has to say, but for pings.
    fn told(&mut self) -> Vec<(Cmd, Vec<EventRange>)> {
        frames(&self.send(usize::MAX))
    }

    /// The same when there is nothing behind which it would be said.
    fn told_in_time(&mut self) -> Vec<(Cmd, Vec<EventRange>)> {
        self.pass(DONE_DELAY);
        self.told()
    }
}

/// Which commands, and what they say to be done.
fn frames(mut bytes: &[u8]) -> Vec<(Cmd, Vec<EventRange>)> {
    let mut frames = Vec::new();
    while let Some((frame, size)) = inner::decode(bytes, FRAME_SIZE_MAX).unwrap() {
        let cmd = Cmd::from_u8(frame.cmd).unwrap();
        let done = if cmd == Cmd::EventsDone { EventRange::decode_all(frame.body).collect() } else { vec![] };
        if cmd != Cmd::RingwayPing {
            frames.push((cmd, done));
        }
        bytes = &bytes[size..];
    }
    assert_eq!(bytes, b"");
    frames
}

fn done(all: &[(u32, u32)]) -> (Cmd, Vec<EventRange>) {
    (Cmd::EventsDone, all.iter().map(|(first, count)| EventRange { first: *first, count: *count }).collect())
}

#[test]
fn a_gateway_is_granted_its_part_of_what_a_core_can_hold() {
    let bytes = u32::try_from(64 * 1024 * 1024 / GATEWAYS_EXPECTED).unwrap();
    for (max, events) in [(1, 4), (7 * GATEWAYS_EXPECTED, 7), (usize::MAX, u32::MAX)] {
        let mut stage = Stage::new(App, max);
        let hello = stage.send(usize::MAX);
        let (frame, _) = inner::decode(&hello, FRAME_SIZE_MAX).unwrap().unwrap();
        let connect = WorkerConnect::decode(frame.body).unwrap();
        assert_eq!(connect.window, Some(Window { events, bytes }));
    }
}

#[test]
fn done_is_said_behind_what_the_handler_said_in_the_same_write() {
    let mut stage = windowed(100);
    (0..3).for_each(|client| stage.offer(client, "echo 0"));
    let echo = (Cmd::SendToOne, vec![]);
    assert_eq!(stage.told(), [echo.clone(), echo.clone(), echo.clone(), done(&[(0, 3)])]);
    assert_eq!(stage.told(), []);
    stage.offer(1, "echo 2");
    assert_eq!(stage.told(), []);
    stage.pass(Duration::from_millis(2));
    assert_eq!(stage.told(), [echo, done(&[(3, 1)])]);
}

#[test]
fn done_is_said_alone_after_a_while() {
    let mut stage = windowed(100);
    for number in 0..3 {
        stage.offer(1, "quiet 0");
        stage.pass(DONE_DELAY - Duration::from_millis(1));
        assert_eq!(stage.told(), []);
        assert!(stage.runtime.next_at().unwrap() <= stage.now.get() + Duration::from_millis(1));
        stage.pass(Duration::from_millis(1));
        assert_eq!(stage.told(), [done(&[(number, 1)])]);
    }
}

#[test]
fn done_is_said_at_once_when_half_of_a_window_is() {
    let mut stage = windowed(8);
    (0..3).for_each(|client| stage.offer(client, "quiet 0"));
    assert_eq!(stage.told(), []);
    stage.offer(3, "quiet 0");
    assert_eq!(stage.told(), [done(&[(0, 4)])]);
    // Or of its bytes.
    let text = format!("{} 0", "x".repeat(64 * 1024 * 1024 / GATEWAYS_EXPECTED / 2));
    stage.offer(1, &text);
    assert_eq!(stage.told(), [done(&[(4, 1)])]);
}

/// Or who only sends, and is answered nothing, would have its share once in a while.
#[test]
fn done_is_said_at_once_when_it_is_half_of_what_one_client_may_have_in_flight() {
    let mut stage = windowed(1_000);
    (0..7).for_each(|_| stage.offer(1, "quiet 0"));
    assert_eq!(stage.told(), []);
    stage.offer(1, "quiet 0");
    assert_eq!(stage.told(), [done(&[(0, 8)])]);
}

#[test]
fn what_is_done_in_any_order_is_said_in_as_few_ranges_as_there_are() {
    let mut stage = windowed(100);
    let sleeps = [3, 1, 2, 1, 900, 1];
    (0..).zip(sleeps).for_each(|(client, ms)| stage.offer(client, &format!("quiet {ms}")));
    (0..3).for_each(|_| stage.pass(Duration::from_millis(1)));
    assert_eq!(stage.told_in_time(), [done(&[(0, 4), (5, 1)])]);
    stage.pass(Duration::from_millis(900));
    assert_eq!(stage.told_in_time(), [done(&[(4, 1)])]);
}

#[test]
fn an_event_that_has_failed_or_was_dropped_is_done() {
    let mut stage = windowed(100);
    stage.offer(1, "panic 0");
    assert_eq!(stage.told_in_time(), [done(&[(0, 1)])]);
    stage.offer(1, "panic 3");
    stage.pass(Duration::from_millis(3));
    assert_eq!(stage.told_in_time(), [done(&[(1, 1)])]);
    // A request that cannot be read.
    stage.say(Frame { gateway: GATEWAY, body: b"?", ..Frame::command(Cmd::OnWebsocketConnect) });
    assert_eq!(stage.told_in_time(), [done(&[(2, 1)])]);
    stage.offer(1, "quiet 900");
    stage.offer(1, "quiet 0");
    stage.runtime.shared.core.borrow_mut().give_up_waiting();
    assert_eq!(stage.told_in_time(), [done(&[(4, 1)])]);
    stage.offer(2, "quiet 0");
    assert_eq!(stage.told_in_time(), [done(&[(5, 1)])]);
    let counters = stage.runtime.status().counters;
    assert_eq!((counters.panics, counters.bad_requests, counters.events_dropped), (2, 1, 2));
}

#[test]
fn of_a_link_that_is_gone_nothing_is_said() {
    let mut stage = windowed(100);
    stage.offer(1, "quiet 5000");
    stage.offer(2, "quiet 0");
    stage.runtime.on_end(stage.link, io::ErrorKind::ConnectionReset.into());
    stage.pass(Duration::from_secs(2));
    stage.link = connected(&mut stage.runtime);
    stage.greet();
    stage.pass(Duration::from_secs(4));
    assert_eq!((stage.told_in_time(), stage.status()), (vec![], (0, 0)));
    // Its numbers are its own.
    stage.offer(1, "quiet 0");
    assert_eq!(stage.told_in_time(), [done(&[(0, 1)])]);
}

#[test]
fn numbers_begin_when_the_gateway_says_so() {
    let mut stage = Stage::new(App, 100 * GATEWAYS_EXPECTED);
    stage.offer(1, "quiet 3");
    stage.greet();
    stage.pass(Duration::from_millis(3));
    stage.offer(1, "quiet 0");
    assert_eq!(stage.told_in_time(), [done(&[(0, 1)])]);
}

#[test]
fn to_whom_has_no_window_nothing_is_said() {
    let mut stage = Stage::new(App, 10_000);
    stage.say(Frame { body: &Hello::default().encode(), ..Frame::command(Cmd::RingwayHello) });
    stage.send(usize::MAX);
    (0..100).for_each(|client| stage.offer(client, "quiet 0"));
    assert_eq!(stage.told_in_time(), []);
}

/// What was said is not said again and again while the gateway takes nothing.
#[test]
fn while_there_is_no_room_what_is_done_gathers() {
    let mut stage = windowed(4);
    stage.offer(1, "echo 0");
    let mut sent = stage.send(10);
    for number in 0..50 {
        stage.offer(number, "quiet 0");
        stage.pass(DONE_DELAY);
        assert_eq!(stage.send(10), b"");
    }
    stage.runtime.on_writable(stage.link);
    sent.extend(stage.send(usize::MAX));
    assert_eq!(frames(&sent), [(Cmd::SendToOne, vec![]), done(&[(0, 1)]), done(&[(1, 50)])]);
}

/// Only of one that sends more than it may, no more is read.
#[test]
fn a_gateway_that_keeps_to_its_window_is_read_whatever_waits() {
    let mut stage = windowed(5);
    stage.runtime.shared.core.borrow_mut().config.max_concurrent_events = 1;
    (0..5).for_each(|_| stage.offer(1, "quiet 9"));
    assert_eq!((stage.status(), stage.reading()), ((1, 4), None));
    stage.offer(1, "quiet 9");
    assert_eq!(stage.reading(), Some(false));
    (0..6).for_each(|_| stage.pass(Duration::from_millis(9)));
    stage.told_in_time();
    assert_eq!((stage.status(), stage.reading()), ((0, 0), Some(true)));
}

/// The core's own shard has a link in memory, which holds little.
#[test]
fn the_gateway_in_its_own_thread_is_granted_no_window() {
    let mut runtime = start(Config::default(), Some(GATEWAY), App);
    let link = connected(&mut runtime);
    let hello = runtime.unsent().of(link).to_vec();
    let (frame, _) = inner::decode(&hello, FRAME_SIZE_MAX).unwrap().unwrap();
    let connect = WorkerConnect::decode(frame.body).unwrap();
    assert_eq!((connect.window, connect.acks), (None, false));
}
