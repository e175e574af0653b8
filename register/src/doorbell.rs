//! Owns the smallest way for one task to wake another one of the same thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A flag that one task waits for. Rung twice before it is heard counts once.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    is_rung: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Doorbell {
    pub(crate) fn ring(&self) {
        self.is_rung.set(true);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    /// Waits for a ring, also one that came before, and resets the bell. Dropped early, it leaves a ring in place.
    pub(crate) async fn heard(&self) {
        poll_fn(|context| {
            if self.is_rung.take() {
                return Poll::Ready(());
            }
            self.waiter.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_ring_is_heard_once() {
        let bell = Doorbell::default();
        bell.ring();
        bell.ring();
        assert_eq!(block_on(poll_once(bell.heard())), Some(()));
        assert_eq!(block_on(poll_once(bell.heard())), None);
        bell.ring();
        assert_eq!(block_on(poll_once(bell.heard())), Some(()));
    }
}
