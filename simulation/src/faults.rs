//! What goes wrong: processes die or stand still, connections are cut or stall.

use std::net::SocketAddrV4;
use std::time::Duration;

use crate::network::{End, Process};
use crate::world::{REGISTERS, World};

/// What may go wrong, beside bytes that come late and in pieces, sends that fall short, and registers that die or lose
/// connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    /// Workers are replaced in good order: nothing may be lost.
    Reloads,
    /// The same, and a process or one direction of a connection stands still, for less time than it takes to be given up:
    /// nothing may be lost.
    Pauses,
    /// Workers die, too: what was on its way to them, or in their hands, goes to others, who are told so.
    Deaths,
    /// Links are cut, too, behind which both ends live: what a worker has begun it still handles, beside what another one gets.
    Cuts,
    /// Processes and connections stand still for up to 30 s: they are given up, and come back.
    Freezes,
    /// Machines of workers, gateways and the register are gone from one moment to the next, and nobody is told: with a gateway go
    /// its clients.
    Outages,
}

impl Faults {
    /// Whether somebody may be given up because nothing is heard of it.
    pub(crate) fn are_noticed_by_silence(self) -> bool {
        matches!(self, Faults::Freezes | Faults::Outages)
    }

    /// How long anything stands still at most; `None`: nothing does.
    fn standstill_max(self) -> Option<Duration> {
        match self {
            Faults::Reloads | Faults::Deaths | Faults::Cuts | Faults::Outages => None,
            Faults::Pauses => Some(PAUSE_MAX),
            Faults::Freezes => Some(FREEZE_MAX),
        }
    }
}

