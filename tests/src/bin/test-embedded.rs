//! The same as `test-worker`, in a gateway's process.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ringway::{embedded, options};
use ringway_tests::app::TestApp;

fn main() -> ExitCode {
    embedded(options("test-embedded"), |_core| TestApp)
}
