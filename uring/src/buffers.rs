//! The pool of receive buffers. A buffer belongs to one receive from its submission to its completion.

use std::ptr::NonNull;

use crate::memory::KernelMemory;
use crate::slots::SocketId;

/// Buffers at equal distances in one allocation.
///
/// Invariant: `free.len() + in flight == owners.len()`.
pub(crate) struct Buffers {
    memory: KernelMemory<u8>,
    size: usize,
    stride: usize,
    owners: Vec<SocketId>,
    free: Vec<u16>,
}

impl Buffers {
    pub(crate) fn new(size: usize, count: u16) -> Buffers {
        let stride = size + STAGGER;
        Buffers {
            memory: KernelMemory::new(0, stride * usize::from(count)),
            size,
            stride,
            owners: vec![SocketId::new(0, 0); usize::from(count)],
            free: (0..count).rev().collect(),
        }
    }

    /// Bytes of one buffer.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn count(&self) -> usize {
        self.owners.len()
    }

    pub(crate) fn all_free(&self) -> bool {
        self.free.len() == self.owners.len()
    }

    pub(crate) fn any_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Takes a buffer for one receive of `owner`. There must be a free one.
    pub(crate) fn take(&mut self, owner: SocketId) -> (u16, NonNull<u8>) {
        let index = self.free.pop().expect("the caller asked any_free");
        self.owners[usize::from(index)] = owner;
        (index, self.memory.pointer(usize::from(index) * self.stride))
    }

    /// The receive into `index` completed: whose it was. The buffer is free again; its bytes stay until the next `take`.
    pub(crate) fn give_back(&mut self, index: u16) -> SocketId {
        debug_assert!(!self.free.contains(&index));
        self.free.push(index);
        self.owners[usize::from(index)]
    }

    /// What a completed receive wrote.
    pub(crate) fn bytes_mut(&mut self, index: u16, len: usize) -> &mut [u8] {
        assert!(len <= self.size);
        debug_assert!(self.free.contains(&index));
        // SAFETY: a buffer is written to only between `take` and `give_back`; this one was given back, and `&mut self`
        // keeps it from being taken while the slice lives.
        unsafe { self.memory.slice_mut(usize::from(index) * self.stride, len) }
    }
}

/// Bytes between buffers, so that their beginnings do not all fall into the same cache set.
const STAGGER: usize = 192;
