//! The registers, and who connects to them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use protocol::InnerAuth;
use protocol::register_set::{Action, RegisterConn};
use ringway_register::{Config, Register};
use ringway_worker::core::ConnId;

use crate::faults::Accept;
use crate::network::{Arrival, Connect, End, Process};
use crate::sockets::{PipeSink, Sockets};
use crate::world::{GATEWAYS, Given, REGISTERS, World};

/// Where a register is to be, one process after the other.
pub(crate) struct RegisterPlace {
    pub(crate) address: SocketAddr,
    /// `None` while its process is dead.
    pub(crate) process: Option<RegisterProcess>,
    lives: u32,
    /// When it starts again.
    starts_at: Duration,
}

/// A register's process.
pub(crate) struct RegisterProcess {
    pub(crate) register: Register,
    pub(crate) sockets: Sockets,
}

impl RegisterPlace {
    /// The first, second … register.
    pub(crate) fn new(index: usize, given: &Given) -> RegisterPlace {
        let (address, process) = (address(index, 0), Some(RegisterProcess::new(0, given)));
        RegisterPlace { address, process, lives: 0, starts_at: Duration::ZERO }
    }
}

impl RegisterProcess {
    /// The first, second … life of a register.
    fn new(life: u32, given: &Given) -> RegisterProcess {
        let config = Config {
            secret_key: given.credentials.secret_key.clone(),
            inner_auth: given.inner_auth(),
            ..Config::default()
        };
        let register = Register::with_nonces(&config, &given.nonces());
        RegisterProcess { register, sockets: Sockets::new(life) }
    }
}

/// Where a register is in its first, second … life, if it moves.
fn address(index: usize, life: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 2 + index as u8, 1 + life as u8], REGISTER_PORT))
}

/// What programs are given: a name that has all registers' addresses, or these.
pub(crate) fn register_addresses(are_named: bool) -> Vec<String> {
    if are_named {
        return vec![format!("registers:{REGISTER_PORT}")];
    }
    (0..REGISTERS).map(|index| address(index, 0).to_string()).collect()
}

impl World {
    /// One dies, or somebody's connection to it is cut. That may happen at any time, and no message is lost by it.
    pub(crate) fn fault_of_register(&mut self) {
        let register = self.random.usize(..REGISTERS);
        if self.random.bool() {
            return self.kill_register(register);
        }
        let pipes = self.registers[register].process.as_ref().map(|process| process.sockets.pipes());
        if let Some(pipe) = self.random.choice(pipes.unwrap_or_default()) {
            if let End::Registration(gateway, _) = self.pipes[pipe].to {
                self.gateways[gateway].was_cut_off = true;
            }
            self.cut(pipe);
        }
    }

    fn kill_register(&mut self, register: usize) {
        if self.is_down(Process::Register(register)) {
            return;
        }
        let Some(process) = self.registers[register].process.take() else { return };
        self.forget_frozen(Process::Register(register));
        for pipe in process.sockets.pipes() {
            let kept = self.random.usize(..=self.pipes[pipe].len());
            self.pipes[pipe].cut(kept);
            self.pipes[pipe ^ 1].close();
        }
        let place = &mut self.registers[register];
        place.lives += 1;
        place.starts_at = self.now.get() + Duration::from_millis(self.random.u64(..3_000));
    }

    /// Its machine is gone; another will be in its place, at another address if that can be found, and knows nobody.
    pub(crate) fn replace_register(&mut self, register: usize) {
        let are_named = self.given.register_addresses.len() < REGISTERS;
        let place = &mut self.registers[register];
        place.lives += 1;
        place.process = Some(RegisterProcess::new(place.lives, &self.given));
        if are_named {
            place.address = address(register, place.lives);
        }
    }

    /// Whether one lists all gateways.
    pub(crate) fn is_any_register_complete(&self) -> bool {
        self.register_statuses().flatten().any(|status| status.gateways == GATEWAYS)
    }

    /// It starts again when its time has come, and does what is due.
    pub(crate) fn turn_register(&mut self, index: usize) {
        let now = self.millis();
        if self.is_frozen(Some(Process::Register(index))) {
            return;
        }
        let place = &mut self.registers[index];
        if place.process.is_none() && self.now.get() >= place.starts_at {
            place.process = Some(RegisterProcess::new(place.lives, &self.given));
        }
        let Some(RegisterProcess { register, sockets }) = &mut place.process else { return };
        let mut sink = PipeSink { sockets, pipes: &mut self.pipes, near: None, waits: false };
        loop {
            let Ok(()) = register.turn(now.0, &mut sink);
            if register.deadline() > now.0 {
                return;
            }
        }
    }

