//! PHP itself as the judge: what we write it reads, what it writes we read, what it merges we merge, to the byte.
//!
//! Needs `php` on the PATH. Without it the tests say so and pass, unless the environment has `RINGWAY_NEED_PHP=1`.

// `cfg(test)` always holds here; clippy wants to read it before it lets functions unwrap.
#[cfg(test)]
mod judged;
#[cfg(test)]
mod peer;
