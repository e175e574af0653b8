//! Sending: borrowed slices, submitted at once, short sends collected before returning. Never keeps a byte.

use std::time::Duration;
use std::{io, slice};

use io_uring::{opcode, types};

use crate::event::{Event, Send, Short};
use crate::outbox::entry;
use crate::queue::Completion;
use crate::ring::Ring;
use crate::slots::{SocketId, flag};
use crate::token::{Op, Token};

impl Ring {
    /// Sends to many sockets: each takes what it can, at once. A socket that does not take everything is reported in
    /// `short` (which is only added to), and `Event::Writable` follows when it has room; until then its sends
    /// are reported with `sent` 0. A send to a broken connection is reported with `sent` 0, and `Event::Failed` follows if it
    /// did not come yet. A send to a socket that is closed, connecting or shut down is skipped.
    ///
    /// The bytes are borrowed, not copied, and no longer needed when this returns.
    ///
    /// # Errors
    /// The kernel refuses the ring; it will not work again.
    pub fn send_all<'a>(
        &mut self,
        sends: impl IntoIterator<Item = Send<'a>>,
        short: &mut Vec<Short>,
    ) -> io::Result<()> {
        self.send_all_and_wait(sends, short, Duration::ZERO)
    }

    /// The same, and then waits at most `wait_max` for something to come, as [`Ring::turn`] does, in the system call of the last
    /// sends: for a caller that has nothing to do until then, whatever becomes of the sends. The next turn delivers what
    /// has come. It does not wait if there is a send that falls short, nor if there is none at all.
    ///
    /// # Errors
    /// As [`Ring::send_all`].
    pub fn send_all_and_wait<'a>(
        &mut self,
        sends: impl IntoIterator<Item = Send<'a>>,
        short: &mut Vec<Short>,
        wait_max: Duration,
    ) -> io::Result<()> {
        self.outbox.clear();
        for send in sends {
            if self.outbox.is_full() {
                self.flush(short, Duration::ZERO)?;
            }
            self.stage(&send, short)?;
        }
        // Somebody has to be told of what fell short.
        let wait_max = if short.is_empty() { wait_max } else { Duration::ZERO };
        self.flush(short, wait_max)
    }

    /// [`Ring::send_all_and_wait`] with one slice for each socket. Adds to `sent` how many bytes each of them took, in the order of `sends`; a send
    /// that is skipped counts as taken.
    ///
    /// # Errors
    /// As [`Ring::send_all`].
    pub fn send_each(
        &mut self,
        sends: &[(SocketId, io::IoSlice<'_>)],
        sent: &mut Vec<usize>,
        wait_max: Duration,
    ) -> io::Result<()> {
        let mut short = Vec::new();
        let all =
            sends.iter().map(|(socket, slice)| Send { socket: *socket, slices: slice::from_ref(slice) });
        self.send_all_and_wait(all, &mut short, wait_max)?;
        short.sort_unstable_by_key(|short| short.socket);
        sent.extend(sends.iter().map(|(socket, slice)| {
            let fell_short = short.binary_search_by_key(socket, |short| short.socket);
            fell_short.map_or(slice.len(), |at| short[at].sent)
        }));
        Ok(())
    }

    fn stage(&mut self, send: &Send<'_>, short: &mut Vec<Short>) -> io::Result<()> {
        let staged = self.slots.live(send.socket).is_some_and(|slot| slot.has(flag::STAGED));
        if staged {
            // Two sends of one socket in one batch could overtake each other when the first falls short.
            self.flush(short, Duration::ZERO)?;
        }
        let Some(slot) = self.slots.live(send.socket) else { return Ok(()) };
        if send.slices.is_empty() || slot.has(flag::CONNECTING | flag::SHUT) {
            return Ok(());
        }
        if slot.has(flag::BLOCKED | flag::FAILED) {
            short.push(Short { socket: send.socket, sent: 0 });
            return Ok(());
        }
        slot.set(flag::STAGED);
        self.outbox.stage(send);
        Ok(())
    }

    /// Submits the staged sends, waits at most `wait_max` for something to come, and collects what fell short.
    fn flush(&mut self, short: &mut Vec<Short>, wait_max: Duration) -> io::Result<()> {
        if self.outbox.staged.is_empty() {
            return Ok(());
        }
        self.stats.sends += self.outbox.staged.len() as u64;
        for (index, staged) in self.outbox.staged.iter().enumerate() {
            self.stats.bytes_out += staged.size as u64;
            if let Some(slot) = self.slots.present(staged.socket) {
                slot.clear(flag::STAGED);
            }
            let entry = entry(index, staged, &self.outbox.headers);
            // SAFETY: the entry points to slices that the caller of `send_all` lent for longer than that call, and to
            // headers that stay as they are until `clear` below. The operation is done when submitted (MSG_DONTWAIT: the
            // kernel neither parks nor hands over a send that would wait), and `submit_and_wait` below submits all. No
            // code of the caller runs between here and there. If it fails, the ring is never entered again.
            unsafe { self.queue.push(entry) };
        }
        let submitted = self.submit_and_wait(wait_max);
        self.collect_short(short);
        self.outbox.clear();
        submitted
    }

    fn collect_short(&mut self, short: &mut Vec<Short>) {
        while let Some(completion) = self.queue.short_sends.pop() {
            let staged = &self.outbox.staged[completion.token.index() as usize];
            let (socket, size, sent) = (staged.socket, staged.size, completion.size());
            let Some(slot) = self.slots.live(socket) else { continue };
            self.stats.short_sends += 1;
            self.stats.bytes_out -= (size - sent) as u64;
            short.push(Short { socket, sent });
            if completion.result >= 0
                || completion.result == -libc::EAGAIN
                || completion.result == -libc::EINTR
            {
                self.poll_for_room(socket);
            } else if !slot.has(flag::FAILED) {
                slot.set(flag::FAILED);
                self.failures.push((socket, -completion.result));
            }
        }
    }

    /// The poll for room ended.
    pub(crate) fn on_room(&mut self, done: Completion, on_event: &mut impl FnMut(Event<'_>)) {
        let socket = done.token.socket();
        let Some(slot) = self.slots.present(socket) else { return };
        slot.clear(flag::BLOCKED);
        if slot.has(flag::CLOSING) {
            self.join(socket);
        } else if done.result == -libc::ECANCELED {
            self.poll_for_room(socket);
        } else if !slot.has(flag::FAILED) {
            on_event(Event::Writable { socket });
        }
    }

    fn poll_for_room(&mut self, socket: SocketId) {
        let Some(slot) = self.slots.live(socket) else { return };
        slot.set(flag::BLOCKED);
        let poll = opcode::PollAdd::new(types::Fixed(socket.slot()), libc::POLLOUT as u32);
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(poll.build().user_data(Token::of(Op::PollOut, socket).0)) };
    }
}
