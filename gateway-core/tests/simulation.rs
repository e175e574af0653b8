//! Shard, clients and workers under random weather: chunks, short sends, resets, worker losses. Every run is a seed.

mod world;

use std::collections::HashMap;

use fastrand::Rng;
use gateway_core::config::SHARE_PERIOD_MS;
use gateway_core::{ClientCounts, ClientLimits, Rate, Settings};
use protocol::inner::{Cmd, EventRange, Frame};
use world::{World, frame_bytes, listen, to_client};

/// Prints the seed of a run that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

#[derive(Default)]
struct Client {
    peer: usize,
    /// Lines said, and lines that came back.
    said: Vec<String>,
    heard: Vec<String>,
    unread: Vec<u8>,
    /// Says no more.
    ended: bool,
}

/// Events that a worker has to say done.
#[derive(Default)]
struct Numbers {
    /// The worker's.
    key: String,
    /// `None` until the gateway has said that it counts.
    next: Option<u32>,
    undone: Vec<u32>,
}

/// Workers echo; what they are told is checked on the way.
struct Simulation {
    world: World,
    /// What the shard counts its clients by.
    counts: ClientCounts,
    random: Rng,
    clients: Vec<Client>,
    workers: Vec<usize>,
    /// Of those with windows.
    numbers: HashMap<usize, Numbers>,
    has_windows: bool,
    /// Clients come through a proxy that says so in front.
    is_proxied: bool,
    /// Workers break, and take what is on its way with them.
    lossy: bool,
    /// By connection id: how many ON_CONNECT less ON_CLOSE the workers saw.
    known: HashMap<u32, i32>,
    /// By client: what workers were told of it, in order.
    handled: HashMap<usize, Vec<String>>,
}

impl Simulation {
    fn new(seed: u64, has_windows: bool) -> Simulation {
        // In some runs each client waits after a few messages, for a ms or so.
        let messages = seed.is_multiple_of(3).then_some(Rate { per_second: 10_000, burst: 3 });
        let client_limits = ClientLimits {
            clients_max: Some(1_000),
            address_clients_max: Some(1_000),
            address_handshakes: Some(Rate { per_second: 1_000, burst: 1_000 }),
            messages,
            ..ClientLimits::default()
        };
        let counts = ClientCounts::new(&client_limits);
        let settings = Settings {
            client_limits,
            client_counts: Some(counts.clone()),
            listen: listen(&["text://127.0.0.1:1000"]),
            send_to_worker_buffer_size: 200,
            trusted_proxies: "10.0.0.0/8".parse().expect("a network"),
            proxy_protocol: seed.is_multiple_of(2),
            ..Settings::default()
        };
        let is_proxied = settings.proxy_protocol;
        let random = Rng::with_seed(seed);
        Simulation {
            world: World::new(settings),
            counts,
            random,
            clients: vec![],
            workers: vec![],
            numbers: HashMap::new(),
            has_windows,
            is_proxied,
            lossy: false,
            known: HashMap::new(),
            handled: HashMap::new(),
        }
    }

    fn step(&mut self) {
        match self.random.usize(..10) {
            0 => self.connect(),
            1..=3 => self.speak(),
            4..=6 => self.move_bytes(),
            7..=8 => self.work(),
            _ => self.change_room(),
        }
        self.listen();
        self.world.shard.check_windows();
        self.check_counts();
    }

    /// Every client is counted once, and nobody else.
    fn check_counts(&self) {
        let of_addresses: usize =
            [[10, 0, 0, 1], [192, 0, 2, 1]].map(|ip| self.counts.clients_of(ip.into())).iter().sum();
        let clients = self.world.shard.client_count();
        assert_eq!((self.counts.clients(), of_addresses), (clients, clients));
    }

    /// A worker introduces itself on a link, perhaps once more.
    fn introduce(&mut self, link: usize, key: &str) {
        if !self.has_windows {
            return self.world.introduce(link, key, false);
        }
        self.numbers.insert(link, Numbers { key: key.to_owned(), ..Numbers::default() });
        let (events, bytes) = (1 + self.random.u32(..5), 1 + self.random.u32(..500));
        self.world.introduce_with_window(link, key, events, bytes);
    }

    /// The same of one that has done so before.
    fn introduce_again(&mut self) {
        let links: Vec<usize> =
            self.workers.iter().copied().filter(|link| self.numbers.contains_key(link)).collect();
        if let Some(link) = self.random.choice(links) {
            let key = self.numbers[&link].key.clone();
            self.introduce(link, &key);
        }
    }

    /// A worker says that some of its events are done, in any order.
    fn say_done(&mut self, link: usize) {
        let Some(numbers) = self.numbers.get_mut(&link) else { return };
        self.random.shuffle(&mut numbers.undone);
        let kept = self.random.usize(..=numbers.undone.len());
        let mut body = Vec::new();
        numbers.undone.drain(kept..).for_each(|first| EventRange { first, count: 1 }.encode(&mut body));
        let frame = frame_bytes(&Frame { body: &body, ..Frame::command(Cmd::EventsDone) });
        self.world.peers[link].inbox.extend(frame);
    }

