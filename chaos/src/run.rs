//! A run: load, faults, the wait for what is still to come, and the verdict.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::faults::Plan;
use crate::load::Load;
use crate::programs::{GATEWAYS, Programs};
use crate::report;
use crate::verdict::{Journals, Verdict};

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Messages that came to nothing, and no row allows it.
    pub lost: u64,
    /// What was found, and no row allows it.
    pub beyond: u64,
}

/// A cluster under load.
#[derive(Debug)]
pub struct Run {
    clock: Clock,
    seed: u64,
    cluster: Cluster,
    load: Load,
    interrupted: Arc<AtomicBool>,
    /// When the load began.
    began: Duration,
}

impl Run {
    /// Starts everybody. Journals and logs go to `folder`.
    ///
    /// # Panics
    /// A program does not start.
    pub fn start(programs: Programs, clock: Clock, seed: u64, folder: &Path) -> Run {
        println!("seed {seed}: starting a register, {GATEWAYS} gateways and the workers");
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).expect("signals can be caught");
        }
        let cluster = Cluster::start(programs, clock, folder);
        let gateways: Vec<_> = (0..GATEWAYS).map(|gateway| cluster.client_address(gateway)).collect();
        let load = Load::connect(clock, seed, &gateways);
        Run { clock, seed, cluster, load, interrupted, began: Duration::ZERO }
    }

    /// What came of it; `None` if it was interrupted. With the cluster everybody in it ends, frozen or not.
    pub fn go(mut self, plan: &Plan) -> Option<Outcome> {
        self.pass("every client to have said hello", |run, _| run.load.has_begun())?;
        self.began = self.clock.now();
        let (span, planned) = (plan.span, plan.draw(self.seed));
        let mut left = planned.iter().peekable();
        let mut said_at = self.began;
        self.say(&format!("load begins, {} faults to come", planned.len()));
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
            run.cluster.is_whole() && run.load.is_connected()
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
        let (said, open) = self.load.progress();
        format!("… {said} messages said, {open} of them not answered yet")
    }

    fn judge(&self) -> Outcome {
        let journals = Journals::read(&self.cluster.journals()).expect("workers have written their journals");
        let applied = self.cluster.applied();
        let verdict = Verdict::of(self.load.clients(), &journals, applied);
        let strays = self.load.strays();
        println!("\n{}", report::tables(&verdict, applied, strays));
        for example in verdict.examples.iter().chain(self.load.stray_examples()) {
            println!("beyond: {example}");
        }
        for died in self.cluster.died() {
            println!("beyond: ended by itself: {died}");
        }
        let beyond = verdict.beyond() + strays + self.cluster.died().len() as u64;
        println!("seed {}: {} faults, {beyond} beyond docs/GUARANTEES.md", self.seed, applied.len());
        Outcome { lost: verdict.lost(), beyond }
    }

    fn say(&self, what: &str) {
        let at = self.clock.now().as_secs_f64();
        println!("{at:>6.1} {what}");
        // It may go to a file that somebody looks at.
        let _ = std::io::stdout().flush();
    }
}

/// How often a run says how far it is.
const PROGRESS: Duration = Duration::from_secs(60);
/// Between two looks at everything.
const TURN: Duration = Duration::from_millis(5);
/// After how long without a word nothing will come any more: longer than links are silent before they are given up, and
/// queries wait.
const SILENCE: Duration = Duration::from_secs(15);
/// How long any of it may take once there are no more faults.
const PATIENCE: Duration = Duration::from_secs(90);
