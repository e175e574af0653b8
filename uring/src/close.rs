//! Ending a socket in three steps: close (shut down, so that all in flight ends; mark), join, free.
//!
//! Before Linux 6.13 a file that was released from its slot stays in the kernel until every operation on any slot that
//! began before has ended, and polls of idle sockets do not end. So there the shutdown, not the release, is what the
//! peer sees, and each release renews a few polls, going round: then at most half as many closed sockets stay
//! in the kernel as there are slots in use.

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
        self.descriptors.remove(&socket.slot());
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
        let release = opcode::Close::new(types::Fixed(socket.slot()));
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
        self.ahead.forget(socket);
        self.stats.closes += 1;
        if !self.releases_at_once {
            self.renew_polls();
        }
        on_event(Event::Closed { socket });
    }

    /// Cancels what the next slots wait by; it begins anew.
    fn renew_polls(&mut self) {
        for _ in 0..RENEWED_PER_RELEASE {
            self.renewed_next =
                if self.renewed_next < self.slots.grown() { self.renewed_next + 1 } else { 0 };
            let Some((socket, slot)) = self.slots.live_at(self.renewed_next) else { continue };
            for (in_flight, op) in [(flag::PARKED, Op::Park), (flag::BLOCKED, Op::PollOut)] {
                if slot.has(in_flight) {
                    let cancel = opcode::PollRemove::new(Token::of(op, socket).0).build();
                    // SAFETY: the entry points to no memory.
                    unsafe { self.queue.push(cancel.user_data(Token::IGNORED.0)) };
                }
            }
            if slot.has(flag::RECEIVING_AHEAD) {
                self.cancel_ahead(socket);
            }
        }
    }

    fn push_shutdown(&mut self, socket: SocketId, how: i32, op: Op) {
        let shutdown = opcode::Shutdown::new(types::Fixed(socket.slot()), how);
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(shutdown.build().user_data(Token::of(op, socket).0)) };
    }
}

/// How many slots' polls are renewed for each socket released, before Linux 6.13.
const RENEWED_PER_RELEASE: usize = 2;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::config::Config;

    fn turn_until<T>(ring: &mut Ring, mut pick: impl FnMut(Event<'_>) -> Option<T>) -> T {
        let mut picked = None;
        while picked.is_none() {
            ring.turn(Duration::from_millis(50), |event| picked = pick(event).or(picked.take())).unwrap();
        }
        picked.unwrap()
    }

    /// As on a kernel before 6.13: sockets come and go while others stay parked or blocked, whose polls are renewed under way.
    #[test]
    fn renewed_polls_lose_nothing() {
        let mut ring = Ring::new(Config { sockets_max: 64, ..Config::default() }).unwrap();
        ring.releases_at_once = false;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        ring.listen(listener).unwrap();
        let open = |ring: &mut Ring| {
            let peer = TcpStream::connect(address).unwrap();
            let accepted = |event: Event<'_>| {
                if let Event::Accepted { socket, .. } = event { Some(socket) } else { None }
            };
            (peer, turn_until(ring, accepted))
        };
        let mut parked: Vec<(TcpStream, SocketId)> = (0..8).map(|_| open(&mut ring)).collect();
        let (mut slow, blocked) = open(&mut ring);
        let bytes = vec![7; 24 << 20];
        let mut short = Vec::new();
        let slices = [std::io::IoSlice::new(&bytes)];
        ring.send_all([crate::Send { socket: blocked, slices: &slices }], &mut short).unwrap();
        assert_eq!(short.len(), 1);
        for _ in 0..50 {
            let (peer, socket) = open(&mut ring);
            drop(peer);
            turn_until(&mut ring, |event| matches!(event, Event::EndOfStream { .. }).then_some(()));
            ring.close(socket);
            turn_until(&mut ring, |event| {
                matches!(event, Event::Closed { socket: closed } if closed == socket).then_some(())
            });
        }
        for (peer, socket) in &mut parked {
            peer.write_all(b"!").unwrap();
            turn_until(&mut ring, |event| {
                matches!(event, Event::Received { socket: from, .. } if from == *socket).then_some(())
            });
        }
        slow.read_exact(&mut vec![0; short[0].sent]).unwrap();
        turn_until(&mut ring, |event| {
            matches!(event, Event::Writable { socket } if socket == blocked).then_some(())
        });
    }
}
