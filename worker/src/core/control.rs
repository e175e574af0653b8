//! What another thread wants of a core: to know how it is, or that it ends. Not for anything on the data path.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::Status;

/// One wish.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Say how things are.
    Status(Sender<Status>),
    Stop,
}

/// The end of the other thread.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    wishes: Sender<Wish>,
    core: Asleep,
}

/// The end of the core.
#[derive(Debug)]
pub(crate) struct Wishes {
    wishes: Receiver<Wish>,
    core: Asleep,
}

/// Wakes the core while it waits for wishes: an idle one pays nothing for being asked rarely.
type Asleep = Arc<Mutex<Option<Waker>>>;

/// Both ends for one core.
pub(crate) fn control() -> (Control, Wishes) {
    let (send, receive) = unbounded();
    let core = Asleep::default();
    (Control { wishes: send, core: Arc::clone(&core) }, Wishes { wishes: receive, core })
}

impl Control {
    /// `false`: the core is ending, or has ended.
    pub(crate) fn tell(&self, wish: Wish) -> bool {
        let told = self.wishes.send(wish).is_ok();
        if let Some(core) = lock(&self.core).take() {
            core.wake();
        }
        told
    }
}

impl Wishes {
    /// Answers whoever asks, until the core is to stop. What is asked later is refused.
    pub(crate) async fn serve(self, status: impl Fn() -> Status) {
        while let Wish::Status(answer) = self.next().await {
            // Whoever asked may have given up.
            let _ = answer.send(status());
        }
    }

    async fn next(&self) -> Wish {
        poll_fn(|cx| {
            // Looked at under the lock that `tell` takes after sending: no waker is stored too late.
            let mut core = lock(&self.core);
            match self.wishes.try_recv() {
                Ok(wish) => Poll::Ready(wish),
                // Nobody is left who could say so.
                Err(TryRecvError::Disconnected) => Poll::Ready(Wish::Stop),
                Err(TryRecvError::Empty) => {
                    *core = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

fn lock(core: &Asleep) -> MutexGuard<'_, Option<Waker>> {
    // It holds a waker or none, whatever happened to a thread that held the lock.
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn every_question_is_answered_until_the_core_stops() {
        let (control, wishes) = control();
        let core = program::start_executor("test", None, move || {
            wishes.serve(|| Status { links: 7, ..Status::default() })
        });
        for _ in 0..1000 {
            let (answer, status) = bounded(1);
            assert!(control.tell(Wish::Status(answer)));
            assert_eq!(status.recv().unwrap().links, 7);
        }
        assert!(control.tell(Wish::Stop));
        core.unwrap().join().unwrap();
        let (answer, status) = bounded(1);
        assert!(!control.tell(Wish::Status(answer)));
        assert!(status.recv().is_err());
    }
}
