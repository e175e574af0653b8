//! The processes of a run: who is alive, and what is done to them. Never waits: what takes time goes on at the next
//! [`Cluster::turn`].

use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::process::{Process, Signal};

use crate::clock::Clock;
use crate::faults::Fault;
use crate::programs::{GATEWAY_READY, GATEWAYS, Place, Programs, WORKER_READY, inner_ports};
use crate::proxy::{Mode, Proxy, Touched, address_beside};

/// How many workers there are, of one core each.
pub const WORKERS: usize = 2;

/// A register, gateways, workers, and the proxy between them.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    place: Place,
    proxy: Proxy,
    register: Option<Process>,
    /// When the next register starts.
    register_at: Option<Duration>,
    gateways: Vec<Gateway>,
    workers: Vec<Worker>,
    /// Runs of workers so far, one journal each.
    runs: usize,
    /// Processes that were told to end.
    leaving: Vec<Process>,
    healing: Vec<Healing>,
    applied: Vec<Applied>,
    /// What ended though nobody had told it to, or not with 0.
    died: Vec<String>,
}

/// A place for gateways, one run after the other.
#[derive(Debug)]
struct Gateway {
    process: Process,
    phase: Phase,
}

/// `fault` is the place in `applied` of what ended it, which is over when the next one serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Serving,
    /// It was told to end, and another one starts then.
    Ending {
        start_at: Duration,
        fault: usize,
    },
    /// The next one is not ready yet.
    Starting {
        fault: usize,
    },
}

/// A place for workers, one run after the other.
#[derive(Debug, Default)]
struct Worker {
    process: Option<Process>,
    /// It was told to end, and another one starts then.
    restarts: bool,
    /// When the next one starts.
    start_at: Option<Duration>,
    /// The next one: when it is ready, `process` is told to end.
    next: Option<Process>,
    /// Reloads so far. While two run beside each other they have different names, as gateways want.
    reloads: usize,
}

impl Worker {
    /// Its process, unless that has ended or is about to be replaced.
    fn serving(&mut self) -> Option<&mut Process> {
        let process = self.process.as_mut().filter(|_| self.next.is_none() && !self.restarts)?;
        if process.is_running() { Some(process) } else { None }
    }
}

/// What ends by itself.
#[derive(Debug)]
struct Healing {
    at: Duration,
    what: Standing,
    /// Its place in `applied`.
    fault: usize,
}

#[derive(Debug)]
enum Standing {
    /// By its id.
    Process(u32),
    Link(Touched),
}

/// A fault that was done.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// What was done.
    pub fault: Fault,
    /// When.
    pub from: Duration,
    /// When it was over.
    pub until: Duration,
}

impl Cluster {
    /// Starts everything and waits until it is ready. Journals go to `folder`.
    pub fn start(programs: Programs, clock: Clock, folder: &Path) -> Cluster {
        let place = Place { ip: ::cluster::own_address(), clock, folder: folder.to_owned() };
        let mut cluster = Cluster {
            register: Some(programs.register(&place)),
            programs,
            place,
            proxy: Proxy::default(),
            register_at: None,
            gateways: Vec::new(),
            workers: Vec::new(),
            runs: 0,
            leaving: Vec::new(),
            healing: Vec::new(),
            applied: Vec::new(),
            died: Vec::new(),
        };
        for index in 0..GATEWAYS {
            cluster.serve_proxy(index);
            let process = cluster.programs.gateway(&cluster.place, index);
            process.await_line(GATEWAY_READY);
            cluster.gateways.push(Gateway { process, phase: Phase::Serving });
        }
        for index in 0..WORKERS {
            cluster.workers.push(Worker::default());
            let process = cluster.start_worker(index);
            process.await_line(WORKER_READY);
            cluster.workers[index].process = Some(process);
        }
        cluster
    }

    /// Where a gateway serves clients.
    pub fn client_address(&self, gateway: usize) -> SocketAddr {
        self.place.client_address(gateway)
    }

    /// What was done so far.
    pub fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// The journals of all runs of workers.
    pub fn journals(&self) -> Vec<PathBuf> {
        self.place.journals()
    }

    /// What has ended by itself.
    pub fn died(&self) -> &[String] {
        &self.died
    }