    fn connect(&mut self) {
        if self.clients.len() < 20 {
            let peer = self.world.client(0);
            if self.is_proxied {
                self.world.peers[peer].inbox.extend(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
            }
            self.clients.push(Client { peer, ..Client::default() });
        }
    }

    fn speak(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let index = self.random.usize(..self.clients.len());
        let size = self.random.usize(..60);
        let client = &mut self.clients[index];
        if client.ended {
            return;
        }
        let line = format!("{index}:{}:{}", client.said.len(), "x".repeat(size));
        self.world.peers[client.peer].inbox.extend(line.bytes().chain([b'\n']));
        client.said.push(line);
    }

    fn move_bytes(&mut self) {
        let peer = self.random.usize(..self.world.peers.len().max(1));
        let count = 1 + self.random.usize(..80);
        if peer < self.world.peers.len() {
            self.world.deliver(peer, count);
        }
    }

    /// A worker reads what it has and answers every message.
    fn work(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        let link = self.workers[self.random.usize(..self.workers.len())];
        self.work_of(link);
        self.say_done(link);
    }

    /// What a link was given whole is its worker's, also when the link is lost then.
    fn work_of(&mut self, link: usize) {
        for (cmd, id, _, body) in self.world.take_frames(link) {
            match (self.numbers.get_mut(&link), cmd) {
                (Some(numbers), Cmd::RingwayHello) => {
                    numbers.next = Some(0);
                    continue;
                }
                (Some(Numbers { next: Some(next), undone, .. }), _) => {
                    undone.push(*next);
                    *next += 1;
                }
                _ => {}
            }
            match cmd {
                Cmd::OnConnect => *self.known.entry(id).or_default() += 1,
                Cmd::OnClose => *self.known.entry(id).or_default() -= 1,
                Cmd::OnMessage => {
                    let text = String::from_utf8(body.clone()).expect("clients say UTF-8");
                    let client = text.split(':').next().and_then(|index| index.parse().ok());
                    self.handled.entry(client.expect("lines begin with it")).or_default().push(text);
                    let echo = frame_bytes(&Frame { body: &body, ..to_client(Cmd::SendToOne, id) });
                    self.world.peers[link].inbox.extend(echo);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn change_room(&mut self) {
        let peer = self.random.usize(..self.world.peers.len().max(1));
        if peer < self.world.peers.len() {
            let room = (self.random.usize(..4) > 0).then(|| self.random.usize(..100));
            self.world.read(peer, room);
        }
    }

    fn listen(&mut self) {
        for client in &mut self.clients {
            client.unread.extend(self.world.take(client.peer));
            while let Some(end) = client.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = client.unread.drain(..=end).collect();
                client.heard.push(String::from_utf8(line[..end].to_vec()).expect("clients say UTF-8"));
            }
            let heard = &client.heard;
            let mut said = client.said.iter();
            let in_order = if self.lossy {
                heard.iter().all(|line| said.any(|other| other == line))
            } else {
                client.said.starts_with(heard)
            };
            assert!(in_order, "said {:?}, heard {heard:?}", client.said);
        }
    }

    /// Fair weather until nothing moves any more.
    fn drain(&mut self) {
        for _ in 0..200 {
            self.world.pause(SHARE_PERIOD_MS);
            for peer in 0..self.world.peers.len() {
                self.world.read(peer, None);
                self.world.deliver(peer, usize::MAX);
            }
            for _ in 0..4 * self.workers.len() {
                self.work();
            }
            self.listen();
        }
    }
}

#[test]
fn every_message_is_answered_once_and_in_order() {
    for seed in 0..600 {
        let _seed = Seed(seed);
        let mut simulation = Simulation::new(seed, seed % 2 == 1);
        for key in ["a", "b"] {
            let link = simulation.world.link();
            simulation.introduce(link, key);
            simulation.workers.push(link);
        }
        for _ in 0..400 {
            simulation.step();
        }
        simulation.drain();
        for client in &simulation.clients {
            assert_eq!(client.heard, client.said);
        }
        for index in 0..simulation.clients.len() {
            simulation.world.end(simulation.clients[index].peer);
        }
        simulation.drain();
        assert_eq!(simulation.world.shard.client_count(), 0);
        simulation.check_counts();
        assert!(simulation.known.values().all(|balance| *balance == 0), "{:?}", simulation.known);
        assert_eq!(simulation.world.shard.status().events_in_flight, 0);
    }
}

/// Every event that was read from a client is handled once and in order, by a worker to which it was given whole, whichever
/// workers are lost, full, displaced or away in between.
#[test]
fn workers_that_break_take_nothing_with_them_but_what_they_were_given() {
    for seed in 0..600 {
        let _seed = Seed(seed);
        let mut simulation = Simulation::new(seed, seed % 2 == 1);
        simulation.lossy = true;
        for turn in 0..500 {
            match simulation.random.usize(..30) {
                0 if !simulation.workers.is_empty() => {
                    let index = simulation.random.usize(..simulation.workers.len());
                    let link = simulation.workers.swap_remove(index);
                    simulation.work_of(link);
                    simulation.world.reset(link);
                }
                1 if simulation.workers.len() < 3 => {
                    let link = simulation.world.link();
                    simulation.world.peers[link].room = Some(simulation.random.usize(..300));
                    // What a displaced link was given comes before what its successor gets.
                    for link in simulation.workers.clone() {
                        simulation.work_of(link);
                    }
                    simulation.introduce(link, &format!("key {}", turn % 4));
                    simulation.workers.push(link);
                    let world = &simulation.world;
                    simulation.workers.retain(|link| !world.peers[*link].closed);
                }
                3 => simulation.introduce_again(),
                2 if simulation.clients.len() > 10 => {
                    let client = simulation.random.usize(..simulation.clients.len());
                    simulation.clients[client].ended = true;
                    simulation.world.end(simulation.clients[client].peer);
                }
                _ => simulation.step(),
            }
        }
        let link = simulation.world.link();
        simulation.introduce(link, "the last");
        simulation.workers.push(link);
        for _ in 0..4 {
            simulation.drain();
            simulation.world.pass(100);
        }
        for (index, client) in simulation.clients.iter().enumerate() {
            let handled = simulation.handled.remove(&index).unwrap_or_default();
            assert_eq!(handled, client.said, "client {index}");
        }
        for client in 0..simulation.clients.len() {
            simulation.world.end(simulation.clients[client].peer);
        }
        simulation.drain();
        assert_eq!(simulation.world.shard.client_count(), 0);
        simulation.check_counts();
        assert!(simulation.known.values().all(|balance| *balance == 0), "{:?}", simulation.known);
        let counters = simulation.world.shard.counters();
        assert_eq!((counters.events_dropped, counters.closes_dropped), (0, 0));
        assert_eq!(simulation.world.shard.status().events_in_flight, 0);
    }
}

#[test]
fn clients_and_workers_that_break_harm_nobody_else() {
    for seed in 0..300 {
        let _seed = Seed(seed);
        let mut simulation = Simulation::new(seed, false);
        simulation.lossy = true;
        for turn in 0..500 {
            match simulation.random.usize(..40) {
                0 if !simulation.workers.is_empty() => {
                    let index = simulation.random.usize(..simulation.workers.len());
                    let link = simulation.workers.swap_remove(index);
                    simulation.world.reset(link);
                }
                1 if simulation.workers.len() < 3 => {
                    let link = simulation.world.worker(&format!("key {}", turn % 4));
                    simulation.workers.push(link);
                    let world = &simulation.world;
                    simulation.workers.retain(|link| !world.peers[*link].closed);
                }
                2 if !simulation.clients.is_empty() => {
                    let index = simulation.random.usize(..simulation.clients.len());
                    simulation.world.reset(simulation.clients[index].peer);
                }
                3 => simulation.world.pass(100),
                _ => simulation.step(),
            }
        }
        let open =
            simulation.clients.iter().filter(|client| !simulation.world.peers[client.peer].closed).count();
        assert!(simulation.world.shard.client_count() <= open);
        for client in 0..simulation.clients.len() {
            simulation.world.reset(simulation.clients[client].peer);
        }
        assert_eq!(simulation.world.shard.client_count(), 0);
        simulation.check_counts();
    }
}

#[test]
fn garbage_on_a_link_closes_that_link_only() {
    for seed in 0..500 {
        let _seed = Seed(seed);
        let mut random = Rng::with_seed(seed);
        let mut world = World::text();
        let worker = world.worker("a");
        let client = world.client(0);
        let other = world.link();
        let mut bytes: Vec<u8> = (0..200).map(|_| random.usize(..256) as u8).collect();
        // Half of the runs: plausible headers, so that commands and queries meet garbage too.
        if seed % 2 == 0 {
            let cmd = random.usize(..30) as u8;
            let size = bytes.len() as u32;
            bytes[..4].copy_from_slice(&size.to_be_bytes());
            bytes[4] = cmd;
            bytes[24..28].copy_from_slice(&(random.usize(..180) as u32).to_be_bytes());
        }
        world.say(other, &bytes);
        world.take(worker);
        world.say(client, b"still here\n");
        let frames = world.take_frames(worker);
        assert!(
            world.peers[client].closed || frames.iter().any(|frame| frame.3 == b"still here"),
            "{frames:?}"
        );
    }
}
