//! Processes that are gateway and worker at once: what they consist of, their common turn, and how they end in good order.

use std::convert::Infallible;

use gateway_core::config::STOP_TIMEOUT_MS;
use gateway_core::{Millis, SharedThread};
use ringway::MemoryLinks;

use crate::gateway::Gateway;
use crate::network::{End, Process};
use crate::world::{TURNS_MAX, World};

/// What a gateway has beside it that shares its thread.
pub(crate) struct Own {
    /// The number of the worker.
    pub(crate) worker: usize,
    pub(crate) links: MemoryLinks,
    stage: Stage,
}

/// How far the end of a process has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Serving,
    /// Its clients go, until then at most.
    Closing(Millis),
    /// The core hands over the clients of other gateways, and stops.
    HandingOver,
    /// Other workers close their ends, until then at most.
    Leaving(Millis),
}

/// The thread of such a process.
struct Thread<'a> {
    world: &'a mut World,
    gateway: usize,
    /// Something may have come for the core.
    is_touched: bool,
}

impl Own {
    /// Beside the gateway at this address.
    pub(crate) fn new(worker: usize, gateway: std::net::SocketAddrV4) -> Own {
        let links = MemoryLinks::new(gateway, FIRST_SLOT, MEMORY_ROOM);
        Own { worker, links, stage: Stage::Serving }
    }

    /// Whether it takes clients.
    pub(crate) fn is_serving(&self) -> bool {
        self.stage == Stage::Serving
    }
}

impl SharedThread for Thread<'_> {
    type Error = Infallible;

    fn turn_shard(&mut self) -> Result<(), Infallible> {
        let now = self.world.millis();
        self.world.gateways[self.gateway].turn_once(now, &mut self.world.pipes);
        Ok(())
    }

    fn is_shard_pending(&self) -> bool {
        self.world.gateways[self.gateway].shard.is_pending()
    }

    fn turn_guest(&mut self) -> Result<(), Infallible> {
        self.is_touched = false;
        let now = self.world.millis();
        let Some(worker) = self.worker() else { return Ok(()) };
        let (gateways, workers) = (&mut self.world.gateways, &mut self.world.workers);
        if let (Some(own), Some(core)) = (&mut gateways[self.gateway].own, &mut workers[worker]) {
            own.links.tell_core(&mut core.runtime);
        }
        self.world.turn_worker_once(worker);
        let Gateway { own, shard, .. } = &mut self.world.gateways[self.gateway];
        own.iter_mut().for_each(|own| own.links.tell_shard(shard, now));
        Ok(())
    }

    fn is_guest_due(&self) -> bool {
        let own = self.world.gateways[self.gateway].own.as_ref();
        let core = self.worker().and_then(|worker| self.world.workers[worker].as_ref());
        self.is_touched
            || own.is_some_and(|own| own.links.is_pending())
            || core.is_some_and(|core| core.runtime.is_pending())
    }
}

impl Thread<'_> {
    fn worker(&self) -> Option<usize> {
        self.world.gateways[self.gateway].own.as_ref().map(|own| own.worker)
    }
}

impl World {
    /// Starts the worker in a gateway's process.
    pub(crate) fn start_own_worker(&mut self, gateway: usize) {
        let (number, address) = (self.workers.len(), self.gateways[gateway].address);
        self.add_worker(Some(gateway));
        self.gateways[gateway].own = Some(Own::new(number, address));
        self.turn_gateway(gateway);
    }

    /// Whose process this end belongs to. Clients have none.
    pub(crate) fn process_of(&self, end: End) -> Option<Process> {
        match end {
            End::Worker(worker, _) => Some(self.process_of_worker(worker)),
            other => other.process(),
        }
    }

    /// A worker's process, which may be a gateway's.
    pub(crate) fn process_of_worker(&self, worker: usize) -> Process {
        self.homes[worker].map_or(Process::Worker(worker), Process::Gateway)
    }

