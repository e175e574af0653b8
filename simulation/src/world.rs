//! A cluster, and the steps by which everything in it happens.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use gateway_core::Millis;
use protocol::inner::Nonce;
use protocol::{Credentials, InnerAuth, Nonces};

use crate::clients::Client;
use crate::faults::{Disturbances, Faults};
use crate::gateway::Gateway;
use crate::network::{Arrival, End, Pipe, Process};
use crate::register::{RegisterPlace, register_addresses};
use crate::worker::{Record, Worker};

/// A cluster. Connections are pairs of pipes: `2 * n` goes from who connected, `2 * n + 1` comes back.
pub struct World {
    pub(crate) random: fastrand::Rng,
    pub(crate) faults: Faults,
    pub(crate) now: Rc<Cell<Duration>>,
    pub(crate) registers: Vec<RegisterPlace>,
    pub(crate) given: Given,
    /// Which gateways each worker knows, as far as they are to stay known.
    pub(crate) known: BTreeSet<(usize, usize)>,
    pub(crate) gateways: Vec<Gateway>,
    /// Those that died or ended are `None`.
    pub(crate) workers: Vec<Option<Worker>>,
    /// In which gateway's process each is, if in one.
    pub(crate) homes: Vec<Option<usize>>,
    /// How many there are to be.
    pub(crate) worker_count: usize,
    pub(crate) clients: Vec<Client>,
    /// They are websockets, whose handshakes workers answer.
    pub(crate) are_websockets: bool,
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) disturbances: Disturbances,
    pub(crate) record: Record,
}

/// What all programs are given.
#[derive(Clone)]
pub(crate) struct Given {
    /// The addresses of all registers, or a name that has them.
    pub(crate) register_addresses: Vec<String>,
    /// Nothing, or a secret key that is said, or one that is proven.
    pub(crate) credentials: Credentials,
}

impl Given {
    fn new(seed: u64) -> Given {
        let credentials = match seed % 4 {
            0 => "a key".into(),
            1 => Credentials { secret_key: "a key".to_owned(), nonces: Some(nonces(seed)) },
            _ => Credentials::default(),
        };
        Given { register_addresses: register_addresses(seed.is_multiple_of(3)), credentials }
    }

    pub(crate) fn inner_auth(&self) -> InnerAuth {
        if self.credentials.nonces.is_some() { InnerAuth::Challenge } else { InnerAuth::Plain }
    }

    /// Of no use where nothing is proven.
    pub(crate) fn nonces(&self) -> Nonces {
        self.credentials.nonces.clone().unwrap_or_default()
    }
}

/// Those of a seed.
fn nonces(seed: u64) -> Nonces {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    Nonces::from_fn(move || {
        let mut nonce = Nonce::default();
        random.lock().expect("nobody panics who has it").fill(&mut nonce.0);
        nonce
    })
}

impl World {
    /// Two gateways, two workers, a few clients.
    pub fn new(seed: u64, faults: Faults) -> World {
        World::with(seed, faults, 0)
    }

    /// The same with a worker in the process of one gateway, or of each of them, and one with a process of its own.
    pub fn embedded(seed: u64, faults: Faults) -> World {
        World::with(seed, faults, 1 + usize::from(seed % 2 == 1))
    }

    /// So many gateways have a worker in their processes.
    fn with(seed: u64, faults: Faults, embedded: usize) -> World {
        let mut random = fastrand::Rng::with_seed(seed);
        let separate = if embedded == 0 { WORKERS } else { 1 };
        let given = Given::new(seed);
        let gateway = |index| Gateway::new(index, random.u64(..), 0, Millis(0), &given);
        let gateways = (0..GATEWAYS).map(gateway).collect();
        let mut world = World {
            random,
            faults,
            now: Rc::new(Cell::new(Duration::ZERO)),
            registers: (0..REGISTERS).map(|index| RegisterPlace::new(index, &given)).collect(),
            given,
            known: BTreeSet::new(),
            gateways,
            workers: Vec::new(),
            homes: Vec::new(),
            worker_count: embedded + separate,
            clients: Vec::new(),
            are_websockets: seed % 8 == 5,
            pipes: Vec::new(),
            disturbances: Disturbances::default(),
            record: Record::default(),
        };
        world.record.borrow_mut().links_last = faults == Faults::Reloads;
        (0..embedded).for_each(|gateway| world.start_own_worker(gateway));
        (0..separate).for_each(|_| world.start_worker());
        world.settle();
        (0..CLIENTS).for_each(|_| world.connect_client());
        world.settle();
        world
    }

