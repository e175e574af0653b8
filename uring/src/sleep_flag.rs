//! Whether the ring's thread sleeps, agreed upon with the threads that wake it: one atomic, no lock.
//!
//! A waker first makes known what it wakes for (it puts it into a queue), then calls [`SleepFlag::wake`]. The ring's thread
//! calls [`SleepFlag::try_sleep`] before it waits and [`SleepFlag::end_sleep`] after, and then looks into the queue. So a wake is
//! either seen before the wait, which then does not happen, or finds the thread asleep and is told to end the wait.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU8, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU8, Ordering};

/// `AWAKE` → `ASLEEP` → `AWAKE` by the ring's thread; any of them → `WOKEN` by others; `WOKEN` → `AWAKE` by the ring's thread.
#[derive(Debug)]
pub(crate) struct SleepFlag(AtomicU8);

impl SleepFlag {
    pub(crate) fn new() -> SleepFlag {
        SleepFlag(AtomicU8::new(AWAKE))
    }

    /// Any thread: the ring's thread is to look. `true`: it sleeps, and the caller has to end its wait.
    pub(crate) fn wake(&self) -> bool {
        // Release: what was made known before is seen by the thread that takes the wake.
        self.0.swap(WOKEN, Ordering::AcqRel) == ASLEEP
    }

    /// The ring's thread: it may wait now. `false`: it was woken meanwhile and must not.
    pub(crate) fn try_sleep(&self) -> bool {
        self.0.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The ring's thread, after a wait or instead of one: whether it was woken since this was last asked.
    pub(crate) fn end_sleep(&self) -> bool {
        // A load first: a thread that never sleeps asks in every turn, and writing would cost the others their cache line.
        self.0.load(Ordering::Relaxed) != AWAKE && self.0.swap(AWAKE, Ordering::AcqRel) == WOKEN
    }
}

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const WOKEN: u8 = 2;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_is_awake_need_not_be_woken_and_does_not_miss_it() {
        let flag = SleepFlag::new();
        assert!(!flag.wake());
        assert!(!flag.try_sleep());
        assert!(flag.end_sleep());
        assert!(!flag.end_sleep());
    }

    #[test]
    fn a_sleeper_is_woken_once() {
        let flag = SleepFlag::new();
        assert!(flag.try_sleep());
        assert!(flag.wake());
        assert!(!flag.wake());
        assert!(flag.end_sleep());
        assert!(flag.try_sleep());
        assert!(!flag.end_sleep());
    }
}

/// All interleavings: `RUSTFLAGS="--cfg loom" cargo test -p ringway-uring --lib sleep_flag`.
#[cfg(all(test, loom))]
mod interleavings {
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use super::*;

    /// The eventfd and its poll: a wait ends when somebody has written, and each write ends one wait at most.
    #[derive(Default)]
    struct Eventfd {
        written: Mutex<bool>,
        told: Condvar,
    }

    impl Eventfd {
        fn write(&self) {
            *self.written.lock().unwrap() = true;
            self.told.notify_one();
        }

        fn wait(&self) {
            let mut written = self.written.lock().unwrap();
            while !std::mem::take(&mut *written) {
                written = self.told.wait(written).unwrap();
            }
        }
    }

    /// What two others put into the queue is taken out by a thread that waits whenever it may. If one wake could be slept
    /// over, some interleaving would end with all threads waiting, which loom reports.
    #[test]
    fn nothing_is_slept_over() {
        let mut model = loom::model::Builder::new();
        // All schedules take minutes, and faults of so small a protocol show with few changes of thread.
        model.preemption_bound = Some(3);
        model.check(|| {
            let flag = Arc::new(SleepFlag::new());
            let queue = Arc::new(Mutex::new(0));
            let eventfd = Arc::new(Eventfd::default());
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let (flag, queue, eventfd) =
                        (Arc::clone(&flag), Arc::clone(&queue), Arc::clone(&eventfd));
                    thread::spawn(move || {
                        *queue.lock().unwrap() += 1;
                        if flag.wake() {
                            eventfd.write();
                        }
                    })
                })
                .collect();
            let mut taken = 0;
            while taken < 2 {
                if flag.try_sleep() {
                    eventfd.wait();
                }
                if flag.end_sleep() {
                    taken += std::mem::take(&mut *queue.lock().unwrap());
                }
            }
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    }
}
