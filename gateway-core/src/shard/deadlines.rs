//! Things that must happen within a fixed time.

use std::collections::VecDeque;

use ring::SocketId;

use crate::Millis;

/// Sockets in order of their deadlines. All have the same time, so the order is that of arrival, and an entry is not
/// removed early: whoever takes it looks whether it still applies.
pub struct Timeouts {
    period_ms: u64,
    queue: VecDeque<(Millis, SocketId)>,
}

impl Timeouts {
    pub fn new(period_ms: u64) -> Timeouts {
        Timeouts { period_ms, queue: VecDeque::new() }
    }

    pub fn push(&mut self, now: Millis, socket: SocketId) {
        self.queue.push_back((now.plus(self.period_ms), socket));
    }

    /// The next socket whose time is over.
    pub fn pop_expired(&mut self, now: Millis) -> Option<SocketId> {
        match self.queue.front() {
            Some((deadline, _)) if *deadline <= now => self.queue.pop_front().map(|(_, socket)| socket),
            _ => None,
        }
    }

    /// Everything, whatever its deadline.
    pub fn take_all(&mut self) -> VecDeque<(Millis, SocketId)> {
        std::mem::take(&mut self.queue)
    }
}
