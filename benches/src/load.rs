//! A process of the load generator.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::process::Process;
use loadgen::Report;

use crate::watch::{Stopped, Watch};
use crate::{cpus, programs};

/// A load generator at work. Dropped, it is killed.
pub(crate) struct Load {
    process: Process,
    json: PathBuf,
    /// Steps whose beginning was waited for.
    begun: usize,
}

impl Load {
    /// Starts it with `flags`, on one CPU if that is given; else it [gives way](programs::giving_way). `name` labels its
    /// output.
    pub(crate) fn start(name: &str, cpu: Option<usize>, flags: &str) -> Load {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = format!("ringway-bench-{}-{number}.json", std::process::id());
        let json = std::env::temp_dir().join(file);
        let start = |mut command: Command| {
            command.args(flags.split_ascii_whitespace()).arg("--json").arg(&json);
            Process::spawn(name, command)
        };
        let process = match cpu {
            Some(cpu) => cpus::on(cpu, || start(Command::new(programs::loadgen()))),
            None => start(programs::giving_way(&programs::loadgen())),
        };
        Load { process, json, begun: 0 }
    }

    /// Waits until the next step's measured phase begins: the first one when all connections are made. `meanwhile` is
    /// called often until then.
    ///
    /// # Errors
    /// The run has to end, or the load generator has ended.
    pub(crate) fn await_measuring(
        &mut self,
        watch: &Watch<'_>,
        meanwhile: impl FnMut(),
    ) -> Result<(), Stopped> {
        self.begun += 1;
        self.await_line(watch, "loadgen measuring", self.begun, meanwhile)
    }

    /// Waits until the measured phase of the step that began last is over.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn await_measured(&mut self, watch: &Watch<'_>) -> Result<(), Stopped> {
        self.await_line(watch, "loadgen measured", self.begun, || ())
    }

    /// Waits until all steps are over, and what was under way has come or was given up.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn await_done(&mut self, watch: &Watch<'_>) -> Result<(), Stopped> {
        self.await_line(watch, "loadgen done", 1, || ())
    }

    /// Waits for line number `count` of those that begin with `start`.
    fn await_line(
        &mut self,
        watch: &Watch<'_>,
        start: &str,
        count: usize,
        mut meanwhile: impl FnMut(),
    ) -> Result<(), Stopped> {
        let process = &mut self.process;
        watch.until(start, LIMIT, || {
            meanwhile();
            if process.stdout().lines().filter(|line| line.starts_with(start)).count() >= count {
                return Ok(Some(()));
            }
            if !process.is_running() {
                return Err(format!("the load generator ended early\n{}", process.output()));
            }
            Ok(None)
        })
    }

    /// Ends it before its time.
    pub(crate) fn interrupt(&mut self) {
        self.process.interrupt();
    }

    /// Waits for its end and reads its report.
    ///
    /// # Errors
    /// The run has to end, or there is no report.
    pub(crate) fn finish(mut self, watch: &Watch<'_>) -> Result<Report, Stopped> {
        let process = &mut self.process;
        watch.until("the end of the load generator", LIMIT, || Ok((!process.is_running()).then_some(())))?;
        let status = process.await_exit();
        if !status.success() {
            return Err(format!("the load generator ended with {status}\n{}", process.output()));
        }
        let text = std::fs::read_to_string(&self.json).map_err(|error| format!("no report: {error}"))?;
        // What stays behind in the directory for temporary files does no harm.
        let _ = std::fs::remove_file(&self.json);
        serde_json::from_str(&text).map_err(|error| format!("not a report: {error}"))
    }
}

/// Ramping a million up or taking it down takes minutes on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);
