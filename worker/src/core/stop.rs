//! How cores are told to end, by another thread.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Told once, heard by every core. Not for anything on the data path.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    told: AtomicBool,
    cores: Mutex<Vec<Waker>>,
}

impl StopSignal {
    /// Tells every core to end.
    pub(crate) fn tell(&self) {
        self.told.store(true, Ordering::Release);
        // A waker whose thread panicked is no reason not to tell the others.
        let cores = std::mem::take(&mut *self.cores.lock().unwrap_or_else(PoisonError::into_inner));
        cores.into_iter().for_each(Waker::wake);
    }

    /// Ready when the core is told to end.
    pub(crate) async fn heard(&self) {
        poll_fn(|cx| {
            // The flag is read under the lock that `tell` takes after setting it: no waker is added too late.
            let mut cores = self.cores.lock().unwrap_or_else(PoisonError::into_inner);
            if self.told.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            cores.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
