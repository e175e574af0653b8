//! Workers that hand their clients over to others (docs/WIRE.md §14): nothing is lost, doubled or reordered.

mod world;

use std::collections::{BTreeMap, HashMap, VecDeque};

use fastrand::Rng;
use gateway_core::Settings;
use protocol::inner::drain::{Drain, encode_ids};
use protocol::inner::{Cmd, Frame};
use world::{World, frame_bytes, listen, to_client};

fn drain(round: u32) -> Vec<u8> {
    let body = Drain { round, within_ms: WITHIN_MS as u32 }.encode();
    frame_bytes(&Frame { body: &body, ..Frame::command(Cmd::Drain) })
}

fn ids(cmd: Cmd, ids: &[u32]) -> Vec<u8> {
    let body = encode_ids(ids.iter().copied());
    frame_bytes(&Frame { body: &body, ..Frame::command(cmd) })
}

/// Commands and bodies that a worker got since it was last asked.
fn told(world: &mut World, link: usize) -> Vec<(Cmd, u32, String)> {
    let frames = world.take_frames(link).into_iter();
    frames.map(|(cmd, id, _, body)| (cmd, id, String::from_utf8_lossy(&body).into_owned())).collect()
}

fn message(id: u32, text: &str) -> (Cmd, u32, String) {
    (Cmd::OnMessage, id, text.to_owned())
}

fn close(id: u32) -> (Cmd, u32, String) {
    (Cmd::OnClose, id, String::new())
}

fn drained(round: u32) -> (Cmd, u32, String) {
    (Cmd::Drained, 0, String::from_utf8(round.to_be_bytes().to_vec()).expect("a small number"))
}

/// Three clients of a worker that drains, and the one that takes over.
fn stage() -> (World, [usize; 2], [usize; 3]) {
    let mut world = World::text();
    let old = world.ringway_worker("old");
    let clients = [world.client(0), world.client(0), world.client(0)];
    let new = world.ringway_worker("new");
    for client in clients {
        world.say(client, b"before\n");
    }
    world.take(old);
    (world, [old, new], clients)
}

#[test]
fn the_answer_is_behind_the_last_event_and_free_clients_go_to_others() {
    let (mut world, [old, new], clients) = stage();
    world.say(clients[0], b"last\n");
    world.say(old, &drain(1));
    world.say(clients[0], b"one\n");
    world.say(clients[1], b"two\n");
    assert_eq!(told(&mut world, old), [message(1, "last"), drained(1)]);
    assert!(world.peers[clients[0]].paused && world.peers[clients[1]].paused);
    world.say(old, &drain(2));
    assert_eq!(told(&mut world, old), [drained(2)]);
    assert_eq!(told(&mut world, new), [], "nobody is free yet");
    world.say(old, &ids(Cmd::DrainBusy, &[]));
    assert_eq!(told(&mut world, new), [message(1, "one"), message(2, "two")]);
    assert!(!world.peers[clients[0]].paused && !world.peers[clients[1]].paused);
    // Those who had nothing to say go with their next event, be it their end.
    world.end(clients[2]);
    world.end(clients[0]);
    assert_eq!(told(&mut world, new), [close(3), close(1)]);
    assert_eq!(told(&mut world, old), []);
}

#[test]
fn clients_whose_events_are_still_handled_wait_until_they_are_free() {
    let (mut world, [old, new], clients) = stage();
    world.say(old, &drain(1));
    world.say(clients[0], b"one\n");
    world.say(clients[1], b"two\n");
    world.say(old, &ids(Cmd::DrainBusy, &[1, 3, 77]));
    world.say(clients[2], b"three\n");
    world.say(clients[0], b"more\n");
    assert_eq!(told(&mut world, new), [message(2, "two")]);
    // What the handler did is seen by the next event.
    world.say(old, &frame_bytes(&Frame { ext: b"session", ..to_client(Cmd::SetSession, 1) }));
    world.say(old, &ids(Cmd::DrainFree, &[1]));
    world.deliver(clients[0], usize::MAX);
    let frames = world.take_frames(new);
    let seen: Vec<_> = frames.iter().map(|(_, id, ext, body)| (*id, &ext[..], &body[..])).collect();
    assert_eq!(seen, [(1, &b"session"[..], &b"one"[..]), (1, b"session", b"more")]);
    // The end of a link frees who is left.
    world.end(old);
    assert_eq!(told(&mut world, new), [message(3, "three")]);
}

