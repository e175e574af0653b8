//! The binary `worker`: the built-in applications chat and echo.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ringway_apps::App;
use ringway_apps::chat::Chat;
use ringway_apps::echo::Echo;

#[global_allocator]
static ALLOCATOR: ringway_worker::Allocator = ringway_worker::Allocator;

/// A worker with a built-in application, behind Ringway or GatewayWorker gateways.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Flags {
    /// chat or echo
    #[argh(option, arg_name = "APP")]
    app: Option<App>,
}

fn main() -> ExitCode {
    let (settings, flags) = ringway_worker::parse::<Flags>("worker");
    match flags.app {
        Some(App::Chat) => settings.run(|_core| Chat::default()),
        Some(App::Echo) => settings.run(|_core| Echo),
        None => ringway_worker::misuse("which app? say --app chat or --app echo"),
    }
}
