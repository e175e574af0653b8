//! Owns how an executor is started: its thread pinned to a CPU, its memory small, and never asleep on work.
//!
//! glommio 0.9 looks at its preemption timer before it runs the first task of a turn. If the thread is held up for the
//! whole timer between setting it and that look, no task runs, and the executor takes that for "there is none": it
//! sleeps with tasks ready to run, until an event wakes it. So nothing preempts it while it starts; then its timer is
//! 100 ms, which is rarely missed, and a pulse is such an event: two timers by turns, since the task of one may be among
//! those that were left.

use std::io;
use std::sync::mpsc::{RecvError, sync_channel};
use std::time::Duration;

use glommio::timer::sleep;
use glommio::{ExecutorJoinHandle, Latency, LocalExecutorBuilder, Placement, Shares, Task};

use crate::mark_vital;

/// Runs `task` on a glommio executor in a thread of its own, called `name` and a number, pinned to `cpu` if there is one.
/// The thread is vital ([`mark_vital`]).
///
/// glommio leaves the tasks that `task` has spawned undropped when it ends, their sockets open: whoever spawns
/// them cancels them. When this returns, the executor runs.
///
/// # Errors
/// The thread or the executor's rings cannot be had.
pub fn start_executor<F, T>(
    name: &str,
    cpu: Option<usize>,
    task: impl FnOnce() -> F + Send + 'static,
) -> io::Result<ExecutorJoinHandle<T>>
where
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
    let builder = LocalExecutorBuilder::new(placement).name(name).io_memory(IO_MEMORY_SIZE);
    let (tell, begun) = sync_channel(1);
    let thread = builder.preempt_timer(NEVER).spawn(move || async move {
        mark_vital();
        // Whoever waits for it cannot be gone: it is the caller.
        let _ = tell.send(());
        let pulse = start_pulse();
        let latency = Latency::Matters(PREEMPT_TIMER);
        let queue = glommio::executor().create_task_queue(Shares::default(), latency, "task");
        let task = glommio::spawn_local_into(async move { task().await }, queue);
        let result = task.expect("the queue has just been made").await;
        for timer in pulse {
            timer.cancel().await;
        }
        result
    });
    let thread = thread.map_err(io::Error::from)?;
    // The thread makes its executor itself. One that cannot ends without a word, and drops what it was to run.
    match begun.recv() {
        Ok(()) => Ok(thread),
        Err(RecvError) => {
            Err(thread.join().map_or_else(io::Error::from, |_| unreachable!("its task never ran")))
        }
    }
}

fn start_pulse() -> [Task<()>; 2] {
    [Duration::ZERO, PULSE_PERIOD / 2].map(|offset| {
        glommio::spawn_local(async move {
            sleep(offset).await;
            loop {
                sleep(PULSE_PERIOD).await;
            }
        })
    })
}

/// Tasks that always have something to do keep the executor from its sockets this long.
const PREEMPT_TIMER: Duration = Duration::from_millis(100);

/// No timer at all cannot be had.
const NEVER: Duration = Duration::from_secs(3_600);

/// An executor that sleeps on work is woken after half of this. Waking costs an idle core some 10 µs each time.
const PULSE_PERIOD: Duration = Duration::from_millis(200);

/// What an executor keeps for file IO, in bytes: as little as there can be, no program here reads files through it.
const IO_MEMORY_SIZE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executor_runs_where_it_is_told_and_returns_what_its_task_does() {
        let cpu = crate::allowed_cpus()[0];
        let thread = start_executor("test", Some(cpu), || async {
            glommio::yield_if_needed().await;
            (std::thread::current().name().map(str::to_owned), crate::allowed_cpus())
        });
        let (name, cpus) = thread.unwrap().join().unwrap();
        // glommio adds a number.
        assert!(name.unwrap().starts_with("test-"));
        assert_eq!(cpus, [cpu]);
    }
}