#[test]
fn the_end_of_a_busy_client_is_told_when_it_is_free() {
    let (mut world, [old, new], clients) = stage();
    world.say(old, &drain(1));
    world.end(clients[0]);
    world.end(clients[1]);
    world.say(old, &ids(Cmd::DrainBusy, &[1, 3]));
    world.reset(clients[2]);
    assert_eq!(told(&mut world, new), [close(2)]);
    world.say(old, &ids(Cmd::DrainFree, &[3]));
    assert_eq!(told(&mut world, new), [close(3)]);
    world.reset(old);
    assert_eq!(told(&mut world, new), [close(1)]);
}

#[test]
fn a_worker_that_does_not_let_go_in_time_loses_its_clients_all_the_same() {
    let (mut world, [old, new], clients) = stage();
    world.say(old, &drain(1));
    world.say(clients[0], b"one\n");
    world.end(clients[1]);
    world.pass(WITHIN_MS - 100);
    assert_eq!(told(&mut world, new), []);
    world.pass(200);
    assert_eq!(told(&mut world, new), [close(2), message(1, "one")]);
    assert_eq!(world.shard.counters().drains_expired, 1);
    assert!(!world.peers[old].closed);
}

#[test]
fn without_a_successor_clients_wait_for_a_worker() {
    let mut world = World::text();
    let old = world.ringway_worker("old");
    let client = world.client(0);
    world.say(client, b"before\n");
    world.say(old, &drain(1));
    world.say(client, b"one\n");
    let newcomer = world.client(0);
    let leaver = world.client(0);
    world.end(leaver);
    world.say(old, &ids(Cmd::DrainBusy, &[]));
    world.end(old);
    world.say(client, b"two\n");
    world.say(newcomer, b"three\n");
    assert!(world.peers[client].paused && !world.peers[client].closed);
    // Under the key of the old, as a worker that was restarted.
    let new = world.link();
    world.introduce(new, "old", true);
    for peer in [client, newcomer, leaver] {
        world.deliver(peer, usize::MAX);
    }
    let connect = |id| (Cmd::OnConnect, id, String::new());
    let mut seen = told(&mut world, new);
    seen.retain(|(cmd, ..)| *cmd != Cmd::RingwayHello);
    let expected =
        [connect(2), connect(3), message(1, "one"), message(1, "two"), message(2, "three"), close(3)];
    assert_eq!(seen, expected);
}

#[test]
fn a_worker_that_says_who_it_is_once_more_takes_events_again() {
    let (mut world, [old, new], clients) = stage();
    world.say(old, &drain(1));
    world.say(clients[0], b"one\n");
    world.end(clients[1]);
    world.take(old);
    world.introduce(old, "old", true);
    let seen: Vec<_> = told(&mut world, old).into_iter().chain(told(&mut world, new)).skip(1).collect();
    assert!(seen.contains(&message(1, "one")) && seen.contains(&close(2)), "{seen:?}");
    world.end(old);
    world.say(clients[0], b"two\n");
    assert_eq!(told(&mut world, new), [message(1, "two")]);
}

#[test]
fn only_our_own_workers_are_taken_at_their_word() {
    let mut world = World::text();
    let php = world.worker("php");
    let query = world.link();
    let client = world.client(0);
    world.take(php);
    for link in [php, query] {
        world.say(link, &drain(1));
        world.say(link, &ids(Cmd::DrainBusy, &[1]));
        world.say(link, &ids(Cmd::DrainFree, &[1]));
        assert_eq!(world.take(link), b"");
    }
    world.say(client, b"one\n");
    assert_eq!(told(&mut world, php), [message(1, "one")]);
    let ours = world.ringway_worker("ours");
    // Before a DRAIN they mean nothing, and bodies of a wrong length never do.
    world.say(ours, &ids(Cmd::DrainBusy, &[1]));
    world.say(ours, &frame_bytes(&Frame { body: b"1234567", ..Frame::command(Cmd::Drain) }));
    assert_eq!(world.take(ours), b"");
    assert_eq!(world.shard.worker_count(), 2);
}

