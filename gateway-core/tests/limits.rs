//! Limits of clients: how many may come, how fast they may come and speak, how long they may go without a uid.

mod world;

use std::net::IpAddr;
use std::time::Duration;

use gateway_core::config::REFUSALS_TOLD;
use gateway_core::{
    Admission, ClientCounts, ClientInfo, ClientLimits, ForwardedHeader, Hooks, HooksFactory, OverLimit,
    Settings,
};
use protocol::inner::{Cmd, Frame};
use world::{World, frame_bytes, listen, to_client};

const PROXY: &str = "10.0.0.7:40000";

/// A masked close frame of a client has its code behind the mask; ours, at the end of what it got, has it in clear.
fn close_code(bytes: &[u8]) -> Option<u16> {
    let [.., 0x88, 2, high, low] = bytes else { return None };
    Some(u16::from_be_bytes([*high, *low]))
}

fn world(listeners: &[&str], limits: ClientLimits) -> (World, ClientCounts) {
    let counts = ClientCounts::new(&limits);
    let settings = Settings {
        listen: listen(listeners),
        client_limits: limits,
        client_counts: Some(counts.clone()),
        trusted_proxies: "10.0.0.7".parse().expect("a network"),
        ..Settings::default()
    };
    (World::new(settings), counts)
}

fn request(headers: &str) -> Vec<u8> {
    let fixed = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    format!("GET / HTTP/1.1\r\n{fixed}\r\n{headers}\r\n").into_bytes()
}

fn status(world: &mut World, peer: usize) -> String {
    let got = String::from_utf8(world.take(peer)).expect("HTTP");
    let line = got.lines().next().unwrap_or_default().to_owned();
    format!("{line}{}", if got.contains("\r\nRetry-After: 5\r\n") { ", later" } else { "" })
}

/// What is to hold at any time: everybody who is there is counted once.
fn assert_counted(world: &World, counts: &ClientCounts, ips: &[&str]) {
    let of_addresses: usize =
        ips.iter().map(|ip| counts.clients_of(ip.parse::<IpAddr>().expect("an address"))).sum();
    assert_eq!((counts.clients(), of_addresses), (world.shard.client_count(), world.shard.client_count()));
}

#[test]
fn one_too_many_is_closed_and_comes_in_when_another_has_gone() {
    let limits = ClientLimits { clients_max: Some(2), ..ClientLimits::default() };
    let (mut world, counts) = world(&["text://127.0.0.1:1"], limits);
    world.worker("w");
    let (first, _second, third) = (world.client(0), world.client(0), world.client(0));
    assert_eq!((world.peers[third].closed, world.shard.client_count(), counts.clients()), (true, 2, 2));
    world.end(first);
    world.pass(3_000);
    let fourth = world.client(0);
    assert!(!world.peers[fourth].closed);
    assert_eq!((world.shard.counters().refused_max_clients, counts.clients()), (1, 2));
}

#[test]
fn shards_of_a_process_count_together_and_each_for_itself() {
    let limits = ClientLimits { clients_max: Some(3), shard_clients_max: Some(2), ..ClientLimits::default() };
    let counts = ClientCounts::new(&limits);
    let shard = || {
        World::new(Settings {
            listen: listen(&["text://127.0.0.1:1"]),
            client_limits: limits,
            client_counts: Some(counts.clone()),
            ..Settings::default()
        })
    };
    let (mut one, mut other) = (shard(), shard());
    for _ in 0..3 {
        one.client(0);
        other.client(0);
    }
    assert_eq!((one.shard.client_count(), other.shard.client_count(), counts.clients()), (2, 1, 3));
    let (one, other) = (one.shard.counters(), other.shard.counters());
    assert_eq!((one.refused_max_clients_per_shard, one.refused_max_clients), (1, 0));
    assert_eq!((other.refused_max_clients_per_shard, other.refused_max_clients), (0, 2));
}

#[test]
fn an_address_has_so_many_whatever_its_last_64_bits() {
    let limits = ClientLimits { address_clients_max: Some(2), ..ClientLimits::default() };
    let (mut world, counts) = world(&["text://127.0.0.1:1"], limits);
    world.worker("w");
    let mut come = |address: &str| {
        let peer = world.client_from(0, address);
        !world.peers[peer].closed
    };
    assert_eq!(["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"].map(&mut come), [true, true, false]);
    assert_eq!(["192.0.2.1:1", "[::ffff:192.0.2.1]:1", "192.0.2.1:2"].map(&mut come), [true, true, false]);
    assert_eq!(["[2001:db8:0:1::1]:1", "192.0.2.2:1"].map(&mut come), [true, true]);
    assert_counted(&world, &counts, &["2001:db8::", "192.0.2.1", "2001:db8:0:1::", "192.0.2.2"]);
    assert_eq!(world.shard.counters().refused_max_clients_per_address, 2);
}

