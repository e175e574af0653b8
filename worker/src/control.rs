//! What another thread wants of a core: to know how it is, or that it ends. Not for anything on the data path.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use uring::Waker;

use crate::core::Status;

/// What a core is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Say how things are.
    Status(SyncSender<Status>),
    Stop,
}

/// The end of the other thread.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    requests: Sender<Request>,
    core: Arc<OnceLock<Waker>>,
}

/// The end of the core.
#[derive(Debug)]
pub(crate) struct Requests {
    requests: Receiver<Request>,
    /// Set when the core has a ring that can wait.
    core: Arc<OnceLock<Waker>>,
}

/// Both ends for one core.
pub(crate) fn control() -> (Control, Requests) {
    let (send, receive) = unbounded();
    let core = Arc::default();
    (Control { requests: send, core: Arc::clone(&core) }, Requests { requests: receive, core })
}

impl Control {
    /// `false`: the core has ended.
    pub(crate) fn tell(&self, request: Request) -> bool {
        let told = self.requests.send(request).is_ok();
        if let Some(core) = self.core.get() {
            core.wake();
        }
        told
    }
}

impl Requests {
    /// Has this ring woken by what comes. What came before is found without.
    pub(crate) fn wake(&self, waker: Waker) {
        self.core.set(waker).expect("a core has one ring");
    }

    /// What is wanted next. If nobody is left who could want the end, that is wanted.
    pub(crate) fn next(&self) -> Option<Request> {
        match self.requests.try_recv() {
            Ok(request) => Some(request),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Request::Stop),
        }
    }
}
