//! Receiving: idle sockets are parked with a poll; readable ones wait in a queue for a buffer, one receive each per turn.
//! Preferred sockets have a queue of their own, which goes first, and wait otherwise (`ahead`).

use std::io;

use io_uring::{opcode, types};

use crate::event::Event;
use crate::narrow::narrow;
use crate::queue::Completion;
use crate::ring::Ring;
use crate::slots::{SocketId, flag};
use crate::token::{Op, Token};

impl Ring {
    /// Delivers no more bytes of this socket until `resume`; they stay in the kernel, whose window then stops the
    /// peer (of a preferred socket, the first 16 KiB may stay here). That the connection ended or broke may be told only after `resume`.
    pub fn pause(&mut self, socket: SocketId) {
        if let Some(slot) = self.slots.live(socket) {
            slot.set(flag::PAUSED);
        }
    }

    /// Delivers bytes again.
    pub fn resume(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.live(socket) else { return };
        if !slot.has(flag::PAUSED) {
            return;
        }
        slot.clear(flag::PAUSED);
        if !slot.has(flag::IN_FLIGHT_IN | flag::QUEUED | flag::CONNECTING | flag::FAILED)
            && !self.ahead.resume(socket)
        {
            self.queue_readable(socket);
        }
    }

    /// Waits for the socket to become readable. After the end of its stream the kernel ends the wait at once: a later
    /// break shows with the next send.
    pub(crate) fn park(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.live(socket) else { return };
        if slot.has(flag::PREFERRED) && !slot.has(flag::ENDED) && self.ahead.has_room_for(socket) {
            return self.receive_ahead(socket);
        }
        let events = if slot.has(flag::ENDED) { 0 } else { libc::POLLIN | libc::POLLRDHUP };
        slot.set(flag::PARKED);
        let poll = opcode::PollAdd::new(types::Fixed(socket.slot()), u32::from(events.cast_unsigned()));
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(poll.build().user_data(Token::of(Op::Park, socket).0)) };
    }

    /// The parking poll ended: bytes, end or error. A poll that failed is treated as bytes; the receive tells.
    pub(crate) fn on_readable(&mut self, done: Completion, on_event: &mut impl FnMut(Event<'_>)) {
        let socket = done.token.socket();
        let Some(slot) = self.slots.present(socket) else { return };
        slot.clear(flag::PARKED);
        if slot.has(flag::CLOSING) {
            return self.join(socket);
        }
        if done.result == -libc::ECANCELED {
            return self.park(socket);
        }
        let mask = i16::try_from(done.result).unwrap_or(0).max(0);
        if slot.has(flag::ENDED) {
            if mask & libc::POLLERR != 0 {
                self.fail(socket, libc::ECONNRESET, on_event);
            }
            return;
        }
        if mask & (libc::POLLERR | libc::POLLHUP | libc::POLLRDHUP) != 0 {
            slot.set(flag::DRAINING);
        }
        if !slot.has(flag::PAUSED) {
            self.queue_readable(socket);
        }
    }

    pub(crate) fn queue_readable(&mut self, socket: SocketId) {
        if let Some(slot) = self.slots.live(socket)
            && !slot.has(flag::QUEUED)
        {
            slot.set(flag::QUEUED);
            let queue = if slot.has(flag::PREFERRED) { &mut self.preferred } else { &mut self.readable };
            queue.push_back(socket);
        }
    }

    /// Begins one receive for each of the first readable sockets, as many as there are buffers. Preferred ones go first,
    /// and their bytes come first; half of the buffers is theirs, and what the others leave.
    pub(crate) fn begin_receives(&mut self) {
        let (others, count) = (self.readable.len(), self.buffers.count());
        let others = others.min(count / 2);
        let preferred = self.preferred.len().min(count - others);
        for _ in 0..preferred {
            self.begin_preferred_receive();
        }
        while self.buffers.any_free() {
            let Some(socket) = self.readable.pop_front() else { break };
            self.begin_receive(socket);
        }
        self.begin_preferred_receives();
    }

    /// The same for preferred sockets alone.
    pub(crate) fn begin_preferred_receives(&mut self) {
        while self.buffers.any_free() && !self.preferred.is_empty() {
            self.begin_preferred_receive();
        }
    }

    fn begin_preferred_receive(&mut self) {
        if let Some(socket) = self.preferred.pop_front() {
            self.begin_receive(socket);
        }
    }

    fn begin_receive(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.live(socket) else { return };
        slot.clear(flag::QUEUED);
        if slot.has(flag::PAUSED | flag::FAILED) {
            return;
        }
        if slot.has(flag::ENDED) {
            self.park(socket);
        } else {
            slot.set(flag::RECEIVING);
            let is_preferred = slot.has(flag::PREFERRED);
            self.receive(socket, self.receive_size(is_preferred));
        }
    }

    /// Bytes of one receive at most.
    fn receive_size(&self, is_preferred: bool) -> usize {
        if is_preferred { self.buffers.size() } else { self.receive_max }
    }

    fn receive(&mut self, socket: SocketId, size: usize) {
        let (buffer, bytes) = self.buffers.take(socket);
        let fd = types::Fixed(socket.slot());
        debug_assert!(size <= self.buffers.size());
        let receive = opcode::Recv::new(fd, bytes.as_ptr(), narrow(size)).flags(libc::MSG_DONTWAIT);
        let token = Token::new(Op::Receive, u32::from(buffer), 0);
        // SAFETY: the buffer was taken for this operation: nobody touches it until `give_back` at its completion, and
        // the pool outlives the operation (`Drop for Ring`).
        unsafe { self.queue.push(receive.build().user_data(token.0)) };
    }

    pub(crate) fn on_received(&mut self, done: Completion, on_event: &mut impl FnMut(Event<'_>)) {
        let buffer =
            u16::try_from(done.token.index()).expect("there are as many buffers as a u16 has room for");
        let socket = self.buffers.give_back(buffer);
        let Some(slot) = self.slots.present(socket) else { return };
        slot.clear(flag::RECEIVING);
        if slot.has(flag::CLOSING) {
            return self.join(socket);
        }
        match done.result {
            1.. => self.deliver(socket, buffer, done.size(), on_event),
            0 => self.on_end(socket, on_event),
            error if error == -libc::EAGAIN => {
                slot.clear(flag::DRAINING);
                self.park(socket);
            }
            error if error == -libc::EINTR || error == -libc::ENOMEM => self.queue_readable(socket),
            error => self.fail(socket, -error, on_event),
        }
    }

    /// The peer will send no more.
    pub(crate) fn on_end(&mut self, socket: SocketId, on_event: &mut impl FnMut(Event<'_>)) {
        if let Some(slot) = self.slots.live(socket) {
            slot.set(flag::ENDED);
            // Parked in the next turn: most callers close it before.
            self.queue_readable(socket);
            on_event(Event::EndOfStream { socket });
        }
    }

    fn deliver(&mut self, socket: SocketId, buffer: u16, len: usize, on_event: &mut impl FnMut(Event<'_>)) {
        let (is_preferred, is_draining) = match self.slots.live(socket) {
            Some(slot) => (slot.has(flag::PREFERRED), slot.has(flag::DRAINING)),
            None => (false, false),
        };
        let drained = len < self.receive_size(is_preferred) && !is_draining;
        if drained {
            self.park(socket);
        } else {
            self.queue_readable(socket);
        }
        self.stats.receives += 1;
        self.stats.bytes_in += len as u64;
        on_event(Event::Received { socket, bytes: self.buffers.bytes_mut(buffer, len) });
    }

    /// Tells once that the connection broke.
    pub(crate) fn fail(&mut self, socket: SocketId, errno: i32, on_event: &mut impl FnMut(Event<'_>)) {
        let Some(slot) = self.slots.live(socket) else { return };
        if !slot.has(flag::FAILED) {
            slot.set(flag::FAILED | flag::ENDED);
            on_event(Event::Failed { socket, error: io::Error::from_raw_os_error(errno) });
        }
    }
}
