//! Memory that the kernel writes to. It is reached through raw pointers only, never through a long-lived
//! reference, because the kernel may write while an operation is in flight.

use std::ptr::NonNull;

/// A fixed array at a fixed address, freed when dropped: so it must be dropped only when no operation points into it.
pub(crate) struct KernelMemory<T: Copy> {
    items: NonNull<T>,
    len: usize,
}

impl<T: Copy> KernelMemory<T> {
    pub(crate) fn new(item: T, len: usize) -> KernelMemory<T> {
        assert!(len > 0);
        let items = Box::leak(vec![item; len].into_boxed_slice());
        KernelMemory { items: NonNull::from(items).cast(), len }
    }

    /// Where item `index` lies, to be handed to the kernel.
    pub(crate) fn pointer(&self, index: usize) -> NonNull<T> {
        assert!(index < self.len);
        // SAFETY: `index < len` (asserted), so the result lies inside the allocation made in `new`.
        unsafe { self.items.add(index) }
    }

    /// A part of the array.
    ///
    /// # Safety
    /// No operation in flight may write to the part for as long as the slice lives.
    pub(crate) unsafe fn slice_mut(&mut self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: `start <= len` (asserted), so this is in or one past the allocation.
        let first = unsafe { self.items.add(start) };
        // SAFETY: the range is inside the allocation (asserted) and initialized in `new`; `&mut self` excludes other
        // references, the caller excludes the kernel.
        unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), len) }
    }
}

impl<T: Copy> Drop for KernelMemory<T> {
    fn drop(&mut self) {
        let items = std::ptr::slice_from_raw_parts_mut(self.items.as_ptr(), self.len);
        // SAFETY: pointer and length are those of the boxed slice leaked in `new`, and it is freed here only. That no
        // operation points into it any more is upheld by the owner (`Drop for Ring`, the end of a listener).
        drop(unsafe { Box::from_raw(items) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_adjacent_and_writable() {
        let mut memory = KernelMemory::new(7u8, 16);
        // SAFETY: no kernel operation exists in this test.
        unsafe { memory.slice_mut(4, 4) }.fill(9);
        // SAFETY: as above.
        assert_eq!(unsafe { memory.slice_mut(3, 6) }, [7, 9, 9, 9, 9, 7]);
        assert_eq!(memory.pointer(5).as_ptr() as usize - memory.pointer(0).as_ptr() as usize, 5);
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn a_part_beyond_the_end_is_refused() {
        let mut memory = KernelMemory::new(0u8, 16);
        // SAFETY: no kernel operation exists in this test.
        let _ = unsafe { memory.slice_mut(10, 7) };
    }
}