#[test]
fn a_gateway_that_ends_tells_of_clients_that_are_still_held() {
    let (mut world, [old, new], clients) = stage();
    world.say(old, &drain(1));
    world.end(clients[0]);
    world.shard.begin_stop(world.now);
    world.settle();
    world.shard.end_stop(world.now);
    world.settle();
    let mut closed: Vec<_> = told(&mut world, new).into_iter().map(|(_, id, _)| id).collect();
    closed.sort_unstable();
    assert_eq!(closed, [1, 2, 3]);
}

/// Prints the seed of a run that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

/// A worker whose handlers take any time: those of one client run one after the other.
struct Worker {
    link: usize,
    /// Events by client, the first of which is being handled.
    running: BTreeMap<u32, VecDeque<Vec<u8>>>,
    draining: bool,
    /// It has said who is busy.
    listed: bool,
}

struct Client {
    peer: usize,
    /// Lines said, and lines that came back.
    said: Vec<String>,
    heard: Vec<String>,
    unread: Vec<u8>,
}

struct Simulation {
    world: World,
    random: Rng,
    workers: Vec<Worker>,
    clients: Vec<Client>,
    /// Links by number of their key.
    keys: Vec<usize>,
    /// By connection id: ON_CONNECT less ON_CLOSE.
    known: HashMap<u32, i32>,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let settings = Settings {
            listen: listen(&["text://127.0.0.1:1000"]),
            send_to_worker_buffer_size: 200,
            ..Settings::default()
        };
        Simulation {
            world: World::new(settings),
            random: Rng::with_seed(seed),
            workers: Vec::new(),
            clients: Vec::new(),
            keys: Vec::new(),
            known: HashMap::new(),
        }
    }

    fn step(&mut self) {
        match self.random.usize(..16) {
            0 if self.clients.len() < 12 => {
                let peer = self.world.client(0);
                self.clients.push(Client { peer, said: Vec::new(), heard: Vec::new(), unread: Vec::new() });
            }
            1..=3 => self.speak(),
            4..=7 => {
                let (peer, count) =
                    (self.random.usize(..self.world.peers.len().max(1)), 1 + self.random.usize(..80));
                if peer < self.world.peers.len() {
                    self.world.deliver(peer, count);
                }
            }
            8..=9 => self.read(),
            10..=12 => self.handle(),
            13 => {
                let (peer, room) =
                    (self.random.usize(..self.world.peers.len().max(1)), self.random.usize(..150));
                if peer < self.world.peers.len() {
                    self.world.read(peer, (room >= 50).then_some(room));
                }
            }
            14 if self.random.usize(..4) == 0 => self.start_drain(),
            15 if self.random.usize(..4) == 0 && self.workers.len() < 3 => self.start_worker(),
            _ => {}
        }
        self.listen();
    }

    fn speak(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let (index, size) = (self.random.usize(..self.clients.len()), self.random.usize(..40));
        let Client { peer, said, .. } = &mut self.clients[index];
        let line = format!("{index}:{}:{}", said.len(), "x".repeat(size));
        self.world.peers[*peer].inbox.extend(line.bytes().chain([b'\n']));
        said.push(line);
    }

    /// Under a key that was used before, if its link is gone.
    fn start_worker(&mut self) {
        let world = &self.world;
        let free = self.keys.iter().position(|link| world.peers[*link].closed);
        let link = self.world.link();
        let key = free.unwrap_or(self.keys.len());
        match self.keys.get_mut(key) {
            Some(of) => *of = link,
            None => self.keys.push(link),
        }
        self.world.introduce(link, &format!("key {key}"), true);
        self.workers.push(Worker { link, running: BTreeMap::new(), draining: false, listed: false });
    }

    fn start_drain(&mut self) {
        if let Some(worker) = self.workers.iter_mut().find(|worker| !worker.draining) {
            worker.draining = true;
            self.world.peers[worker.link].inbox.extend(drain(1));
        }
    }

    /// A worker reads what it has been sent.
    fn read(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        let index = self.random.usize(..self.workers.len());
        for (cmd, id, _, body) in self.world.take_frames(self.workers[index].link) {
            assert!(!self.workers[index].listed, "{cmd:?} behind the answer to DRAIN");
            let others = self.workers.iter().enumerate().filter(|(other, _)| *other != index);
            let elsewhere = others.into_iter().any(|(_, other)| other.running.contains_key(&id));
            assert!(!elsewhere, "an event of a client that another worker still handles");
            let worker = &mut self.workers[index];
            match cmd {
                Cmd::OnConnect => *self.known.entry(id).or_default() += 1,
                Cmd::OnClose => *self.known.entry(id).or_default() -= 1,
                Cmd::OnMessage => worker.running.entry(id).or_default().push_back(body),
                Cmd::Drained => {
                    let busy: Vec<u32> = worker.running.keys().copied().collect();
                    worker.listed = true;
                    self.world.peers[worker.link].inbox.extend(ids(Cmd::DrainBusy, &busy));
                }
                Cmd::RingwayHello => {}
                other => panic!("{other:?}"),
            }
        }
        self.leave(index);
    }

    /// A worker ends a handler, which answers.
    fn handle(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        let index = self.random.usize(..self.workers.len());
        let running = self.workers[index].running.len();
        if running == 0 {
            return;
        }
        let chosen = self.random.usize(..running);
        let worker = &mut self.workers[index];
        let id = *worker.running.keys().nth(chosen).expect("chosen among them");
        let queue = worker.running.get_mut(&id).expect("it is there");
        let body = queue.pop_front().expect("no queue is empty");
        let out = &mut self.world.peers[worker.link].inbox;
        out.extend(frame_bytes(&Frame { body: &body, ..to_client(Cmd::SendToOne, id) }));
        if queue.is_empty() {
            worker.running.remove(&id);
            if worker.listed {
                out.extend(ids(Cmd::DrainFree, &[id]));
            }
        }
        self.leave(index);
    }

    /// A worker that has handed over all its clients ends.
    fn leave(&mut self, index: usize) {
        let worker = &self.workers[index];
        if worker.listed && worker.running.is_empty() {
            self.world.peers[worker.link].ending = true;
            self.workers.swap_remove(index);
        }
    }

    fn listen(&mut self) {
        for Client { peer, said, heard, unread } in &mut self.clients {
            unread.extend(self.world.take(*peer));
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                heard.push(String::from_utf8(line[..end].to_vec()).expect("clients say UTF-8"));
            }
            assert!(said.starts_with(heard), "said {said:?}, heard {heard:?}");
        }
    }

    /// Fair weather until nothing moves any more.
    fn calm(&mut self) {
        for _ in 0..300 {
            for peer in 0..self.world.peers.len() {
                self.world.read(peer, None);
                self.world.deliver(peer, usize::MAX);
            }
            for _ in 0..6 {
                self.read();
                self.handle();
            }
            self.listen();
        }
    }
}

#[test]
fn workers_that_come_and_hand_over_at_any_time_lose_double_and_reorder_nothing() {
    for seed in 0..300 {
        let _seed = Seed(seed);
        let mut simulation = Simulation::new(seed);
        simulation.start_worker();
        for _ in 0..700 {
            simulation.step();
        }
        if simulation.workers.iter().all(|worker| worker.draining) {
            simulation.start_worker();
        }
        simulation.calm();
        for Client { said, heard, .. } in &simulation.clients {
            assert_eq!(heard, said);
        }
        for index in 0..simulation.clients.len() {
            simulation.world.end(simulation.clients[index].peer);
        }
        simulation.calm();
        assert_eq!(simulation.world.shard.client_count(), 0);
        assert!(simulation.known.values().all(|balance| *balance == 0), "{:?}", simulation.known);
    }
}

/// What a draining worker says that it needs, in ms.
const WITHIN_MS: u64 = 3_000;
