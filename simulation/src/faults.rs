//! What goes wrong: processes die or stand still, connections are cut or stall.

use std::net::SocketAddrV4;
use std::time::Duration;

use crate::network::{End, Process};
use crate::world::World;

/// What may go wrong, beside bytes that come late and in pieces, sends that fall short, and a register that dies or loses
/// connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    /// Workers are replaced in good order: nothing may be lost.
    Reloads,
    /// The same, and a process or one direction of a connection stands still, for less time than it takes to be given up:
    /// nothing may be lost.
    Pauses,
    /// Workers die, too: what was on its way to them, or waited there, may be lost.
    Deaths,
    /// Links are cut, too, behind which both ends live: what a worker had taken it still handles, beside what another one gets.
    Cuts,
    /// Processes and connections stand still for up to 30 s: they are given up, and come back.
    Freezes,
}

impl Faults {
    /// Whether somebody may be given up because nothing is heard of it.
    pub(crate) fn are_noticed_by_silence(self) -> bool {
        self == Faults::Freezes
    }

    /// How long anything stands still at most; `None`: nothing does.
    fn standstill_max(self) -> Option<Duration> {
        match self {
            Faults::Reloads | Faults::Deaths | Faults::Cuts => None,
            Faults::Pauses => Some(PAUSE_MAX),
            Faults::Freezes => Some(FREEZE_MAX),
        }
    }
}

/// What stands still, each until its time has come.
#[derive(Default)]
pub(crate) struct Disturbances {
    frozen: Vec<(Process, Duration)>,
    /// Pipes, by their index.
    stalled: Vec<(usize, Duration)>,
    /// Connections that kernels have accepted, whose processes are frozen.
    accepts: Vec<Accept>,
    /// Nothing more begins before.
    quiet_until: Duration,
}

/// A connection that came to a gateway or a register.
#[derive(Clone, Copy)]
pub(crate) struct Accept {
    pub(crate) at: End,
    pub(crate) from: SocketAddrV4,
}

impl World {
    /// Something goes wrong.
    pub(crate) fn fault(&mut self) {
        match self.random.u32(..4) {
            0 => self.fault_of_register(),
            1 | 2 if self.faults.standstill_max().is_some() => self.stand_still(),
            _ => self.fault_of_worker(),
        }
    }

    fn fault_of_worker(&mut self) {
        let running: Vec<_> = (0..self.workers.len())
            .filter(|worker| self.workers[*worker].as_ref().is_some_and(|worker| !worker.is_ending))
            .collect();
        let Some(worker) = self.random.choice(running) else { return };
        let most = match self.faults {
            Faults::Reloads | Faults::Pauses | Faults::Freezes => 1,
            Faults::Deaths => 2,
            Faults::Cuts => 3,
        };
        match self.random.u32(..most) {
            // As the master waits for its successor's links, for which that needs a register and gateways.
            0 if self.register.is_none() || self.is_disturbed() => {}
            0 => {
                self.start_worker();
                self.settle_links();
                self.stop_worker(worker);
            }
            1 => {
                self.kill(worker);
                self.start_worker();
            }
            _ => self.cut_a_link(worker),
        }
    }

    /// A process dies: its kernel ends its connections, perhaps with what nobody has read.
    fn kill(&mut self, worker: usize) {
        let Some(worker) = self.workers[worker].take() else { return };
        let mut pipes: Vec<_> = worker.conns.into_values().collect();
        pipes.sort_unstable();
        for pipe in pipes {
            let kept = self.random.usize(..=self.pipes[pipe].len());
            self.pipes[pipe].cut(kept);
            self.pipes[pipe ^ 1].close();
        }
    }

    /// Both ends hear of it, and of what was on its way only a part arrives.
    fn cut_a_link(&mut self, worker: usize) {
        let Some(worker) = &self.workers[worker] else { return };
        let mut pipes: Vec<_> = worker.conns.values().copied().collect();
        pipes.sort_unstable();
        if let Some(pipe) = self.random.choice(pipes) {
            self.cut(pipe);
        }
    }

    /// This pipe and the one beside it.
    pub(crate) fn cut(&mut self, pipe: usize) {
        for pipe in [pipe, pipe ^ 1] {
            let kept = self.random.usize(..=self.pipes[pipe].len());
            self.pipes[pipe].cut(kept);
        }
    }

