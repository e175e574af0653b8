//! What drives a worker's core: its turns, what it wants done, and what it sends.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use ringway_worker::core::{Action as CoreAction, ConnId, Notice};
use ringway_worker::driver::Near as _;

use crate::faults::Accept;
use crate::network::{End, Pipe, Process};
use crate::register::REGISTER_PORT;
use crate::world::{TURNS_MAX, World};

impl World {
    pub(crate) fn turn_worker(&mut self, index: usize) {
        if let Some(gateway) = self.homes[index] {
            return self.turn_gateway(gateway);
        }
        if self.is_frozen(Some(Process::Worker(index))) {
            return;
        }
        for _ in 0..TURNS_MAX {
            self.turn_worker_once(index);
            let Some(worker) = &mut self.workers[index] else { return };
            if worker.runtime.is_over() {
                let worker = self.bury(index);
                for pipe in worker.into_iter().flat_map(|worker| worker.conns.into_values()) {
                    self.pipes[pipe].end();
                    self.pipes[pipe ^ 1].close();
                }
                return;
            }
            if !worker.runtime.is_pending() {
                return;
            }
        }
        panic!("a worker never comes to rest");
    }

    pub(crate) fn turn_worker_once(&mut self, index: usize) {
        self.with_ends_noted(index, None, |runtime| runtime.turn());
        let Some(worker) = &mut self.workers[index] else { return };
        let mut actions = Vec::new();
        worker.runtime.take_actions(&mut actions);
        self.act_all(index, actions);
        self.send_of_worker(index);
        self.note_ready(index);
    }

    fn send_of_worker(&mut self, index: usize) {
        let mut own = self.homes[index].and_then(|gateway| self.gateways[gateway].own.as_mut());
        let Some(worker) = &mut self.workers[index] else { return };
        let mut waits = worker.runtime.is_over_when_sent() && !worker.runtime.is_pending();
        let mut dirty = Vec::new();
        worker.runtime.take_dirty(&mut dirty);
        waits &= !dirty.is_empty();
        for conn in dirty {
            let unsent = worker.runtime.unsent();
            let bytes = unsent.of(conn);
            let near = own.as_mut().and_then(|own| own.links.send(conn, bytes));
            let far = worker.conns.get(&conn);
            let Some(sent) = near.or_else(|| far.map(|pipe| self.pipes[*pipe].send(bytes))) else { continue };
            waits &= sent == bytes.len();
            drop(unsent);
            worker.runtime.on_sent(conn, sent);
        }
        let mut actions = Vec::new();
        worker.runtime.take_actions(&mut actions);
        // A ring would wait by now, in the system call of the sends.
        let follows = !actions.is_empty() || worker.runtime.is_pending();
        assert!(!(waits && follows), "nothing was to follow from the last sends, and then {actions:?}");
        self.act_all(index, actions);
    }

    /// In order, also when one of them brings about the worker's next turn, which has actions of its own.
    fn act_all(&mut self, index: usize, actions: Vec<CoreAction>) {
        let Some(worker) = &mut self.workers[index] else { return };
        worker.actions.extend(actions);
        while let Some(action) = self.workers[index].as_mut().and_then(|worker| worker.actions.pop_front()) {
            self.act(index, action);
        }
    }

    fn act(&mut self, index: usize, action: CoreAction) {
        let own = self.homes[index].and_then(|gateway| self.gateways[gateway].own.as_mut());
        if own.is_some_and(|own| own.links.act(&action)) {
            return;
        }
        match action {
            CoreAction::Connect(conn, to, _) if to.port() == REGISTER_PORT => {
                self.connect_worker_to_register(index, conn, to);
            }
            CoreAction::Connect(conn, to, _) => self.connect_link(index, conn, to),
            CoreAction::LookUp(name, _) => {
                let begins = self.workers[index].as_ref().is_some_and(|worker| worker.conns.is_empty());
                let found = self.look_up(begins);
                if let Some(worker) = &mut self.workers[index] {
                    worker.runtime.on_looked_up(name, found);
                }
            }
            CoreAction::Pause(conn) => self.with_pipe(index, conn, |_, back| back.is_paused = true),
            CoreAction::Resume(conn) => self.with_pipe(index, conn, |_, back| back.is_paused = false),
            CoreAction::Finish(conn) => self.with_pipe(index, conn, |there, _| there.end()),
            CoreAction::Close(conn) => {
                self.with_pipe(index, conn, |there, back| {
                    there.end();
                    back.close();
                });
                if let Some(worker) = &mut self.workers[index] {
                    worker.conns.remove(&conn);
                }
            }
            CoreAction::Tell(Notice::NameTaken) => panic!("each worker has a name of its own"),
            CoreAction::Tell(_) => {}
        }
    }

    fn connect_link(&mut self, index: usize, conn: ConnId, to: SocketAddr) {
        let gateway = self.gateways.iter().position(|gateway| SocketAddr::from(gateway.address) == to);
        let gateway = gateway.expect("the register lists gateways that there are");
        if self.is_down(Process::Gateway(gateway)) {
            return;
        }
        let socket = self.gateways[gateway].sockets.open(self.pipes.len() + 1);
        self.add_conn(index, conn, End::Gateway(gateway, socket));
        let address = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 1), 6000 + index as u16);
        self.accept(Accept { at: End::Gateway(gateway, socket), from: address });
        self.workers[index].iter_mut().for_each(|worker| worker.runtime.on_connected(conn));
    }

    fn add_conn(&mut self, index: usize, conn: ConnId, peer: End) {
        let pipe = self.pipes.len();
        self.add_pipes(End::Worker(index, conn), peer);
        if let Some(worker) = &mut self.workers[index] {
            worker.conns.insert(conn, pipe);
        }
    }

    /// What goes out on a worker's connection, and what comes back.
    fn with_pipe(&mut self, index: usize, conn: ConnId, work: impl FnOnce(&mut Pipe, &mut Pipe)) {
        let pipe = self.workers[index].as_ref().and_then(|worker| worker.conns.get(&conn));
        if let Some(pipe) = pipe
            && let [there, back] = &mut self.pipes[*pipe..pipe + 2]
        {
            work(there, back);
        }
    }
}
