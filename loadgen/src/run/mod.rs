//! A run, seen from its control thread: starts the cores, ramps up, lets them measure at the same instant, gathers what
//! they count, and ends them. Touches no client.

mod collected;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::clock::{Clock, Nanos};
use crate::config::{DRAIN_MAX, LEAD};
use crate::core::{Command, Core, Told};
use crate::measure::Phase;
use crate::pace::Pace;
use crate::plan::{Cast, Plan, Workload};
use crate::report::{Facts, Report};
use crate::sender::{Sender, Sending, Sent};

pub use self::collected::{Collected, Progress};

/// What a run tells while it goes on.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Once a second.
    Progress(Progress),
    /// The measured phase begins now.
    Measuring {
        /// Open connections.
        conns: u64,
        /// How long it lasts.
        hold: Duration,
    },
    /// The measured phase ended now.
    MeasuringEnded,
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
    let sender = match &plan.workload {
        Workload::Cast(cast) => Some(Sender::connect(cast).map_err(RunError)?),
        Workload::Idle | Workload::Echo(_) | Workload::Churn { .. } => None,
    };
    let mut run = Run::start(plan, stop, notice)?;
    let carried_out = run.carry_out(sender);
    let ended = run.end();
    carried_out.and(ended)?;
    Ok(Report::new(&run.plan, &run.collected, &run.facts))
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
    stop: S,
    notice: N,
    next_progress: Nanos,
}

impl<S: Fn() -> bool, N: FnMut(Notice)> Run<S, N> {
    fn start(plan: Arc<Plan>, stop: S, notice: N) -> Result<Self, RunError> {
        let clock = Clock::start();
        let (tell, told) = crossbeam_channel::unbounded();
        let cores: Result<Vec<Core>, String> = (0..plan.cores())
            .map(|index| Core::start(index, Arc::clone(&plan), clock, tell.clone()))
            .collect();
        let cores = cores.map_err(RunError)?;
        Ok(Run {
            collected: Collected::new(plan.cores()),
            plan,
            clock,
            cores,
            told,
            facts: Facts::default(),
            stop,
            notice,
            next_progress: Nanos::default().plus(PROGRESS_PERIOD).plus(PROGRESS_LAG),
        })
    }

    fn carry_out(&mut self, sender: Option<Sender>) -> Result<(), RunError> {
        let conns = self.plan.conns as u64;
        let ramped = self.wait(None, |collected| collected.counters().settled() >= conns)?;
        if ramped == Waited::Stopped || self.collected.counters().opened == 0 {
            self.facts.interrupted = ramped == Waited::Stopped;
            return Ok(());
        }
        let sender = sender.map(|sender| self.gather(sender)).transpose()?;
        let load_from = self.clock.now().plus(LEAD);
        let from = load_from.plus(self.plan.warmup);
        let phase = Phase { load_from, from, until: from.plus(self.plan.hold) };
        self.facts.measured_from = from;
        self.cores.iter().for_each(|core| core.tell(Command::Measure(phase)));
        let sending = sender.map(|sender| self.start_sending(sender, phase)).transpose()?;
        let waited = self.measure(phase);
        let sent = sending.map(Sending::finish);
        self.facts.interrupted = waited? == Waited::Stopped;
        if !self.facts.interrupted {
            self.drain(sent.as_ref())?;
        }
        self.facts.sent = sent;
        Ok(())
    }

    /// Gets a sender ready for those who are there.
    fn gather(&self, mut sender: Sender) -> Result<Sender, RunError> {
        let clients = self.collected.counters().connected();
        sender.gather(self.cast().audience, clients).map_err(RunError)?;
        Ok(sender)
    }

    fn cast(&self) -> &Cast {
        let Workload::Cast(cast) = &self.plan.workload else { unreachable!("only who casts has a sender") };
        cast
    }

    fn start_sending(&self, sender: Sender, phase: Phase) -> Result<Sending, RunError> {
        let pace = Pace::new(phase.from, self.cast().per_second);
        let started = sender.start(self.clock, phase, pace, self.plan.size);
        started.map_err(|error| RunError(format!("cannot start the sender: {error}")))
    }

    fn measure(&mut self, phase: Phase) -> Result<Waited, RunError> {
        if self.wait(Some(phase.from), |_| false)? == Waited::Stopped {
            return Ok(Waited::Stopped);
        }
        let conns = self.collected.counters().connected();
        (self.notice)(Notice::Measuring { conns, hold: self.plan.hold });
        let waited = self.wait(Some(phase.until), |_| false)?;
        (self.notice)(Notice::MeasuringEnded);
        self.facts.measured = self.clock.now().min(phase.until).since(phase.from);
        Ok(waited)
    }

    /// Waits for what is under way, but not for ever: what does not come then is part of the report.
    fn drain(&mut self, sent: Option<&Sent>) -> Result<(), RunError> {
        let until = self.clock.now().plus(DRAIN_MAX);
        match sent {
            None => self.wait(Some(until), |collected| collected.counters().under_way() == 0)?,
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
            if (self.stop)() {
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
            (self.notice)(Notice::Progress(self.collected.progress(now)));
        }
    }
}

/// How often the progress is told.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// How long after a full second: by then the cores have told what they counted in it.
const PROGRESS_LAG: Duration = Duration::from_millis(100);

/// How often a waiting control thread looks whether the user wants the end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
