//! What a master does with its worker processes: a state machine. Processes, signals and the clock are its caller's.
//!
//! There is a process that serves. A reload starts its successor under the other key, and when that has a link to every
//! gateway that the serving one has, the roles change: the old one is told to end, which hands its clients over.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use program::Phase;

use super::report::Report;
use crate::config::{
    EXIT_NAME_TAKEN, MASTER_HOLD_UP, RESTART_DELAY, RESTART_DELAY_MAX, SILENCE_MAX, STABLE_AGE,
    SUCCESSOR_TIMEOUT, TURN_TIMEOUT,
};

/// Names a process for as long as the master runs.
pub(super) type Id = u64;

/// Which of its two keys a process has: the one that serves and its successor must not have the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

/// Something for the caller to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Start a process. `patient`: another may still hold what it needs.
    Start { id: Id, side: Side, patient: bool },
    /// Ask it to end.
    Terminate(Id),
    /// End it.
    Kill(Id),
    /// Log this as something that went well.
    Tell(String),
    /// Log this as something that did not.
    Warn(String),
    /// Nothing is left: end with this code.
    Exit(u8),
}

/// How a process ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct End {
    /// In words: `exit code 3`, `killed by SIGSEGV`.
    pub how: String,
    /// The exit code, if it ended by itself.
    pub code: Option<i32>,
}

/// The processes of a master and what is to become of them.
///
/// Invariant: of `serving` and `successor`, and of `serving` and `old`, the sides differ; `successor` and `old` are never
/// there both.
#[derive(Debug)]
pub(super) struct Plan {
    /// How long a process may take to end once it is asked.
    end_timeout: Duration,
    serving: Option<Process>,
    successor: Option<Process>,
    old: Option<Process>,
    last_id: Id,
    /// When the serving process is started again.
    restart_at: Option<Duration>,
    restart_side: Side,
    /// Ends in a row, each soon after the start.
    failures: u32,
    /// A process was ready once: what is wrong later is not how the program was called.
    has_served: bool,
    /// Another reload follows.
    reload_again: bool,
    stopping: bool,
    exit_code: u8,
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Process {
    id: Id,
    pid: u32,
    side: Side,
    started: Duration,
    is_ready: bool,
    gateways: BTreeSet<SocketAddrV4>,
    /// When a core of it last said that it turns; `None` while nobody waits for that.
    alive_at: Option<Duration>,
    /// When it last said that all its cores turn; `None` before the first time.
    all_alive_at: Option<Duration>,
    /// It ends by force then.
    kill_at: Option<Duration>,
}

impl Plan {
    /// Nothing runs yet; [`Plan::start`] begins.
    pub(super) fn new(end_timeout: Duration) -> Plan {
        Plan {
            end_timeout,
            serving: None,
            successor: None,
            old: None,
            last_id: 0,
            restart_at: None,
            restart_side: Side::A,
            failures: 0,
            has_served: false,
            reload_again: false,
            stopping: false,
            exit_code: 0,
            actions: Vec::new(),
        }
    }

    /// What is to be done now, in order.
    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// What a service manager may know; `None` until a process is ready. A reload is over when roles have changed, or will
    /// not change.
    pub(super) fn phase(&self) -> Option<Phase> {
        match (self.stopping, self.has_served) {
            (true, _) => Some(Phase::Stopping),
            (false, false) => None,
            (false, true) if self.successor.is_some() => Some(Phase::Reloading),
            (false, true) => Some(Phase::Ready),
        }
    }

    /// When [`Plan::on_time`] is due at the latest.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let kills = self.all().filter_map(|process| process.kill_at);
        kills.chain(self.restart_at).chain(self.silent_at()).min()
    }

    /// Whether all cores of the serving process have turned of late. It has its time to start, and none is waited for while there
    /// is no process.
    pub(super) fn turns(&self, now: Duration) -> bool {
        let told = self.serving.as_ref().and_then(|serving| serving.all_alive_at);
        told.is_none_or(|at| now.saturating_sub(at) < TURN_TIMEOUT)
    }

    /// When the serving process counts as hung if it says nothing more.
    fn silent_at(&self) -> Option<Duration> {
        let serving = self.serving.as_ref().filter(|_| !self.stopping)?;
        Some(serving.alive_at? + SILENCE_MAX)
    }

