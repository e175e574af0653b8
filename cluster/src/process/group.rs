//! A process with processes of its own, as PHP's masters have. They are treated as a machine would that stops or fails: all at
//! once, and none notices that another one stands still.

use rustix::io;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait::wait_until;

/// Sends a signal to the leader; one that no process can answer to everybody.
pub(super) fn signal(leader: Pid, signal: Signal) -> io::Result<()> {
    match signal {
        Signal::STOP => {
            // First, or it would be told that the others have stopped.
            kill_process(leader, signal)?;
            wait_until("a process to stand still", || has_stopped(leader).then_some(()));
            kill_process_group(leader, signal)
        }
        Signal::CONT => {
            // Last, for the same reason.
            for child in children(leader) {
                // One that was killed while it stood still is waited for only when the leader goes on.
                kill_process(child, signal)?;
            }
            kill_process_group(leader, signal)
        }
        Signal::KILL => kill_process_group(leader, signal),
        _ => kill_process(leader, signal),
    }
}

/// Or is about to be waited for.
fn has_stopped(process: Pid) -> bool {
    matches!(state(&process.as_raw_nonzero().to_string()), None | Some('T' | 'Z'))
}

/// The letter that the kernel has for what a process does; `None`: it is gone.
fn state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// None has gone or come while their parent stands still.
fn children(leader: Pid) -> Vec<Pid> {
    let leader = leader.as_raw_nonzero();
    let listed =
        std::fs::read_to_string(format!("/proc/{leader}/task/{leader}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw)).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::Process;
    use super::{state, wait_until};

    #[test]
    fn a_group_stands_still_goes_on_and_ends_as_one() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo child $!; wait"]);
        let mut leader = Process::spawn_group("shell", command);
        let child = leader.await_line("child ");
        let both = [leader.id().to_string(), child.clone()];
        let await_both = |is: fn(Option<char>) -> bool| {
            let all = || both.iter().all(|pid| is(state(pid)));
            wait_until("both processes", || all().then_some(()));
        };
        leader.pause();
        await_both(|state| state == Some('T'));
        leader.resume();
        await_both(|state| state == Some('S'));
        leader.kill();
        wait_until("the end of the child", || matches!(state(&child), None | Some('Z')).then_some(()));
    }
}