#[test]
fn requests_and_fragments_that_are_too_many_are_counted_by_cause() {
    let settings = Settings {
        listen: listen(&["websocket://127.0.0.1:1"]),
        max_header_size: 256,
        max_fragments: Some(2),
        ..Settings::default()
    };
    let mut world = World::new(settings);
    world.worker("w");
    let (large, small) = (world.client(0), world.client(0));
    world.say(large, &request(&format!("X-Long: {}\r\n", "x".repeat(256))));
    assert_eq!(status(&mut world, large), "HTTP/1.1 431 Request Header Fields Too Large");
    world.say(small, &request(""));
    world.take(small);
    // Empty ones of a message without end, masked by nothing.
    world.say(small, b"\x01\x80\0\0\0\0\x00\x80\0\0\0\0");
    assert_eq!(world.take(small), b"");
    world.say(small, b"\x00\x80\0\0\0\0");
    assert_eq!(close_code(&world.take(small)), Some(1008));
    let counters = world.shard.counters();
    assert_eq!((counters.clients_closed_header_size, counters.clients_closed_fragments), (1, 1));
    assert_eq!(counters.clients_malformed, 0);
}

#[test]
fn handshakes_of_an_address_come_at_their_rate() {
    let limits =
        ClientLimits { address_handshakes: Some("2:5".parse().expect("a rate")), ..ClientLimits::default() };
    let (mut world, counts) = world(&["text://127.0.0.1:1"], limits);
    world.worker("w");
    let come = |world: &mut World| {
        let peer = world.client_from(0, "192.0.2.1:1");
        let came = !world.peers[peer].closed;
        world.reset(peer);
        came
    };
    assert_eq!((0..20).filter(|_| come(&mut world)).count(), 5);
    world.pass(1_000);
    assert_eq!((0..20).filter(|_| come(&mut world)).count(), 2);
    let other = world.client_from(0, "192.0.2.2:1");
    assert!(!world.peers[other].closed);
    assert_eq!(world.shard.counters().refused_handshakes_per_address, 15 + 18);
    assert_counted(&world, &counts, &["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn websockets_are_told_to_come_later_and_why() {
    for (limits, expected) in [
        (
            ClientLimits { clients_max: Some(1), ..ClientLimits::default() },
            "HTTP/1.1 503 Service Unavailable, later",
        ),
        (
            ClientLimits { address_clients_max: Some(1), ..ClientLimits::default() },
            "HTTP/1.1 429 Too Many Requests, later",
        ),
    ] {
        let (mut world, counts) = world(&["websocket://127.0.0.1:1"], limits);
        let worker = world.worker("w");
        let first = world.client(0);
        world.say(first, &request(""));
        assert!(status(&mut world, first).starts_with("HTTP/1.1 101 "));
        world.take(worker);
        let second = world.client(0);
        world.say(second, &request(""));
        assert_eq!(status(&mut world, second), expected);
        assert!(world.peers[second].shut && !world.peers[second].closed);
        world.end(second);
        assert!(world.peers[second].closed);
        assert_eq!((world.take_frames(worker), counts.clients()), (vec![], 1));
        // Who asks nothing is not waited for.
        let third = world.client(0);
        world.pass(2_100);
        assert!(world.peers[third].closed);
    }
}

#[test]
fn a_flood_of_websockets_is_closed_without_a_word() {
    let limits = ClientLimits { clients_max: Some(1), ..ClientLimits::default() };
    let (mut world, _) = world(&["websocket://127.0.0.1:1", "text://127.0.0.1:2"], limits);
    world.client(1);
    let come: Vec<usize> = (0..1_000).map(|_| world.client(0)).collect();
    let open = come.iter().filter(|peer| !world.peers[**peer].closed).count();
    assert_eq!(open, REFUSALS_TOLD.burst as usize);
    let text = world.client(1);
    assert!(world.peers[text].closed, "no text client is told anything");
}

#[test]
fn behind_a_proxy_the_address_counts_that_it_says() {
    let limits = ClientLimits { address_clients_max: Some(1), ..ClientLimits::default() };
    let counts = ClientCounts::new(&limits);
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        client_limits: limits,
        client_counts: Some(counts.clone()),
        trusted_proxies: "10.0.0.0/8".parse().expect("a network"),
        proxy_protocol: true,
        ..Settings::default()
    });
    world.worker("w");
    let mut come = |source: &str| {
        let peer = world.client_from(0, PROXY);
        world.say(peer, format!("PROXY {source} 1 443\r\n").as_bytes());
        !world.peers[peer].closed
    };
    let came =
        ["TCP4 192.0.2.1 10.0.0.1", "TCP4 192.0.2.1 10.0.0.1", "TCP4 192.0.2.2 10.0.0.1"].map(&mut come);
    assert_eq!(came, [true, false, true]);
    let came = ["TCP6 2001:db8::1 fd00::1", "TCP6 2001:db8::2 fd00::1"].map(&mut come);
    assert_eq!(came, [true, false]);
    assert_counted(&world, &counts, &["192.0.2.1", "192.0.2.2", "2001:db8::"]);
    assert_eq!(counts.clients_of(IpAddr::from([10, 0, 0, 7])), 0);
}

