//! The client against registers and gateways that tests play, and against real ones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod end_to_end;
mod failures;
mod fake;
mod golden;
mod registers;
