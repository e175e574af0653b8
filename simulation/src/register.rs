//! The register, and who connects to it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use protocol::register_client::{Action, Connection};
use ringway_register::{Config, Register};

use crate::faults::Accept;
use crate::network::{Arrival, Connect, End, Process};
use crate::sockets::{PipeSink, Sockets};
use crate::world::{GATEWAYS, World};

/// A register's process.
pub(crate) struct RegisterProcess {
    pub(crate) register: Register,
    pub(crate) sockets: Sockets,
}

impl RegisterProcess {
    /// The first, second … life of the register.
    pub(crate) fn new(life: u32) -> RegisterProcess {
        RegisterProcess { register: Register::new(&Config::default()), sockets: Sockets::new(life) }
    }
}

impl World {
    /// It dies, or somebody's connection to it is cut. That may happen at any time, and no message is lost by it.
    pub(crate) fn fault_of_register(&mut self) {
        if self.random.bool() {
            return self.kill_register();
        }
        let pipes = self.register.as_ref().map(|process| process.sockets.pipes()).unwrap_or_default();
        if let Some(pipe) = self.random.choice(pipes) {
            self.cut(pipe);
        }
    }

    fn kill_register(&mut self) {
        if self.is_down(Process::Register) {
            return;
        }
        let Some(process) = self.register.take() else { return };
        self.forget_frozen(Process::Register);
        for pipe in process.sockets.pipes() {
            let kept = self.random.usize(..=self.pipes[pipe].len());
            self.pipes[pipe].cut(kept);
            self.pipes[pipe ^ 1].close();
        }
        self.register_lives += 1;
        self.register_at = self.now.get() + Duration::from_millis(self.random.u64(..3_000));
    }

    /// Its machine is gone; another will be in its place, and knows nobody.
    pub(crate) fn replace_register(&mut self) {
        self.register_lives += 1;
        self.register = Some(RegisterProcess::new(self.register_lives));
    }

    /// It starts again when its time has come, and does what is due.
    pub(crate) fn turn_register(&mut self) {
        let now = self.millis();
        if self.is_frozen(Some(Process::Register)) {
            return;
        }
        if self.register.is_none() && self.now.get() >= self.register_at {
            self.register = Some(RegisterProcess::new(self.register_lives));
        }
        let Some(RegisterProcess { register, sockets }) = &mut self.register else { return };
        let mut sink = PipeSink { sockets, pipes: &mut self.pipes, near: None, waits: false };
        loop {
            let Ok(()) = register.turn(now.0, &mut sink);
            if register.deadline() > now.0 {
                return;
            }
        }
    }

    /// What came to one of its sockets.
    pub(crate) fn tell_register(&mut self, socket: uring::SocketId, arrival: Arrival) {
        let now = self.millis().0;
        if let Some(RegisterProcess { register, .. }) = &mut self.register {
            match arrival {
                Arrival::Bytes(bytes) => register.on_bytes(now, socket, &bytes),
                Arrival::End { is_reset: true } => register.on_failed(socket),
                Arrival::End { is_reset: false } => register.on_end_of_stream(now, socket),
            }
        }
    }

