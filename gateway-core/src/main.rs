//! The program `gateway`.
#![forbid(unsafe_code)]

use admin::{Address, Admin};
use argh::{ArgsInfo, FromArgs};
use gateway_core::{CordonFlags, DrainFlags, Files, Gateway, Options, UncordonFlags};
use program::{Both, Refusal};

#[global_allocator]
static ALLOCATOR: program::Allocator = program::Allocator;

/// Holds clients and moves bytes between them and workers.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "{command_name} --listen websocket://0.0.0.0:8282 --register-address 127.0.0.1:1236",
    note = "The listening schemes are websocket, text, frame and tcp, and with TLS wss, ssl+text, ssl+frame and ssl+tcp."
)]
struct Flags {
    /// where it tells of itself: a dashboard, /status, /metrics, /healthz (default: none)
    #[argh(option, arg_name = "[IP:]PORT")]
    admin: Option<Address>,
    /// what who asks there says; without it an address open to other machines answers probes alone (default: none)
    #[argh(option, hidden_help, arg_name = "TOKEN")]
    admin_token: Option<String>,
    #[argh(subcommand)]
    command: Option<Command>,
}

/// What may be asked of a gateway that runs.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Cordon(CordonFlags),
    Uncordon(UncordonFlags),
    Drain(DrainFlags),
}

fn main() {
    let Both(Flags { admin, admin_token, command }, options) =
        program::parse::<Both<Flags, Options>>("gateway");
    match command {
        Some(Command::Cordon(flags)) => return flags.perform(options.control),
        Some(Command::Uncordon(flags)) => return flags.perform(options.control),
        Some(Command::Drain(flags)) => return flags.perform(options.control),
        None => {}
    }
    if let Err(why) = program::check_machine() {
        program::fail(why);
    }
    let mut shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let mut settings = options.settings().unwrap_or_else(|refusal| refusal.end());
    settings.admin = admin.map(|Address(address)| address);
    let gateway = Gateway::start(settings).unwrap_or_else(|error| Refusal::from(error).end());
    let _admin = admin.map(|address| {
        Admin::serve(address, admin_token.as_deref(), gateway.instance())
            .unwrap_or_else(|error| Refusal::from(error).end())
    });
    admin::feed_watchdog(gateway.instance()).unwrap_or_else(|error| program::fail(error));
    let files = gateway.files();
    if files.is_some() {
        shutdown.take_hangups();
    }
    program::ready(format_args!("{} ({} shards)", gateway.listen_urls(), gateway.shard_count()));
    shutdown.wait_and_reload(|| files.iter().for_each(Files::reload));
    gateway.stop();
    program::finish();
}
