//! One connection with another program: its session, and what is encrypted and not sent.

use std::io::IoSlice;
use std::net::SocketAddr;

use tls::{Failure, Session};
use uring::{Event, ListenerId, SocketId};

use crate::config::{KEPT_SIZE_MAX, SEAL_SIZE_MAX};

/// One connection.
///
/// Invariants: `sent <= out.len()`; `out` is empty when all of it is sent.
pub(crate) struct Link {
    pub(crate) session: Session,
    pub(crate) side: Side,
    pub(crate) stage: Stage,
    out: Vec<u8>,
    sent: usize,
    /// A send fell short, and nobody has been told since that there is room.
    pub(crate) is_short: bool,
    /// Our FIN goes behind what is unsent.
    pub(crate) is_shut: bool,
}

/// Who began.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Accepted { listener: ListenerId, peer: SocketAddr },
    Connected,
}

/// How far a connection is, in the order in which it may go on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// Whoever is above has not heard of it.
    Handshaking,
    Open,
    /// The peer will say no more, which was told.
    Ended,
    /// That it broke was told, and nothing is any more.
    Broken,
    /// Nobody was told of it, nor will be; the peer gets our alert, and what it sends is thrown away.
    Leaving,
}

impl Link {
    pub(crate) fn new(session: Session, side: Side) -> Link {
        let stage = Stage::Handshaking;
        Link { session, side, stage, out: Vec::new(), sent: 0, is_short: false, is_shut: false }
    }

    /// Whether it came here and has not proved that it may.
    pub(crate) fn is_stranger(&self) -> bool {
        matches!(self.side, Side::Accepted { .. })
            && matches!(self.stage, Stage::Handshaking | Stage::Leaving)
    }

    /// What tells that the connection stands.
    pub(crate) fn stands(&self, socket: SocketId) -> Event<'static> {
        match self.side {
            Side::Accepted { listener, peer } => Event::Accepted { listener, socket, peer },
            Side::Connected => Event::Connected { socket },
        }
    }

    /// Takes received bytes; what they hold is appended to `plain`. Whether TLS has an answer.
    pub(crate) fn receive(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> (bool, Result<(), Failure>) {
        let before = self.out.len();
        let result = self.session.receive(bytes, plain, &mut self.out);
        (self.out.len() > before, result)
    }

    /// Encrypts what follows the first `taken` bytes of `slices`, as much as may wait for the kernel. Returns how much that is:
    /// nothing while something waits.
    pub(crate) fn seal(
        &mut self,
        slices: &[IoSlice<'_>],
        taken: usize,
        plain: &mut Vec<u8>,
    ) -> Result<usize, Failure> {
        if self.has_unsent() {
            return Ok(0);
        }
        plain.clear();
        let mut skip = taken;
        for slice in slices {
            let begin = skip.min(slice.len());
            skip -= begin;
            let room = SEAL_SIZE_MAX - plain.len();
            plain.extend_from_slice(&slice[begin..slice.len().min(begin + room)]);
        }
        self.session.seal(plain, &mut self.out).map(|()| plain.len())
    }

    /// Says that nothing more will be said.
    pub(crate) fn finish(&mut self) {
        self.session.finish(&mut self.out);
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.out.is_empty()
    }

    pub(crate) fn on_sent(&mut self, size: usize) {
        self.sent += size;
        debug_assert!(self.sent <= self.out.len());
        if self.sent == self.out.len() {
            self.out.clear();
            self.out.shrink_to(KEPT_SIZE_MAX);
            self.sent = 0;
        }
    }
}
