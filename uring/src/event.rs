//! What the ring tells its caller, and what the caller hands in. Plain values, no behaviour.

use std::io;
use std::net::SocketAddr;

use crate::slots::SocketId;

/// Names a listener of a ring. The number is used again after `stop_listening`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId(pub u16);

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A client came. It is being read from now on.
    Accepted {
        /// Where it came in.
        listener: ListenerId,
        /// Its name from now on.
        socket: SocketId,
        /// The other end's address.
        peer: SocketAddr,
    },
    /// A connection was refused or lost before it was ours. The listener goes on. A full table shows as
    /// `ErrorKind::QuotaExceeded`: the connection was reset.
    AcceptFailed {
        /// Where it came in.
        listener: ListenerId,
        /// Why it is not ours.
        error: io::Error,
    },
    /// An outgoing connection stands. It is being read from now on.
    Connected {
        /// As returned by `connect`.
        socket: SocketId,
    },
    /// Bytes came; valid (and changeable) during this call only.
    Received {
        /// Who sent them.
        socket: SocketId,
        /// At least one byte, at most `Config::recv_buffer_size`.
        bytes: &'a mut [u8],
    },
    /// The peer will send no more (FIN). What we send may still arrive. That the connection breaks after this is told
    /// when something is sent, not before.
    EndOfStream {
        /// Whose stream ended.
        socket: SocketId,
    },
    /// After a short send: there is room again.
    Writable {
        /// Who can take bytes again.
        socket: SocketId,
    },
    /// The connection broke (reset, timed out, connect refused). Nothing more comes but `Closed`, after `close`.
    Failed {
        /// Which one.
        socket: SocketId,
        /// Why.
        error: io::Error,
    },
    /// The socket is gone and its slot free: the last event with this id.
    Closed {
        /// The id that ended.
        socket: SocketId,
    },
    /// [`Waker::wake`](crate::Waker::wake) was called since this was last told.
    Woken,
    /// The tick period passed.
    Tick,
}

impl Event<'_> {
    /// The socket that it is about, if that is one that exists: none is told of an accept, nor of what has ended.
    pub fn socket(&self) -> Option<SocketId> {
        match self {
            Event::Connected { socket }
            | Event::Received { socket, .. }
            | Event::EndOfStream { socket }
            | Event::Writable { socket }
            | Event::Failed { socket, .. } => Some(*socket),
            Event::Accepted { .. }
            | Event::AcceptFailed { .. }
            | Event::Closed { .. }
            | Event::Woken
            | Event::Tick => None,
        }
    }
}

/// One gathered send: the slices in order.
#[derive(Clone, Copy, Debug)]
pub struct Send<'a> {
    /// To whom.
    pub socket: SocketId,
    /// The bytes. Beyond 1,024 slices the rest is reported as not sent, as with a full socket.
    pub slices: &'a [io::IoSlice<'a>],
}

/// A send that did not take everything: `Event::Writable` follows when there is room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Short {
    /// Whose send fell short.
    pub socket: SocketId,
    /// Bytes of this send that were taken, counted from its first slice.
    pub sent: usize,
}
