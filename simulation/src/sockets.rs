//! Sockets of a program whose state machine names them as a ring does: each sends to a pipe.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::IoSlice;
use std::time::Duration;

use gateway_core::Sends;
use ringway::MemoryLinks;
use uring::{Acks, Short, SocketId};

use crate::embedded::FIRST_SLOT;
use crate::network::Pipe;

/// Which pipes a program's sockets send to: indices into the world's list. What comes in is in the pipe beside it.
pub(crate) struct Sockets {
    pipes: BTreeMap<SocketId, usize>,
    opened: u32,
    /// Which life of the program it is.
    generation: u32,
}

/// A turn takes effect on pipes.
pub(crate) struct PipeSink<'a> {
    pub(crate) sockets: &'a mut Sockets,
    pub(crate) pipes: &'a mut [Pipe],
    /// Links that need no pipe.
    pub(crate) near: Option<&'a mut MemoryLinks>,
    /// A ring would wait by now: whatever follows would be late.
    pub(crate) waits: bool,
}

impl Sockets {
    /// None yet.
    pub(crate) fn new(generation: u32) -> Sockets {
        Sockets { pipes: BTreeMap::new(), opened: 0, generation }
    }

    /// A socket whose bytes go to the pipe of this index.
    pub(crate) fn open(&mut self, pipe: usize) -> SocketId {
        let socket = SocketId::new(self.opened, self.generation);
        self.opened += 1;
        assert!(self.opened < FIRST_SLOT, "slots behind these are not the ring's");
        self.pipes.insert(socket, pipe);
        socket
    }

    /// All of them, and where each sends to.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketId, usize)> {
        self.pipes.iter().map(|(socket, pipe)| (*socket, *pipe))
    }

    /// Where all of them send to.
    pub(crate) fn pipes(&self) -> Vec<usize> {
        self.pipes.values().copied().collect()
    }
}

impl PipeSink<'_> {
    fn pause(&mut self, socket: SocketId, is_paused: bool) {
        if let Some(pipe) = self.sockets.pipes.get(&socket) {
            self.pipes[*pipe ^ 1].is_paused = is_paused;
        }
    }

    fn shutdown(&mut self, socket: SocketId) {
        if let Some(pipe) = self.sockets.pipes.get(&socket) {
            self.pipes[*pipe].end();
        }
    }

    fn close(&mut self, socket: SocketId) {
        if let Some(pipe) = self.sockets.pipes.remove(&socket) {
            self.pipes[pipe].end();
            self.pipes[pipe ^ 1].close();
        }
    }

    /// Links that need no pipe, if the socket is one of theirs.
    fn near_of(&mut self, socket: SocketId) -> Option<&mut MemoryLinks> {
        self.near.as_deref_mut().filter(|_| socket.index() >= FIRST_SLOT as usize)
    }

    /// How much there was room for.
    fn send_to(&mut self, socket: SocketId, bytes: &[u8]) -> usize {
        self.sockets.pipes.get(&socket).map_or(bytes.len(), |pipe| self.pipes[*pipe].send(bytes))
    }
}

impl gateway_core::Sink for PipeSink<'_> {
    type Error = Infallible;

    fn act(&mut self, action: gateway_core::Action) {
        use gateway_core::Action;
        assert!(!self.waits, "nothing was to follow from the last sends, and then {action:?}");
        if let Some(near) = action.socket().and_then(|socket| self.near_of(socket)) {
            return near.shard_acts(action);
        }
        match action {
            Action::Pause(socket) => self.pause(socket, true),
            Action::Resume(socket) => self.pause(socket, false),
            Action::Shutdown(socket) => self.shutdown(socket),
            Action::Close(socket) => self.close(socket),
            Action::HoldAccepts(_) => {}
        }
    }

    fn acknowledged(&mut self, link: SocketId) -> Option<Acks> {
        let pipe = &self.pipes[*self.sockets.pipes.get(&link)?];
        // Who asks has heard nothing for a minute.
        let last = if pipe.is_lost() { Duration::from_secs(60) } else { Duration::ZERO };
        Some(Acks { awaited: pipe.len() > 0, last })
    }

    fn send(&mut self, sends: Sends<'_>, short: &mut Vec<Short>) -> Result<(), Infallible> {
        for socket in sends.sockets() {
            let bytes: Vec<u8> = sends.bytes(*socket).flat_map(|slice| slice.to_vec()).collect();
            let sent = match self.near_of(*socket) {
                Some(near) => near.shard_sends(*socket, &mut sends.bytes(*socket)),
                None => self.send_to(*socket, &bytes),
            };
            if sent < bytes.len() {
                short.push(Short { socket: *socket, sent });
            }
        }
        // Who shares the thread may have something to do because of what is sent.
        self.waits = sends.are_last() && short.is_empty() && self.near.is_none();
        Ok(())
    }
}

impl ringway_register::Sink for PipeSink<'_> {
    type Error = Infallible;

    fn act(&mut self, action: ringway_register::Action) {
        use ringway_register::Action;
        match action {
            Action::Pause(socket) => self.pause(socket, true),
            Action::Resume(socket) => self.pause(socket, false),
            Action::Close(socket) => self.close(socket),
        }
    }

    fn send(&mut self, sends: &[(SocketId, IoSlice<'_>)], sent: &mut Vec<usize>) -> Result<(), Infallible> {
        sent.extend(sends.iter().map(|(socket, bytes)| self.send_to(*socket, bytes)));
        Ok(())
    }
}
