//! A worker for tests with a `main` of its own: no flags of ours, no logging set up.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ringway_apps::echo::Echo;
use ringway_worker::Settings;

/// The argument is the register's address.
fn main() -> ExitCode {
    let Some(register_address) = std::env::args().nth(1) else { return ExitCode::FAILURE };
    let settings = Settings {
        name: "plain".to_owned(),
        count: 1,
        register_address,
        no_master: true,
        ..Settings::default()
    };
    settings.run(|_core| Echo)
}
