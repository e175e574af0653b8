//! Ending a socket in three steps: close (shut down, so that all in flight ends; mark), join, free.

use io_uring::{opcode, types};

use crate::event::Event;
use crate::queue::Completion;
use crate::ring::Ring;
use crate::slots::{Flags, SocketId, flag};
use crate::token::{Op, Token};

impl Ring {
    /// Sends our FIN after what was sent before: the peer sees the end of the stream, and its bytes still come.
    /// Later sends are skipped.
    pub fn shutdown(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.live(socket) else { return };
        if !slot.has(flag::SHUT | flag::CONNECTING | flag::FAILED) {
            slot.set(flag::SHUT | flag::SHUTTING_WRITE);
            self.push_shutdown(socket, libc::SHUT_WR, Op::ShutdownWrite);
        }
    }

    /// Ends the socket: bytes already sent still go out, no event but `Event::Closed` comes any more. If bytes of the peer
    /// are unread, the kernel resets the connection; to be sure that all arrives, `shutdown` and wait for the
    /// peer's end. A stale id is ignored.
    pub fn close(&mut self, socket: SocketId) {
        let releases_at_once = self.releases_at_once;
        let Some(slot) = self.slots.live(socket) else { return };
        slot.set(flag::CLOSING);
        if slot.has(flag::CONNECTING) {
            // Before the shutdown: a connect that is woken by it would begin anew.
            let connect = Token::of(Op::Connect, socket);
            let cancel = opcode::AsyncCancel::new(connect.0).build().user_data(Token::IGNORED.0);
            // SAFETY: the entry points to no memory.
            unsafe { self.queue.push(cancel) };
        }
        let Some(slot) = self.slots.present(socket) else { return };
        if slot.has(flag::IN_FLIGHT) || !releases_at_once {
            // Wakes the polls, in constant time: finding one to cancel it takes longer the more sockets are parked.
            slot.set(flag::SHUTTING_BOTH);
            self.push_shutdown(socket, libc::SHUT_RDWR, Op::ShutdownBoth);
        } else {
            self.join(socket);
        }
    }

    /// Releases a closing socket if nothing of it is in flight any more.
    pub(crate) fn join(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.present(socket) else { return };
        if slot.has(flag::IN_FLIGHT) {
            return;
        }
        slot.set(flag::RELEASING);
        let release = opcode::Close::new(types::Fixed(socket.index() as u32));
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(release.build().user_data(Token::of(Op::Release, socket).0)) };
    }

    pub(crate) fn on_shut(&mut self, done: Completion, direction: Flags) {
        let socket = done.token.socket();
        let Some(slot) = self.slots.present(socket) else { return };
        slot.clear(direction);
        if slot.has(flag::CLOSING) {
            self.join(socket);
        }
    }

    pub(crate) fn on_released(&mut self, done: Completion, on_event: &mut impl FnMut(Event<'_>)) {
        let socket = done.token.socket();
        let Some(slot) = self.slots.present(socket) else { return };
        slot.clear(flag::RELEASING);
        if done.result == -libc::ENOMEM {
            return self.join(socket);
        }
        self.slots.free(socket);
        self.stats.closes += 1;
        on_event(Event::Closed { socket });
    }

    fn push_shutdown(&mut self, socket: SocketId, how: i32, op: Op) {
        let shutdown = opcode::Shutdown::new(types::Fixed(socket.index() as u32), how);
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(shutdown.build().user_data(Token::of(op, socket).0)) };
    }
}
