//! Receives that wait in the kernel: a preferred socket is not parked with a poll but has a receive in flight, into a buffer
//! of its own. What comes then needs no second system call. It costs the kernel 864 bytes, and a poll 256.

use std::collections::HashMap;

use io_uring::{opcode, types};

use crate::config::{AHEAD_COUNT_MAX, AHEAD_SIZE};
use crate::event::Event;
use crate::memory::KernelMemory;
use crate::narrow::narrow;
use crate::queue::Completion;
use crate::ring::Ring;
use crate::slots::{SocketId, flag};
use crate::token::{Op, Token};

/// The buffers of preferred sockets.
///
/// Invariant: a buffer is there from a socket's first receive ahead until its slot is freed; the kernel writes to it only
/// while the slot has [`flag::RECEIVING_AHEAD`].
#[derive(Default)]
pub(crate) struct Ahead {
    buffers: HashMap<SocketId, KernelMemory<u8>>,
    /// Buffers of sockets that are gone, for others.
    spare: Vec<KernelMemory<u8>>,
    /// What came while its socket was paused: how many bytes.
    held: HashMap<SocketId, usize>,
    /// Held bytes whose socket was resumed.
    resumed: Vec<SocketId>,
    /// The ring ends: nothing more begins.
    is_over: bool,
}

impl Ahead {
    /// Whether the socket may wait with a buffer of its own.
    pub(crate) fn has_room_for(&self, socket: SocketId) -> bool {
        self.buffers.len() < AHEAD_COUNT_MAX || self.buffers.contains_key(&socket)
    }

    /// Whether there is something to deliver.
    pub(crate) fn is_due(&self) -> bool {
        !self.resumed.is_empty()
    }

    /// The socket was resumed. Whether bytes of it are held, which the next turn delivers.
    pub(crate) fn resume(&mut self, socket: SocketId) -> bool {
        let is_held = self.held.contains_key(&socket);
        if is_held && !self.resumed.contains(&socket) {
            self.resumed.push(socket);
        }
        is_held
    }

    /// The socket's slot is freed: nothing of it is in flight.
    pub(crate) fn forget(&mut self, socket: SocketId) {
        self.spare.extend(self.buffers.remove(&socket));
        self.held.remove(&socket);
    }
}

impl Ring {
    /// Waits for the next bytes of a preferred socket, or its end, by receiving them.
    pub(crate) fn receive_ahead(&mut self, socket: SocketId) {
        if self.ahead.is_over {
            return;
        }
        let Some(slot) = self.slots.live(socket) else { return };
        slot.set(flag::RECEIVING_AHEAD);
        let Ahead { buffers, spare, .. } = &mut self.ahead;
        let buffer = buffers
            .entry(socket)
            .or_insert_with(|| spare.pop().unwrap_or_else(|| KernelMemory::new(0, AHEAD_SIZE)));
        let bytes = buffer.pointer(0);
        let receive = opcode::Recv::new(types::Fixed(socket.slot()), bytes.as_ptr(), narrow(AHEAD_SIZE));
        // SAFETY: the buffer is the socket's alone, nobody touches it while RECEIVING_AHEAD is set, which is until the
        // completion was fetched; and it is freed when its slot is (nothing is in flight then), or by `end_ahead`.
        unsafe { self.queue.push(receive.build().user_data(Token::of(Op::ReceiveAhead, socket).0)) };
    }

    /// A receive ahead ended.
    pub(crate) fn on_received_ahead(&mut self, done: Completion, on_event: &mut impl FnMut(Event<'_>)) {
        let socket = done.token.socket();
        let Some(slot) = self.slots.present(socket) else { return };
        slot.clear(flag::RECEIVING_AHEAD);
        if slot.has(flag::CLOSING) {
            return self.join(socket);
        }
        let is_paused = slot.has(flag::PAUSED);
        match done.result {
            1.. if is_paused => drop(self.ahead.held.insert(socket, done.size())),
            1.. => self.deliver_ahead(socket, done.size(), on_event),
            // It is met again once the socket is resumed.
            0 if is_paused => {}
            0 => self.on_end(socket, on_event),
            error if error == -libc::ECANCELED && !is_paused => self.park(socket),
            error if error == -libc::ECANCELED => {}
            error if error == -libc::EAGAIN || error == -libc::EINTR || error == -libc::ENOMEM => {
                self.queue_readable(socket);
            }
            error => self.fail(socket, -error, on_event),
        }
    }

    /// Delivers what came while sockets were paused.
    pub(crate) fn deliver_held(&mut self, on_event: &mut impl FnMut(Event<'_>)) {
        for socket in std::mem::take(&mut self.ahead.resumed) {
            if self.slots.live(socket).is_some_and(|slot| !slot.has(flag::PAUSED))
                && let Some(len) = self.ahead.held.remove(&socket)
            {
                self.deliver_ahead(socket, len, on_event);
            }
        }
    }

    fn deliver_ahead(&mut self, socket: SocketId, len: usize, on_event: &mut impl FnMut(Event<'_>)) {
        let Some(buffer) = self.ahead.buffers.get_mut(&socket) else { return };
        self.stats.receives += 1;
        self.stats.bytes_in += len as u64;
        // SAFETY: no receive into the buffer is in flight: the last one has completed, and the next one begins below.
        on_event(Event::Received { socket, bytes: unsafe { buffer.slice_mut(0, len) } });
        if len == AHEAD_SIZE {
            self.queue_readable(socket);
        } else {
            self.park(socket);
        }
    }

    /// Nothing more is received ahead: the ring ends.
    pub(crate) fn begin_end_ahead(&mut self) {
        self.ahead.is_over = true;
    }

    /// Ends the receives that are in flight, so that the kernel writes no more. The buffers of those that cannot be ended in
    /// time are leaked, which is safe.
    pub(crate) fn end_ahead(&mut self) {
        self.receiving_ahead().into_iter().for_each(|socket| self.cancel_ahead(socket));
        self.end_until(|ring| ring.receiving_ahead().is_empty());
        if !self.receiving_ahead().is_empty() {
            std::mem::forget(std::mem::take(&mut self.ahead.buffers));
        }
    }

    /// Ends the receive of a socket; unless it is closing or paused, another one begins.
    pub(crate) fn cancel_ahead(&mut self, socket: SocketId) {
        let cancel = opcode::AsyncCancel::new(Token::of(Op::ReceiveAhead, socket).0).build();
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(cancel.user_data(Token::IGNORED.0)) };
    }

    fn receiving_ahead(&mut self) -> Vec<SocketId> {
        let slots = &mut self.slots;
        let sockets = self.ahead.buffers.keys().copied();
        let is_receiving =
            |socket: &SocketId| slots.present(*socket).is_some_and(|slot| slot.has(flag::RECEIVING_AHEAD));
        sockets.filter(is_receiving).collect()
    }
}
