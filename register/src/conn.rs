//! Owns one connection: the lines that came, what is on its way to the peer, and the peer's signs of life.
//!
//! What a line means is [`crate::directory`]'s business.

use std::net::SocketAddr;
use std::rc::Rc;

use protocol::pulse::{Pulse, Sign};
use protocol::register::Lines;

use crate::config::WRITE_TIMEOUT;
use crate::directory::Refusal;

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The peer closed it, or the network or the register did, or it takes nothing.
    Gone,
    /// A peer that pings did so no more.
    Dead,
    Refused(Refusal),
}

/// One connection.
///
/// Invariants: `sent <= output.len()`; `full_since` is set only while there is output.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) from: SocketAddr,
    pub(crate) lines: Lines,
    /// The peer says no more: when all its lines are answered, it ends.
    pub(crate) has_ended: bool,
    /// Nothing is read from it.
    pub(crate) is_paused: bool,
    /// One answer or list, of which the first `sent` bytes are gone.
    output: Option<Rc<[u8]>>,
    sent: usize,
    /// Since when its socket has had no room, in ms.
    full_since: Option<u64>,
    /// From its first ping that wants an answer on.
    pulse: Option<Pulse>,
}

impl Conn {
    pub(crate) fn new(from: SocketAddr) -> Conn {
        Conn {
            from,
            lines: Lines::default(),
            has_ended: false,
            is_paused: false,
            output: None,
            sent: 0,
            full_since: None,
            pulse: None,
        }
    }

    /// Whether something is on its way to the peer.
    pub(crate) fn is_sending(&self) -> bool {
        self.output.is_some()
    }

    /// Begins to send, when all that was before is sent.
    pub(crate) fn begin(&mut self, bytes: Rc<[u8]>) {
        debug_assert!(!self.is_sending());
        (self.output, self.sent) = (Some(bytes), 0);
    }

    /// What is to be sent now: nothing while the socket has no room.
    pub(crate) fn unsent(&self) -> &[u8] {
        match &self.output {
            Some(bytes) if self.full_since.is_none() => &bytes[self.sent..],
            _ => &[],
        }
    }

    /// Of that, `sent` bytes were taken. Less than all: there was no room for more.
    pub(crate) fn on_sent(&mut self, now: u64, sent: usize) {
        let Some(output) = &self.output else { return };
        self.sent += sent;
        debug_assert!(self.sent <= output.len());
        if self.sent < output.len() {
            self.full_since = Some(now);
        } else {
            self.output = None;
        }
    }

    /// The socket has room again: whoever takes something lives. Whether it had none before.
    pub(crate) fn on_writable(&mut self) -> bool {
        self.heard();
        self.full_since.take().is_some()
    }

    pub(crate) fn heard(&mut self) {
        self.pulse.iter_mut().for_each(Pulse::heard);
    }

    /// A ping came that wants an answer.
    pub(crate) fn pinged(&mut self) {
        let pulse = self.pulse.get_or_insert_default();
        pulse.heard();
        pulse.pinged();
    }

    /// Whether [`Self::look`] may find something some day.
    pub(crate) fn is_watched(&self) -> bool {
        self.pulse.is_some() || self.full_since.is_some()
    }

    /// To be called every [`protocol::pulse::LOOK_PERIOD_MS`] while it is watched; why it is to end, if it is.
    pub(crate) fn look(&mut self, now: u64) -> Option<End> {
        let is_silent = self.pulse.as_mut().is_some_and(|pulse| pulse.look(false) == Sign::Silent);
        let is_stuck = |since| now >= since + protocol::millis(WRITE_TIMEOUT);
        if is_silent { Some(End::Dead) } else { self.full_since.is_some_and(is_stuck).then_some(End::Gone) }
    }
}
