//! Counts and sizes as the kernel has them.

/// A number of things that are bounded ([`Config`](crate::Config), `config.rs`), or the size of one of the kernel's types, as
/// the kernel has it.
pub(crate) fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("what the ring counts is bounded")
}
