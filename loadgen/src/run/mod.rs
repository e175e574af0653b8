//! The control thread of a run: starts the cores, ramps up, lets them measure at the same instant, collects what they
//! count, and ends them. Touches no client.

mod collected;
mod summary;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::clock::{Clock, Nanos};
use crate::config::{LEAD, STOP_DRAIN_MAX};
use crate::core::{Command, Core, Reported};
use crate::flags::Scenario;
use crate::measure::Phase;
use crate::plan::Plan;
use crate::report::{Report, Second, ServerMemory};
use crate::sender::{Sender, Sending, Sent};
use crate::server::{self, Unseen};
use crate::step::Step;

use self::collected::Collected;
use self::summary::{RunRecord, StepRecord};

/// What a run reports while it goes on.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Once a second.
    Progress(Second),
    /// The server is on this machine, but this process may not see which one it is.
    ServerUnseen,
    /// The measured phase of a step begins now.
    Measuring {
        /// What the clients do.
        scenario: Scenario,
        /// Open connections.
        conns: u64,
        /// How long it lasts.
        hold_seconds: f64,
    },
    /// The measured phase ended now.
    MeasuringEnded,
    /// The last step is over, and messages in flight have come or were given up.
    Done,
}

/// Carries out `plan`. `stop` is asked often; once it says yes, the run ends early, with a report of what was so far.
/// `notice` takes the progress.
///
/// # Errors
/// In one line: a thread, a ring, or (for broadcasts and rooms) the register or a gateway cannot be had.
pub fn run(plan: Plan, stop: impl Fn() -> bool, notice: impl FnMut(Notice)) -> Result<Report, String> {
    let plan = Arc::new(plan);
    let sender =
        |step: &Step| step.scenario.is_fanout().then(|| Sender::connect(&plan.flags, step)).transpose();
    let senders = plan.steps.iter().map(sender).collect::<Result<Vec<_>, _>>()?;
    let mut run = Run::start(plan, stop, notice)?;
    let carried_out = run.carry_out(senders);
    let ended = run.end();
    carried_out.and(ended)?;
    Ok(summary::report(&run.plan, &run.collected, &run.record))
}

struct Run<S, N> {
    plan: Arc<Plan>,
    clock: Clock,
    cores: Vec<Core>,
    reports: Receiver<Reported>,
    collected: Collected,
    record: RunRecord,
    stop: S,
    notice: N,
    next_progress: Nanos,
}

impl<S: Fn() -> bool, N: FnMut(Notice)> Run<S, N> {
    fn start(plan: Arc<Plan>, stop: S, mut notice: N) -> Result<Self, String> {
        let server = find_server(&plan).unwrap_or_else(|Unseen| {
            notice(Notice::ServerUnseen);
            None
        });
        let clock = Clock::start();
        let (sender, reports) = crossbeam_channel::unbounded();
        let start = |index| Core::start(index, Arc::clone(&plan), clock, sender.clone());
        let cores = (0..plan.cores()).map(start).collect::<Result<_, _>>()?;
        Ok(Run {
            collected: Collected::new(plan.cores(), plan.steps.len()),
            record: RunRecord { server, ..RunRecord::default() },
            plan,
            clock,
            cores,
            reports,
            stop,
            notice,
            next_progress: Nanos::default().plus(PROGRESS_PERIOD).plus(PROGRESS_LAG),
        })
    }

    fn carry_out(&mut self, senders: Vec<Option<Sender>>) -> Result<(), String> {
        let conns = self.plan.flags.conns as u64;
        self.wait(None, |collected| collected.counters().settled() >= conns)?;
        if !self.record.interrupted && self.collected.counters().opened > 0 {
            for (index, sender) in senders.into_iter().enumerate() {
                self.carry_out_step(index, sender)?;
                if self.record.interrupted {
                    break;
                }
            }
        }
        (self.notice)(Notice::Done);
        Ok(())
    }

    fn carry_out_step(&mut self, index: usize, sender: Option<Sender>) -> Result<(), String> {
        let plan = Arc::clone(&self.plan);
        let step = &plan.steps[index];
        let clients = self.collected.counters().connected();
        let join_rooms = |mut sender: Sender| sender.join_rooms(clients).map(|()| sender);
        let sender = sender.map(join_rooms).transpose()?;
        let load_from = self.clock.now().plus(LEAD);
        let from = load_from.plus(Duration::from_secs_f64(step.warmup_seconds));
        let until = from.plus(Duration::from_secs_f64(step.hold_seconds));
        let phase = Phase { load_from, from, until };
        self.command(Command::Begin(index, phase));
        let sending = sender.map(|sender| sender.start(self.clock, phase)).transpose();
        let sending = sending.map_err(|error| format!("cannot start the sender: {error}"))?;
        let measured = self.measure(step, phase)?;
        let sent = sending.map(Sending::finish);
        self.drain(from.plus(measured), sent.as_ref())?;
        let connected = self.collected.counters().connected();
        self.record.steps.push(StepRecord { measured, measured_from: from, connected, sent });
        Ok(())
    }

