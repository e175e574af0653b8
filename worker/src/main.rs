//! The binary `worker`: the built-in applications chat and echo.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use ringway_worker::apps::chat::Chat;
use ringway_worker::apps::echo::Echo;
use ringway_worker::{AdminAddress, Command, Settings};

#[global_allocator]
static ALLOCATOR: ringway_worker::Allocator = ringway_worker::Allocator;

/// A worker with a built-in application, behind Ringway or GatewayWorker gateways.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Flags {
    /// chat or echo
    #[argh(option)]
    app: Option<App>,
    /// name, one per worker program and machine (default: worker with digits of its own)
    #[argh(option, default = "Settings::default().name")]
    name: String,
    /// cores to use (default: one per CPU)
    #[argh(option, default = "Settings::default().count")]
    count: usize,
    /// registers, HOST:PORT[,HOST:PORT…] (default 127.0.0.1:1236)
    #[argh(option, default = "Settings::default().register_address")]
    register_address: String,
    /// the key that registers and gateways know (default none)
    #[argh(option, default = "Settings::default().secret_key")]
    secret_key: String,
    /// seconds that a query waits for gateways (default 5)
    #[argh(option, default = "Settings::default().query_timeout")]
    query_timeout: u64,
    /// bytes queued towards one gateway from half of which on its clients' events wait (default 10240000)
    #[argh(option, default = "Settings::default().send_to_gateway_buffer_size")]
    send_to_gateway_buffer_size: usize,
    /// handlers per core that run at once; more events are not read (default 10000)
    #[argh(option, default = "Settings::default().max_concurrent_events")]
    max_concurrent_events: usize,
    /// seconds that running handlers have to end at a stop or reload (default 30)
    #[argh(option, default = "Settings::default().drain_timeout")]
    drain_timeout: u64,
    /// port or address where `ringway status` may ask how things are (default: none)
    #[argh(option)]
    admin: Option<AdminAddress>,
    /// file for the process id, by which `reload` and `stop` find the worker (default: none)
    #[argh(option)]
    pid_file: Option<PathBuf>,
    /// run without a master, which starts the worker again when it crashes and replaces it on SIGUSR1
    #[argh(switch)]
    no_master: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

/// A built-in application.
#[derive(Clone, Copy)]
enum App {
    Chat,
    Echo,
}

impl std::str::FromStr for App {
    type Err = String;

    fn from_str(name: &str) -> Result<App, String> {
        match name {
            "chat" => Ok(App::Chat),
            "echo" => Ok(App::Echo),
            _ => Err(format!("'{name}' is neither chat nor echo")),
        }
    }
}

fn main() -> ExitCode {
    let flags: Flags = program::parse("worker");
    if let Some(command) = flags.command {
        return command.perform(flags.pid_file);
    }
    let Some(app) = flags.app else { program::misuse("which app? say --app chat or --app echo") };
    let settings = Settings {
        name: flags.name,
        count: flags.count,
        register_address: flags.register_address,
        secret_key: flags.secret_key,
        query_timeout: flags.query_timeout,
        send_to_gateway_buffer_size: flags.send_to_gateway_buffer_size,
        max_concurrent_events: flags.max_concurrent_events,
        drain_timeout: flags.drain_timeout,
        admin: flags.admin,
        pid_file: flags.pid_file,
        no_master: flags.no_master,
    };
    match app {
        App::Chat => settings.run(|_core| Chat::default()),
        App::Echo => settings.run(|_core| Echo),
    }
}
