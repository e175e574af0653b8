//! A run, seen from its control thread: starts the cores, ramps up, lets them measure at the same instant, gathers what
//! they count, and ends them. Touches no client.

mod collected;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::clock::{Clock, Nanos};
use crate::config::{LEAD, STOP_DRAIN_MAX};
use crate::core::{Command, Core, Told};
use crate::measure::Phase;
use crate::plan::Plan;
use crate::report::{Facts, Report, ServerMemory, StepFacts};
use crate::sender::{Sender, Sending, Sent};
use crate::server::{Server, Unseen};
use crate::step::{Step, Workload};

pub use self::collected::{Collected, Progress};

/// What a run tells while it goes on.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Once a second.
    Progress(Progress),
    /// The server is on this machine, but this process may not see which one it is.
    ServerUnseen,
    /// The measured phase of a step begins now.
    Measuring {
        /// What the clients do.
        scenario: &'static str,
        /// Open connections.
        conns: u64,
        /// How long it lasts.
        hold: Duration,
    },
    /// It ended now.
    MeasuringEnded,
    /// The last step is over, and what was under way has come or was given up.
    Done,
}

/// Why there is no report, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(String);

/// Carries out `plan`. `stop` is asked often; once it says yes, the run ends early, with a report of what was so far.
/// `notice` hears of the progress.
///
/// # Errors
/// A thread, a ring, or (for broadcasts and rooms) the register or a gateway cannot be had.
pub fn run(plan: Plan, stop: impl Fn() -> bool, notice: impl FnMut(Notice)) -> Result<Report, RunError> {
    let plan = Arc::new(plan);
    let senders = plan.steps.iter().map(sender).collect::<Result<Vec<_>, _>>().map_err(RunError)?;
    let mut run = Run::start(plan, stop, notice)?;
    let carried_out = run.carry_out(senders);
    let ended = run.end();
    carried_out.and(ended)?;
    Ok(Report::new(&run.plan, &run.collected, &run.facts))
}

/// Who sends in a step; none where the clients themselves do, or nobody.
fn sender(step: &Step) -> Result<Option<Sender>, String> {
    match &step.workload {
        Workload::Cast(cast) => Sender::connect(cast).map(Some),
        Workload::Idle | Workload::Echo(_) | Workload::Churn { .. } => Ok(None),
    }
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// What was waited for is there, or its time is over.
    Enough,
    /// The user wants the end.
    Stopped,
}

struct Run<S, N> {
    plan: Arc<Plan>,
    clock: Clock,
    cores: Vec<Core>,
    told: Receiver<Told>,
    collected: Collected,
    facts: Facts,
    server: Option<Server>,
    /// The user wants the end, and knows that we know.
    stopping: bool,
    stop: S,
    notice: N,
    next_progress: Nanos,
}

impl<S: Fn() -> bool, N: FnMut(Notice)> Run<S, N> {
    fn start(plan: Arc<Plan>, stop: S, mut notice: N) -> Result<Self, RunError> {
        let server = find_server(&plan).unwrap_or_else(|Unseen| {
            notice(Notice::ServerUnseen);
            None
        });
        let clock = Clock::start();
        let (tell, told) = crossbeam_channel::unbounded();
        let cores: Result<Vec<Core>, String> = (0..plan.cores())
            .map(|index| Core::start(index, Arc::clone(&plan), clock, tell.clone()))
            .collect();
        let cores = cores.map_err(RunError)?;
        Ok(Run {
            collected: Collected::new(plan.cores(), plan.steps.len()),
            facts: Facts { server: server.as_ref().and_then(ServerMemory::now), ..Facts::default() },
            plan,
            clock,
            cores,
            told,
            server,
            stopping: false,
            stop,
            notice,
            next_progress: Nanos::default().plus(PROGRESS_PERIOD).plus(PROGRESS_LAG),
        })
    }

    fn carry_out(&mut self, senders: Vec<Option<Sender>>) -> Result<(), RunError> {
        let conns = self.plan.conns as u64;
        let ramped = self.wait(None, |collected| collected.counters().settled() >= conns)?;
        if ramped == Waited::Enough && self.collected.counters().opened > 0 {
            for (index, sender) in senders.into_iter().enumerate() {
                self.step(index, sender)?;
                if self.stopping {
                    break;
                }
            }
        }
        self.facts.interrupted = self.stopping;
        (self.notice)(Notice::Done);
        Ok(())
    }

    fn step(&mut self, index: usize, sender: Option<Sender>) -> Result<(), RunError> {
        let plan = Arc::clone(&self.plan);
        let step = &plan.steps[index];
        let sender = sender.map(|sender| self.gather(step, sender)).transpose()?;
        let load_from = self.clock.now().plus(LEAD);
        let from = load_from.plus(step.warmup);
        let phase = Phase { load_from, from, until: from.plus(step.hold) };
        self.cores.iter().for_each(|core| core.tell(Command::Begin(index, phase)));
        let sending = sender.map(|sender| sender.start(self.clock, phase, step.size)).transpose();
        let sending = sending.map_err(|error| RunError(format!("cannot start the sender: {error}")))?;
        let measured = self.measure(step, phase)?;
        let sent = sending.map(Sending::finish);
        self.drain(from.plus(measured), sent.as_ref())?;
        let there = self.collected.counters().connected();
        self.facts.steps.push(StepFacts { measured, measured_from: from, there, sent });
        Ok(())
    }

