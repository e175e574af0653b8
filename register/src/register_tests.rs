#[path = "register_proof_tests.rs"]
mod proof;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use proptest::prelude::*;
use protocol::register::BAD_REQUEST;

use super::*;
use crate::config::{INTRODUCTION_TIMEOUT, STRANGERS_MAX, WRITE_TIMEOUT};

const PING: &str = "{\"event\":\"ping\"}\n";
const RINGWAY_PING: &str = "{\"event\":\"ping\",\"ringway\":1}\n";
const WORKER: &str = "{\"event\":\"worker_connect\"}\n";
const WRONG_KEY: &str = "{\"event\":\"worker_connect\",\"secret_key\":\"wrong\"}\n";

fn gateway(address: &str) -> String {
    format!("{{\"event\":\"gateway_connect\",\"address\":\"{address}\"}}\n")
}

fn list(addresses: &[&str]) -> String {
    let quoted: Vec<_> = addresses.iter().map(|address| format!("{address:?}")).collect();
    format!("{{\"event\":\"broadcast_addresses\",\"addresses\":[{}]}}\n", quoted.join(","))
}

fn pong() -> String {
    String::from_utf8(PONG.to_vec()).unwrap()
}

/// Sockets that are made up.
#[derive(Default)]
struct Sockets {
    heard: HashMap<SocketId, String>,
    paused: HashSet<SocketId>,
    closed: HashSet<SocketId>,
    /// Sockets that have room for so many bytes and no more; all others for any.
    room: HashMap<SocketId, usize>,
}

impl Sink for Sockets {
    type Error = Infallible;

    fn act(&mut self, action: Action) {
        match action {
            Action::Pause(socket) => assert!(self.paused.insert(socket)),
            Action::Resume(socket) => assert!(self.paused.remove(&socket)),
            Action::Close(socket) => assert!(self.closed.insert(socket), "closed once"),
        }
    }

