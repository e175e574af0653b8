//! `scripts/chaos`: a run of all programs under load and faults, and what came of it.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use argh::FromArgs;
use ringway_chaos::clock::Clock;
use ringway_chaos::cluster::{Cluster, GATEWAYS};
use ringway_chaos::faults::{NAMES, Plan, Planned};
use ringway_chaos::load::Load;
use ringway_chaos::report;
use ringway_chaos::verdict::{Journals, Verdict};

/// Kills, freezes and cuts off workers under numbered load, and says what was lost. Exit code 1: more than docs/GUARANTEES.md
/// allows.
#[derive(FromArgs)]
struct Flags {
    /// how long faults happen (default 2)
    #[argh(option, default = "2.0")]
    minutes: f64,
    /// what the faults and messages are drawn from (default: the time)
    #[argh(option)]
    seed: Option<u64>,
    /// which faults happen, by name: kill, freeze, restart, reload (of a worker), cut, reset, swallow, trickle, delay (of a
    /// link), kill-register, kill-gateway, freeze-gateway, restart-gateway (default: all)
    #[argh(option)]
    faults: Option<String>,
    /// workers that have nothing kept for them: finds losses, or is blind
    #[argh(switch)]
    at_most_once: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let flags = match Flags::from_args(&["scripts/chaos"], &arguments) {
        Ok(flags) => flags,
        Err(early) => {
            print!("{}", early.output);
            return if early.status.is_ok() { ExitCode::SUCCESS } else { MISUSED.into() };
        }
    };
    let names = flags.faults.as_deref().map_or_else(|| NAMES.join(","), str::to_owned);
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        eprintln!("there is no fault `{unknown}`, only {}", NAMES.join(", "));
        return MISUSED.into();
    }
    if !(flags.minutes > 0.0 && flags.minutes <= MINUTES_MAX) {
        eprintln!("--minutes is more than 0 and at most {MINUTES_MAX}");
        return MISUSED.into();
    }
    let span = Duration::from_secs_f64(flags.minutes * 60.0);
    let longest = if span > LONG { STANDSTILL_LONG } else { STANDSTILL };
    let clock = Clock::start();
    let seed = flags.seed.unwrap_or(clock.began_us() as u64);
    let apart = if span > LONG { span / 2 } else { Duration::ZERO };
    let plan = Plan { span, names, longest, apart };
    let folder = std::env::temp_dir().join(format!("ringway-chaos-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("journals have a place");
    let Some(is_kept) = Run::start(clock, seed, &folder, flags.at_most_once).go(&plan.draw(seed), span)
    else {
        remove(&folder);
        return INTERRUPTED.into();
    };
    if is_kept || flags.at_most_once {
        remove(&folder);
    } else {
        println!("journals and logs: {}", folder.display());
    }
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn remove(folder: &Path) {
    // Left over, they are in nobody's way.
    let _ = std::fs::remove_dir_all(folder);
}

struct Run {
    clock: Clock,
    seed: u64,
    at_most_once: bool,
    cluster: Cluster,
    load: Load,
    interrupted: Arc<AtomicBool>,
    /// When the load began.
    began: Duration,
}

impl Run {
    fn start(clock: Clock, seed: u64, folder: &Path, at_most_once: bool) -> Run {
        println!("seed {seed}: starting a register, {GATEWAYS} gateways and the workers");
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).expect("signals can be caught");
        }
        let cluster = Cluster::start(clock, folder, at_most_once);
        let gateways: Vec<_> = (0..GATEWAYS).map(|gateway| cluster.client_address(gateway)).collect();
        let load = Load::connect(clock, seed, &gateways);
        Run { clock, seed, at_most_once, cluster, load, interrupted, began: Duration::ZERO }
    }

    /// Whether GUARANTEES were kept; `None` if it was interrupted. With the cluster everybody in it ends, frozen or not.
    fn go(mut self, planned: &[Planned], span: Duration) -> Option<bool> {
        self.pass("every client to have said hello", |run, _| run.load.is_complete())?;
        self.began = self.clock.now();
        let mut left = planned.iter().peekable();
        let mut said_at = self.began;
        println!("{:>6} load begins, {} faults to come", "", planned.len());
        while self.clock.now() < self.began + span {
            let now = self.clock.now();
            while let Some(next) = left.next_if(|next| self.began + next.at <= now) {
                let done = if self.cluster.apply(next.fault) { "" } else { " (not now)" };
                self.say(&format!("{}{done}", next.fault));
            }
            if now >= said_at + PROGRESS {
                said_at = now;
                self.say(&self.progress());
            }
            self.load.send();
            self.turn()?;
        }
        self.say("no more faults");
        self.pass("everybody to be back", |run, _| {
            run.load.send();
            run.cluster.is_whole() && run.load.is_complete()
        })?;
        self.pass("all answers", |run, now| {
            run.load.is_quiet() || now > run.load.heard_at().max(run.began) + SILENCE
        })?;
        self.load.receive();
        self.cluster.stop();
        Some(self.judge())
    }

    /// Goes on until this is so, or for [`PATIENCE`]. `None`: interrupted.
    fn pass(&mut self, what: &str, mut is_over: impl FnMut(&mut Run, Duration) -> bool) -> Option<()> {
        let began = self.clock.now();
        loop {
            let now = self.clock.now();
            if is_over(self, now) {
                return Some(());
            }
            if now > began + PATIENCE {
                self.say(&format!("waited {PATIENCE:?} in vain for {what}"));
                return Some(());
            }
            self.turn()?;
        }
    }

    fn turn(&mut self) -> Option<()> {
        self.load.receive();
        self.cluster.turn();
        std::thread::park_timeout(TURN);
        if self.interrupted.load(Ordering::Relaxed) {
            self.say("interrupted");
            return None;
        }
        Some(())
    }

    fn progress(&self) -> String {
        let (said, answered) = self.load.progress();
        format!("… {said} messages said, {} not answered yet", said - answered)
    }

    fn judge(&self) -> bool {
        let journals = Journals::read(&self.cluster.journals()).expect("workers have written their journals");
        let applied = self.cluster.applied();
        let verdict = Verdict::of(self.load.clients(), &journals, applied);
        println!("\n{}", report::tables(&verdict, applied));
        for example in &verdict.examples {
            println!("beyond: {example}");
        }
        for stray in self.load.stray_examples() {
            println!("beyond: nobody had asked for it: {stray}");
        }
        for died in self.cluster.died() {
            println!("beyond: ended by itself: {died}");
        }
        let beyond = verdict.beyond() + self.load.strays() + self.cluster.died().len() as u64;
        println!("seed {}: {} faults, {beyond} beyond docs/GUARANTEES.md", self.seed, applied.len());
        // Without acknowledgements, losses are what is looked for.
        if self.at_most_once { verdict.lost() == 0 } else { beyond == 0 }
    }

    fn say(&self, what: &str) {
        let at = self.clock.now().saturating_sub(self.began).as_secs_f64();
        println!("{at:>6.1} {what}");
        // It may go to a file that somebody looks at.
        let _ = std::io::stdout().flush();
    }
}

/// Exit codes besides those of docs/OPERATIONS.md's 0 and 1.
const MISUSED: u8 = 2;
const INTERRUPTED: u8 = 130;

/// A day.
const MINUTES_MAX: f64 = 1440.0;
/// How often a run says how far it is.
const PROGRESS: Duration = Duration::from_secs(60);
/// From how long a run on its faults may be long ones, too, and are alone in its first half.
const LONG: Duration = Duration::from_secs(5 * 60);
/// How long a worker stands still at most, in a short run and in a long one.
const STANDSTILL: Duration = Duration::from_secs(12);
const STANDSTILL_LONG: Duration = Duration::from_secs(30);
/// Between two looks at everything.
const TURN: Duration = Duration::from_millis(5);
/// After how long without a word nothing will come any more: longer than links are silent before they are given up, and
/// queries wait.
const SILENCE: Duration = Duration::from_secs(15);
/// How long any of it may take once there are no more faults.
const PATIENCE: Duration = Duration::from_secs(90);
