//! The inner protocol, PHP values and register lines: against recorded traffic, in pieces, and broken.

mod golden;
mod inner;
mod php;
mod traffic;