    fn send(&mut self, sends: &[(SocketId, IoSlice<'_>)], sent: &mut Vec<usize>) -> Result<(), Infallible> {
        for (socket, bytes) in sends {
            assert!(!self.closed.contains(socket) && !bytes.is_empty());
            let room = self.room.get_mut(socket);
            let size = room.as_ref().map_or(bytes.len(), |room| bytes.len().min(**room));
            room.into_iter().for_each(|room| *room -= size);
            let heard = self.heard.entry(*socket).or_default();
            heard.push_str(std::str::from_utf8(&bytes[..size]).unwrap());
            sent.push(size);
        }
        Ok(())
    }
}

/// A register, its sockets and its clock.
struct World {
    register: Register,
    sockets: Sockets,
    now: u64,
    count: u32,
}

impl World {
    fn new() -> World {
        World::with(&Config::default())
    }

    fn with(config: &Config) -> World {
        let register = Register::new(config);
        World { register, sockets: Sockets::default(), now: 0, count: 0 }
    }

    fn turn(&mut self) {
        loop {
            let Ok(()) = self.register.turn(self.now, &mut self.sockets);
            if self.register.deadline() > self.now {
                return;
            }
        }
    }

    fn accept(&mut self) -> SocketId {
        self.count += 1;
        let socket = SocketId::new(self.count, 0);
        self.register.on_accepted(self.now, socket, SocketAddr::from(([10, 0, 0, 1], 5000)));
        self.turn();
        socket
    }

    fn say(&mut self, socket: SocketId, bytes: &str) {
        self.register.on_bytes(self.now, socket, bytes.as_bytes());
        self.turn();
    }

    fn saying(&mut self, bytes: &str) -> SocketId {
        let socket = self.accept();
        self.say(socket, bytes);
        socket
    }

    /// The time comes to which the register wants to be woken last before `until`.
    fn pass(&mut self, until: u64) {
        while self.register.deadline() <= until {
            self.now = self.register.deadline();
            self.turn();
        }
        self.now = until;
    }

    fn make_room(&mut self, socket: SocketId, room: usize) {
        self.sockets.room.insert(socket, room);
        self.register.on_writable(socket);
        self.turn();
    }

    /// What the peer has heard since it was last asked.
    fn hears(&mut self, socket: SocketId) -> String {
        self.sockets.heard.remove(&socket).unwrap_or_default()
    }

    fn is_closed(&self, socket: SocketId) -> bool {
        self.sockets.closed.contains(&socket)
    }

    fn counters(&self) -> Counters {
        self.register.status().counters
    }
}

#[test]
fn all_that_changes_in_one_turn_is_one_list() {
    let mut world = World::new();
    let worker = world.saying(WORKER);
    assert_eq!(world.hears(worker), list(&[]));
    let gateways = [(); 3].map(|()| world.accept());
    for (socket, address) in gateways.into_iter().zip(["a:1", "b:1", "c:1"]) {
        world.register.on_bytes(world.now, socket, gateway(address).as_bytes());
    }
    world.turn();
    assert_eq!(world.hears(worker), list(&["a:1", "b:1", "c:1"]));
    assert_eq!(world.counters().lists, 2);
}

#[test]
fn each_question_of_one_worker_has_an_answer_in_order() {
    let mut world = World::new();
    let worker = world.saying(&[WORKER, RINGWAY_PING, WORKER, PING, RINGWAY_PING].concat());
    assert_eq!(world.hears(worker), [list(&[]), pong(), list(&[]), pong()].concat());
    assert_eq!(world.counters().requests, 5);
}

#[test]
fn an_idle_register_sleeps_until_somebody_pings() {
    let mut world = World::new();
    assert_eq!(world.register.deadline(), NEVER);
    world.saying(&gateway("php:1"));
    let worker = world.saying(WORKER);
    assert_eq!(world.register.deadline(), NEVER, "both have said what they are, and PHP's are not watched");
    world.say(worker, RINGWAY_PING);
    assert_eq!(world.register.deadline(), LOOK_PERIOD_MS);
    world.register.on_failed(worker);
    world.turn();
    world.pass(LOOK_PERIOD_MS);
    assert_eq!(world.register.deadline(), NEVER);
}

#[test]
fn who_does_not_say_in_time_what_it_is_goes_and_pings_do_not_count() {
    let mut world = World::new();
    let timeout = INTRODUCTION_TIMEOUT.as_millis() as u64;
    let [silent, pinging] = [world.accept(), world.saying(PING)];
    world.now = 1_000;
    let [half, known] = [world.saying("{\"event\":"), world.saying(WORKER)];
    world.pass(timeout - 1);
    assert!(world.sockets.closed.is_empty());
    world.pass(timeout);
    assert_eq!(world.sockets.closed, HashSet::from([silent, pinging]));
    world.pass(timeout * 10);
    assert_eq!(world.sockets.closed, HashSet::from([silent, pinging, half]));
    assert_eq!((world.counters().refused_silent, world.hears(known)), (3, list(&[])));
    assert_eq!([world.hears(silent), world.hears(half)], ["", ""]);
}

#[test]
fn a_gateway_that_pinged_and_is_silent_is_off_the_list_and_one_that_did_not_is_not() {
    let mut world = World::new();
    let worker = world.saying(WORKER);
    let php = world.saying(&gateway("php:1"));
    let dead = world.saying(&[&gateway("dead:1"), RINGWAY_PING].concat());
    let alive = world.saying(&[&gateway("alive:1"), RINGWAY_PING].concat());
    world.hears(worker);
    for second in 1..60 {
        world.pass(second * 1_000 + 500);
        world.say(alive, RINGWAY_PING);
        assert_eq!(world.is_closed(dead), second > 8, "after {second} s");
    }
    assert_eq!(world.hears(worker), list(&["php:1", "alive:1"]));
    assert_eq!((world.counters().dead, world.is_closed(php), world.is_closed(alive)), (1, false, false));
}

/// Nothing is read from it but what fits, however much it says: its answers are few and its lines wait in its own kernel.
#[test]
fn who_asks_and_does_not_read_is_not_read() {
    let mut world = World::new();
    let asker = world.accept();
    world.sockets.room.insert(asker, 10);
    world.say(asker, &RINGWAY_PING.repeat(30));
    assert_eq!(world.hears(asker), pong()[..10]);
    assert!(world.sockets.paused.contains(&asker));
    assert_eq!(world.counters().requests, 1);
    world.make_room(asker, 50);
    assert_eq!(world.hears(asker), pong().repeat(31)[10..60]);
    assert!(world.sockets.paused.contains(&asker));
    world.make_room(asker, usize::MAX);
    assert_eq!(world.hears(asker), pong().repeat(30)[60..]);
    assert!(world.sockets.paused.is_empty());
}

#[test]
fn a_worker_that_takes_nothing_goes_and_one_that_is_slow_gets_the_newest_list() {
    let mut world = World::new();
    let [stuck, slow] = [world.accept(), world.accept()];
    for worker in [stuck, slow] {
        world.sockets.room.insert(worker, 10);
        world.say(worker, WORKER);
    }
    let timeout = WRITE_TIMEOUT.as_millis() as u64;
    for (second, address) in (1_u64..).zip(["a:1", "b:1", "c:1", "d:1"]) {
        world.pass(second * timeout / 2 - 1);
        world.saying(&gateway(address));
        world.make_room(slow, 1);
    }
    assert!(world.is_closed(stuck) && !world.is_closed(slow));
    world.make_room(slow, usize::MAX);
    assert_eq!(world.hears(slow), [list(&[]), list(&["a:1", "b:1", "c:1", "d:1"])].concat());
    assert_eq!(world.hears(stuck), list(&[])[..10]);
    world.pass(world.now + LOOK_PERIOD_MS);
    assert_eq!(world.register.deadline(), NEVER, "nobody waits for room any more");
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let mut world = World::new();
    let asker = world.accept();
    world.sockets.room.insert(asker, 10);
    world.register.on_bytes(0, asker, [WORKER, RINGWAY_PING].concat().as_bytes());
    world.register.on_end_of_stream(0, asker);
    world.turn();
    assert!(!world.is_closed(asker));
    world.make_room(asker, usize::MAX);
    assert_eq!(world.hears(asker), [list(&[]), pong()].concat());
    assert!(world.is_closed(asker));
}

#[test]
fn only_what_is_no_request_is_told_so_before_the_close() {
    let mut world = World::new();
    let long = "x".repeat(REQUEST_SIZE_MAX + 1);
    let refused = ["GET / HTTP/1.1\r\n", WRONG_KEY, "{\"event\":\"shout\"}\n", &gateway(""), &long];
    let sockets = refused.map(|line| world.saying(&[line, RINGWAY_PING].concat()));
    assert!(sockets.iter().all(|socket| world.is_closed(*socket)));
    let heard = sockets.map(|socket| world.hears(socket));
    assert_eq!(heard, [std::str::from_utf8(BAD_REQUEST).unwrap(), "", "", "", ""]);
    let expected = Counters {
        accepted: 5,
        refused_not_a_request: 1,
        refused_wrong_key: 1,
        refused_unknown_event: 1,
        refused_bad_address: 1,
        refused_too_long: 1,
        ..Counters::default()
    };
    assert_eq!(world.counters(), expected);
}

#[test]
fn a_line_may_be_as_long_as_a_request_and_no_longer() {
    let mut world = World::new();
    for (more, counted) in [(0, 0), (1, 1)] {
        let spaces = " ".repeat(REQUEST_SIZE_MAX + more - (PING.len() - 1));
        world.saying(&format!("{spaces}{PING}"));
        assert_eq!(world.counters().refused_too_long, counted);
    }
}

#[test]
fn newcomers_get_in_past_a_flood_of_strangers() {
    let mut world = World::new();
    let flood: Vec<_> = (0..STRANGERS_MAX).map(|_| world.saying(PING)).collect();
    for stranger in flood.iter().take(10) {
        assert!(!world.is_closed(*stranger));
        let worker = world.accept();
        assert!(world.is_closed(*stranger), "the oldest goes");
        world.say(worker, WORKER);
        assert_eq!(world.hears(worker), list(&[]));
        world.accept();
    }
    assert_eq!((world.counters().refused_crowded, world.counters().refused_full), (10, 0));
}

#[test]
fn as_many_as_there_may_be_and_one_more() {
    let mut world = World::new();
    let all: Vec<_> = (0..CONNECTIONS_MAX).map(|_| world.saying(WORKER)).collect();
    let more = world.accept();
    assert!(world.is_closed(more) && !all.iter().any(|worker| world.is_closed(*worker)));
    world.register.on_accept_failed(&io::ErrorKind::QuotaExceeded.into());
    world.register.on_accept_failed(&io::Error::from_raw_os_error(24));
    assert_eq!((world.counters().refused_full, world.counters().accepted), (2, CONNECTIONS_MAX as u64));
    world.register.on_failed(all[0]);
    let other = world.saying(WORKER);
    assert_eq!(world.hears(other), list(&[]));
}

#[test]
fn stopped_it_closes_all_and_who_still_comes() {
    let mut world = World::new();
    let known = [world.saying(WORKER), world.saying(&gateway("a:1")), world.accept()];
    world.hears(known[0]);
    world.register.stop();
    let late = world.accept();
    world.register.stop();
    world.turn();
    assert!(known.into_iter().chain([late]).all(|socket| world.is_closed(socket)));
    assert_eq!(world.hears(known[0]), "", "the end is no news");
    assert_eq!((world.register.status().connections, world.register.deadline()), (0, NEVER));
}

/// Lines of a peer, most of them requests.
#[test]
fn processes_that_tell_of_themselves_are_where_their_connections_come_from() {
    let mut world = World::new();
    let telling =
        |event: &str, admin: &str| format!("{{\"event\":{event:?},\"address\":\"10.0.0.9:2900\"{admin}}}\n");
    // Two shards of one process; a worker; one that tells nothing; one that does not get in.
    let shards = [0, 1].map(|_| world.saying(&telling("gateway_connect", ",\"admin\":9501")));
    let worker = world.saying(&telling("worker_connect", ",\"admin\":9502"));
    world.saying(WORKER);
    world.saying(&telling("worker_connect", ",\"admin\":9503,\"secret_key\":\"wrong\""));
    let members = |world: &World| {
        let members = world.register.members();
        members.into_iter().map(|(address, program)| format!("{program} {address}")).collect::<Vec<_>>()
    };
    assert_eq!(members(&world), ["gateway 10.0.0.1:9501", "worker 10.0.0.1:9502"]);
    world.register.on_failed(shards[0]);
    assert_eq!(members(&world).len(), 2);
    world.register.on_failed(shards[1]);
    // The last word counts.
    world.say(worker, WORKER);
    assert!(members(&world).is_empty());
}

fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => Just(WORKER.to_owned()),
        4 => Just(RINGWAY_PING.to_owned()),
        2 => Just(PING.to_owned()),
        2 => Just(gateway("a:1")),
        1 => Just("nonsense\n".to_owned()),
        1 => Just(WRONG_KEY.to_owned()),
        1 => "[ -~\n]{0,60}".prop_map(|text| text),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn pieces_and_room_change_nothing(
        input in lines(),
        sizes in prop::collection::vec(1..40_usize, 1..8),
        rooms in prop::collection::vec(1..90_usize, 1..8),
    ) {
        let outcome = |sizes: &[usize], rooms: Option<&[usize]>| {
            let mut world = World::new();
            let peer = world.accept();
            world.sockets.room.extend(rooms.map(|_| (peer, 0)));
            let (mut rest, mut sizes) = (input.as_str(), sizes.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                world.say(peer, now);
                rest = later;
            }
            for room in rooms.into_iter().flatten().cycle().take(input.len() * 4) {
                world.make_room(peer, *room);
            }
            let Status { connections, gateways, workers, counters } = world.register.status();
            (world.hears(peer), world.is_closed(peer), connections, gateways, workers, counters)
        };
        let whole = outcome(&[usize::MAX], None);
        prop_assert_eq!(&outcome(&[1], None), &whole);
        prop_assert_eq!(&outcome(&sizes, None), &whole);
        let (heard, is_closed, ..) = outcome(&sizes, Some(&rooms));
        prop_assert_eq!(is_closed, whole.1);
        // A farewell that finds no room is not waited for.
        let kept = if whole.1 { whole.0.strip_suffix("Bad request for Register service.\n").unwrap_or(&whole.0) } else { &whole.0 };
        prop_assert!(heard.starts_with(kept), "{:?} of {:?}", heard, whole.0);
    }
}
