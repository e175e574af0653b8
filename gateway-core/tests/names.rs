//! Two workers of one name, a wrong secret key, and one that is to be proven: who gets the link, who is told, and that nothing is lost
//! by it.

mod world;

use std::net::SocketAddrV4;

use gateway_core::{Gone, Notice, Settings};
use protocol::inner::{Cmd, Dialler, Frame, Refused, Run, Scope, Step, drain};
use protocol::{InnerAuth, Nonces};
use world::{SHARD, World, frame_bytes, listen};

const ONE: Option<Run> = Some(Run(1));
const OTHER: Option<Run> = Some(Run(2));

/// A link of this run, and the bodies of the 240s that it got.
fn worker(world: &mut World, run: Option<Run>) -> (usize, Vec<String>) {
    let link = world.link();
    world.introduce_as(link, "w:0", "", true, run);
    (link, hellos(world, link))
}

fn hellos(world: &mut World, link: usize) -> Vec<String> {
    let frames = world.take_frames(link).into_iter().filter(|frame| frame.0 == Cmd::RingwayHello);
    frames.map(|frame| String::from_utf8(frame.3).expect("hellos are text")).collect()
}

const TAKEN: &str = r#"{"ringway":1}"#;
const KEY: &str = r#"{"ringway":1,"refused":"key"}"#;
const NAME: &str = r#"{"ringway":1,"refused":"name"}"#;

#[test]
fn another_run_of_a_live_name_is_told_so_and_the_first_loses_nothing() {
    let mut world = World::text();
    let (first, hello) = worker(&mut world, ONE);
    assert_eq!(hello, [TAKEN]);
    let client = world.client(0);
    let (second, hello) = worker(&mut world, OTHER);
    assert_eq!(hello, [NAME]);
    assert!(world.peers[second].shut, "our FIN is behind it");
    world.say(client, b"x\n");
    let events = world.take_frames(first);
    assert_eq!(events.last().map(|frame| (frame.0, frame.3.as_slice())), Some((Cmd::OnMessage, &b"x"[..])));
    // What the refused one says is not served.
    world.say(second, &frame_bytes(&world::to_client(Cmd::Destroy, 1)));
    assert!(!world.peers[client].closed && !world.peers[first].closed);
    world.end(second);
    assert!(world.peers[second].closed);
    assert_eq!((world.shard.worker_count(), world.shard.counters().workers_refused), (1, 1));
    let refused = Notice::Refused { key: "127.0.0.1:w:0".into(), why: Refused::Name };
    assert!(world.notices.contains(&refused), "{:?}", world.notices);
    // Nor are other cores of it taken.
    let third = world.link();
    world.introduce_as(third, "w:1", "", true, OTHER);
    assert_eq!(hellos(&mut world, third), [NAME]);
    // The name is free when its worker is gone.
    world.end(first);
    assert_eq!(worker(&mut world, OTHER).1, [TAKEN]);
}

#[test]
fn the_same_run_displaces_at_once() {
    let mut world = World::text();
    let (first, _) = worker(&mut world, ONE);
    let (_, hello) = worker(&mut world, ONE);
    assert_eq!(hello, [TAKEN]);
    assert!(world.peers[first].closed);
    assert_eq!((world.shard.worker_count(), world.shard.counters().workers_displaced), (1, 0));
    let gone = Notice::Gone { key: "127.0.0.1:w:0".into(), why: Gone::Displaced };
    assert!(world.notices.contains(&gone), "{:?}", world.notices);
}

#[test]
fn a_link_that_says_its_name_again_or_another_one_is_one_link() {
    let mut world = World::text();
    let (link, _) = worker(&mut world, ONE);
    world.introduce_as(link, "w:0", "", true, ONE);
    world.introduce_as(link, "w:1", "", true, ONE);
    world.end(link);
    let connected = |core| Notice::Connected { key: format!("127.0.0.1:w:{core}").into() };
    let gone = |core, why| Notice::Gone { key: format!("127.0.0.1:w:{core}").into(), why };
    let notices = [connected(0), gone(0, Gone::Renamed), connected(1), gone(1, Gone::Closed)];
    assert_eq!(world.notices, notices);
}

