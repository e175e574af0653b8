//! The sends of a batch, until they are submitted: where the caller's bytes are, and the operations for them.

use std::io;

use io_uring::squeue::{Entry, Flags as EntryFlags};
use io_uring::{opcode, types};

use crate::config::{SLICE_BYTES_MAX, SLICES_MAX};
use crate::event::Send;
use crate::narrow::narrow;
use crate::slots::SocketId;
use crate::token::{Op, Token};

/// Sends on their way from the caller to the submission queue. Empty between calls of `send_all`, except after a
/// panic of the caller's iterator; then it is emptied unread by the next call.
pub(crate) struct Outbox {
    pub(crate) staged: Vec<Staged>,
    /// One for each staged send of several slices; never grows beyond its first capacity, so headers keep their addresses.
    pub(crate) headers: Vec<libc::msghdr>,
    /// Sends submitted at once.
    count_max: usize,
}

pub(crate) struct Staged {
    pub(crate) socket: SocketId,
    what: What,
    /// Bytes in this send.
    pub(crate) size: usize,
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

    pub(crate) fn clear(&mut self) {
        self.staged.clear();
        self.headers.clear();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.staged.len() == self.count_max
    }

    /// Notes where the slices are. Their memory is read when the batch is submitted.
    pub(crate) fn stage(&mut self, send: &Send<'_>) {
        let (what, size, cut) = match send.slices {
            [slice] => {
                let size = slice.len().min(SLICE_BYTES_MAX);
                (What::One { bytes: slice.as_ptr(), len: narrow(size) }, size, size < slice.len())
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

pub(crate) fn entry(index: usize, staged: &Staged, headers: &[libc::msghdr]) -> Entry {
    let fd = types::Fixed(staged.socket.slot());
    let entry = match staged.what {
        What::One { bytes, len } => opcode::Send::new(fd, bytes, len).flags(SEND_FLAGS).build(),
        What::Gathered { header_index } => {
            opcode::SendMsg::new(fd, &headers[header_index]).flags(SEND_FLAGS as u32).build()
        }
    };
    let entry = entry.user_data(Token::new(Op::Send, narrow(index), 0).0);
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