    /// Does this; false if it cannot be done now.
    pub fn apply(&mut self, fault: Fault) -> bool {
        let from = self.place.clock.now();
        let until = match fault {
            Fault::Kill { worker, down } => self.kill(worker, from + down).then_some(from + down),
            Fault::Restart { worker } => self.restart(worker).then_some(from),
            Fault::Reload { worker } => self.reload(worker).then_some(from),
            Fault::End { link, end } => self.proxy.end(link, end).then_some(from),
            Fault::Register { down } => self.kill_register(from + down).then_some(from + down),
            Fault::Freeze { worker, lasting } => {
                let process = self.workers[worker].process.as_mut();
                let process = process.and_then(|process| process.is_running().then_some(process));
                process.map(pause).map(|pid| self.heal_at(from + lasting, Standing::Process(pid)))
            }
            Fault::FreezeGateway { gateway, lasting } => {
                let pid = self.serving_gateway(gateway).map(pause);
                pid.map(|pid| self.heal_at(from + lasting, Standing::Process(pid)))
            }
            Fault::KillGateway { gateway, down } => {
                self.end_gateway(gateway, Signal::KILL, from + down).then_some(from + down)
            }
            Fault::RestartGateway { gateway } => {
                self.end_gateway(gateway, Signal::TERM, from).then_some(from)
            }
            Fault::Swallow { link, lasting } => self.touch(link, Mode::Swallow, from + lasting),
            Fault::Trickle { link, lasting } => self.touch(link, Mode::Trickle, from + lasting),
            Fault::Delay { link, lasting, by } => self.touch(link, Mode::Delay(by), from + lasting),
        };
        let Some(until) = until else { return false };
        self.applied.push(Applied { fault, from, until });
        true
    }

    /// Goes on with what takes time.
    pub fn turn(&mut self) {
        let now = self.place.clock.now();
        while let Some(index) = self.healing.iter().position(|healing| healing.at <= now) {
            let healing = self.healing.swap_remove(index);
            self.heal(healing);
        }
        if self.register_at.is_some_and(|at| at <= now) && self.has_register_ended() {
            self.register_at = None;
            self.register = Some(self.programs.register(&self.place));
        }
        for index in 0..GATEWAYS {
            self.turn_gateway(index, now);
        }
        for index in 0..WORKERS {
            self.turn_worker(index, now);
        }
        let ended: Vec<_> = self.leaving.extract_if(.., |process| !process.is_running()).collect();
        ended.into_iter().for_each(|process| self.ended(process));
        self.look_at_the_living();
    }

    /// Whether nothing that was done goes on, and everybody is there.
    pub fn is_whole(&mut self) -> bool {
        let settled = |worker: &mut Worker| {
            let is_ready = |process: &mut Process| process.stdout().contains(WORKER_READY);
            worker.next.is_none() && !worker.restarts && worker.process.as_mut().is_some_and(is_ready)
        };
        self.healing.is_empty()
            && self.register_at.is_none()
            && self.leaving.is_empty()
            && self.gateways.iter().all(|gateway| gateway.phase == Phase::Serving)
            && self.workers.iter_mut().all(settled)
    }

    /// Ends everybody as an operator does, workers first, and looks at how.
    pub fn stop(&mut self) {
        let workers: Vec<_> = self.workers.iter_mut().filter_map(|worker| worker.process.take()).collect();
        let gateways = self.gateways.drain(..).map(|gateway| gateway.process).collect();
        for mut group in [workers, gateways, self.register.take().into_iter().collect()] {
            group.iter_mut().for_each(Process::terminate);
            group.into_iter().for_each(|process| self.ended(process));
        }
    }

    /// The proxy outlives all gateways in this place.
    fn serve_proxy(&self, index: usize) {
        for port in inner_ports(index) {
            let proxy = SocketAddrV4::new(address_beside(self.place.ip), port);
            self.proxy.serve(proxy, SocketAddrV4::new(self.place.ip, port));
        }
    }

    fn start_worker(&mut self, index: usize) -> Process {
        let run = self.runs;
        self.runs += 1;
        let letter = if self.workers[index].reloads.is_multiple_of(2) { 'a' } else { 'b' };
        self.programs.worker(&self.place, run, &format!("worker{index}{letter}"))
    }

    fn turn_worker(&mut self, index: usize, now: Duration) {
        let worker = &mut self.workers[index];
        let is_gone = worker.process.as_mut().is_none_or(|process| !process.is_running());
        if worker.restarts && is_gone {
            worker.restarts = false;
            worker.start_at = Some(now);
        }
        if worker.start_at.is_some_and(|at| at <= now) && is_gone {
            worker.start_at = None;
            let old = worker.process.take();
            old.into_iter().for_each(|process| self.ended(process));
            let process = self.start_worker(index);
            self.workers[index].process = Some(process);
        }
        let worker = &mut self.workers[index];
        if let Some(next) = worker.next.take_if(|next| next.stdout().contains(WORKER_READY))
            && let Some(mut old) = worker.process.replace(next)
        {
            old.terminate();
            self.leaving.push(old);
        }
    }

