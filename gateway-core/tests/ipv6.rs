//! Clients that come by IPv6: workers of ours are told from where, in front of each event (docs/WIRE.md §14), also when the event is
//! sent again.

mod world;

use std::net::SocketAddr;

use protocol::inner::{self, ClientAddress, Cmd, Repeat};
use world::World;

const ADDRESS: &str = "[2001:db8::1]:5000";

/// What a worker was told of an event: what, how often it was sent before, and from where.
type Told = (String, u8, String);

/// What a worker got since it was last asked.
fn told(world: &mut World, link: usize) -> Vec<Told> {
    let bytes = world.take(link);
    let (mut at, mut told, mut deliveries, mut address) = (0, Vec::new(), 0, None);
    while let Some((frame, size)) =
        inner::decode(&bytes[at..], inner::FRAME_SIZE_MAX).expect("the shard sends frames")
    {
        at += size;
        let text = match Cmd::from_u8(frame.cmd).expect("known commands") {
            Cmd::RingwayHello | Cmd::RingwayPing => continue,
            Cmd::Repeat => {
                deliveries = Repeat::decode(frame.body).expect("a good one").deliveries;
                continue;
            }
            Cmd::ClientAddress => {
                address = Some((frame.connection_id, ClientAddress::of(&frame).expect("a good one")));
                continue;
            }
            Cmd::OnMessage => String::from_utf8_lossy(frame.body).into_owned(),
            cmd => format!("{cmd:?}"),
        };
        let from = match address.take() {
            Some((id, address)) => {
                assert_eq!(id, frame.connection_id, "it is about the event behind it");
                assert_eq!((frame.client.ip().to_bits(), frame.client.port()), (0, 0));
                SocketAddr::from(address).to_string()
            }
            None => frame.client.to_string(),
        };
        told.push((text, std::mem::take(&mut deliveries), from));
    }
    assert_eq!((deliveries, address), (0, None), "an event follows");
    told
}

fn from_v6(text: &str, deliveries: u8) -> Told {
    (text.to_owned(), deliveries, ADDRESS.to_owned())
}

#[test]
fn a_worker_of_ours_is_told_in_front_of_each_event() {
    let kinds: [fn(&mut World) -> usize; 4] = [
        |world| world.ringway_worker("w"),
        |world| world.windowed_worker("w:0", 10, 10_000),
        |world| world.acking_worker("w", 7),
        |world| world.guest_worker("w"),
    ];
    for worker in kinds {
        let mut world = World::text();
        let worker = worker(&mut world);
        let client = world.client_from(0, ADDRESS);
        world.say(client, b"a\nb\n");
        world.end(client);
        assert_eq!(told(&mut world, worker), ["OnConnect", "a", "b", "OnClose"].map(|text| from_v6(text, 0)));
        world.shard.check_windows();
    }
}

#[test]
fn of_ipv4_nothing_is_said_nor_to_workers_of_php() {
    for (address, said) in [
        ("192.0.2.1:5000", "192.0.2.1:5000"),
        ("[::ffff:192.0.2.1]:5000", "192.0.2.1:5000"),
        (ADDRESS, "0.0.0.0:0"),
    ] {
        let mut world = World::text();
        let worker = if address == ADDRESS { world.worker("php") } else { world.acking_worker("w", 7) };
        let client = world.client_from(0, address);
        world.say(client, b"a\n");
        let all =
            [("OnConnect", said), ("a", said)].map(|(text, said)| (text.to_owned(), 0, said.to_owned()));
        assert_eq!(told(&mut world, worker), all);
    }
}

#[test]
fn what_is_sent_again_says_it_again() {
    let mut world = World::text();
    let first = world.acking_worker("first", 1);
    let client = world.client_from(0, ADDRESS);
    let second = world.acking_worker("second", 2);
    world.safe(first, 0, 1);
    world.say(client, b"a\nb\n");
    world.end(first);
    assert_eq!(told(&mut world, second), [from_v6("a", 1), from_v6("b", 1)]);
    // Who is gone by then has left it with its events.
    world.end(client);
    let third = world.acking_worker("third", 3);
    world.safe(second, 0, 1);
    world.end(second);
    // Two workers have died with it: it comes alone.
    assert_eq!(told(&mut world, third), [from_v6("b", 2)]);
    world.safe(third, 0, 1);
    assert_eq!(told(&mut world, third), [from_v6("OnClose", 1)]);
    world.safe(third, 1, 1);
    assert_eq!(world.shard.status().events_kept, 0);
    world.shard.check_windows();
}

/// However much of a link's queue the kernel has taken, and whatever the worker says of events.
#[test]
fn what_a_lost_link_leaves_says_it_whether_the_client_is_there_or_not() {
    let kinds: [fn(&mut World, &str) -> usize; 3] = [
        |world, key| world.ringway_worker(key),
        |world, key| world.windowed_worker(&format!("{key}:0"), 10, 10_000),
        |world, key| world.acking_worker(key, key.len() as u64),
    ];
    for worker in kinds {
        for leaves in [false, true] {
            for room in 0..=3 * (ClientAddress::FRAME_SIZE + inner::HEADER_SIZE) + 2 {
                let mut world = World::text();
                let first = worker(&mut world, "first");
                let client = world.client_from(0, ADDRESS);
                let second = worker(&mut world, "second");
                assert_eq!(told(&mut world, first), [from_v6("OnConnect", 0)]);
                world.peers[first].room = Some(room);
                world.say(client, b"a\nb\n");
                if leaves {
                    world.end(client);
                }
                world.reset(first);
                let heard = told(&mut world, second);
                assert!(heard.iter().all(|(_, _, from)| from == ADDRESS), "{room}: {heard:?}");
                let last = if leaves { "OnClose" } else { "b" };
                if room <= ClientAddress::FRAME_SIZE {
                    let texts: Vec<_> = heard.iter().map(|(text, ..)| text.as_str()).collect();
                    assert!(
                        texts.contains(&"a") && texts.contains(&"b") && texts.contains(&last),
                        "{room}: {texts:?}"
                    );
                }
            }
        }
    }
}