    /// A process is stopped, as by SIGSTOP, or one direction of a connection takes nothing.
    fn stand_still(&mut self) {
        let Some(longest) = self.faults.standstill_max() else { return };
        let now = self.now.get();
        if self.faults == Faults::Pauses && (self.is_disturbed() || now < self.disturbances.quiet_until) {
            return;
        }
        let until = now + Duration::from_millis(self.random.u64(1..=longest.as_millis() as u64));
        self.disturbances.quiet_until = until + QUIET_TIME;
        let gateways = (0..self.gateways.len()).map(Process::Gateway);
        let workers = (0..self.workers.len()).filter(|worker| self.workers[*worker].is_some());
        let register = self.register.is_some().then_some(Process::Register);
        let processes: Vec<_> = gateways.chain(workers.map(Process::Worker)).chain(register).collect();
        let pipes = (0..self.pipes.len()).filter(|pipe| {
            let connects_processes =
                [*pipe, *pipe ^ 1].iter().all(|pipe| self.pipes[*pipe].to.process().is_some());
            connects_processes && !self.pipes[*pipe].is_stalled && self.pipes[*pipe].is_live()
        });
        let pipes: Vec<_> = pipes.collect();
        if self.random.bool() {
            let process = self.random.choice(processes).expect("gateways never die");
            if !self.is_frozen(Some(process)) {
                self.disturbances.frozen.push((process, until));
            }
        } else if let Some(pipe) = self.random.choice(pipes) {
            self.pipes[pipe].is_stalled = true;
            self.disturbances.stalled.push((pipe, until));
        }
    }

    /// Whether anything stands still.
    pub(crate) fn is_disturbed(&self) -> bool {
        !(self.disturbances.frozen.is_empty() && self.disturbances.stalled.is_empty())
    }

    /// Whether a process stands still.
    pub(crate) fn is_frozen(&self, process: Option<Process>) -> bool {
        self.disturbances.frozen.iter().any(|(frozen, _)| Some(*frozen) == process)
    }

    /// A process is dead.
    pub(crate) fn forget_frozen(&mut self, process: Process) {
        self.disturbances.frozen.retain(|(frozen, _)| *frozen != process);
        self.disturbances.accepts.retain(|accept| accept.at.process() != Some(process));
    }

    /// What stood still for long enough goes on.
    pub(crate) fn end_disturbances(&mut self) {
        let now = self.now.get();
        for (pipe, _) in self.disturbances.stalled.extract_if(.., |(_, until)| *until <= now) {
            self.pipes[pipe].is_stalled = false;
        }
        let over: Vec<_> = self.disturbances.frozen.extract_if(.., |(_, until)| *until <= now).collect();
        over.into_iter().for_each(|(process, _)| self.thaw(process));
    }

    /// A process goes on: it hears all that has come meanwhile, and then looks at its clock.
    fn thaw(&mut self, process: Process) {
        let accepts = self.disturbances.accepts.extract_if(.., |accept| accept.at.process() == Some(process));
        for accept in accepts.collect::<Vec<_>>() {
            self.take_in(accept);
        }
        let mut told = Vec::new();
        for pipe in 0..self.pipes.len() {
            if self.pipes[pipe].to.process() == Some(process) && self.pipes[pipe].is_ready() {
                self.tell(pipe, usize::MAX);
                told.push(pipe);
            }
        }
        match process {
            Process::Gateway(gateway) => {
                self.tick_gateway(gateway);
                self.turn_registration(gateway);
            }
            Process::Worker(worker) => self.turn_worker(worker),
            Process::Register => self.turn_register(),
        }
        told.into_iter().for_each(|pipe| self.tell_room(pipe));
        // What it had to say while there was no room.
        for pipe in 0..self.pipes.len() {
            if self.pipes[pipe ^ 1].to.process() == Some(process) {
                self.tell_room(pipe);
            }
        }
    }

    /// A kernel has accepted a connection; its process hears of it when it runs.
    pub(crate) fn accept(&mut self, accept: Accept) {
        if self.is_frozen(accept.at.process()) {
            return self.disturbances.accepts.push(accept);
        }
        self.take_in(accept);
        match accept.at {
            End::Gateway(gateway, _) => self.turn_gateway(gateway),
            _ => self.turn_register(),
        }
    }

    fn take_in(&mut self, Accept { at, from }: Accept) {
        let now = self.millis();
        match at {
            End::Gateway(gateway, socket) => {
                self.gateways[gateway].shard.on_link_accepted(now, socket, from.into());
            }
            End::Register(socket) => {
                if let Some(process) = &mut self.register {
                    process.register.on_accepted(now.0, socket, from.into());
                }
            }
            End::Worker(..) | End::Client(_) | End::Registration(..) => {}
        }
    }
}

/// Less than what makes anybody give up a peer, or a barrier.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// More than anybody waits for a peer.
const FREEZE_MAX: Duration = Duration::from_secs(30);

/// Between two pauses: so that nobody is silent for both together.
const QUIET_TIME: Duration = Duration::from_secs(3);