    /// One thing happens.
    pub fn step(&mut self) {
        match self.random.u32(..100) {
            0 => self.change_clients(),
            1..=19 => self.speak(),
            20..=89 => self.move_bytes(),
            90..=93 if self.is_disturbed() => {
                self.deliver_all();
                self.pass(Duration::from_secs(1));
            }
            90..=96 => {
                let ms = self.random.u64(..40);
                self.pass(Duration::from_millis(ms));
            }
            97 => {
                // No network that works takes a second.
                self.deliver_all();
                self.pass(Duration::from_secs(1));
            }
            _ => self.fault(),
        }
        self.check_bounds();
        self.check_nobody_is_forgotten();
    }

    /// Nothing goes wrong any more, and everything comes to its end.
    pub fn settle(&mut self) {
        let mut calm_rounds = 0;
        for _ in 0..SETTLE_ROUNDS_MAX {
            self.deliver_all();
            self.check_bounds();
            calm_rounds = if self.is_quiet() { calm_rounds + 1 } else { 0 };
            // What is lost is never heard: then it is waited for whether more happens.
            if calm_rounds > if self.are_all_answered() { 0 } else { CALM_ROUNDS } {
                return;
            }
            self.pass(SETTLE_PERIOD);
        }
    }

    /// Whether nothing is on its way, no handler runs, and all are connected.
    fn is_quiet(&self) -> bool {
        let is_idle = |worker: &Worker| {
            let status = worker.runtime.status();
            !worker.is_ending
                && status.links == GATEWAYS
                && (status.handlers_running, status.events_waiting, status.queued_bytes) == (0, 0, 0)
        };
        !self.is_disturbed()
            && self.are_listed(GATEWAYS, self.worker_count)
            && self.workers.iter().flatten().all(is_idle)
            && self.gateways.iter().all(|gateway| gateway.shard.worker_count() == self.worker_count)
            && self.gateways.iter().all(|gateway| gateway.shard.status().events_kept == 0)
            && (0..GATEWAYS).all(|gateway| self.is_serving(gateway))
            && !self.pipes.iter().any(Pipe::is_ready)
    }

    fn move_bytes(&mut self) {
        let ready: Vec<_> = (0..self.pipes.len()).filter(|pipe| self.is_deliverable(*pipe)).collect();
        if let Some(pipe) = self.random.choice(ready) {
            let size = 1 + self.random.usize(..120);
            self.deliver(pipe, size);
        }
    }

    pub(crate) fn deliver_all(&mut self) {
        while let Some(pipe) = (0..self.pipes.len()).find(|pipe| self.is_deliverable(*pipe)) {
            self.deliver(pipe, usize::MAX);
        }
    }

