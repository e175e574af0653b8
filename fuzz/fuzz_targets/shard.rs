//! A shard under any order of events: clients, links and workers that say anything, break, stall and come back.
#![no_main]

#[path = "../../gateway-core/tests/world/mod.rs"]
mod world;

use std::time::Duration;

use arbitrary::Arbitrary;
use gateway_core::Settings;
use libfuzzer_sys::fuzz_target;
use protocol::client::websocket::client::{encode_frame, encode_request};
use protocol::inner::Frame;
use world::{World, frame_bytes, listen};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    ping: bool,
    secret_key: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Client {
        listener: u8,
    },
    Link,
    Worker {
        key: u8,
    },
    /// Peers are counted modulo how many there are.
    Say {
        peer: u8,
        bytes: &'a [u8],
    },
    Handshake {
        peer: u8,
    },
    Message {
        peer: u8,
        first: u8,
        body: &'a [u8],
    },
    Command {
        peer: u8,
        cmd: u8,
        client: u8,
        flag: u8,
        ext: Ext<'a>,
        body: &'a [u8],
    },
    Deliver {
        peer: u8,
        count: u8,
    },
    End {
        peer: u8,
    },
    Reset {
        peer: u8,
    },
    Room {
        peer: u8,
        room: Option<u8>,
    },
    Pass {
        ticks: u8,
    },
    Stop,
}

/// What commands take, and anything.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Ext<'a> {
    Name(u8),
    Session(u8),
    Groups,
    Uids,
    Connections,
    Exclude,
    Select,
    Raw(&'a [u8]),
}

impl Ext<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Ext::Name(name) => vec![b'a' + name % 4],
            Ext::Session(key) => format!("a:1:{{i:{};a:1:{{i:0;R:1;}}}}", key % 4).into_bytes(),
            Ext::Groups => br#"{"group":["a","b"],"exclude":{"1":1}}"#.to_vec(),
            Ext::Uids => br#"["a","b","c"]"#.to_vec(),
            Ext::Connections => br#"{"connections":{"1":1,"2":2}}"#.to_vec(),
            Ext::Exclude => br#"{"exclude":{"1":1,"2":2}}"#.to_vec(),
            Ext::Select => br#"{"fields":["session","uid","groups"],"where":{"groups":["a"]}}"#.to_vec(),
            Ext::Raw(bytes) => bytes.to_vec(),
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let mut world = World::new(settings(&input));
    for step in input.steps.iter().take(STEPS_MAX) {
        apply(&mut world, step);
        assert!(world.shard.client_count() <= world.peers.len());
    }
    for peer in 0..world.peers.len() {
        world.reset(peer);
    }
    assert_eq!(world.shard.client_count(), 0);
    assert_eq!(world.shard.worker_count(), 0);
    let status = world.shard.status();
    assert_eq!((status.uids, status.groups), (0, 0));
    assert!(world.peers.iter().all(|peer| peer.closed));
    world.shard.begin_stop(world.now);
    world.settle();
    assert!(world.shard.is_stopped());
});

/// Small buffers, short waits: every limit is near.
fn settings(input: &Input<'_>) -> Settings {
    Settings {
        listen: listen(&[
            "text://127.0.0.1:1",
            "websocket://127.0.0.1:2",
            "frame://127.0.0.1:3",
            "tcp://127.0.0.1:4",
        ]),
        lan_ip: [10, 0, 0, 1].into(),
        secret_key: if input.secret_key { "key".into() } else { String::new() },
        ping_interval: Duration::from_millis(if input.ping { 100 } else { 0 }),
        ping_not_response_limit: 2,
        ping_data: b"ping".to_vec(),
        max_package_size: 1_000,
        send_to_client_buffer_size: 200,
        send_to_worker_buffer_size: 200,
        no_worker_wait: Duration::from_millis(200),
        ..Settings::default()
    }
}

fn apply(world: &mut World, step: &Step<'_>) {
    match step {
        Step::Client { listener } => drop(world.client(listener % 4)),
        Step::Link => drop(world.link()),
        Step::Worker { key } => drop(world.worker(&format!("w:{}", key % 4))),
        Step::Pass { ticks } => world.pass(u64::from(*ticks) * 50),
        Step::Stop => {
            world.shard.begin_stop(world.now);
            world.settle();
        }
        Step::Say { peer, .. }
        | Step::Handshake { peer }
        | Step::Message { peer, .. }
        | Step::Command { peer, .. }
        | Step::Deliver { peer, .. }
        | Step::End { peer }
        | Step::Reset { peer }
        | Step::Room { peer, .. } => {
            if let Some(peer) = usize::from(*peer).checked_rem(world.peers.len()) {
                act(world, peer, step);
            }
        }
    }
}

/// What a peer that is there does.
fn act(world: &mut World, peer: usize, step: &Step<'_>) {
    match step {
        Step::Say { bytes, .. } => world.say(peer, bytes),
        Step::Handshake { .. } => {
            let mut request = Vec::new();
            encode_request("localhost", "/?a[]=1", [7; 16], &mut request);
            world.say(peer, &request);
        }
        Step::Message { first, body, .. } => {
            let mut bytes = Vec::new();
            encode_frame(*first, body, [1, 2, 3, 4], &mut bytes);
            world.say(peer, &bytes);
        }
        Step::Command { cmd, client, flag, ext, body, .. } => {
            let (connection_id, ext) = (u32::from(client % 8), ext.bytes());
            let header = Frame::command(protocol::inner::Cmd::Ping);
            world.say(
                peer,
                &frame_bytes(&Frame { cmd: *cmd, connection_id, flag: *flag, ext: &ext, body, ..header }),
            );
        }
        Step::Deliver { count, .. } => world.deliver(peer, (*count).into()),
        Step::End { .. } => world.end(peer),
        Step::Reset { .. } => world.reset(peer),
        Step::Room { room, .. } => world.read(peer, room.map(usize::from)),
        _ => unreachable!("has no peer"),
    }
}

/// Longer runs find nothing that shorter ones do not.
const STEPS_MAX: usize = 200;
