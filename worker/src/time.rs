//! Waiting, in handlers and spawned futures: it holds up neither the core nor other clients.

/// Waits for a [`Duration`](std::time::Duration).
#[doc(inline)]
pub use glommio::timer::sleep;
