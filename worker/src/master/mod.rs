//! A master: supervises the process that is the worker, starts it again when it crashes, and replaces it on SIGUSR1 by the
//! binary that is on disk then.
//!
//! The master runs nothing of the user's. It knows its worker process by what that reports over a socket, which is the
//! process' standard input, and by its end. [`plan`] decides, this file does.

mod binary;
mod child;
mod pid_file;
mod plan;
mod process;
mod report;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, unbounded};
use program::{Phase, Watchdog};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

pub(crate) use child::{Child, Mark, Reporter};

use pid_file::PidFile;
use plan::{Action, End, Id, Plan};
use process::Process;
use report::Report;

/// Something for the master to react to.
#[derive(Debug)]
enum Happened {
    Signal(i32),
    Reported(Id, Report),
}

/// Writes our process id to the file that `--pid-file` names, or ends the process with one line on stderr.
pub(crate) fn claim(pid_file: Option<&Path>) -> Option<PidFile> {
    pid_file.map(|path| PidFile::create(path).unwrap_or_else(|why| program::fail(why)))
}

/// What may be asked of a worker that runs.
#[derive(argh::FromArgs, argh::ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum Command {
    /// `reload`
    Reload(ReloadFlags),
    /// `stop`
    Stop(StopFlags),
}

/// Make the running worker of --pid-file replace itself by the binary that is on disk now.
#[derive(argh::FromArgs, argh::ArgsInfo, Debug)]
#[argh(subcommand, name = "reload")]
pub struct ReloadFlags {
    /// the running worker's --pid-file
    #[argh(option)]
    pid_file: Option<PathBuf>,
}

/// End the running worker of --pid-file, and wait until it has ended.
#[derive(argh::FromArgs, argh::ArgsInfo, Debug)]
#[argh(subcommand, name = "stop")]
pub struct StopFlags {
    /// the running worker's --pid-file
    #[argh(option)]
    pid_file: Option<PathBuf>,
}

impl Command {
    /// Does it, and gives the exit code; ends the process with one line on stderr when it cannot be done. `pid_file` is that
    /// of the program's own flags.
    pub fn perform(self, pid_file: Option<PathBuf>) -> ExitCode {
        let (Command::Reload(ReloadFlags { pid_file: own }) | Command::Stop(StopFlags { pid_file: own })) =
            &self;
        let Some(path) = own.clone().or(pid_file) else {
            program::misuse("which worker? say --pid-file, as it was started with");
        };
        let done = match self {
            Command::Reload(_) => pid_file::reload(&path),
            Command::Stop(_) => pid_file::stop(&path),
        };
        done.unwrap_or_else(|why| program::fail(why));
        ExitCode::SUCCESS
    }
}

/// Supervises until SIGINT or SIGTERM, and then until the worker process has ended. `end_timeout` is how long that may take.
pub(crate) fn run(end_timeout: Duration) -> io::Result<ExitCode> {
    let (tell, happened) = unbounded();
    listen_to_signals(tell.clone())?;
    let clock = program::Uptime::start();
    let mut master = Master {
        path: binary::path(),
        plan: Plan::new(end_timeout),
        phase: None,
        watchdog: Watchdog::of_environment(),
        processes: HashMap::new(),
        tell,
    };
    master.plan.start(clock.elapsed());
    loop {
        if let Some(code) = master.act(clock.elapsed()) {
            return Ok(code);
        }
        let wait = master.wait(clock.elapsed());
        match happened.recv_timeout(wait) {
            Ok(happened) => master.on(clock.elapsed(), happened),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("the master holds a sender itself"),
        }
        master.reap(clock.elapsed());
        master.plan.on_time(clock.elapsed());
    }
}

fn listen_to_signals(tell: Sender<Happened>) -> io::Result<()> {
    program::ignore_other_signals(&[SIGUSR1])?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGCHLD])?;
    let listen = move || {
        for signal in signals.forever() {
            // A master that ends listens no more.
            let _ = tell.send(Happened::Signal(signal));
        }
    };
    program::spawn_vital("signals", listen).map(drop)
}

struct Master {
    /// What worker processes are started from.
    path: PathBuf,
    plan: Plan,
    /// What the service manager was told last.
    phase: Option<Phase>,
    watchdog: Option<Watchdog>,
    processes: HashMap<Id, Process>,
    tell: Sender<Happened>,
}

impl Master {
    fn on(&mut self, now: Duration, happened: Happened) {
        match happened {
            Happened::Signal(SIGUSR1) => self.plan.reload(now),
            Happened::Signal(SIGCHLD) => {}
            Happened::Signal(signal) => {
                self.plan.stop(now, 128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
            }
            Happened::Reported(id, report) => self.plan.on_report(now, id, report),
        }
    }

    /// Notes which processes have ended.
    fn reap(&mut self, now: Duration) {
        let ended: Vec<(Id, End)> =
            self.processes.iter_mut().filter_map(|(id, process)| Some((*id, process.end()?))).collect();
        for (id, end) in ended {
            self.processes.remove(&id);
            self.plan.on_end(now, id, &end);
        }
    }

    /// Does what the plan wants; the exit code, if that is the end.
    fn act(&mut self, now: Duration) -> Option<ExitCode> {
        loop {
            self.notify(now);
            let actions = self.plan.take_actions();
            if actions.is_empty() {
                return None;
            }
            for action in actions {
                match action {
                    Action::Start { id, side, patient } => self.start(now, id, (side, patient)),
                    Action::Terminate(id) => self.processes.get(&id).into_iter().for_each(Process::terminate),
                    Action::Kill(id) => self.processes.get(&id).into_iter().for_each(Process::kill),
                    Action::Tell(what) => info!("{what}"),
                    Action::Warn(what) => warn!("{what}"),
                    Action::Exit(code) => return Some(code.into()),
                }
            }
        }
    }

    /// How long nothing is to be done, if nothing happens.
    fn wait(&self, now: Duration) -> Duration {
        let watchdog = self.watchdog.as_ref().filter(|_| self.plan.turns(now)).map(Watchdog::due);
        let due = [self.plan.deadline(), watchdog].into_iter().flatten().min();
        due.map_or(WAIT_MAX, |at| at.saturating_sub(now)).min(WAIT_MAX)
    }

    /// Tells the service manager what it does not know yet, and that all goes on.
    fn notify(&mut self, now: Duration) {
        let phase = self.plan.phase();
        if self.phase != phase {
            self.phase = phase;
            phase.into_iter().for_each(program::notify);
        }
        if self.plan.turns(now) {
            self.watchdog.iter_mut().for_each(|watchdog| watchdog.feed(now));
        }
    }

    fn start(&mut self, now: Duration, id: Id, role: (plan::Side, bool)) {
        match Process::start(&self.path, id, role, self.tell.clone()) {
            Ok(process) => {
                self.plan.on_started(id, process.pid());
                self.processes.insert(id, process);
            }
            Err(error) => {
                let how = format!("{} cannot be started: {error}", self.path.display());
                self.plan.on_end(now, id, &End { how, code: None });
            }
        }
    }
}

/// The longest sleep of a master that has nothing to wait for.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
