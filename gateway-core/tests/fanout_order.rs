//! Fan-outs to many, and whatever may come between, against a model that applies each command at once. Every run is a seed.

mod world;

use std::collections::{BTreeSet, HashMap};

use fastrand::Rng;
use gateway_core::config::{FANOUT_DIRECT_MAX, FANOUTS_MAX};
use protocol::inner::{Cmd, Frame, ext};
use world::{World, frame_bytes, to_client};

/// A client as the model has it.
struct Client {
    peer: usize,
    /// What it is to get in all.
    expected: Vec<u8>,
    groups: BTreeSet<u8>,
    uid: Option<u8>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    There,
    /// It gets everything that was said to it before.
    Kicked,
    /// It gets the beginning of that.
    Lost,
}

struct Model {
    world: World,
    random: Rng,
    links: Vec<usize>,
    /// By connection id, which begins with 1.
    clients: Vec<Client>,
    /// Since the log was empty.
    fan_outs: usize,
    said: u32,
}

impl Model {
    fn new(seed: u64) -> Model {
        let mut world = World::text();
        let links = ["a", "b", "c"].map(|key| world.worker(key)).to_vec();
        let mut model =
            Model { world, random: Rng::with_seed(seed), links, clients: Vec::new(), fan_outs: 0, said: 0 };
        (0..FANOUT_DIRECT_MAX + 300).for_each(|_| model.connect());
        model.world.settle();
        model
    }

    fn connect(&mut self) {
        let peer = self.world.accept(0);
        let client =
            Client { peer, expected: Vec::new(), groups: BTreeSet::new(), uid: None, state: State::There };
        self.clients.push(client);
        let id = self.clients.len() as u32;
        // Most are in a large group.
        if self.random.u8(..10) > 0 {
            self.join(id, 0);
        }
        if self.random.u8(..50) == 0 {
            self.join(id, 1);
        }
    }

    fn join(&mut self, id: u32, group: u8) {
        self.command(&Frame { ext: &name('g', group), ..to_client(Cmd::JoinGroup, id) });
        self.clients[id as usize - 1].groups.insert(group);
    }

    /// Any link says it; nothing is done about it yet.
    fn command(&mut self, frame: &Frame<'_>) {
        let link = self.links[self.random.usize(..self.links.len())];
        let socket = self.world.peers[link].socket;
        self.world.shard.on_received(self.world.now, socket, &mut frame_bytes(frame));
    }

    fn step(&mut self) {
        let id = 1 + self.random.u32(..self.clients.len() as u32);
        match self.random.u8(..24) {
            0..=2 => self.send_to_all(&[]),
            3 => self.send_to_all(&[id, id + 1]),
            4..=5 => self.send_to_ids(&[id, 5, id]),
            6..=7 => self.send_to_groups(&[0], &[id]),
            8 => self.send_to_groups(&[1, 0, 1], &[]),
            9 => self.send_to_uid(id as u8 % 8),
            10..=12 => self.send_to_one(id),
            13 => self.kick(id),
            14 => self.lose(id),
            15..=16 => self.connect(),
            17 if self.is_there(id) => self.join(id, 1),
            18 => self.leave(id),
            19 => self.bind(id),
            20 => self.speak(id),
            _ => {
                self.world.turn();
            }
        }
        // More would be held up, and be applied later than the model has it.
        if self.fan_outs + 4 >= FANOUTS_MAX {
            self.world.settle();
        }
        if !self.world.shard.is_pending() {
            self.fan_outs = 0;
        }
    }

    fn body(&mut self) -> Vec<u8> {
        self.said += 1;
        // Small ones are copied, large ones are shared.
        let size = if self.random.u8(..8) == 0 { 2_000 } else { 1 };
        format!("{}{}", self.said, "x".repeat(size)).into_bytes()
    }

    fn expect(&mut self, body: &[u8], is_target: impl Fn(u32, &Client) -> usize) {
        for (id, client) in (1..).zip(&mut self.clients) {
            if client.state == State::There {
                (0..is_target(id, client)).for_each(|_| client.expected.extend([body, b"\n"].concat()));
            }
        }
    }

    fn send_to_all(&mut self, except: &[u32]) {
        self.fan_outs += 1;
        let body = self.body();
        let ext = match except {
            [] => Vec::new(),
            ids => ext::Targets::Except(ids.iter().copied().collect()).encode(),
        };
        self.command(&Frame { body: &body, ext: &ext, ..Frame::command(Cmd::SendToAll) });
        self.expect(&body, |id, _| usize::from(!except.contains(&id)));
    }

