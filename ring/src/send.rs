//! Sending: borrowed slices, submitted at once, short sends collected before returning. Never keeps a byte.

use std::io;

use io_uring::squeue::Flags as EntryFlags;
use io_uring::{opcode, types};

use crate::config::{SLICE_BYTES_MAX, SLICES_MAX};
use crate::event::{Event, Send, Short};
use crate::queue::Completion;
use crate::ring::Ring;
use crate::slots::{SocketId, flag};
use crate::token::{Op, Token};

/// Sends on their way from the caller to the submission queue. Empty between calls of `send_all`, except after a
/// panic of the caller's iterator; then it is emptied unread by the next call.
pub(crate) struct Outbox {
    staged: Vec<Staged>,
    /// One for each staged send of several slices; never grows beyond its first capacity, so headers keep their addresses.
    headers: Vec<libc::msghdr>,
    /// Sends submitted at once.
    count_max: usize,
}

struct Staged {
    socket: SocketId,
    what: What,
    /// Bytes in this send.
    size: usize,
    /// Not all of the caller's slices are in this send, so that its success must be told too.
    cut: bool,
}

enum What {
    One { bytes: *const u8, len: u32 },
    Gathered { header_index: usize },
}

impl Outbox {
    pub(crate) fn new(count_max: usize) -> Outbox {
        Outbox { staged: Vec::with_capacity(count_max), headers: Vec::with_capacity(count_max), count_max }
    }

    fn clear(&mut self) {
        self.staged.clear();
        self.headers.clear();
    }

    fn is_full(&self) -> bool {
        self.staged.len() == self.count_max
    }

    /// Notes where the slices are. Their memory is read when the batch is submitted.
    fn stage(&mut self, send: &Send<'_>) {
        let (what, size, cut) = match send.slices {
            [slice] => {
                let size = slice.len().min(SLICE_BYTES_MAX);
                (What::One { bytes: slice.as_ptr(), len: size as u32 }, size, size < slice.len())
            }
            slices => {
                let count = slices.len().min(SLICES_MAX);
                self.headers.push(header(&slices[..count]));
                let size = slices[..count].iter().map(|slice| slice.len()).sum();
                (What::Gathered { header_index: self.headers.len() - 1 }, size, count < slices.len())
            }
        };
        self.staged.push(Staged { socket: send.socket, what, size, cut });
    }
}

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
        self.outbox.clear();
        for send in sends {
            if self.outbox.is_full() {
                self.flush(short)?;
            }
            self.stage(&send, short)?;
        }
        self.flush(short)
    }

    fn stage(&mut self, send: &Send<'_>, short: &mut Vec<Short>) -> io::Result<()> {
        let staged = self.slots.live(send.socket).is_some_and(|slot| slot.has(flag::STAGED));
        if staged {
            // Two sends of one socket in one batch could overtake each other when the first falls short.
            self.flush(short)?;
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

    /// Submits the staged sends and collects what fell short.
    fn flush(&mut self, short: &mut Vec<Short>) -> io::Result<()> {
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
            // kernel neither parks nor hands over a send that would wait), and `submit` below submits all. No code
            // of the caller runs between here and there. If `submit` fails, the ring is never entered again.
            unsafe { self.queue.push(entry) };
        }
        let submitted = self.queue.submit();
        self.collect_short(short);
        self.outbox.clear();
        submitted
    }

    fn collect_short(&mut self, short: &mut Vec<Short>) {
        while let Some(completion) = self.queue.short_sends.pop() {
            let staged = &self.outbox.staged[completion.token.index() as usize];
            let (socket, size, sent) = (staged.socket, staged.size, completion.result.max(0) as usize);
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
        let poll = opcode::PollAdd::new(types::Fixed(socket.index() as u32), libc::POLLOUT as u32);
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(poll.build().user_data(Token::of(Op::PollOut, socket).0)) };
    }
}

fn entry(index: usize, staged: &Staged, headers: &[libc::msghdr]) -> io_uring::squeue::Entry {
    let fd = types::Fixed(staged.socket.index() as u32);
    let entry = match staged.what {
        What::One { bytes, len } => opcode::Send::new(fd, bytes, len).flags(SEND_FLAGS).build(),
        What::Gathered { header_index } => {
            opcode::SendMsg::new(fd, &headers[header_index]).flags(SEND_FLAGS as u32).build()
        }
    };
    let entry = entry.user_data(Token::new(Op::Send, index as u32, 0).0);
    if staged.cut { entry } else { entry.flags(EntryFlags::SKIP_SUCCESS) }
}

fn header(slices: &[io::IoSlice<'_>]) -> libc::msghdr {
    // SAFETY: all zeros is a valid msghdr: null pointers and zero lengths.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    // IoSlice has the layout of iovec (guaranteed by std), and a send only reads it.
    header.msg_iov = slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = slices.len();
    header
}

/// DONTWAIT: done when submitted. WAITALL: a short send counts as failed, so that it posts a completion. NOSIGNAL: no SIGPIPE.
const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
