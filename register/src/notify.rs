//! Owns the smallest way for one task to wake another one of the same thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A flag that one task waits for. Set twice before that is noticed counts once.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    is_notified: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Notify {
    pub(crate) fn notify(&self) {
        self.is_notified.set(true);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    /// Waits until the flag is set, also if it was before, and resets it. Dropped early, it leaves the flag as it is.
    pub(crate) async fn notified(&self) {
        poll_fn(|context| {
            if self.is_notified.take() {
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
    fn a_notification_is_taken_once() {
        let notify = Notify::default();
        notify.notify();
        notify.notify();
        assert_eq!(block_on(poll_once(notify.notified())), Some(()));
        assert_eq!(block_on(poll_once(notify.notified())), None);
        notify.notify();
        assert_eq!(block_on(poll_once(notify.notified())), Some(()));
    }
}