    /// What came to one of its sockets.
    pub(crate) fn tell_register(&mut self, register: usize, socket: uring::SocketId, arrival: Arrival) {
        let now = self.millis().0;
        if let Some(RegisterProcess { register, .. }) = &mut self.registers[register].process {
            match arrival {
                Arrival::Bytes(bytes) => register.on_bytes(now, socket, &bytes),
                Arrival::End { is_reset: true } => register.on_failed(socket),
                Arrival::End { is_reset: false } => register.on_end_of_stream(now, socket),
            }
        }
    }

    /// What the registers' name has for addresses, if anybody can tell; to a program that begins, somebody can.
    pub(crate) fn look_up(&mut self, begins: bool) -> io::Result<Vec<SocketAddr>> {
        if !begins && self.random.u32(..8) == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(self.registers.iter().map(|place| place.address).collect())
    }

    /// Connects to the register at an address, as far as it is there.
    fn connect_to_register(&mut self, from: End, to: SocketAddr) -> Connect {
        let index = self.registers.iter().position(|place| place.address == to);
        let Some(index) = index.filter(|index| !self.is_down(Process::Register(*index))) else {
            return Connect::Unanswered;
        };
        let pipe = self.pipes.len();
        let Some(process) = &mut self.registers[index].process else { return Connect::Refused };
        let socket = process.sockets.open(pipe + 1);
        self.add_pipes(from, End::Register(index, socket));
        self.accept(Accept {
            at: End::Register(index, socket),
            from: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 7000),
        });
        Connect::Stands(pipe)
    }

    pub(crate) fn connect_worker_to_register(&mut self, index: usize, conn: ConnId, to: SocketAddr) {
        let connect = self.connect_to_register(End::Worker(index, conn), to);
        let Some(worker) = &mut self.workers[index] else { return };
        match connect {
            Connect::Stands(pipe) => {
                worker.conns.insert(conn, pipe);
                worker.runtime.on_connected(conn);
            }
            Connect::Refused => worker.runtime.on_end(conn, io::ErrorKind::ConnectionRefused.into()),
            Connect::Unanswered => {}
        }
    }

    /// What came to a gateway from a register.
    pub(crate) fn tell_registration(&mut self, gateway: usize, conn: RegisterConn, arrival: Arrival) {
        let now = self.millis().0;
        let registration = &mut self.gateways[gateway].registration;
        match arrival {
            Arrival::Bytes(bytes) => registration.on_bytes(now, conn, &bytes),
            Arrival::End { is_reset: true } => {
                registration.on_failed(now, conn, io::ErrorKind::ConnectionReset.into());
            }
            Arrival::End { is_reset: false } => registration.on_end_of_stream(now, conn),
        }
    }

    /// Does what a gateway's registration wants.
    pub(crate) fn turn_registration(&mut self, gateway: usize) {
        if self.is_frozen(Some(Process::Gateway(gateway))) || !self.is_serving(gateway) {
            return;
        }
        let now = self.millis().0;
        self.gateways[gateway].registration.on_tick(now);
        while let Some(action) = self.gateways[gateway].registration.next_action() {
            match action {
                Action::LookUp(name) => {
                    let found = self.look_up(false);
                    self.gateways[gateway].registration.on_looked_up(now, name, found);
                }
                Action::Connect(conn, to) => self.connect_registration(gateway, conn, to),
                Action::Close(conn) => {
                    let of_conn = |pair: &mut (RegisterConn, usize)| pair.0 == conn;
                    for (_, pipe) in self.gateways[gateway].to_registers.extract_if(.., of_conn) {
                        self.pipes[pipe].end();
                        self.pipes[pipe ^ 1].close();
                    }
                }
                Action::Tell(..) | Action::Unlisted => {}
            }
        }
        let gateway = &mut self.gateways[gateway];
        for (conn, pipe) in &gateway.to_registers {
            let sent = self.pipes[*pipe].send(gateway.registration.unsent(*conn));
            gateway.registration.on_sent(*conn, sent);
        }
    }

    fn connect_registration(&mut self, gateway: usize, conn: RegisterConn, to: SocketAddr) {
        let now = self.millis().0;
        let connect = self.connect_to_register(End::Registration(gateway, conn), to);
        let gateway = &mut self.gateways[gateway];
        match connect {
            Connect::Stands(pipe) => {
                gateway.to_registers.push((conn, pipe));
                gateway.registration.on_connected(now, conn);
            }
            Connect::Refused => {
                gateway.registration.on_failed(now, conn, io::ErrorKind::ConnectionRefused.into());
            }
            Connect::Unanswered => {}
        }
    }

    /// Checks that no worker forgets a gateway that is there, whatever becomes of registers: one that comes back, or another in its
    /// place, has short lists at first.
    pub(crate) fn check_nobody_is_forgotten(&mut self) {
        if self.faults.are_noticed_by_silence() {
            return;
        }
        for (number, worker) in self.workers.iter().enumerate() {
            let Some(worker) = worker.as_ref().filter(|worker| !worker.is_ending) else { continue };
            let listed = worker.runtime.gateways();
            for (index, gateway) in self.gateways.iter().enumerate() {
                // Of one that ended, or was cut off, registers tell the truth.
                let is_to_stay = gateway.life == 0 && !gateway.was_cut_off && self.is_serving(index);
                let is_known = listed.contains(&gateway.address);
                if is_to_stay && is_known {
                    self.known.insert((number, index));
                }
                let is_forgotten = is_to_stay && !is_known && self.known.contains(&(number, index));
                assert!(
                    !is_forgotten,
                    "worker {number} has forgotten gateway {index} after {:?}",
                    self.now.get()
                );
            }
        }
    }

    /// Checks that all have found it again, and that it refused nobody and took nobody for dead who was not.
    pub(crate) fn check_register(&self) {
        assert!(self.is_registered(GATEWAYS, self.worker_count), "all are registered");
        if !self.faults.are_noticed_by_silence() {
            self.check_refusals();
        }
    }

    /// Checks that none has a connection to a machine that is gone, but such on which no ping had come.
    pub(crate) fn check_register_gave_up_the_silent(&self) {
        let first_size_max = match self.given.inner_auth() {
            InnerAuth::Plain => FIRST_LINES_SIZE_MAX,
            InnerAuth::Challenge => FIRST_LINES_SIZE_MAX + PROOF_LINE_SIZE_MAX,
        };
        let pipes = self.registers.iter().filter_map(|place| place.process.as_ref());
        for pipe in pipes.flat_map(|process| process.sockets.pipes()) {
            let back = &self.pipes[pipe ^ 1];
            assert!(!back.is_lost() || back.delivered() < first_size_max, "a dead peer is listed");
        }
    }

    fn check_refusals(&self) {
        let wrong = self.register_statuses().flatten().flat_map(|status| {
            let counters: Vec<_> = status.counters.all().collect();
            counters
        });
        let wrong: Vec<_> = wrong
            .filter(|it| (it.name.starts_with("refused") || it.name == "dead") && it.count > 0)
            .collect();
        assert_eq!(wrong, []);
    }

    /// Whether all gateways and workers are where they belong in the registers' lists, and nobody else.
    fn is_registered(&self, gateways: usize, workers: usize) -> bool {
        let listed = (gateways, workers, gateways + workers);
        let is_right = |status: ringway_register::Status| {
            (status.gateways, status.workers, status.connections) == listed
        };
        self.are_all_held() && self.register_statuses().all(|status| status.is_some_and(is_right))
    }

    /// The same, but for those whose machines are gone and of whom only a register's kernel can tell.
    pub(crate) fn are_listed(&self, gateways: usize, workers: usize) -> bool {
        if self.disturbances.half_open.is_empty() {
            return self.is_registered(gateways, workers);
        }
        let are_there =
            |status: ringway_register::Status| status.gateways >= gateways && status.workers >= workers;
        self.are_all_held() && self.register_statuses().all(|status| status.is_some_and(are_there))
    }

    fn are_all_held(&self) -> bool {
        self.gateways.iter().all(|gateway| gateway.registration.are_all_held())
    }

    /// `None` of those that are dead.
    fn register_statuses(&self) -> impl Iterator<Item = Option<ringway_register::Status>> {
        self.registers.iter().map(|place| place.process.as_ref().map(|process| process.register.status()))
    }
}

/// The registers' port: no gateway has it.
pub(crate) const REGISTER_PORT: u16 = 1236;

/// What a peer says first, in bytes: what it is, and a ping.
const FIRST_LINES_SIZE_MAX: usize = 128;

/// What it says before that, if it is to prove that it knows the key.
const PROOF_LINE_SIZE_MAX: usize = 256;
