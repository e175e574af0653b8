//! Worker processes: started, listened to, and sent signals.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crossbeam_channel::Sender;
use rustix::process::{Pid, Signal, kill_process};

use super::Happened;
use super::child::{MARK, Mark};
use super::plan::{End, Id, Side};

/// A worker process.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts what is at `path` now, with the words of this process' own command line. What it reports goes to `tell`.
    ///
    /// To be called by a thread that lives as long as the master: the process ends with it.
    pub(super) fn start(
        path: &Path,
        id: Id,
        (side, patient): (Side, bool),
        tell: Sender<Happened>,
    ) -> io::Result<Process> {
        let (ours, theirs) = UnixStream::pair()?;
        let words: Vec<OsString> = std::env::args_os().skip(1).collect();
        let mut command = Command::new(path);
        command
            .args(words)
            .env(MARK, Mark::new(side, patient).to_string())
            // The master speaks for it.
            .env_remove(program::NOTIFY_SOCKET)
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        let child = command.spawn()?;
        program::spawn_vital("reports", move || {
            for line in BufReader::new(ours).lines().map_while(Result::ok) {
                if let Ok(report) = line.parse() {
                    // A master that ends listens no more.
                    let _ = tell.send(Happened::Reported(id, report));
                }
            }
        })?;
        Ok(Process(child))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub(super) fn end(&mut self) -> Option<End> {
        let status = self.0.try_wait().ok().flatten()?;
        Some(End { how: describe(status), code: status.code() })
    }

    pub(super) fn terminate(&self) {
        // It may have ended; its id is kept until it is waited for.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
    }

    pub(super) fn kill(&self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::KILL);
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("killed by {name}"),
            None => format!("killed by signal {signal}"),
        },
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_by_name() {
        for (raw, told) in [
            (0, "exit code 0"),
            (3 << 8, "exit code 3"),
            (11, "killed by SIGSEGV"),
            (9, "killed by SIGKILL"),
            (64, "killed by signal 64"),
        ] {
            assert_eq!(describe(ExitStatus::from_raw(raw)), told);
        }
    }
}
