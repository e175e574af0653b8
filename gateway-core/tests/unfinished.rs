//! Messages that do not come to an end: what is held of them has a bound, in bytes and in time.

mod world;

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use gateway_core::{Listen, ListenProtocol, Settings};
use protocol::client::websocket::client as websocket;
use protocol::client::{Codec, Decoded, Kind, Limits, Protocol};
use protocol::inner::Cmd;
use world::{World, listen};

const PACKAGE_SIZE_MAX: usize = 1_000_000;

fn settings() -> Settings {
    let mut listen = listen(&["websocket://127.0.0.1:1", "text://127.0.0.1:2", "frame://127.0.0.1:3"]);
    let custom = ListenProtocol::Custom(Arc::new(Hoarder));
    listen.push(Listen { protocol: custom, ..listen[1].clone() });
    Settings {
        listen,
        max_package_size: PACKAGE_SIZE_MAX,
        max_unfinished_size: Some(4 * PACKAGE_SIZE_MAX),
        ..Settings::default()
    }
}

/// A protocol of the user's own whose codec takes everything over and never makes a message of it.
struct Hoarder;

#[derive(Default)]
struct Hoard(Vec<u8>);

impl Codec for Hoard {
    fn decode<'a>(&'a mut self, _: &Limits, input: &'a mut [u8], _: &mut Vec<u8>) -> Decoded<'a> {
        self.0.extend_from_slice(input);
        Decoded::NeedMore { consumed: input.len() }
    }

    fn kept_size(&self) -> usize {
        self.0.len()
    }
}

impl Protocol for Hoarder {
    fn codec(&self) -> Box<dyn Codec> {
        Box::new(Hoard::default())
    }

    fn encode(&self, body: &[u8], _: Kind, out: &mut Vec<u8>) {
        out.extend_from_slice(body);
    }
}

/// A client of a listener that is ready to send messages.
fn client(world: &mut World, listener: u8) -> usize {
    let client = world.client(listener);
    if listener == 0 {
        let mut request = Vec::new();
        websocket::encode_request("host", "/", [1; 16], &mut request);
        world.say(client, &request);
        world.take(client);
    }
    client
}

/// The beginning of a message of nearly the largest size: `size` bytes of it.
fn beginning(listener: u8, size: usize) -> Vec<u8> {
    let mut whole = Vec::new();
    match listener {
        0 => websocket::encode_frame(
            websocket::TEXT,
            &[b'x'; PACKAGE_SIZE_MAX - 100],
            [1, 2, 3, 4],
            &mut whole,
        ),
        2 => {
            whole.extend_from_slice(&(PACKAGE_SIZE_MAX as u32).to_be_bytes());
            whole.resize(PACKAGE_SIZE_MAX, b'x');
        }
        _ => whole.resize(PACKAGE_SIZE_MAX - 1, b'x'),
    }
    whole.truncate(size);
    whole
}

/// Whether a client has been closed, and with the word for that if its protocol has one.
fn is_told_and_closed(world: &mut World, client: usize, listener: u8) -> bool {
    let told = world.take(client);
    let gone = world.peers[client].closed || !told.is_empty();
    if gone && listener == 0 {
        assert_eq!(told, [0x88, 2, 0x03, 0xf0], "close frame 1008");
    }
    gone
}

#[test]
fn the_largest_go_first_once_all_together_hold_too_much() {
    for listener in 0..4 {
        let mut world = World::new(settings());
        world.worker("w");
        let clients: Vec<usize> = (0..20).map(|_| client(&mut world, listener)).collect();
        for (index, client) in clients.iter().enumerate() {
            // 4,010,000 bytes by the twentieth.
            world.say(*client, &beginning(listener, 105_500 + 10_000 * index));
        }
        let gone: Vec<bool> =
            clients.iter().map(|client| is_told_and_closed(&mut world, *client, listener)).collect();
        let expected: Vec<bool> = (0..20).map(|index| index >= 18).collect();
        assert_eq!(gone, expected, "listener {listener}");
        assert_eq!(world.shard.counters().clients_closed_unfinished_size, 2);
        // The others are heard out.
        if listener == 1 {
            world.say(clients[0], b"\n");
            assert_eq!(world.shard.counters().messages_in, 1);
        }
    }
}