    /// Starts the first process.
    pub(super) fn start(&mut self, now: Duration) {
        self.serving = Some(self.launch(now, Side::A));
    }

    /// A process has been started.
    pub(super) fn on_started(&mut self, id: Id, pid: u32) {
        if let Some(process) = self.find(id) {
            process.pid = pid;
        }
    }

    /// A process has told something of itself.
    pub(super) fn on_report(&mut self, now: Duration, id: Id, report: Report) {
        let Some(process) = self.find(id) else { return };
        match report {
            Report::Ready => process.is_ready = true,
            Report::Alive => process.alive_at = Some(now),
            Report::AllAlive => process.all_alive_at = Some(now),
            Report::Gateways(gateways) => process.gateways = gateways,
        }
        self.has_served |= self.serving.as_ref().is_some_and(|serving| serving.is_ready);
        if let Some(successor) = self.successor.take_if(|it| it.is_ready) {
            self.take_over(now, successor);
        }
    }

    /// A process has ended, or could not be started.
    pub(super) fn on_end(&mut self, now: Duration, id: Id, end: &End) {
        if let Some(old) = self.old.take_if(|old| old.id == id) {
            self.tell(format!("the old worker process {} has ended: {}", old.pid, end.how));
        } else if self.successor.take_if(|successor| successor.id == id).is_some() {
            self.warn(format!(
                "not reloaded, the worker goes on as it is: the new process ended: {}",
                end.how
            ));
        } else if let Some(serving) = self.serving.take_if(|serving| serving.id == id) {
            self.on_serving_end(now, &serving, end);
        }
        if self.stopping {
            return self.exit_if_done();
        }
        if self.old.is_none() && self.successor.is_none() && std::mem::take(&mut self.reload_again) {
            self.reload(now);
        }
    }

    fn on_serving_end(&mut self, now: Duration, serving: &Process, end: &End) {
        if self.stopping {
            if end.code != Some(0) {
                self.warn(format!("the worker process {} did not end well: {}", serving.pid, end.how));
                self.exit_code = self.exit_code.max(1);
            }
            return;
        }
        if let Some(code @ (1 | 2)) = end.code.and_then(|code| u8::try_from(code).ok())
            && !self.has_served
        {
            // It has said what is wrong, and it will be wrong the next time.
            return self.actions.push(Action::Exit(code));
        }
        if self.successor.is_none() && end.code == Some(i32::from(EXIT_NAME_TAKEN)) {
            // The other worker will have the name the next time, too.
            return self.actions.push(Action::Exit(EXIT_NAME_TAKEN));
        }
        if let Some(successor) = self.successor.take() {
            self.warn(format!(
                "the worker process {} ended: {}; {} takes over",
                serving.pid, end.how, successor.pid
            ));
            self.serving = Some(Process { kill_at: None, ..successor });
            return;
        }
        if now.saturating_sub(serving.started) >= STABLE_AGE {
            self.failures = 0;
        }
        let delay = (RESTART_DELAY * (1 << self.failures.min(16))).min(RESTART_DELAY_MAX);
        self.failures += 1;
        self.restart_at = Some(now + delay);
        self.warn(format!(
            "the worker process {} ended: {}; starting it again in {delay:?}",
            serving.pid, end.how
        ));
        self.restart_side = serving.side;
    }

    /// The binary that is on disk now is to take over.
    pub(super) fn reload(&mut self, now: Duration) {
        if self.stopping {
            return;
        }
        let Some(serving) = &self.serving else {
            // There is nobody to take over from: only no time to lose.
            self.restart_at = self.restart_at.map(|_| now);
            return self.on_time(now);
        };
        if self.successor.is_some() || self.old.is_some() {
            self.tell("another reload follows when this one is done".to_owned());
            self.reload_again = true;
            return;
        }
        let side = serving.side.other();
        let mut successor = self.launch(now, side);
        successor.kill_at = Some(now + SUCCESSOR_TIMEOUT);
        self.successor = Some(successor);
    }