    /// Gets a sender ready for those who are there.
    fn gather(&self, step: &Step, mut sender: Sender) -> Result<Sender, RunError> {
        let Workload::Cast(cast) = &step.workload else { unreachable!("only who casts has a sender") };
        let clients = self.collected.counters().connected();
        sender.gather(cast.audience, clients).map_err(RunError)?;
        Ok(sender)
    }

    /// Lets a phase pass. Returns how long it was.
    fn measure(&mut self, step: &Step, phase: Phase) -> Result<Duration, RunError> {
        let mut waited = self.wait(Some(phase.from), |_| false)?;
        if waited == Waited::Enough {
            let conns = self.collected.counters().connected();
            let (scenario, hold) = (step.workload.name(), step.hold);
            (self.notice)(Notice::Measuring { scenario, conns, hold });
            waited = self.wait(Some(phase.until), |_| false)?;
        }
        let mut ended = phase.until;
        if waited == Waited::Stopped {
            ended = self.clock.now().plus(LEAD).min(phase.until);
            self.cores.iter().for_each(|core| core.tell(Command::End(ended)));
            self.wait(Some(ended), |_| false)?;
        }
        (self.notice)(Notice::MeasuringEnded);
        Ok(ended.since(phase.from))
    }

    /// Waits for what is under way, but not for ever: what does not come then is part of the report.
    fn drain(&mut self, ended: Nanos, sent: Option<&Sent>) -> Result<(), RunError> {
        let drain = if self.stopping { self.plan.drain.min(STOP_DRAIN_MAX) } else { self.plan.drain };
        let until = self.clock.now().plus(drain);
        match sent {
            None => self.wait(Some(until), |collected| collected.is_answered(ended))?,
            Some(sent) => self.wait(Some(until), |collected| collected.is_delivered(&sent.messages))?,
        };
        Ok(())
    }

    /// Ends the cores and takes their last counts.
    fn end(&mut self) -> Result<(), RunError> {
        self.cores.iter().for_each(|core| core.tell(Command::Stop));
        let joined: Result<Vec<()>, String> = self.cores.drain(..).map(Core::join).collect();
        while let Ok(told) = self.told.try_recv() {
            self.take(told)?;
        }
        joined.map(drop).map_err(RunError)
    }

    /// Takes what the cores tell until `until`, or `done`, or the user wants the end.
    fn wait(&mut self, until: Option<Nanos>, done: impl Fn(&Collected) -> bool) -> Result<Waited, RunError> {
        loop {
            let now = self.clock.now();
            self.tell_progress(now);
            if done(&self.collected) || until.is_some_and(|until| until <= now) {
                return Ok(Waited::Enough);
            }
            if !self.stopping && (self.stop)() {
                self.stopping = true;
                return Ok(Waited::Stopped);
            }
            let wait = until.map_or(LOOK_AGAIN, |until| until.since(now).min(LOOK_AGAIN));
            match self.told.recv_timeout(wait) {
                Ok(told) => self.take(told)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(RunError("a thread failed".into())),
            }
        }
    }

    fn take(&mut self, told: Told) -> Result<(), RunError> {
        match told {
            Told::Sample(sample) | Told::Ended(sample) => self.collected.add(sample),
            Told::Failed(why) => return Err(RunError(why)),
        }
        Ok(())
    }

    fn tell_progress(&mut self, now: Nanos) {
        if now >= self.next_progress {
            self.next_progress = now.next_multiple(PROGRESS_PERIOD).plus(PROGRESS_LAG);
            let server_bytes = self.server.as_ref().and_then(Server::resident_bytes);
            if let (Some(bytes), Some(memory)) = (server_bytes, &mut self.facts.server) {
                memory.most_bytes = memory.most_bytes.max(bytes);
                memory.last_bytes = bytes;
            }
            (self.notice)(Notice::Progress(self.collected.progress(now, server_bytes)));
        }
    }
}

/// The processes whose memory is shown.
fn find_server(plan: &Plan) -> Result<Option<Server>, Unseen> {
    if !plan.server_pids.is_empty() {
        return Ok(Some(Server::of(&plan.server_pids)));
    }
    let addresses: Vec<SocketAddr> = plan.destinations.iter().map(|target| target.address).collect();
    Server::at(&addresses)
}

/// How often the progress is told.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// How long after a full second: by then the cores have told what they counted in it.
const PROGRESS_LAG: Duration = Duration::from_millis(100);

/// How often a waiting control thread looks whether the user wants the end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
