//! Owns the choice of the allocator that all programs have.

/// Gives memory that was freed back to the system within some 10 s, also while nobody allocates: jemalloc, with a thread in
/// the background. glibc's keeps what a flood of large messages has taken for as long as the process lives.
///
/// A program has it by one line beside its `main`:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: ringway_program::Allocator = ringway_program::Allocator;
/// # fn main() {}
/// ```
pub use tikv_jemallocator::Jemalloc as Allocator;