    /// Waits for the end of a phase. Returns how long it was.
    fn measure(&mut self, step: &Step, phase: Phase) -> Result<Duration, String> {
        self.wait(Some(phase.from), |_| false)?;
        if !self.record.interrupted {
            let conns = self.collected.counters().connected();
            let Step { scenario, hold_seconds, .. } = *step;
            (self.notice)(Notice::Measuring { scenario, conns, hold_seconds });
            self.wait(Some(phase.until), |_| false)?;
        }
        let mut ended = phase.until;
        if self.record.interrupted {
            ended = self.clock.now().plus(LEAD).min(phase.until);
            self.command(Command::End(ended));
            self.wait(Some(ended), |_| false)?;
        }
        (self.notice)(Notice::MeasuringEnded);
        Ok(ended.since(phase.from))
    }

    /// Waits for messages in flight for a limited time. What does not come by then is part of the report.
    fn drain(&mut self, ended: Nanos, sent: Option<&Sent>) -> Result<(), String> {
        let drain_max = if self.record.interrupted { STOP_DRAIN_MAX } else { Duration::MAX };
        let until = self.clock.now().plus(self.plan.flags.drain.min(drain_max));
        match sent {
            None => self.wait(Some(until), |collected| collected.is_answered(ended)),
            Some(sent) => self.wait(Some(until), |collected| collected.is_delivered(&sent.messages)),
        }
    }

    /// Ends the cores and takes their last counts.
    fn end(&mut self) -> Result<(), String> {
        self.command(Command::Stop);
        let joined: Result<(), String> = self.cores.drain(..).try_for_each(Core::join);
        while let Ok(reported) = self.reports.try_recv() {
            self.collected.add(reported?);
        }
        joined
    }

    fn command(&self, command: Command) {
        self.cores.iter().for_each(|core| core.command(command));
    }

    /// Takes what the cores report until `until`, or `done`, or the user asks for the end.
    fn wait(&mut self, until: Option<Nanos>, done: impl Fn(&Collected) -> bool) -> Result<(), String> {
        loop {
            let now = self.clock.now();
            self.report_progress(now);
            if done(&self.collected) || until.is_some_and(|until| until <= now) {
                return Ok(());
            }
            if !self.record.interrupted && (self.stop)() {
                self.record.interrupted = true;
                return Ok(());
            }
            let wait = until.map_or(LOOK_AGAIN, |until| until.since(now).min(LOOK_AGAIN));
            match self.reports.recv_timeout(wait) {
                Ok(reported) => self.collected.add(reported?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("a thread failed".into()),
            }
        }
    }

    fn report_progress(&mut self, now: Nanos) {
        if now >= self.next_progress {
            self.next_progress = now.next_multiple(PROGRESS_PERIOD).plus(PROGRESS_LAG);
            let server_bytes = self.record.server.as_mut().and_then(look);
            (self.notice)(Notice::Progress(self.collected.progress(now, server_bytes)));
        }
    }
}

/// The processes whose memory is shown, and what they have now; none if they are gone.
fn find_server(plan: &Plan) -> Result<Option<ServerMemory>, Unseen> {
    let mut pids = plan.flags.server_pid.clone();
    if pids.is_empty() {
        let addresses: Vec<SocketAddr> = plan.destinations.iter().map(|target| target.address).collect();
        pids = server::listening_at(&addresses)?;
    }
    Ok(server::resident_bytes(&pids).map(|bytes| ServerMemory {
        pids,
        first_bytes: bytes,
        most_bytes: bytes,
        last_bytes: bytes,
    }))
}

/// Looks what the server's processes have now; none if they are gone.
fn look(memory: &mut ServerMemory) -> Option<u64> {
    let bytes = server::resident_bytes(&memory.pids)?;
    memory.most_bytes = memory.most_bytes.max(bytes);
    memory.last_bytes = bytes;
    Some(bytes)
}

/// How often the progress is reported.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// How long after a full second: by then the cores have reported what they counted in it.
const PROGRESS_LAG: Duration = Duration::from_millis(100);

/// How often a waiting control thread looks whether the user asks for the end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