#[test]
fn a_forwarded_header_says_whom_a_websocket_counts_for() {
    let limits = ClientLimits { address_clients_max: Some(1), ..ClientLimits::default() };
    let counts = ClientCounts::new(&limits);
    let mut world = World::new(Settings {
        listen: listen(&["websocket://127.0.0.1:1"]),
        client_limits: limits,
        client_counts: Some(counts.clone()),
        trusted_proxies: "10.0.0.0/8".parse().expect("a network"),
        forwarded_header: Some(ForwardedHeader::XForwardedFor),
        ..Settings::default()
    });
    world.worker("w");
    let come = |world: &mut World, headers: &str| {
        let peer = world.client_from(0, PROXY);
        world.say(peer, &request(headers));
        (peer, status(world, peer))
    };
    let (first, said) = come(&mut world, "X-Forwarded-For: 192.0.2.1\r\n");
    assert!(said.starts_with("HTTP/1.1 101 "));
    let (second, said) = come(&mut world, "X-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!(said, "HTTP/1.1 429 Too Many Requests, later");
    world.end(second);
    assert_counted(&world, &counts, &["192.0.2.1"]);
    // A proxy that says nothing is the client; one that has not asked yet counts for nobody.
    assert!(come(&mut world, "").1.starts_with("HTTP/1.1 101 "));
    assert!(come(&mut world, "").1.starts_with("HTTP/1.1 429 "));
    world.pass(5_000);
    assert_counted(&world, &counts, &["192.0.2.1", "10.0.0.7"]);
    let asking = world.client_from(0, PROXY);
    assert_eq!((counts.clients(), counts.clients_of(IpAddr::from([10, 0, 0, 7]))), (3, 1));
    world.reset(asking);
    world.end(first);
    world.pass(5_000);
    assert_counted(&world, &counts, &["10.0.0.7"]);
}

struct RefuseAll;

impl Hooks for RefuseAll {
    fn on_connect(&mut self, _: &ClientInfo) -> Admission {
        Admission::Refuse
    }
}

#[test]
fn whom_a_hook_refuses_is_not_counted() {
    let limits =
        ClientLimits { clients_max: Some(1), address_clients_max: Some(1), ..ClientLimits::default() };
    let counts = ClientCounts::new(&limits);
    let mut world = World::new(Settings {
        listen: listen(&["text://127.0.0.1:1"]),
        client_limits: limits,
        client_counts: Some(counts.clone()),
        hooks: HooksFactory::new(|| RefuseAll),
        ..Settings::default()
    });
    for _ in 0..3 {
        world.client(0);
    }
    assert_eq!((world.shard.counters().clients_refused, counts.clients(), counts.addresses()), (3, 0, 0));
}

/// The messages that a worker has got.
fn messages(world: &mut World, worker: usize) -> Vec<String> {
    let frames = world.take_frames(worker).into_iter().filter(|frame| frame.0 == Cmd::OnMessage);
    frames.map(|frame| String::from_utf8(frame.3).expect("text")).collect()
}

#[test]
fn who_says_too_many_messages_waits_and_loses_none() {
    let limits = ClientLimits { messages: Some("10:3".parse().expect("a rate")), ..ClientLimits::default() };
    let (mut world, _) = world(&["text://127.0.0.1:1"], limits);
    let worker = world.worker("w");
    let (loud, calm) = (world.client(0), world.client(0));
    let lines: Vec<String> = (0..20).map(|line| format!("line {line}")).collect();
    world.say(loud, (lines.join("\n") + "\n").as_bytes());
    assert_eq!(messages(&mut world, worker), lines[..3]);
    assert!(world.peers[loud].paused);
    world.say(calm, b"calm\n");
    assert_eq!(messages(&mut world, worker), ["calm"]);
    for line in &lines[3..] {
        let due = world.shard.next_turn().expect("it waits").since(world.now);
        assert!((1..=100).contains(&due));
        world.pause(due - 1);
        assert_eq!(messages(&mut world, worker), Vec::<String>::new());
        world.pause(1);
        assert_eq!(messages(&mut world, worker), std::slice::from_ref(line));
    }
    assert!(!world.peers[loud].paused, "all is said");
    assert_eq!(world.shard.next_turn(), None);
    assert_eq!(world.shard.counters().stalls_message_rate, 17);
}

#[test]
fn who_says_too_many_bytes_waits_whole_or_not() {
    let limits =
        ClientLimits { bytes: Some("1000:2000".parse().expect("a rate")), ..ClientLimits::default() };
    let (mut world, _) = world(&["text://127.0.0.1:1"], limits);
    let worker = world.worker("w");
    let client = world.client(0);
    let mut line = vec![b'a'; 2_499];
    world.say(client, &line);
    assert!(world.peers[client].paused, "though the message is not whole");
    world.pause(498);
    assert!(world.peers[client].paused);
    world.pause(1);
    assert!(!world.peers[client].paused);
    line = b"\n".to_vec();
    world.say(client, &line);
    world.pause(1);
    assert_eq!(messages(&mut world, worker).len(), 1);
    assert_eq!(world.shard.counters().stalls_byte_rate, 2);
}

#[test]
fn over_a_limit_that_closes_websockets_are_told_1008() {
    for (limits, closed) in [
        (ClientLimits { messages: Some("1:2".parse().expect("a rate")), ..ClientLimits::default() }, [1, 0]),
        (ClientLimits { bytes: Some("1:300".parse().expect("a rate")), ..ClientLimits::default() }, [0, 1]),
    ] {
        let limits = ClientLimits { over_limit: OverLimit::Close, ..limits };
        let (mut world, _) = world(&["websocket://127.0.0.1:1", "text://127.0.0.1:2"], limits);
        let worker = world.worker("w");
        let client = world.client(0);
        world.say(client, &request(""));
        world.take(client);
        let message = [&[0x81, 0x80 | 60, 0, 0, 0, 0][..], &[b'a'; 60]].concat();
        world.say(client, &message);
        world.say(client, &message);
        assert!(world.take(client).is_empty());
        world.say(client, &message);
        world.say(client, &message);
        assert_eq!(close_code(&world.take(client)), Some(1008));
        assert!(messages(&mut world, worker).len() <= 3, "one too many at most");
        let counters = world.shard.counters();
        assert_eq!([counters.clients_closed_message_rate, counters.clients_closed_byte_rate], closed);
        let text = world.client(1);
        world.say(text, &[b'\n'; 301]);
        assert!(world.peers[text].closed);
    }
}

#[test]
fn a_client_that_goes_while_it_waits_is_forgotten() {
    let limits = ClientLimits { messages: Some("1:1".parse().expect("a rate")), ..ClientLimits::default() };
    let (mut world, _) = world(&["text://127.0.0.1:1"], limits);
    let worker = world.worker("w");
    let gone = world.client(0);
    world.say(gone, b"1\n2\n3\n");
    world.reset(gone);
    // Another one in its slot owes nothing.
    let other = world.client(0);
    world.say(other, b"4\n");
    assert_eq!(messages(&mut world, worker), ["1", "4"]);
    world.end(other);
    world.pass(10_000);
    assert_eq!((world.shard.next_turn(), world.shard.client_count()), (None, 0));
}

#[test]
fn what_a_client_said_before_its_end_is_heard_at_the_rate() {
    let limits = ClientLimits { messages: Some("10:1".parse().expect("a rate")), ..ClientLimits::default() };
    let (mut world, _) = world(&["text://127.0.0.1:1"], limits);
    let worker = world.worker("w");
    let client = world.client(0);
    world.say(client, b"1\n2\n3\n");
    world.peers[client].paused = false;
    world.end(client);
    world.pass(1_000);
    assert_eq!(messages(&mut world, worker), ["1", "2", "3"]);
    assert_eq!(world.shard.client_count(), 0);
}

#[test]
fn who_has_no_uid_in_time_is_closed() {
    let limits = ClientLimits { bind_timeout: Duration::from_secs(5), ..ClientLimits::default() };
    let (mut world, _) = world(&["websocket://127.0.0.1:1"], limits);
    let worker = world.worker("w");
    let come = |world: &mut World| {
        let peer = world.client(0);
        world.say(peer, &request(""));
        world.take(peer);
        let frames = world.take_frames(worker);
        (peer, frames.first().expect("it was announced").1)
    };
    let ((bound, id), (unbound, _)) = (come(&mut world), come(&mut world));
    world.say(worker, &frame_bytes(&Frame { ext: b"joe", ..to_client(Cmd::BindUid, id) }));
    world.pass(4_900);
    assert_eq!((world.take(unbound), world.take(bound)), (vec![], vec![]));
    world.pass(200);
    assert_eq!(close_code(&world.take(unbound)), Some(1008));
    world.pass(10_000);
    assert_eq!((world.take(bound), world.shard.client_count()), (vec![], 1));
    assert_eq!(world.shard.counters().clients_closed_unbound, 1);
}