    fn turn_gateway(&mut self, index: usize, now: Duration) {
        let gateway = &mut self.gateways[index];
        match gateway.phase {
            Phase::Ending { start_at, fault } if start_at <= now && !gateway.process.is_running() => {
                let process = self.programs.gateway(&self.place, index);
                let next = Gateway { process, phase: Phase::Starting { fault } };
                let old = std::mem::replace(&mut self.gateways[index], next);
                self.ended(old.process);
            }
            Phase::Starting { fault } if gateway.process.stdout().contains(GATEWAY_READY) => {
                gateway.phase = Phase::Serving;
                self.applied[fault].until = now;
            }
            _ => {}
        }
    }

    fn serving_gateway(&mut self, index: usize) -> Option<&mut Process> {
        let gateway = &mut self.gateways[index];
        let process = &mut gateway.process;
        (gateway.phase == Phase::Serving && process.is_running()).then_some(process)
    }

    /// The fault that is about to be noted ends it.
    fn end_gateway(&mut self, index: usize, signal: Signal, start_at: Duration) -> bool {
        let Some(process) = self.serving_gateway(index) else { return false };
        process.signal(signal);
        self.gateways[index].phase = Phase::Ending { start_at, fault: self.applied.len() };
        true
    }

    fn kill(&mut self, worker: usize, start_at: Duration) -> bool {
        let worker = &mut self.workers[worker];
        let Some(process) = worker.serving() else { return false };
        process.signal(Signal::KILL);
        worker.start_at = Some(start_at);
        true
    }

    fn restart(&mut self, worker: usize) -> bool {
        let worker = &mut self.workers[worker];
        let Some(process) = worker.serving() else { return false };
        process.terminate();
        worker.restarts = true;
        true
    }

    fn reload(&mut self, index: usize) -> bool {
        let worker = &mut self.workers[index];
        let Some(process) = worker.serving() else { return false };
        if let Some(signal) = self.programs.reload_signal() {
            process.signal(signal);
            return true;
        }
        worker.reloads += 1;
        let next = self.start_worker(index);
        self.workers[index].next = Some(next);
        true
    }

    fn kill_register(&mut self, start_at: Duration) -> bool {
        if self.register_at.is_some() {
            return false;
        }
        self.register.iter_mut().for_each(|register| register.signal(Signal::KILL));
        self.register_at = Some(start_at);
        true
    }

    fn has_register_ended(&mut self) -> bool {
        self.register.as_mut().is_none_or(|register| !register.is_running())
    }

    fn touch(&mut self, link: usize, mode: Mode, until: Duration) -> Option<Duration> {
        let touched = self.proxy.set(link, mode)?;
        Some(self.heal_at(until, Standing::Link(touched)))
    }

    /// The fault that is about to be noted ends then.
    fn heal_at(&mut self, at: Duration, what: Standing) -> Duration {
        self.healing.push(Healing { at, what, fault: self.applied.len() });
        at
    }

    fn heal(&mut self, healing: Healing) {
        match healing.what {
            Standing::Link(touched) => touched.heal(),
            Standing::Process(pid) => {
                let workers = self.workers.iter_mut().flat_map(|worker| &mut worker.process);
                let gateways = self.gateways.iter_mut().map(|gateway| &mut gateway.process);
                let mut all = workers.chain(gateways).chain(&mut self.leaving);
                // It may have been killed, and another one be in its place.
                if let Some(process) = all.find(|process| process.id() == pid) {
                    process.resume();
                }
            }
        }
        self.applied[healing.fault].until = self.place.clock.now();
    }

    /// Looks at how a process has ended.
    fn ended(&mut self, mut process: Process) {
        let status = process.await_exit();
        let output = process.output();
        // SIGKILL came from here.
        if status.code() != Some(0) && std::os::unix::process::ExitStatusExt::signal(&status) != Some(9) {
            self.died.push(format!("{status}\n{output}"));
        }
        let file = self.place.folder.join(format!("{}.log", process.id()));
        // For whoever looks for a cause; the verdict needs none of it.
        let _ = std::fs::write(file, output);
    }

    /// Nobody ends without having been told to.
    fn look_at_the_living(&mut self) {
        let expected = |worker: &Worker| worker.restarts || worker.start_at.is_some();
        let workers = self.workers.iter_mut().filter(|worker| !expected(worker));
        let workers = workers.flat_map(|worker| worker.process.iter_mut().chain(&mut worker.next));
        let is_ending = |gateway: &Gateway| matches!(gateway.phase, Phase::Ending { .. });
        let gateways = self.gateways.iter_mut().filter(|gateway| !is_ending(gateway));
        for process in workers.chain(gateways.map(|gateway| &mut gateway.process)) {
            if !process.is_running() {
                let line = format!("nobody had told it to end:\n{}", process.output());
                if !self.died.contains(&line) {
                    self.died.push(line);
                }
            }
        }
    }
}

fn pause(process: &mut Process) -> u32 {
    process.pause();
    process.id()
}
