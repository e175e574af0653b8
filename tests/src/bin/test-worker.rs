//! A worker for tests.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ringway_tests::app::TestApp;
use ringway_worker::run;

fn main() -> ExitCode {
    run("test-worker", |_core| TestApp)
}