#[test]
fn fragments_count_as_one_message() {
    let mut world = World::new(settings());
    world.worker("w");
    let clients: Vec<usize> = (0..6).map(|_| client(&mut world, 0)).collect();
    for client in &clients {
        let mut fragment = Vec::new();
        websocket::encode_frame(websocket::TEXT, &[b'x'; 450_000], [1, 2, 3, 4], &mut fragment);
        // Without FIN.
        fragment[0] &= 0x7f;
        world.say(*client, &fragment);
        fragment[0] = 0;
        world.say(*client, &fragment);
    }
    assert_eq!(world.shard.counters().clients_closed_unfinished_size, 2);
}

#[test]
fn one_message_of_the_largest_size_always_has_room() {
    let mut world = World::new(Settings { max_unfinished_size: Some(1), count: 8, ..settings() });
    let worker = world.worker("w");
    let client = client(&mut world, 1);
    world.say(client, &beginning(1, PACKAGE_SIZE_MAX - 1));
    world.say(client, b"\n");
    let told = world.take_frames(worker);
    assert_eq!(
        (told.last().map(|frame| frame.0), told.last().map(|frame| frame.3.len())),
        (Some(Cmd::OnMessage), Some(PACKAGE_SIZE_MAX - 1))
    );
}

#[test]
fn what_comes_to_an_end_or_goes_counts_no_more() {
    let mut world = World::new(settings());
    world.worker("w");
    for round in 0..50 {
        let (finishing, leaving) = (client(&mut world, 1), client(&mut world, 1));
        world.say(finishing, &beginning(1, 900_000));
        world.say(finishing, b"\nand more");
        world.say(leaving, &beginning(1, 900_000));
        if round % 2 == 0 { world.reset(leaving) } else { world.end(leaving) }
    }
    assert_eq!(world.shard.counters().clients_closed_unfinished_size, 0);
}

#[test]
fn a_message_that_takes_too_long_ends_its_client() {
    for listener in 0..4 {
        let mut world = World::new(settings());
        world.worker("w");
        let (stopped, trickling, silent) =
            (client(&mut world, listener), client(&mut world, listener), client(&mut world, listener));
        world.say(stopped, &beginning(listener, 1_000));
        world.say(trickling, &beginning(listener, 1_000));
        for _ in 0..118 {
            world.pass(1_000);
            world.say(trickling, b"x");
        }
        for client in [stopped, trickling] {
            assert!(!is_told_and_closed(&mut world, client, listener));
        }
        world.pass(4_000);
        for client in [stopped, trickling] {
            assert!(is_told_and_closed(&mut world, client, listener), "listener {listener}");
        }
        assert!(!is_told_and_closed(&mut world, silent, listener));
        assert_eq!(world.shard.counters().clients_closed_unfinished_time, 2);
    }
}

#[test]
fn who_always_has_a_message_under_way_is_not_taken_for_one_that_stopped() {
    let mut world = World::new(settings());
    world.worker("w");
    let client = client(&mut world, 1);
    world.say(client, b"the beginning of");
    for _ in 0..300 {
        world.pass(1_000);
        world.say(client, b" one message\nthe beginning of");
    }
    assert_eq!(world.shard.counters().clients_closed_unfinished_time, 0);
}

#[test]
fn time_in_which_a_client_is_not_read_does_not_count() {
    let mut world = World::new(Settings { no_worker_wait: Duration::from_secs(10_000), ..settings() });
    let worker = world.worker("w");
    let client = client(&mut world, 1);
    world.say(client, b"the beginning");
    world.reset(worker);
    world.say(client, b" and more");
    assert!(world.peers[client].paused);
    world.pass(500_000);
    world.worker("w");
    world.pass(60_000);
    world.say(client, b" and the end\n");
    assert_eq!(world.shard.counters().messages_in, 1);
}

#[test]
fn without_a_timeout_a_message_may_take_for_ever() {
    let mut world = World::new(Settings { unfinished_timeout: Duration::ZERO, ..settings() });
    world.worker("w");
    let client = client(&mut world, 1);
    world.say(client, b"the beginning");
    world.pass(1_000_000);
    assert!(!world.peers[client].closed);
}

#[test]
fn the_buffer_of_a_large_message_is_not_kept_for_the_next() {
    let mut world = World::new(settings());
    let worker = world.worker("w");
    let client = client(&mut world, 1);
    let mut bytes = beginning(1, 900_000);
    bytes.extend_from_slice(b"\nnext");
    let held = measure(|| {
        world.say(client, &bytes[..500_000]);
        world.say(client, &bytes[500_000..]);
        world.peers[client].inbox.shrink_to_fit();
        world.peers[worker].received = Vec::new();
    });
    assert!(held.bytes_current < 300_000, "{held:?}");
}
