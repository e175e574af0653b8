//! The edge that every Ringway program shares.
//!
//! * [`parse`] reads the flags: from the command line, the environment and the config file.
//! * [`ready`] and [`fail`] are how a program says that it serves, or that it cannot; [`Refusal`] is why.
//! * [`finish`] is the last call of a program that ends in good order.
//! * [`notify`] tells a service manager what [`ready`] and [`Shutdown`] do not; [`Watchdog`], that the program goes on.
//! * [`mark_vital`] and [`catch`] say what a panic costs: the process, or what it was about.
//! * [`cpu_order`] says where its threads go.
//! * [`Shutdown`] waits for SIGINT or SIGTERM.
//! * [`Allocator`] gives memory back.
//! * [`check_machine`] checks kernel, io_uring and limits in advance, so that what is wrong is said in one sentence.
//! * [`describe_bind_error`] says why a port cannot be had, and what to do.
//!
//! Programs use this at start and at end. Nothing here does networking or belongs to a data path.
//!
//! ```no_run
//! # use ringway_program as program;
//! /// The smallest program.
//! #[derive(argh::FromArgs, argh::ArgsInfo)]
//! struct Flags {
//!     /// address to listen on (default 127.0.0.1:1236)
//!     #[argh(option, default = "String::from(\"127.0.0.1:1236\")")]
//!     listen: String,
//! }
//!
//! let flags: Flags = program::parse("smallest");
//! if let Err(why) = program::check_machine() {
//!     program::fail(why);
//! }
//! let mut shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
//! program::ready(&flags.listen);
//! shutdown.wait();
//! program::finish();
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod allocator;
mod bind_error;
mod bind_retry;
mod choice;
mod common;
mod config_file;
mod cpus;
mod declared;
mod environment;
mod executor;
mod flags;
mod help;
mod kernel;
mod limits;
mod logging;
mod machine;
mod memory;
mod names;
mod nearest;
mod notify;
mod outlet;
mod panics;
mod process;
mod refusal;
mod secret;
mod setting;
mod shutdown;
mod uptime;
mod usage;
mod wall_clock;
mod watchdog;

pub use allocator::Allocator;
pub use bind_error::describe_bind_error;
pub use bind_retry::BindRetry;
pub use cpus::cpu_order;
pub use executor::start_executor;
pub use flags::{Both, Flags, Words, check_defaults};
pub use kernel::{KERNEL_MIN, KernelVersion};
pub use limits::{MEMLOCK_MIN, raise_memlock, raise_open_files};
pub use logging::{LogFormat, LogLevel, log_level, log_to_stderr, set_log_level};
pub use machine::{allowed_cpus, check_machine, cpus, run_on};
pub use memory::{memory_available, memory_size, resident_bytes};
pub use names::Resolver;
pub use notify::{NOTIFY_SOCKET, Phase, notify};
pub use panics::{PANIC_EXIT_CODE, Panic, catch, give_up, mark_vital, spawn_vital};
pub use process::{
    begin, fail, fail_with, finish, is_said, mention, misuse, parse, parse_as, print, ready, say,
};
pub use refusal::{Refusal, check_busy_poll, microseconds, seconds};
pub use secret::{SECRET_SIZE_MAX, secret};
pub use shutdown::{Shutdown, Signal, ignore_other_signals};
pub use uptime::Uptime;
pub use usage::{Usage, usage};
pub use wall_clock::unix_ms;
pub use watchdog::Watchdog;
