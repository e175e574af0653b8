//! A process of the load generator.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use loadgen::Report;
use ringway_tests::process::Process;

use super::watch::{Stopped, Watch};
use crate::programs;

/// A load generator at work. Dropped, it is killed.
pub struct Load {
    process: Process,
    json: PathBuf,
}

impl Load {
    /// Starts it with `flags`. `name` labels its output.
    pub fn start(name: &str, flags: &str) -> Load {
        let json = std::env::temp_dir().join(format!("ringway-bench-{}-{name}.json", std::process::id()));
        let mut command = Command::new(programs::loadgen());
        command.args(flags.split_ascii_whitespace()).arg("--json").arg(&json);
        Load { process: Process::spawn(name, command), json }
    }

    /// Waits until all connections are made and the measured phase begins; `meanwhile` is called often until then.
    ///
    /// # Errors
    /// The run has to end, or the load generator has ended.
    pub fn await_measuring(&mut self, watch: &Watch<'_>, meanwhile: impl FnMut()) -> Result<(), Stopped> {
        self.await_line(watch, "loadgen measuring", meanwhile)
    }

    /// Waits until the measured phase is over.
    ///
    /// # Errors
    /// As above.
    pub fn await_measured(&mut self, watch: &Watch<'_>) -> Result<(), Stopped> {
        self.await_line(watch, "loadgen measured", || ())
    }

    fn await_line(
        &mut self,
        watch: &Watch<'_>,
        start: &str,
        mut meanwhile: impl FnMut(),
    ) -> Result<(), Stopped> {
        watch.until(start, LIMIT, || {
            meanwhile();
            if self.process.stdout().lines().any(|line| line.starts_with(start)) {
                return Ok(Some(()));
            }
            if !self.process.is_running() {
                return Err(format!("the load generator ended early\n{}", self.process.output()));
            }
            Ok(None)
        })
    }

    /// Ends it before its time.
    pub fn interrupt(&mut self) {
        self.process.interrupt();
    }

    /// Waits for its end and reads its report.
    ///
    /// # Errors
    /// The run has to end, or there is no report.
    pub fn finish(mut self, watch: &Watch<'_>) -> Result<Report, Stopped> {
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