#[test]
fn a_refused_link_whose_peer_neither_reads_nor_ends_goes() {
    let mut world = World::text();
    worker(&mut world, ONE);
    let (second, _) = worker(&mut world, OTHER);
    world.pass(3_000);
    assert!(world.peers[second].closed, "it did not end");
    let deaf = world.link();
    world.read(deaf, Some(0));
    world.introduce_as(deaf, "w:0", "", true, OTHER);
    assert!(!world.peers[deaf].shut);
    world.pass(11_000);
    assert!(world.peers[deaf].closed, "it does not read");
    assert_eq!(world.shard.counters().links_unauthorized, 0);
    // One that ends before it has read its answer.
    let hasty = world.link();
    world.read(hasty, Some(5));
    world.introduce_as(hasty, "w:0", "", true, OTHER);
    world.end(hasty);
    assert!(!world.peers[hasty].closed);
    world.read(hasty, None);
    assert!(world.peers[hasty].closed);
}

#[test]
fn who_waits_for_one_that_hands_over_is_told_that_it_leaves() {
    let mut world = World::text();
    let (first, _) = worker(&mut world, ONE);
    let body = drain::Drain { round: 1, within_ms: 30_000 }.encode();
    world.say(first, &frame_bytes(&Frame { body: &body, ..Frame::command(Cmd::Drain) }));
    assert_eq!(worker(&mut world, OTHER).1, [r#"{"ringway":1,"refused":"name","leaving":1}"#]);
    world.end(first);
    let gone = Notice::Gone { key: "127.0.0.1:w:0".into(), why: Gone::Left };
    assert!(world.notices.contains(&gone), "{:?}", world.notices);
}

#[test]
fn a_worker_that_does_not_answer_any_more_keeps_its_name_from_nobody() {
    let mut world = World::text();
    let (frozen, _) = worker(&mut world, ONE);
    world.say(frozen, &frame_bytes(&Frame::command(Cmd::RingwayPing)));
    assert_eq!(worker(&mut world, OTHER).1, [NAME]);
    world.pass(10_000);
    // It is kept, for there is no other.
    assert!(!world.peers[frozen].closed);
    assert_eq!(worker(&mut world, OTHER).1, [TAKEN]);
    assert!(world.peers[frozen].closed);
    assert_eq!(world.shard.counters().workers_displaced, 0);
}

#[test]
fn without_a_run_all_is_as_by_php_and_noted() {
    for ringway in [false, true] {
        let mut world = World::text();
        let old = world.link();
        world.introduce(old, "w:0", ringway);
        let new = world.link();
        world.introduce(new, "w:0", ringway);
        assert!(world.peers[old].closed && !world.peers[new].shut);
        assert_eq!(hellos(&mut world, new), vec![TAKEN; usize::from(ringway)]);
        assert_eq!(world.shard.counters().workers_displaced, 1);
        assert!(world.notices.contains(&Notice::Displaced { key: "127.0.0.1:w:0".into() }));
        // It is no worse off than others: one with a run does not take its name.
        assert_eq!(worker(&mut world, ONE).1, [NAME]);
        assert!(!world.peers[new].closed);
        // And takes it from one with a run, as it always did.
        let mut world = World::text();
        let (ours, _) = worker(&mut world, ONE);
        let php = world.link();
        world.introduce(php, "w:0", ringway);
        assert!(world.peers[ours].closed && !world.peers[php].closed);
    }
}

#[test]
fn a_wrong_key_is_told_to_who_asked_and_only_then() {
    let settings = Settings {
        listen: listen(&["text://127.0.0.1:1000"]),
        secret_key: "right".to_owned(),
        ..Settings::default()
    };
    let mut world = World::new(settings);
    for (ringway, run) in [(false, None), (true, None), (false, ONE)] {
        let link = world.link();
        world.introduce_as(link, "w:0", "wrong", ringway, run);
        assert!(world.peers[link].closed, "{ringway} {run:?}");
        assert_eq!(world.take(link), b"");
    }
    let link = world.link();
    world.introduce_as(link, "w:0", "wrong", true, ONE);
    assert_eq!(hellos(&mut world, link), [r#"{"ringway":1,"refused":"key"}"#]);
    assert!(world.peers[link].shut);
    // Too late, and unheard.
    world.introduce_as(link, "w:0", "right", true, ONE);
    assert_eq!((world.shard.worker_count(), world.shard.counters().links_unauthorized), (0, 4));
    assert_eq!(world.notices.iter().filter(|notice| matches!(notice, Notice::WrongKey { .. })).count(), 4);
    let link = world.link();
    world.introduce_as(link, "w:0", "right", true, ONE);
    assert_eq!(hellos(&mut world, link), [TAKEN]);
}

/// Where the key is proven, not said.
fn proving() -> World {
    let settings = Settings {
        listen: listen(&["text://127.0.0.1:1000"]),
        secret_key: "key".into(),
        inner_auth: InnerAuth::Challenge,
        ..Settings::default()
    };
    World::new(settings)
}

/// The challenge of a link that has just come.
fn challenge(world: &mut World, link: usize) -> Vec<u8> {
    let mut frames = world.take_frames(link);
    assert_eq!(frames.len(), 1, "{frames:?}");
    let (cmd, _, _, body) = frames.remove(0);
    assert_eq!(cmd, Cmd::Challenge);
    body
}

/// What a dialler that takes the gateway for `address` says to a challenge.
fn answer(dialler: &mut Dialler, key: &str, address: SocketAddrV4, challenge: &[u8]) -> Vec<u8> {
    match dialler.take(key, Scope::Gateway(address), challenge) {
        Ok(Step::Answer(answer)) => frame_bytes(&Frame { body: &answer, ..Frame::command(Cmd::Challenge) }),
        other => panic!("{other:?}"),
    }
}

/// A link that has proven the key, and the gateway to it.
fn proven(world: &mut World) -> usize {
    let link = world.link();
    let challenge = challenge(world, link);
    let mut dialler = Dialler::new(Nonces::default().draw());
    let answer = answer(&mut dialler, "key", SHARD, &challenge);
    world.say(link, &answer);
    let proof = self::challenge(world, link);
    assert_eq!(dialler.take("key", Scope::Gateway(SHARD), &proof), Ok(Step::Proven));
    link
}

/// A 200 that says so of the key.
fn introduction(secret_key: &str) -> Vec<u8> {
    let body = format!("{{\"worker_key\":\"w:0\"{secret_key},\"ringway\":1,\"run\":\"{}\"}}", Run(1));
    frame_bytes(&Frame { body: body.as_bytes(), ..Frame::command(Cmd::WorkerConnect) })
}

const NO_KEY: [&str; 2] = ["", ",\"secret_key\":\"\""];
const WITH_KEY: &str = ",\"secret_key\":\"key\"";

#[test]
fn who_has_proven_the_key_is_served_and_says_it_never() {
    for said in NO_KEY {
        let mut world = proving();
        let worker = proven(&mut world);
        world.say(worker, &introduction(said));
        assert_eq!(hellos(&mut world, worker), [TAKEN]);
        let asker = proven(&mut world);
        world.say(asker, &frame_bytes(&world::to_client(Cmd::IsOnline, 1)));
        assert_eq!(world.take(asker), b"\0\0\0\x04i:0;");
        assert_eq!((world.shard.worker_count(), world.shard.counters().links_unproven), (1, 0));
    }
}

#[test]
fn without_a_proof_nothing_counts_and_the_key_least() {
    let client = |key: &str| {
        let body = format!("{{\"secret_key\":\"{key}\"}}");
        frame_bytes(&Frame { body: body.as_bytes(), ..Frame::command(Cmd::GatewayClientConnect) })
    };
    let query = frame_bytes(&world::to_client(Cmd::IsOnline, 1));
    let short = frame_bytes(&Frame { body: &[0; 63], ..Frame::command(Cmd::Challenge) });
    let said = [introduction(WITH_KEY), introduction(""), client("key"), client(""), query.clone(), short];
    for (index, said) in said.iter().enumerate() {
        let mut world = proving();
        let link = world.link();
        challenge(&mut world, link);
        world.say(link, &[said.as_slice(), &query].concat());
        // A worker of ours learns that it is about the key; nobody gets an answer.
        let told = if index < 2 { vec![KEY] } else { Vec::new() };
        assert_eq!(hellos(&mut world, link), told, "{index}");
        assert!(world.peers[link].shut || world.peers[link].closed, "{index}");
        let counters = world.shard.counters();
        assert_eq!((counters.links_unproven, counters.links_unauthorized), (1, 0), "{index}");
        let peer = world.notices.iter().find(|notice| matches!(notice, Notice::Unproven { .. }));
        assert!(peer.is_some(), "{index}: {:?}", world.notices);
    }
    // Nor is it to be said behind the proof.
    let mut world = proving();
    for said in [introduction(WITH_KEY), client("key")] {
        let link = proven(&mut world);
        world.say(link, &said);
        assert!(world.peers[link].shut || world.peers[link].closed);
    }
    assert_eq!((world.shard.worker_count(), world.shard.counters().links_unproven), (0, 2));
}

#[test]
fn a_proof_of_another_key_connection_or_gateway_is_none() {
    let other_gateway = SocketAddrV4::new(*SHARD.ip(), SHARD.port() + 1);
    let mut world = proving();
    let (recorded, recorder) = {
        let link = world.link();
        let challenge = challenge(&mut world, link);
        (answer(&mut Dialler::new(Nonces::default().draw()), "key", SHARD, &challenge), link)
    };
    for (count, (key, address)) in
        [("other", SHARD), ("", SHARD), ("key", other_gateway)].into_iter().enumerate()
    {
        let link = world.link();
        let challenge = challenge(&mut world, link);
        // Passed on by who is listed at that address, and asks here.
        let answer = answer(&mut Dialler::new(Nonces::default().draw()), key, address, &challenge);
        world.say(link, &answer);
        assert_eq!(hellos(&mut world, link), [KEY], "{key:?} {address}");
        assert!(world.peers[link].shut);
        assert_eq!(world.shard.counters().links_unauthorized, count as u64 + 1);
    }
    let replayed = world.link();
    challenge(&mut world, replayed);
    world.say(replayed, &recorded);
    assert_eq!(hellos(&mut world, replayed), [KEY]);
    // An acceptor's own challenge, given back by who dials it as the same gateway.
    let [one, two] = [world.link(), world.link()];
    let reflected = [challenge(&mut world, one), challenge(&mut world, two)];
    let said = Frame { body: &reflected.concat(), ..Frame::command(Cmd::Challenge) };
    world.say(one, &frame_bytes(&said));
    assert_eq!(hellos(&mut world, one), [KEY]);
    // Who was recorded is not bothered.
    world.say(recorder, &recorded);
    assert!(!world.peers[recorder].closed && !world.peers[recorder].shut);
    world.say(recorder, &recorded);
    assert!(!world.peers[recorder].closed, "a proof behind the proof means nothing");
}

#[test]
fn a_proof_is_due_within_ten_seconds() {
    let mut world = proving();
    let [silent, slow] = [world.link(), world.link()];
    let challenge = challenge(&mut world, slow);
    let answer = answer(&mut Dialler::new(Nonces::default().draw()), "key", SHARD, &challenge);
    world.say(slow, &answer[..answer.len() - 1]);
    world.pass(10_100);
    assert!(world.peers[silent].closed && world.peers[slow].closed);
    assert_eq!(world.shard.counters().links_unauthorized, 2);
}