    fn send_to_ids(&mut self, ids: &[u32]) {
        self.fan_outs += 1;
        let body = self.body();
        let ext = ext::Targets::Only(ids.to_vec()).encode();
        self.command(&Frame { body: &body, ext: &ext, ..Frame::command(Cmd::SendToAll) });
        self.expect(&body, |id, _| ids.iter().filter(|other| **other == id).count());
    }

    fn send_to_groups(&mut self, groups: &[u8], exclude: &[u32]) {
        self.fan_outs += 1;
        let body = self.body();
        let names = groups.iter().map(|group| name('g', *group)).collect();
        let ext = ext::GroupTargets { groups: names, exclude: exclude.iter().copied().collect() }.encode();
        self.command(&Frame { body: &body, ext: &ext, ..Frame::command(Cmd::SendToGroup) });
        self.expect(&body, |id, client| {
            let times = groups.iter().filter(|group| client.groups.contains(group)).count();
            if exclude.contains(&id) { 0 } else { times }
        });
    }

    fn send_to_uid(&mut self, uid: u8) {
        self.fan_outs += 1;
        let body = self.body();
        let ext = ext::encode_names(&[name('u', uid)]);
        self.command(&Frame { body: &body, ext: &ext, ..Frame::command(Cmd::SendToUid) });
        self.expect(&body, |_, client| usize::from(client.uid == Some(uid)));
    }

    fn send_to_one(&mut self, id: u32) {
        let body = self.body();
        self.command(&Frame { body: &body, ..to_client(Cmd::SendToOne, id) });
        self.expect(&body, |other, _| usize::from(other == id));
    }

    fn kick(&mut self, id: u32) {
        let body = self.body();
        self.command(&Frame { body: &body, ..to_client(Cmd::Kick, id) });
        self.expect(&body, |other, _| usize::from(other == id));
        self.end(id, State::Kicked);
    }

    fn lose(&mut self, id: u32) {
        if !self.is_there(id) {
            return;
        }
        if self.random.bool() {
            self.command(&to_client(Cmd::Destroy, id));
        } else {
            let socket = self.world.peers[self.clients[id as usize - 1].peer].socket;
            self.world.shard.on_failed(self.world.now, socket);
        }
        self.end(id, State::Lost);
    }

    fn end(&mut self, id: u32, state: State) {
        let client = &mut self.clients[id as usize - 1];
        if client.state == State::There {
            client.state = state;
        }
    }

    fn leave(&mut self, id: u32) {
        self.command(&Frame { ext: &name('g', 0), ..to_client(Cmd::LeaveGroup, id) });
        self.clients[id as usize - 1].groups.remove(&0);
    }

    fn bind(&mut self, id: u32) {
        let uid = id as u8 % 8;
        self.command(&Frame { ext: &name('u', uid), ..to_client(Cmd::BindUid, id) });
        self.clients[id as usize - 1].uid = Some(uid);
    }

    /// A client says something, or the first bytes of it.
    fn speak(&mut self, id: u32) {
        if self.is_there(id) {
            let socket = self.world.peers[self.clients[id as usize - 1].peer].socket;
            self.world.shard.on_received(self.world.now, socket, &mut b"said\nan"[..].to_vec());
        }
    }

    fn is_there(&self, id: u32) -> bool {
        self.clients[id as usize - 1].state == State::There
    }

    fn check(mut self) {
        self.world.settle();
        let mut lengths = HashMap::new();
        for (id, client) in (1_u32..).zip(&self.clients) {
            let received = &self.world.peers[client.peer].received;
            match client.state {
                State::Lost => assert!(client.expected.starts_with(received), "client {id}"),
                State::There | State::Kicked => assert!(*received == client.expected, "client {id}"),
            }
            *lengths.entry(received.len()).or_insert(0) += 1;
        }
        assert!(lengths.len() > 1, "clients get different messages");
    }
}

fn name(what: char, number: u8) -> Vec<u8> {
    format!("{what}{number}").into_bytes()
}

#[test]
fn each_client_gets_everything_in_the_order_of_application() {
    for seed in 0..30 {
        let run = std::panic::catch_unwind(|| {
            let mut model = Model::new(seed);
            (0..300).for_each(|_| model.step());
            model.check();
        });
        assert!(run.is_ok(), "failed with seed {seed}");
    }
}