    /// Time passes, and what is due is done.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.set(self.now.get() + time);
        self.end_disturbances();
        // A kernel takes all for who is gone.
        for pipe in 0..self.pipes.len() {
            if self.pipes[pipe].is_over() {
                self.tell_room(pipe);
            }
        }
        (0..REGISTERS).for_each(|register| self.turn_register(register));
        for gateway in 0..self.gateways.len() {
            self.tick_gateway(gateway);
            self.turn_registration(gateway);
        }
        (0..self.workers.len()).for_each(|worker| self.turn_worker(worker));
    }

    /// Another process takes a gateway's place. Its clients are gone, and as many connect to another gateway.
    pub(crate) fn replace_gateway(&mut self, index: usize) {
        self.renew_gateway(index);
        for client in 0..self.clients.len() {
            let Client { gateway, life, is_gone, is_over, .. } = self.clients[client];
            if gateway == index && life < self.gateways[index].life && !is_gone && !is_over {
                let had_left = self.clients[client].has_left;
                self.lose_client(client);
                if !had_left {
                    self.connect_client();
                }
            }
        }
    }

    /// Another process takes a gateway's place.
    pub(crate) fn renew_gateway(&mut self, index: usize) {
        let (life, now) = (self.gateways[index].life + 1, self.millis());
        let own = self.gateways[index].own.take();
        let seed = self.random.u64(..);
        self.record.borrow_mut().pushes.gateway_changes();
        self.gateways[index] = Gateway::new(index, seed, life, now, &self.given);
        if let Some(own) = own {
            self.bury(own.worker);
            self.start_own_worker(index);
        }
    }

    pub(crate) fn start_worker(&mut self) {
        let number = self.workers.len();
        self.add_worker(None);
        self.turn_worker(number);
    }

    /// `home`: in which gateway's process.
    pub(crate) fn add_worker(&mut self, home: Option<usize>) {
        let (number, seed) = (self.workers.len(), self.random.u64(..));
        let own_gateway = home.map(|gateway| self.gateways[gateway].address);
        let (record, answers) = (Rc::clone(&self.record), self.are_websockets);
        let worker = Worker::new(number, record, &self.now, seed, own_gateway, &self.given, answers);
        self.workers.push(Some(worker));
        self.homes.push(home);
    }

    /// Lets the newest worker come to all gateways, whatever else waits.
    pub(crate) fn settle_links(&mut self) {
        let newest = self.workers.len() - 1;
        for _ in 0..LINK_ROUNDS_MAX {
            let of_newest = |pipe: &usize| {
                let ends = [self.pipes[*pipe].to, self.pipes[*pipe ^ 1].to];
                ends.iter().any(|end| matches!(end, End::Worker(worker, _) if *worker == newest))
            };
            let ready = (0..self.pipes.len()).filter(of_newest).find(|pipe| self.is_deliverable(*pipe));
            let Some(pipe) = ready else { return };
            self.deliver(pipe, usize::MAX);
        }
    }

    pub(crate) fn stop_worker(&mut self, worker: usize) {
        if let Some(worker) = &mut self.workers[worker] {
            worker.is_ending = true;
            worker.runtime.stop();
        }
        self.turn_worker(worker);
    }

    /// Whether something can come out of a pipe, and there is somebody to take it.
    fn is_deliverable(&self, pipe: usize) -> bool {
        self.pipes[pipe].is_ready() && !self.is_frozen(self.process_of(self.pipes[pipe].to))
    }

    fn deliver(&mut self, pipe: usize, size: usize) {
        self.tell(pipe, size);
        match self.pipes[pipe].to {
            End::Client(_) => {}
            End::Register(register, _) => self.turn_register(register),
            End::Registration(gateway, _) => self.turn_registration(gateway),
            End::Gateway(gateway, _) => self.turn_gateway(gateway),
            End::Worker(worker, _) => self.turn_worker(worker),
        }
        self.tell_room(pipe);
    }

    /// Gives whoever is at a pipe's end what comes out of it, at most `size` bytes, and no turn.
    pub(crate) fn tell(&mut self, pipe: usize, size: usize) {
        let now = self.millis();
        let Some(arrival) = self.pipes[pipe].take(size) else { return };
        match self.pipes[pipe].to {
            End::Client(client) => self.hear(client, arrival),
            End::Register(register, socket) => self.tell_register(register, socket, arrival),
            End::Registration(gateway, conn) => {
                // Not of the gateway that was there before.
                if self.gateways[gateway].to_registers.contains(&(conn, pipe ^ 1)) {
                    self.tell_registration(gateway, conn, arrival);
                }
            }
            End::Gateway(gateway, socket) => {
                let shard = &mut self.gateways[gateway].shard;
                match arrival {
                    Arrival::Bytes(mut bytes) => shard.on_received(now, socket, &mut bytes),
                    Arrival::End { is_reset: true } => shard.on_failed(now, socket),
                    Arrival::End { is_reset: false } => shard.on_end_of_stream(now, socket),
                }
            }
            End::Worker(worker, conn) => self.with_ends_noted(worker, Some(pipe), |runtime| match arrival {
                Arrival::Bytes(bytes) => runtime.on_bytes(conn, &bytes),
                Arrival::End { is_reset: true } => {
                    runtime.on_end(conn, io::ErrorKind::ConnectionReset.into());
                }
                Arrival::End { is_reset: false } => {
                    runtime.on_end(conn, io::ErrorKind::UnexpectedEof.into());
                }
            }),
        }
    }

    /// Who waits for room in a pipe is told that there is some.
    pub(crate) fn tell_room(&mut self, pipe: usize) {
        // Its sender is the receiver of the other one.
        let sender = self.pipes[pipe ^ 1].to;
        if self.is_frozen(self.process_of(sender)) || !self.pipes[pipe].takes_again() {
            return;
        }
        match sender {
            End::Gateway(gateway, socket) => {
                let now = self.millis();
                self.gateways[gateway].shard.on_writable(now, socket);
                self.turn_gateway(gateway);
            }
            End::Worker(index, conn) => {
                if let Some(worker) = &mut self.workers[index] {
                    worker.runtime.on_writable(conn);
                }
                self.turn_worker(index);
            }
            End::Register(register, socket) => {
                if let Some(process) = &mut self.registers[register].process {
                    process.register.on_writable(socket);
                }
                self.turn_register(register);
            }
            End::Registration(gateway, _) => self.turn_registration(gateway),
            End::Client(_) => {}
        }
    }

    pub(crate) fn turn_gateway(&mut self, index: usize) {
        if self.is_frozen(Some(Process::Gateway(index))) {
            return;
        }
        if self.gateways[index].own.is_some() {
            return self.turn_embedded(index);
        }
        let now = self.millis();
        self.gateways[index].turn(now, &mut self.pipes);
        self.record.borrow_mut().are_thrown_out |= self.has_dropped_events(index);
    }

    pub(crate) fn tick_gateway(&mut self, index: usize) {
        if !self.is_frozen(Some(Process::Gateway(index))) {
            let now = self.millis();
            self.gateways[index].shard.on_tick(now);
            self.turn_gateway(index);
        }
    }

    pub(crate) fn add_pipes(&mut self, from: End, to: End) {
        self.pipes.push(Pipe::new(to, ROOM));
        self.pipes.push(Pipe::new(from, ROOM));
    }

    pub(crate) fn millis(&self) -> Millis {
        Millis(self.now.get().as_millis() as u64)
    }
}

pub(crate) const GATEWAYS: usize = 2;
pub(crate) const REGISTERS: usize = 2;
const WORKERS: usize = 2;
const CLIENTS: usize = 6;

/// Bytes that a pipe holds: less than some turns have to say.
pub(crate) const ROOM: usize = 600;

/// Turns of a worker until nothing is pending.
pub(crate) const TURNS_MAX: usize = 10_000;

/// How long everything takes to come to its end at most: longer than handlers one after the other, and any patience.
const SETTLE_ROUNDS_MAX: usize = 400;

/// Rounds in which nothing happens until nothing more is expected.
const CALM_ROUNDS: usize = 60;

/// Of each round.
const SETTLE_PERIOD: Duration = Duration::from_millis(500);

/// Deliveries until a new worker's links stand.
const LINK_ROUNDS_MAX: usize = 1_000;
