//! Futures that wait for a time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::Shared;

/// Who is to be woken when.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    /// By time, and by a number, for several may have one time.
    wakers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    next_id: Cell<u64>,
}

impl Alarms {
    /// Wakes those whose time has come.
    pub(super) fn fire(&self, now: Duration) {
        let mut wakers = self.wakers.borrow_mut();
        while let Some(first) = wakers.first_entry().filter(|first| first.key().0 <= now) {
            first.remove().wake();
        }
    }

    /// When the next time comes.
    pub(super) fn next(&self) -> Option<Duration> {
        self.wakers.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn clear(&self) {
        let wakers = std::mem::take(&mut *self.wakers.borrow_mut());
        drop(wakers);
    }
}

/// One entry among the alarms, while a future waits for it.
struct Alarm {
    shared: Rc<Shared>,
    key: (Duration, u64),
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = self.shared.alarms.wakers.borrow_mut().remove(&self.key);
        drop(waker);
    }
}

/// Waits this long, on the core that polls it first.
pub(crate) async fn sleep(duration: Duration) {
    let shared = Shared::current();
    let id = shared.alarms.next_id.get();
    shared.alarms.next_id.set(id + 1);
    let at = shared.now().saturating_add(duration);
    let alarm = Alarm { shared, key: (at, id) };
    poll_fn(|cx| {
        if alarm.shared.now() >= at {
            return Poll::Ready(());
        }
        alarm.shared.alarms.wakers.borrow_mut().insert(alarm.key, cx.waker().clone());
        Poll::Pending
    })
    .await;
}