    /// Connects to the register, as far as it is there.
    pub(crate) fn connect_to_register(&mut self, from: End) -> Connect {
        if self.is_down(Process::Register) {
            return Connect::Unanswered;
        }
        let pipe = self.pipes.len();
        let Some(process) = &mut self.register else { return Connect::Refused };
        let socket = process.sockets.open(pipe + 1);
        self.add_pipes(from, End::Register(socket));
        self.accept(Accept {
            at: End::Register(socket),
            from: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 7000),
        });
        Connect::Stands(pipe)
    }

    /// What came to a gateway from the register.
    pub(crate) fn tell_registration(&mut self, gateway: usize, connection: Connection, arrival: Arrival) {
        let now = self.millis().0;
        let client = &mut self.gateways[gateway].registration;
        match arrival {
            Arrival::Bytes(bytes) => client.on_bytes(now, connection, &bytes),
            Arrival::End { is_reset: true } => {
                client.on_failed(now, connection, io::ErrorKind::ConnectionReset.into());
            }
            Arrival::End { is_reset: false } => client.on_end_of_stream(now, connection),
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
                Action::Connect(connection) => self.connect_registration(gateway, connection),
                Action::Close(connection) => {
                    if let Some(pipe) = self.gateways[gateway].to_register[connection as usize].take() {
                        self.pipes[pipe].end();
                        self.pipes[pipe ^ 1].close();
                    }
                }
                Action::News(_) => {}
            }
        }
        let gateway = &mut self.gateways[gateway];
        for connection in [Connection::Main, Connection::Probe] {
            if let Some(pipe) = gateway.to_register[connection as usize] {
                let sent = self.pipes[pipe].send(gateway.registration.unsent(connection));
                gateway.registration.on_sent(connection, sent);
            }
        }
    }

    fn connect_registration(&mut self, gateway: usize, connection: Connection) {
        let now = self.millis().0;
        self.gateways[gateway].registration.on_connecting(now, connection);
        let connect = self.connect_to_register(End::Registration(gateway, connection));
        let gateway = &mut self.gateways[gateway];
        match connect {
            Connect::Stands(pipe) => {
                gateway.to_register[connection as usize] = Some(pipe);
                gateway.registration.on_connected(now, connection);
            }
            Connect::Refused => {
                let refused = io::ErrorKind::ConnectionRefused.into();
                gateway.registration.on_failed(now, connection, refused);
            }
            Connect::Unanswered => {}
        }
    }

    /// Checks that all have found it again, and that it refused nobody and took nobody for dead who was not.
    pub(crate) fn check_register(&self) {
        assert!(self.is_registered(GATEWAYS, self.worker_count), "all are registered");
        if !self.faults.are_noticed_by_silence() {
            self.check_refusals();
        }
    }

    /// Checks that it has no connection to a machine that is gone, but such on which no ping had come.
    pub(crate) fn check_register_gave_up_the_silent(&self) {
        let pipes = self.register.as_ref().map(|process| process.sockets.pipes()).unwrap_or_default();
        for pipe in pipes {
            let back = &self.pipes[pipe ^ 1];
            assert!(!back.is_lost() || back.delivered() < FIRST_LINES_SIZE_MAX, "a dead peer is listed");
        }
    }

    fn check_refusals(&self) {
        let status = self.register.as_ref().map(|process| process.register.status());
        let wrong: Vec<_> = status
            .iter()
            .flat_map(|status| status.counters.by_name())
            .filter(|(name, count)| (name.starts_with("refused") || *name == "dead") && *count > 0)
            .collect();
        assert_eq!(wrong, []);
    }

    /// Whether all gateways and workers are where they belong in the register's list, and nobody else.
    fn is_registered(&self, gateways: usize, workers: usize) -> bool {
        let status = self.register.as_ref().map(|process| process.register.status());
        let listed = status.map(|status| (status.gateways, status.workers, status.connections));
        self.are_all_held() && listed == Some((gateways, workers, gateways + workers))
    }

    /// The same, but for those whose machines are gone and of whom only the register's kernel can tell.
    pub(crate) fn are_listed(&self, gateways: usize, workers: usize) -> bool {
        if self.disturbances.half_open.is_empty() {
            return self.is_registered(gateways, workers);
        }
        let status = self.register.as_ref().map(|process| process.register.status());
        self.are_all_held()
            && status.is_some_and(|status| status.gateways >= gateways && status.workers >= workers)
    }

    fn are_all_held(&self) -> bool {
        self.gateways.iter().all(|gateway| gateway.registration.is_held())
    }
}

/// What a peer says first, in bytes: what it is, and a ping.
const FIRST_LINES_SIZE_MAX: usize = 128;
