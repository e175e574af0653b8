//! The inner protocol, PHP values and register lines: against recorded traffic, in pieces, and broken.

// `cfg(test)` always holds here; clippy wants to read it before it lets functions unwrap.
#[cfg(test)]
mod golden;
#[cfg(test)]
mod inner;
#[cfg(test)]
mod php;
#[cfg(test)]
mod traffic;