    /// Whether a gateway takes clients.
    pub(crate) fn is_serving(&self, gateway: usize) -> bool {
        self.gateways[gateway].own.as_ref().is_none_or(Own::is_serving)
    }

    /// Both have their turns until neither has anything to do.
    pub(crate) fn turn_embedded(&mut self, gateway: usize) {
        for _ in 0..TURNS_MAX {
            let mut thread = Thread { world: self, gateway, is_touched: true };
            let Ok(()) = thread.turn_both();
            let is_due = thread.is_shard_pending() || thread.is_guest_due();
            if !self.get_on_with_the_end(gateway) && !is_due {
                return;
            }
        }
        panic!("a process that is gateway and worker never comes to rest");
    }

    /// A process is asked to end in good order: it leaves the register, and its clients go.
    pub(crate) fn stop_embedded(&mut self, index: usize) {
        for client in self.clients.iter_mut().filter(|client| client.gateway == index && !client.is_gone) {
            client.is_dismissed |= client.life == self.gateways[index].life;
        }
        let now = self.millis();
        let gateway = &mut self.gateways[index];
        let Some(own) = &mut gateway.own else { return };
        gateway.registration.clear();
        for (_, pipe) in gateway.to_registers.drain(..) {
            self.pipes[pipe].end();
            self.pipes[pipe ^ 1].close();
        }
        own.stage = Stage::Closing(now.plus(STOP_TIMEOUT_MS));
        self.workers[own.worker].iter_mut().for_each(|worker| worker.is_ending = true);
        gateway.shard.begin_stop(now);
        let clients = self.clients.iter().enumerate().filter(|(_, client)| client.gateway == index);
        self.record.borrow_mut().left.extend(clients.map(|(client, _)| client));
        self.turn_gateway(index);
    }

    /// As the thread of such a process does it. Returns whether anything has changed.
    fn get_on_with_the_end(&mut self, index: usize) -> bool {
        let now = self.millis();
        let Gateway { shard, own: Some(own), .. } = &mut self.gateways[index] else { return false };
        let Some(worker) = &mut self.workers[own.worker] else { return false };
        match own.stage {
            Stage::Closing(until) if shard.is_stopped() || now >= until => {
                shard.end_clients(now);
                worker.runtime.stop();
                own.stage = Stage::HandingOver;
            }
            Stage::HandingOver if worker.runtime.is_over() => {
                shard.end_stop(now);
                own.stage = Stage::Leaving(now.plus(LEAVE_TIMEOUT_MS));
            }
            Stage::Leaving(until) if !shard.has_links() || now >= until => self.exit(index),
            _ => return false,
        }
        true
    }

    /// The process ends, and another one begins in its place.
    fn exit(&mut self, gateway: usize) {
        for pipe in self.pipes_to(Process::Gateway(gateway)) {
            self.pipes[pipe ^ 1].end();
            self.pipes[pipe].close();
        }
        self.renew_gateway(gateway);
    }

    /// It is killed.
    pub(crate) fn kill_embedded(&mut self, gateway: usize) {
        self.forget_frozen(Process::Gateway(gateway));
        for pipe in self.pipes_to(Process::Gateway(gateway)) {
            let kept = self.random.usize(..=self.pipes[pipe ^ 1].len());
            self.pipes[pipe ^ 1].cut(kept);
            self.pipes[pipe].close();
        }
        self.replace_gateway(gateway);
    }

    /// Those on which a process still receives.
    fn pipes_to(&self, process: Process) -> Vec<usize> {
        let is_to = |pipe: &usize| {
            self.process_of(self.pipes[*pipe].to) == Some(process) && !self.pipes[*pipe].is_over()
        };
        (0..self.pipes.len()).filter(is_to).collect()
    }
}

/// Slots from here on are links in memory: no gateway has so many sockets.
pub(crate) const FIRST_SLOT: u32 = 1 << 16;

/// Bytes that a link in memory holds: less than some turns have to say.
const MEMORY_ROOM: usize = 600;

/// What other workers may take to close their ends, in ms.
const LEAVE_TIMEOUT_MS: u64 = 1_000;
