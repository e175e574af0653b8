//! Things that must happen within a fixed time.

use std::collections::VecDeque;

use protocol::pulse::LOOK_PERIOD_MS;
use uring::SocketId;

use crate::config::{
    ANSWER_TIMEOUT_MS, AUTHORIZATION_TIMEOUT_MS, CLOSE_FLUSH_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS,
    LINGER_TIMEOUT_MS, LINK_PING_PERIOD_MS,
};
use crate::{Millis, Settings};

/// Who waits for what, and what is due when.
pub(super) struct Deadlines {
    pub handshake: Timeouts,
    /// Clients that are to be bound to a uid; nobody if they may be without one.
    pub unbound: Timeouts,
    /// Clients without a worker.
    pub no_worker: Timeouts,
    /// Closing clients whose queues are to be sent.
    pub flush: Timeouts,
    /// Lingering connections whose close frame is to be answered.
    pub answer: Timeouts,
    /// Those whose FIN is to come.
    pub linger: Timeouts,
    /// Links that are to say the secret key, or to go.
    pub authorization: Timeouts,
    /// Clients may wait for what links have not sent: to be looked at in each tick.
    pub stalled: bool,
    pub next_link_ping: Millis,
    pub next_link_look: Millis,
}

impl Deadlines {
    pub(super) fn new(settings: &Settings, now: Millis) -> Deadlines {
        Deadlines {
            handshake: Timeouts::new(HANDSHAKE_TIMEOUT_MS),
            unbound: Timeouts::new(protocol::millis(settings.client_limits.bind_timeout)),
            no_worker: Timeouts::new(protocol::millis(settings.no_worker_wait)),
            flush: Timeouts::new(CLOSE_FLUSH_TIMEOUT_MS),
            answer: Timeouts::new(ANSWER_TIMEOUT_MS),
            linger: Timeouts::new(LINGER_TIMEOUT_MS),
            authorization: Timeouts::new(AUTHORIZATION_TIMEOUT_MS),
            stalled: false,
            next_link_ping: now.plus(LINK_PING_PERIOD_MS),
            next_link_look: now.plus(LOOK_PERIOD_MS),
        }
    }

    /// The first of those that concern single sockets.
    pub(super) fn first_timeout(&self) -> Option<Millis> {
        let Deadlines { handshake, unbound, no_worker, flush, answer, linger, authorization, .. } = self;
        let all = [handshake, unbound, no_worker, flush, answer, linger, authorization];
        all.into_iter().filter_map(Timeouts::first).min()
    }
}

/// Sockets in order of their deadlines. All have the same time, so the order is that of arrival, and an entry is not
/// removed early: whoever takes it looks whether it still applies.
pub(super) struct Timeouts {
    period_ms: u64,
    queue: VecDeque<(Millis, SocketId)>,
}

impl Timeouts {
    pub(super) fn new(period_ms: u64) -> Timeouts {
        Timeouts { period_ms, queue: VecDeque::new() }
    }

    pub(super) fn push(&mut self, now: Millis, socket: SocketId) {
        self.queue.push_back((now.plus(self.period_ms), socket));
    }

    /// The next socket whose time is over.
    pub(super) fn pop_expired(&mut self, now: Millis) -> Option<SocketId> {
        match self.queue.front() {
            Some((deadline, _)) if *deadline <= now => self.queue.pop_front().map(|(_, socket)| socket),
            _ => None,
        }
    }

    /// When the next time is over.
    pub(super) fn first(&self) -> Option<Millis> {
        self.queue.front().map(|(deadline, _)| *deadline)
    }

    /// Everything, whatever its deadline.
    pub(super) fn take_all(&mut self) -> VecDeque<(Millis, SocketId)> {
        std::mem::take(&mut self.queue)
    }
}
