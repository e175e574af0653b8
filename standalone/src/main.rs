//! The binary `ringway`: register, gateway, worker and the chat page in one process, or the page alone.
#![forbid(unsafe_code)]

mod cluster;
mod page;
mod status;

use std::net::{SocketAddr, TcpListener};

use admin::{Address, Admin};
use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FromArgs};
use gateway_core::protocol::address;
use gateway_core::{Certificates, Listen, ListenProtocol, Options, Settings, StartError, overlap};
use program::{Both, Flags, Refusal, Words};
use ringway_apps::App;
use tokio::sync::oneshot;

use crate::cluster::{Cluster, Meeting, reachable};
use crate::status::StatusSource;

#[global_allocator]
static ALLOCATOR: program::Allocator = program::Allocator;

/// A whole Ringway in one process: register, gateway, worker and a page to chat on.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "{command_name} --listen websocket://0.0.0.0:8282 --page 0.0.0.0:8080",
    example = "{command_name} --register-listen 127.0.0.1:1236",
    example = "{command_name} --register-address 10.0.0.1:1236 --lan-ip 10.0.0.2 --start-port 2900",
    note = "The listening schemes are websocket, text, frame and tcp, and with TLS wss, ssl+text, ssl+frame and ssl+tcp."
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
    /// where its register listens, so that other programs find it (default: a port that is told nobody)
    #[argh(option, arg_name = "HOST:PORT")]
    register_listen: Option<String>,
    /// where `ringway status` may ask how things are (default: none)
    #[argh(option, arg_name = "[IP:]PORT")]
    admin: Option<Address>,
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
}

/// All flags: its own, and the gateway's.
struct All(Own, Options);

impl Flags for All {
    fn parts() -> Vec<CommandInfoWithArgs> {
        Both::<Own, Options>::parts()
    }

    fn read(words: &mut Words<'_>) -> Result<All, EarlyExit> {
        let Both(own, options) = Both::read(words)?;
        Ok(All(own, options))
    }

    /// Open to this machine alone, and beside another gateway.
    fn defaults(_program: &str) -> Vec<(&'static str, String)> {
        vec![("listen", "websocket://127.0.0.1:8282".to_owned()), ("start-port", "0".to_owned())]
    }
}

/// Where gateway and worker meet.
fn meeting(own: &Own, options: &Options) -> Result<Meeting, Refusal> {
    let wrong = |flag: &str, why: String| Refusal::Usage(format!("{flag}: {why}"));
    let secret_key = options.secret_key.clone();
    match (&own.register_listen, &options.register_address) {
        (Some(_), Some(_)) => Err(Refusal::Usage(
            "--register-listen is for a register of our own, --register-address for others: one of them"
                .to_owned(),
        )),
        (Some(listen), None) => {
            let listen = address::register_listen(listen).map_err(|why| wrong("--register-listen", why))?;
            Ok(Meeting::Served { listen: listen.to_string(), secret_key })
        }
        (None, Some(addresses)) => {
            let addresses = address::registers(addresses).map_err(|why| wrong("--register-address", why))?;
            Ok(Meeting::Joined { addresses, secret_key })
        }
        (None, None) => Ok(Meeting::Private),
    }
}

fn main() {
    let All(own, options) = program::parse("ringway");
    if let Some(Command::Status(StatusFlags { address })) = own.command {
        return status::show(&address);
    }
    let meeting = meeting(&own, &options).unwrap_or_else(|refusal| refusal.end());
    let settings = options.settings().unwrap_or_else(|refusal| refusal.end());
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
    if settings.tls.is_some() {
        shutdown.take_hangups();
    }
    let page = TcpListener::bind(own.page).unwrap_or_else(|error| {
        program::fail(program::describe_bind_error(own.page, &error).replace("--listen", "--page"))
    });
    if let Err(error) = run(&own, settings, meeting, websocket, page, shutdown) {
        refusal(error).end();
    }
    program::finish();
}

/// What is wrong with the flags, or with the rest of the world.
fn refusal(error: Box<dyn std::error::Error>) -> Refusal {
    match error.downcast::<StartError>() {
        Ok(error) => (*error).into(),
        Err(other) => Refusal::Environment(other.to_string()),
    }
}

/// Runs until a signal. `websocket` is the index of the listener that the page connects to.
fn run(
    own: &Own,
    settings: Settings,
    meeting: Meeting,
    websocket: usize,
    page: TcpListener,
    mut shutdown: program::Shutdown,
) -> Result<(), Box<dyn std::error::Error>> {
    let url = format!("http://{}", reachable(page.local_addr()?));
    let Listen { mut address, tls: secured, .. } = settings.listen[websocket];
    let cluster = if own.page_only { None } else { Some(Cluster::start(settings, own.app, meeting)?) };
    let ready = match &cluster {
        Some(cluster) => {
            address = cluster.listen()[websocket];
            format!("open {url} (websocket {address}, {})", cluster.describe())
        }
        None => format!("open {url} (the page alone; its websocket is port {})", address.port()),
    };
    let source = StatusSource::new(cluster.as_ref());
    let status = source.clone();
    let _admin = own.admin.map(|address| Admin::serve(address, move || status.report())).transpose()?;
    let certificates = cluster.as_ref().and_then(|cluster| cluster.gateway.certificates());
    let (stop, stopped) = oneshot::channel();
    program::spawn_vital("signals", move || {
        shutdown.wait_and_reload(|| certificates.iter().for_each(Certificates::reload));
        // The page may have failed: then the process is ending anyway.
        let _ = stop.send(());
    })?;
    let on_ready = match &cluster {
        // A register elsewhere may be away for long.
        Some(cluster) if cluster.register.is_none() => {
            cluster.worker.when_ready(|| program::ready(ready))?;
            None
        }
        _ => Some(ready),
    };
    let served = page::serve(
        page,
        page::Websocket { port: address.port(), tls: secured },
        move || source.report().faults,
        || on_ready.into_iter().for_each(program::ready),
        stopped,
    );
    if let Some(cluster) = cluster {
        cluster.stop()?;
    }
    Ok(served?)
}
