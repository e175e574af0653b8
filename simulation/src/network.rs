//! Connections: two pipes each, with as much room as a kernel's buffers have, which is little here.

use std::collections::VecDeque;

use protocol::register_set::RegisterConn;

/// Whose end of a connection it is, and what it is called there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum End {
    Gateway(usize, uring::SocketId),
    Worker(usize, ringway_worker::core::ConnId),
    Client(usize),
    Register(usize, uring::SocketId),
    /// A gateway's connection to a register.
    Registration(usize, RegisterConn),
}

/// What becomes of an attempt to connect.
pub(crate) enum Connect {
    /// Its pipe there.
    Stands(usize),
    Refused,
    Unanswered,
}

/// What runs or stands still as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Process {
    Gateway(usize),
    Worker(usize),
    Register(usize),
}

impl End {
    /// Whose it is. Clients are none.
    pub(crate) fn process(self) -> Option<Process> {
        match self {
            End::Gateway(gateway, _) | End::Registration(gateway, _) => Some(Process::Gateway(gateway)),
            End::Worker(worker, _) => Some(Process::Worker(worker)),
            End::Register(register, _) => Some(Process::Register(register)),
            End::Client(_) => None,
        }
    }
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) to: End,
    bytes: VecDeque<u8>,
    room: usize,
    /// Its sender was told that there is no room, and waits for some.
    is_blocked: bool,
    /// Its sender has said FIN, or is gone.
    is_ending: bool,
    /// Behind what is in it the connection is reset.
    breaks: bool,
    /// Its receiver has heard the end, or is gone.
    is_over: bool,
    pub(crate) is_paused: bool,
    /// Bytes that came out.
    delivered: usize,
    /// Nothing gets through for a while.
    pub(crate) is_stalled: bool,
    /// Nor ever: a machine at one of its ends is gone.
    is_lost: bool,
}

/// What comes out of a pipe.
pub(crate) enum Arrival {
    Bytes(Vec<u8>),
    End { is_reset: bool },
}

impl Pipe {
    pub(crate) fn new(to: End, room: usize) -> Pipe {
        Pipe {
            to,
            bytes: VecDeque::new(),
            room,
            is_blocked: false,
            is_ending: false,
            breaks: false,
            is_over: false,
            is_paused: false,
            delivered: 0,
            is_stalled: false,
            is_lost: false,
        }
    }

    /// Takes what there is room for; returns how much that is.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> usize {
        if self.is_over || self.is_ending {
            return bytes.len();
        }
        let size = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend(&bytes[..size]);
        self.is_blocked |= size < bytes.len();
        size
    }

    /// Nothing more comes behind what is in it.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
    }

    /// The connection breaks: of what is in it only the first `kept` bytes arrive.
    pub(crate) fn cut(&mut self, kept: usize) {
        self.bytes.truncate(kept);
        (self.is_ending, self.breaks) = (true, true);
    }

    /// A machine at one of its ends is gone: what is in it arrives nowhere.
    pub(crate) fn lose(&mut self) {
        self.bytes.clear();
        (self.is_stalled, self.is_lost) = (true, true);
    }

    /// Whether what is sent is never acknowledged.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The receiver's kernel ends it.
    pub(crate) fn reset(&mut self) {
        self.is_stalled = false;
        self.cut(0);
    }

    /// Nobody receives any more.
    pub(crate) fn close(&mut self) {
        self.bytes.clear();
        self.is_over = true;
    }

    /// Whether its receiver is there and has not heard the end.
    pub(crate) fn is_live(&self) -> bool {
        !self.is_over && !self.is_ending
    }

    /// Whether its receiver has heard the end, or is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// How many bytes came out.
    pub(crate) fn delivered(&self) -> usize {
        self.delivered
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether something can come out.
    pub(crate) fn is_ready(&self) -> bool {
        !(self.is_over || self.is_paused || self.is_stalled) && (!self.bytes.is_empty() || self.is_ending)
    }

    /// What comes out next, at most `size` bytes.
    pub(crate) fn take(&mut self, size: usize) -> Option<Arrival> {
        if !self.is_ready() {
            return None;
        }
        if self.bytes.is_empty() {
            self.is_over = true;
            return Some(Arrival::End { is_reset: self.breaks });
        }
        let size = size.min(self.bytes.len());
        self.delivered += size;
        Some(Arrival::Bytes(self.bytes.drain(..size).collect()))
    }

    /// Whether its sender is to be told, now, that there is room.
    pub(crate) fn takes_again(&mut self) -> bool {
        let has_room = self.bytes.len() < self.room || self.is_over;
        self.is_blocked && has_room && {
            self.is_blocked = false;
            true
        }
    }
}
