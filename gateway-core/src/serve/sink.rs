//! Where a shard's turns take effect: its ring, and the guest in its thread.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::time::Duration;

use inner_tls::Ring;
use uring::{Acks, Send, Short, SocketId};

use super::pump::{Listeners, now};
use crate::shard::{Action, Sends, Sink};
use crate::{Guest, Millis};

/// A shard's turns take effect on its ring.
pub(super) struct RingSink<'a> {
    pub ring: &'a mut Ring,
    pub listeners: &'a Listeners,
    pub guest: Option<&'a mut (dyn Guest + 'static)>,
    pub first_guest_slot: usize,
    /// Where each socket's slices are, for one batch of sends; kept for its memory.
    pub ranges: &'a mut Vec<(SocketId, Range<usize>)>,
    pub held_back: &'a mut bool,
    /// How long may be waited behind sends from which nothing follows, but for the shard's tick.
    pub wait: Duration,
    /// When that may come.
    pub tick_at: Millis,
}

impl RingSink<'_> {
    /// How long nothing is to be done, after a turn that may have brought forward when.
    fn wait(&self, sends: &Sends<'_>) -> Duration {
        if self.wait.is_zero() {
            return Duration::ZERO;
        }
        let tick = sends.next_tick().max(self.tick_at);
        self.wait.min(Duration::from_millis(tick.since(now(self.ring))))
    }

    /// The guest, if the socket is one of its links.
    fn guest_of(&mut self, socket: SocketId) -> Option<&mut (dyn Guest + 'static)> {
        self.guest.as_deref_mut().filter(|_| socket.index() >= self.first_guest_slot)
    }
}

impl Sink for RingSink<'_> {
    type Error = io::Error;

    fn act(&mut self, action: Action) {
        if let Some(guest) = action.socket().and_then(|socket| self.guest_of(socket)) {
            return guest.act(action);
        }
        match action {
            Action::Pause(socket) => self.ring.pause(socket),
            Action::Resume(socket) => self.ring.resume(socket),
            Action::Shutdown(socket) => self.ring.shutdown(socket),
            Action::Close(socket) => self.ring.close(socket),
            Action::HoldAccepts(held) => {
                let clients = self.listeners.clients.iter();
                clients.for_each(|listener| self.ring.hold_accepts(*listener, held));
            }
        }
    }

    fn acknowledged(&mut self, link: SocketId) -> Option<Acks> {
        self.ring.acknowledged(link)
    }

    /// Workers may have given us up while we were held up: what is for them is not sent before their links are read. That is
    /// done in the next turn, and what holds us up may be in every turn: a hook that blocks.
    fn holds_back(&mut self) -> bool {
        *self.held_back = self.ring.was_held_up() && !*self.held_back;
        *self.held_back
    }

    fn send(&mut self, sends: Sends<'_>, short: &mut Vec<Short>) -> io::Result<()> {
        self.ranges.clear();
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(sends.sockets().len());
        // A guest has something to do because of what it is sent.
        let mut is_over = sends.are_last();
        for socket in sends.sockets().iter().copied() {
            if let Some(guest) = self.guest_of(socket) {
                is_over = false;
                let size: usize = sends.bytes(socket).map(|slice| slice.len()).sum();
                let sent = guest.take(socket, &mut sends.bytes(socket));
                short.extend((sent < size).then_some(Short { socket, sent }));
                continue;
            }
            let start = slices.len();
            slices.extend(sends.bytes(socket));
            self.ranges.push((socket, start..slices.len()));
        }
        let wait = if is_over { self.wait(&sends) } else { Duration::ZERO };
        let sends = self.ranges.iter();
        let sends = sends.map(|(socket, range)| Send { socket: *socket, slices: &slices[range.clone()] });
        self.ring.send_all_and_wait(sends, short, wait)
    }
}