    /// All is to end; the second time at once, with `code`.
    pub(super) fn stop(&mut self, now: Duration, code: u8) {
        let again = std::mem::replace(&mut self.stopping, true);
        if again {
            self.exit_code = code;
        }
        self.restart_at = None;
        let kill_at = now + self.end_timeout;
        for process in [&mut self.serving, &mut self.successor, &mut self.old].into_iter().flatten() {
            let action = if again { Action::Kill } else { Action::Terminate };
            self.actions.push(action(process.id));
            process.kill_at = Some(process.kill_at.map_or(kill_at, |other| other.min(kill_at)));
        }
        self.exit_if_done();
    }

    /// Does what is due.
    pub(super) fn on_time(&mut self, now: Duration) {
        if self.restart_at.take_if(|at| *at <= now).is_some() {
            self.serving = Some(self.launch(now, self.restart_side));
        }
        self.end_hung(now);
        let late = |process: &&mut Process| process.kill_at.is_some_and(|at| at <= now);
        if let Some(successor) = self.successor.as_mut().filter(late) {
            successor.kill_at = None;
            let (id, why) = (successor.id, self.why_not_ready());
            self.warn(format!("the new worker process is not ready after {SUCCESSOR_TIMEOUT:?}: {why}"));
            self.actions.push(Action::Kill(id));
        }
        for process in [&mut self.serving, &mut self.old].into_iter().flatten().filter(late) {
            process.kill_at = None;
            self.actions
                .push(Action::Warn(format!("the worker process {} does not end, killing it", process.pid)));
            self.actions.push(Action::Kill(process.id));
        }
    }

    /// Ends a serving process whose cores are all blocked: its gateways hold its clients back, for ever if need be.
    fn end_hung(&mut self, now: Duration) {
        let Some(due) = self.silent_at().filter(|due| *due <= now) else { return };
        let Some(serving) = &mut self.serving else { return };
        if now - due > MASTER_HOLD_UP {
            serving.alive_at = Some(now);
            return;
        }
        (serving.alive_at, serving.all_alive_at) = (None, None);
        let (id, pid) = (serving.id, serving.pid);
        self.warn(format!(
            "no core of the worker process {pid} has turned for {SILENCE_MAX:?}, killing it: does a handler of each block?"
        ));
        self.actions.push(Action::Kill(id));
    }

    fn why_not_ready(&self) -> String {
        let missing = match (&self.serving, &self.successor) {
            (Some(serving), Some(successor)) => serving.gateways.difference(&successor.gateways).collect(),
            _ => Vec::new(),
        };
        match missing.first() {
            Some(first) => format!("it has no link to {first} ({} gateways are missing)", missing.len()),
            None => "no register has told it where gateways are".to_owned(),
        }
    }

    /// The successor serves from now on, if it has all the links that the serving one has; else it waits on.
    fn take_over(&mut self, now: Duration, successor: Process) {
        let Some(serving) = self.serving.take_if(|it| it.gateways.is_subset(&successor.gateways)) else {
            self.successor = Some(successor);
            return;
        };
        self.tell(format!(
            "reloaded: worker process {} takes over from {}, which hands its clients over",
            successor.pid, serving.pid
        ));
        self.actions.push(Action::Terminate(serving.id));
        self.old = Some(Process { kill_at: Some(now + self.end_timeout), ..serving });
        self.serving = Some(Process { kill_at: None, ..successor });
    }

    fn exit_if_done(&mut self) {
        if self.all().next().is_none() {
            self.actions.push(Action::Exit(self.exit_code));
        }
    }

    fn launch(&mut self, now: Duration, side: Side) -> Process {
        self.last_id += 1;
        let id = self.last_id;
        self.actions.push(Action::Start { id, side, patient: self.has_served });
        Process {
            id,
            pid: 0,
            side,
            started: now,
            is_ready: false,
            gateways: BTreeSet::new(),
            alive_at: None,
            all_alive_at: None,
            kill_at: None,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Process> {
        [&self.serving, &self.successor, &self.old].into_iter().flatten()
    }

    fn find(&mut self, id: Id) -> Option<&mut Process> {
        let all = [&mut self.serving, &mut self.successor, &mut self.old];
        all.into_iter().flatten().find(|process| process.id == id)
    }

    fn tell(&mut self, what: String) {
        self.actions.push(Action::Tell(what));
    }

    fn warn(&mut self, what: String) {
        self.actions.push(Action::Warn(what));
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