/// What stands still, each until its time has come.
#[derive(Default)]
pub(crate) struct Disturbances {
    /// Both directions of a connection took nothing at the same time: neither end heard the other one, nor its end.
    pub(crate) have_cut_off: bool,
    frozen: Vec<(Process, Duration)>,
    /// Pipes, by their index.
    stalled: Vec<(usize, Duration)>,
    /// Connections that kernels have accepted, whose processes are frozen.
    accepts: Vec<Accept>,
    /// Processes whose machine is down: who connects to it gets no answer.
    down: Vec<Process>,
    /// Pipes whose sender's machine is gone, and since when.
    pub(crate) half_open: Vec<(usize, Duration)>,
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
            1 if self.faults == Faults::Outages => self.lose_a_machine(),
            _ => self.fault_of_worker(),
        }
    }

    fn fault_of_worker(&mut self) {
        let running: Vec<_> = (0..self.workers.len())
            .filter(|worker| self.workers[*worker].as_ref().is_some_and(|worker| !worker.is_ending))
            .collect();
        let Some(worker) = self.random.choice(running) else { return };
        let most = match self.faults {
            Faults::Reloads | Faults::Pauses | Faults::Freezes | Faults::Outages => 1,
            Faults::Deaths => 2,
            Faults::Cuts => 3,
        };
        match (self.random.u32(..most), self.homes[worker]) {
            // As the master waits for its successor's links, for which that needs a register that lists all gateways.
            (0, _) if !self.is_any_register_complete() || self.is_disturbed() => {}
            // One that is to end takes a gateway for PHP's that says nothing for a second. What it has not read then is another's.
            (0, _) if !self.is_greeted(worker) => {}
            (0, Some(gateway)) => self.stop_embedded(gateway),
            (0, None) => {
                self.start_worker();
                self.settle_links();
                self.stop_worker(worker);
            }
            (1, Some(gateway)) => self.kill_embedded(gateway),
            (1, None) => {
                self.kill(worker);
                self.start_worker();
            }
            _ => self.cut_a_link(worker),
        }
    }

    fn is_greeted(&self, worker: usize) -> bool {
        self.workers[worker].as_ref().is_some_and(|worker| worker.runtime.is_greeted())
    }

    /// Whether a worker is there and in no gateway's process.
    fn has_own_process(&self, worker: usize) -> bool {
        self.workers[worker].is_some() && self.homes[worker].is_none()
    }

    /// A process dies: its kernel ends its connections, perhaps with what nobody has read.
    fn kill(&mut self, worker: usize) {
        let Some(worker) = self.bury(worker) else { return };
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
        let workers = (0..self.workers.len()).filter(|worker| self.has_own_process(*worker));
        let registers = (0..REGISTERS).filter(|register| self.registers[*register].process.is_some());
        let processes = gateways.chain(workers.map(Process::Worker)).chain(registers.map(Process::Register));
        let processes: Vec<_> = processes.collect();
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
            self.disturbances.have_cut_off |= self.pipes[pipe ^ 1].is_stalled;
            self.disturbances.stalled.push((pipe, until));
        }
    }

    /// A machine is gone: its connections are there, and nothing comes of them.
    fn lose_a_machine(&mut self) {
        if self.is_disturbed() {
            return;
        }
        let until = self.now.get() + Duration::from_millis(self.random.u64(..20_000));
        match self.random.u32(..3) {
            0 => {
                let gateway = self.random.usize(..self.gateways.len());
                self.lose_connections(Process::Gateway(gateway));
                self.boot_at(Process::Gateway(gateway), until);
                self.replace_gateway(gateway);
            }
            1 => {
                let register = self.random.usize(..REGISTERS);
                if self.registers[register].process.is_some() {
                    self.lose_connections(Process::Register(register));
                    self.replace_register(register);
                    self.boot_at(Process::Register(register), until);
                }
            }
            _ => {
                let workers = (0..self.workers.len()).filter(|worker| self.has_own_process(*worker));
                let workers: Vec<_> = workers.collect();
                let Some(worker) = self.random.choice(workers) else { return };
                self.lose_connections(Process::Worker(worker));
                let is_ending = self.bury(worker).is_some_and(|worker| worker.is_ending);
                if !is_ending {
                    self.start_worker();
                }
            }
        }
    }

    /// What is on its way is lost; what is still sent to it is kept by the sender's kernel, until that has no more room.
    fn lose_connections(&mut self, process: Process) {
        let now = self.now.get();
        self.disturbances.accepts.retain(|accept| accept.at.process() != Some(process));
        for pipe in 0..self.pipes.len() {
            let sender = self.process_of(self.pipes[pipe ^ 1].to);
            if sender == Some(process) && !self.pipes[pipe].is_over() {
                self.pipes[pipe].lose();
                self.pipes[pipe ^ 1].lose();
                self.disturbances.half_open.push((pipe, now));
            }
        }
    }

    /// Until then there is no answer from there.
    fn boot_at(&mut self, process: Process, time: Duration) {
        self.disturbances.down.push(process);
        self.disturbances.frozen.push((process, time));
    }

    /// Whether a machine is down.
    pub(crate) fn is_down(&self, process: Process) -> bool {
        self.disturbances.down.contains(&process)
    }

    /// Waits until no kernel has a connection to a machine that is gone.
    pub(crate) fn outlive_half_open(&mut self) {
        if !self.disturbances.half_open.is_empty() {
            for _ in 0..SILENT_SECONDS_MAX {
                self.deliver_all();
                self.pass(Duration::from_secs(1));
            }
            self.check_register_gave_up_the_silent();
            self.pass(RETRANSMISSION_TIME);
            self.settle();
        }
    }

    /// The kernel of who is left ends connections: idle ones soon, those on which something is not acknowledged late.
    fn keep_alive(&mut self) {
        let now = self.now.get();
        let over = self.disturbances.half_open.extract_if(.., |(pipe, since)| {
            let is_idle = self.pipes[*pipe ^ 1].len() == 0;
            let time = if is_idle { KEEPALIVE_TIME } else { RETRANSMISSION_TIME };
            self.pipes[*pipe].is_over() || now >= *since + time
        });
        for (pipe, _) in over.collect::<Vec<_>>() {
            self.pipes[pipe].reset();
        }
    }

    /// A machine that is there again knows nothing of connections from before, and may say so.
    fn disown(&mut self, process: Process) {
        let says_so = self.random.bool();
        let over = self
            .disturbances
            .half_open
            .extract_if(.., |(pipe, _)| says_so && self.pipes[*pipe ^ 1].to.process() == Some(process));
        for (pipe, _) in over.collect::<Vec<_>>() {
            self.pipes[pipe].reset();
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
        for (process, _) in over {
            if self.is_down(process) {
                self.disturbances.down.retain(|down| *down != process);
                self.disown(process);
            }
            self.thaw(process);
        }
        self.keep_alive();
    }

    /// A process goes on: it hears all that has come meanwhile, and then looks at its clock.
    fn thaw(&mut self, process: Process) {
        let accepts = self.disturbances.accepts.extract_if(.., |accept| accept.at.process() == Some(process));
        for accept in accepts.collect::<Vec<_>>() {
            self.take_in(accept);
        }
        let mut told = Vec::new();
        for pipe in 0..self.pipes.len() {
            if self.process_of(self.pipes[pipe].to) == Some(process) && self.pipes[pipe].is_ready() {
                told.push(pipe);
                // The end behind the bytes, too.
                self.tell(pipe, usize::MAX);
                self.tell(pipe, usize::MAX);
            }
        }
        match process {
            Process::Gateway(gateway) => {
                self.tick_gateway(gateway);
                self.turn_registration(gateway);
            }
            Process::Worker(worker) => self.turn_worker(worker),
            Process::Register(register) => self.turn_register(register),
        }
        told.into_iter().for_each(|pipe| self.tell_room(pipe));
        // What it had to say while there was no room.
        for pipe in 0..self.pipes.len() {
            if self.process_of(self.pipes[pipe ^ 1].to) == Some(process) {
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
            End::Register(register, _) => self.turn_register(register),
            End::Worker(..) | End::Client(_) | End::Registration(..) => {}
        }
    }

    fn take_in(&mut self, Accept { at, from }: Accept) {
        let now = self.millis();
        match at {
            End::Gateway(gateway, socket) => {
                self.gateways[gateway].shard.on_link_accepted(now, socket, from.into());
            }
            End::Register(register, socket) => {
                if let Some(process) = &mut self.registers[register].process {
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

/// What a kernel takes to give up an idle connection: a minute, and its questions.
const KEEPALIVE_TIME: Duration = Duration::from_secs(115);

/// What it takes to give up one on which something is to be acknowledged (`net.ipv4.tcp_retries2`).
const RETRANSMISSION_TIME: Duration = Duration::from_secs(925);

/// Until who has pinged, and does so no more, is taken for dead by all.
const SILENT_SECONDS_MAX: u32 = 12;
