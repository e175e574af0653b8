//! One process of this workspace: found, built, started, watched and ended.

mod binary;
mod group;
mod output;

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process};

use crate::wait::{LIMIT, wait_until};
use output::Output;

pub use binary::{build, path as binary_path, profile_directory, ready_made};
pub use rustix::process::Signal;

/// A running program. Dropped, it is killed; a test that fails sees its output.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// It leads a group of processes.
    leads: bool,
    stdout: Output,
    stderr: Output,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts the workspace's program `program` with `flags`. `name` is what its output is labelled with.
    pub fn start(name: &str, program: &str, flags: &[String]) -> Process {
        let mut command = Command::new(binary::path(program));
        command.args(flags);
        Process::spawn(name, command)
    }

    /// Starts any command, its output collected.
    pub fn spawn(name: &str, mut command: Command) -> Process {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Process::spawn_as_is(name, command)
    }

    /// Starts any command that has processes of its own; what pauses, resumes or kills it is done to them, too, and
    /// none outlives it.
    pub fn spawn_group(name: &str, mut command: Command) -> Process {
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = Process::spawn(name, command);
        process.leads = true;
        process
    }

    /// Starts any command, with its output where the command says; what of it is piped is collected.
    pub fn spawn_as_is(name: &str, mut command: Command) -> Process {
        command.stdin(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdout = child.stdout.take().map_or_else(|| Output::collect(std::io::empty()), Output::collect);
        let stderr = child.stderr.take().map_or_else(|| Output::collect(std::io::empty()), Output::collect);
        Process { name: name.to_owned(), child, leads: false, stdout, stderr, ended: None }
    }

    /// Waits for the line with which the program says that it serves, `<program> ready: …`, and returns what follows.
    pub fn await_ready(&self, program: &str) -> String {
        self.await_line(&format!("{program} ready: "))
    }

    /// Waits for a line on stdout that begins with `start`, and returns what follows.
    pub fn await_line(&self, start: &str) -> String {
        match self.stdout.await_line(start, LIMIT) {
            Some(line) => line[start.len()..].to_owned(),
            None => panic!("{} never wrote `{start}`\n{}", self.name, self.output()),
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, labelled.
    pub fn output(&self) -> String {
        format!(
            "--- {} (pid {}) stdout:\n{}--- stderr:\n{}",
            self.name,
            self.id(),
            self.stdout.text(),
            self.stderr.text()
        )
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.poll_exit().is_none()
    }

    /// Asks it to end, as an operator does.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&mut self) {
        self.signal(Signal::INT);
    }

    /// Sends SIGHUP: files are to be looked at again.
    pub fn hang_up(&mut self) {
        self.signal(Signal::HUP);
    }

    /// Ends it without a chance to say goodbye, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.await_exit();
    }

    /// Stops it in its tracks, until [`Process::resume`]. Returns when each of its threads has stopped.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.id());
        let what = format!("{} to stand still", self.name);
        wait_until(&what, || {
            let mut stats = fs::read_dir(&tasks).ok()?.flatten().map(|task| task.path().join("stat"));
            stats.all(|stat| fs::read_to_string(stat).is_ok_and(|stat| !is_running(&stat))).then_some(())
        });
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end.
    pub fn await_exit(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let status = wait_until(&what, || self.poll_exit());
        self.stdout.await_end();
        self.stderr.await_end();
        status
    }

    /// Asks it to end and sees to it that it does so with exit code 0.
    pub fn stop(&mut self) {
        self.terminate();
        self.await_clean_exit();
    }

    /// Waits for its end and sees to it that the exit code is 0.
    pub fn await_clean_exit(&mut self) {
        let status = self.await_exit();
        assert_eq!(status.code(), Some(0), "{} ended with {status}\n{}", self.name, self.output());
    }

    /// CPU time that its threads have used so far.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.id())
    }

    /// Memory it has resident now, in bytes.
    pub fn rss(&self) -> u64 {
        rss(self.id())
    }

    fn poll_exit(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child of ours can be waited for");
            if self.ended.is_some() && self.leads {
                // Most have left nobody.
                let _ = group::signal(Pid::from_child(&self.child), Signal::KILL);
            }
        }
        self.ended
    }

    /// Sends any signal. Those that no process can answer go to its whole group, if it leads one.
    pub fn signal(&mut self, signal: Signal) {
        // Once it has been waited for, its id may belong to somebody else.
        if self.poll_exit().is_some() {
            return;
        }
        let pid = Pid::from_child(&self.child);
        let sent = if self.leads { group::signal(pid, signal) } else { kill_process(pid, signal) };
        sent.expect("a child that was not waited for can be signalled");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.poll_exit().is_none() {
            // Nothing sensible can be done if either fails, and a panic here would hide the test's own.
            if self.leads {
                let _ = group::signal(Pid::from_child(&self.child), Signal::KILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.output());
        }
    }
}

/// CPU time that the threads of a process have used so far, user and system, to the nanosecond. What a thread has used is
/// lost with it.
pub fn cpu_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a live process has threads");
    // A thread may end between the list and the look at it.
    let ran = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    let ran_ns = ran.filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(ran_ns.sum())
}

/// Memory that a process has resident now, in bytes.
pub fn rss(pid: u32) -> u64 {
    let status = read_proc(pid, "status");
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a live process has a VmRSS");
    let kib = line.trim().strip_suffix(" kB").expect("VmRSS is given in kB");
    kib.parse::<u64>().expect("VmRSS is a number") * 1024
}

fn read_proc(pid: u32, file: &str) -> String {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a thread goes on, by its line in `/proc`: the state is behind the name in brackets.
fn is_running(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").and_then(|(_, behind)| behind.chars().next());
    !matches!(state, Some('T' | 't' | 'Z' | 'X'))
}
