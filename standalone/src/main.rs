//! The binary `ringway`: register, gateway, worker and the chat page in one process, or the page alone.
#![forbid(unsafe_code)]

mod page;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use admin::Address;
use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FromArgs};
use gateway_core::{Files, Listen, ListenProtocol, overlap};
use program::{Both, Flags, Words};
use ringway::{Beside, Embedded, Options, RELOAD, instance, reachable, refusal, serve_admin};
use ringway_apps::App;
use ringway_apps::chat::Chat;
use ringway_apps::echo::Echo;
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: program::Allocator = program::Allocator;

/// A whole Ringway in one process: register, gateway, worker and a page to chat on.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "{command_name} --listen websocket://0.0.0.0:8282 --page 0.0.0.0:8080",
    example = "{command_name} --register-listen 127.0.0.1:1236",
    example = "{command_name} --register-address 10.0.0.1:1236 --lan-ip 10.0.0.2 --start-port 2900",
    example = "{command_name} --listen wss://0.0.0.0:443 --listen ssl+text://0.0.0.0:8283 --tls-cert server.pem"
)]
struct Own {
    /// where the page is served, and `/health` (default 127.0.0.1:8080)
    #[argh(option, arg_name = "IP:PORT", default = "SocketAddr::from(([127, 0, 0, 1], 8080))")]
    page: SocketAddr,
    /// serve the page alone, for a gateway that runs elsewhere on this machine
    #[argh(switch)]
    page_only: bool,
    /// what the worker runs: `chat` or `echo` (default chat)
    #[argh(option, arg_name = "APP", default = "App::Chat")]
    app: App,
    #[argh(subcommand)]
    command: Option<Command>,
}

/// What else it can do.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Status(StatusFlags),
}

/// Show how programs are: their shards or cores, clients, messages, memory.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "status")]
struct StatusFlags {
    /// what the programs have as --admin: ports of this machine, or addresses
    #[argh(positional)]
    address: Vec<Address>,
    /// what they have as --admin-token (default: none)
    #[argh(option, arg_name = "TOKEN")]
    token: Option<String>,
}

/// All flags: its own, and those of every program that is gateway and worker at once.
struct All(Own, Options);

impl Flags for All {
    fn parts() -> Vec<CommandInfoWithArgs> {
        Both::<Own, Options>::parts()
    }

    fn read(words: &mut Words<'_>) -> Result<All, EarlyExit> {
        let Both(own, options) = Both::read(words)?;
        Ok(All(own, options))
    }

    fn defaults(program: &str) -> Vec<(&'static str, String)> {
        Options::defaults(program)
    }
}

fn main() {
    let All(own, options) = program::parse("ringway");
    if let Some(Command::Status(flags)) = own.command {
        return show_status(&flags);
    }
    let meeting = options.meeting().unwrap_or_else(|refusal| refusal.end());
    let Options { beside, gateway } = options;
    let mut settings = gateway.settings().unwrap_or_else(|refusal| refusal.end());
    settings.admin = beside.admin.map(|Address(address)| address);
    let listen = &settings.listen;
    let websocket = listen.iter().position(|listen| matches!(listen.protocol, ListenProtocol::Websocket(_)));
    let Some(websocket) = websocket else {
        program::misuse("the page needs a websocket: add --listen websocket://127.0.0.1:8282");
    };
    let shared = listen.iter().find(|listen| !own.page_only && overlap(listen.address, own.page));
    if let Some(listen) = shared {
        program::misuse(format_args!("--page {} and --listen {listen} are one port", own.page));
    }
    if !own.page_only
        && let Err(why) = program::check_machine()
    {
        program::fail(why);
    }
    let shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    shutdown.explain_reload(RELOAD);
    if settings.has_files() {
        shutdown.take_hangups();
    }
    let page = TcpListener::bind(own.page).unwrap_or_else(|error| {
        program::fail(program::describe_bind_error(own.page, &error).replace("--listen", "--page"))
    });
    let start = || -> Result<Option<Embedded>, Box<dyn std::error::Error>> {
        Ok(match own.app {
            _ if own.page_only => None,
            App::Chat => Some(Embedded::start(settings.clone(), meeting, |_core| Chat::default())?),
            App::Echo => Some(Embedded::start(settings.clone(), meeting, |_core| Echo)?),
        })
    };
    let served = start().and_then(|embedded| {
        serve(embedded, &beside, settings.listen[websocket].clone(), websocket, page, shutdown)
    });
    if let Err(error) = served {
        refusal(error).end();
    }
    program::finish();
}

/// Serves the page until a signal. `websocket` is the index of the listener that it connects to.
fn serve(
    embedded: Option<Embedded>,
    beside: &Beside,
    listen: Listen,
    websocket: usize,
    page: TcpListener,
    mut shutdown: program::Shutdown,
) -> Result<(), Box<dyn std::error::Error>> {
    let url = format!("http://{}", reachable(page.local_addr()?));
    let Listen { mut address, tls: secured, .. } = listen;
    let ready = match &embedded {
        Some(embedded) => {
            address = embedded.listen()[websocket];
            format!("open {url} (websocket {address}, {})", embedded.describe())
        }
        None => format!("open {url} (the page alone; its websocket is port {})", address.port()),
    };
    let serve = |address| serve_admin(address, beside.admin_token.as_deref(), embedded.as_ref());
    let _admin = beside.admin.map(serve).transpose()?;
    admin::feed_watchdog(instance(embedded.as_ref()))?;
    let watched = Arc::new(instance(embedded.as_ref()));
    let files = embedded.as_ref().and_then(|embedded| embedded.gateway().files());
    let (stop, stopped) = oneshot::channel();
    program::spawn_vital("signals", move || {
        shutdown.wait_and_reload(|| files.iter().for_each(Files::reload));
        // The page may have failed: then the process is ending anyway.
        let _ = stop.send(());
    })?;
    let on_ready = match &embedded {
        // A register elsewhere may be away for long.
        Some(embedded) if embedded.register().is_none() => {
            embedded.worker().when_ready(|| program::ready(ready))?;
            None
        }
        _ => Some(ready),
    };
    let served = page::serve(
        page,
        page::Websocket { port: address.port(), tls: secured },
        move || watched.report().faults,
        || on_ready.into_iter().for_each(program::ready),
        stopped,
    );
    if let Some(embedded) = embedded {
        embedded.stop()?;
    }
    Ok(served?)
}

/// Prints the table of `ringway status`; fails if nobody answers.
fn show_status(StatusFlags { address: addresses, token }: &StatusFlags) {
    if addresses.is_empty() {
        program::fail(
            "whose status? give what the programs have as --admin: ringway status 9501 10.0.0.2:9501",
        );
    }
    let ask = |address: &Address| {
        (address.0, admin::fetch(address.0, token.as_deref()).map_err(|error| error.to_string()))
    };
    let answers: Vec<_> = addresses.iter().map(ask).collect();
    program::print(&admin::table(&answers));
    if answers.iter().all(|(_, answer)| answer.is_err()) {
        program::fail("no program answers");
    }
}
