//! The binary `ringway`: register, gateway, worker and the chat page in one process, or the page alone.
#![forbid(unsafe_code)]

mod cluster;
mod page;
mod status;

use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use admin::Address;
use argh::{ArgsInfo, FromArgs};
use gateway_core::protocol::address::{self, Host};
use gateway_core::tls::Acceptor;
use gateway_core::{
    Certificates, Listen, ListenFlag, ListenProtocol, ResponseHeader, Settings, StartError, Subprotocol,
    acceptor, overlap, resolve_lan_ip,
};
use program::{Refusal, seconds};
use tokio::sync::oneshot;

use crate::cluster::{App, Cluster, Meeting, reachable};
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
struct Flags {
    /// where clients connect, as for `gateway`; may be given several times (default websocket://127.0.0.1:8282)
    #[argh(option, arg_name = "SCHEME://HOST:PORT")]
    listen: Vec<ListenFlag>,
    /// certificate for TLS (PEM, its own first); several: chosen by the name that a client asks for (default: none)
    #[argh(option, arg_name = "FILE")]
    tls_cert: Vec<String>,
    /// private key (PEM) of the certificate at the same place (default: in the certificate's file)
    #[argh(option, arg_name = "FILE")]
    tls_key: Vec<String>,
    /// text frames of websocket clients that are not UTF-8 are passed on, as by PHP, instead of ending the client with 1007
    #[argh(switch)]
    lenient_text: bool,
    /// websocket subprotocol that clients may choose; several: the first of these that a client offers (default: none)
    #[argh(option, arg_name = "NAME")]
    subprotocol: Vec<Subprotocol>,
    /// header of the answer to websocket handshakes; may be given several times (default: none)
    #[argh(option, arg_name = "'NAME: VALUE'")]
    response_header: Vec<ResponseHeader>,
    /// where the page is served, and `/health` (default 127.0.0.1:8080)
    #[argh(option, arg_name = "IP:PORT", default = "SocketAddr::from(([127, 0, 0, 1], 8080))")]
    page: SocketAddr,
    /// shards, and cores of the worker (default: one per CPU)
    #[argh(option, arg_name = "N", default = "program::cpus()")]
    count: usize,
    /// what the worker runs: `chat` or `echo` (default chat)
    #[argh(option, arg_name = "APP", default = "App::Chat")]
    app: App,
    /// heartbeat period; 0: off (default 0)
    #[argh(option, arg_name = "SECONDS", default = "0.0")]
    ping_interval: f64,
    /// unanswered periods until a silent client is closed; 0: never (default 0)
    #[argh(option, arg_name = "N", default = "0")]
    ping_not_response_limit: u32,
    /// what a silent client is sent (default: none)
    #[argh(option, arg_name = "TEXT", default = "String::new()")]
    ping_data: String,
    /// websocket pings instead of `--ping-data` for websocket clients
    #[argh(switch)]
    websocket_ping: bool,
    /// where its register listens, so that other programs find it (default: a port that is told nobody)
    #[argh(option, arg_name = "HOST:PORT")]
    register_listen: Option<String>,
    /// registers to join instead of one of its own (default: none)
    #[argh(option, arg_name = "HOST:PORT[,…]")]
    register_address: Option<String>,
    /// what the others at the register know; where there are no others, a key that nobody knows (default: none)
    #[argh(option, arg_name = "K", default = "String::new()")]
    secret_key: String,
    /// address under which workers and other programs reach this machine (default 127.0.0.1)
    #[argh(option, arg_name = "IP", default = "Host::Ip(Ipv4Addr::LOCALHOST.into())")]
    lan_ip: Host,
    /// inner port of the first shard; the others follow; 0: any that are free (default 0)
    #[argh(option, arg_name = "PORT", default = "0")]
    start_port: u16,
    /// over how long a stop spreads the closing of many clients (default 10)
    #[argh(option, arg_name = "SECONDS", default = "10.0")]
    drain_timeout: f64,
    /// unfinished client messages held at most, all together (default: an eighth of the memory)
    #[argh(option, arg_name = "BYTES")]
    max_unfinished_size: Option<usize>,
    /// how long a client's message may take to arrive; `0`: for ever (default 120)
    #[argh(option, arg_name = "SECONDS", default = "120.0")]
    unfinished_timeout: f64,
    /// serve the page alone, for a gateway that runs elsewhere on this machine
    #[argh(switch)]
    page_only: bool,
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

impl Flags {
    /// What the gateway is told, but for where it meets the others.
    fn settings(&self, mut listen: Vec<Listen>, tls: Option<Acceptor>) -> Result<Settings, Refusal> {
        listen.iter_mut().for_each(|listen| listen.protocol.set_lenient_text(self.lenient_text));
        Ok(Settings {
            listen,
            tls,
            count: self.count,
            lan_ip: resolve_lan_ip(&self.lan_ip)?,
            start_port: self.start_port,
            ping_interval: seconds("--ping-interval", self.ping_interval)?,
            ping_not_response_limit: self.ping_not_response_limit,
            ping_data: self.ping_data.clone().into_bytes(),
            websocket_ping: self.websocket_ping,
            subprotocols: self.subprotocol.clone(),
            response_headers: self.response_header.clone(),
            drain_timeout: seconds("--drain-timeout", self.drain_timeout)?,
            max_unfinished_size: self.max_unfinished_size,
            unfinished_timeout: seconds("--unfinished-timeout", self.unfinished_timeout)?,
            ..Settings::default()
        })
    }

    fn meeting(&self) -> Result<Meeting, Refusal> {
        let wrong = |flag: &str, why: String| Refusal::Usage(format!("{flag}: {why}"));
        let secret_key = self.secret_key.clone();
        match (self.register_listen.clone(), &self.register_address) {
            (Some(_), Some(_)) => Err(Refusal::Usage(
                "--register-listen is for a register of our own, --register-address for others: one of them"
                    .to_owned(),
            )),
            (Some(listen), None) => {
                let listen =
                    address::register_listen(&listen).map_err(|why| wrong("--register-listen", why))?;
                Ok(Meeting::Served { listen: listen.to_string(), secret_key })
            }
            (None, Some(addresses)) => {
                let addresses =
                    address::registers(addresses).map_err(|why| wrong("--register-address", why))?;
                Ok(Meeting::Joined { addresses, secret_key })
            }
            (None, None) => Ok(Meeting::Private),
        }
    }
}

fn main() {
    let mut flags: Flags = program::parse("ringway");
    if let Some(Command::Status(StatusFlags { address })) = flags.command {
        return status::show(&address);
    }
    if flags.listen.is_empty() {
        flags.listen.push(DEFAULT_LISTEN.parse().expect("the default is an address to listen on"));
    }
    let listen = mem::take(&mut flags.listen).into_iter().map(ListenFlag::resolve).collect();
    let listen: Vec<Listen> = Result::unwrap_or_else(listen, |error: String| program::fail(error));
    let websocket = listen.iter().position(|listen| matches!(listen.protocol, ListenProtocol::Websocket(_)));
    let Some(websocket) = websocket else {
        program::misuse("the page needs a websocket: add --listen websocket://127.0.0.1:8282");
    };
    let shared = listen.iter().find(|listen| !flags.page_only && overlap(listen.address, flags.page));
    if let Some(listen) = shared {
        program::misuse(format_args!("--page {} and --listen {listen} are one port", flags.page));
    }
    if !flags.page_only
        && let Err(why) = program::check_machine()
    {
        program::fail(why);
    }
    let (certs, keys) = (mem::take(&mut flags.tls_cert), mem::take(&mut flags.tls_key));
    let tls = acceptor(certs, keys).unwrap_or_else(|error| Refusal::from(error).end());
    let shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    if tls.is_some() {
        shutdown.take_hangups();
    }
    let page = TcpListener::bind(flags.page).unwrap_or_else(|error| {
        program::fail(program::describe_bind_error(flags.page, &error).replace("--listen", "--page"))
    });
    if let Err(error) = run(flags, listen, tls, websocket, page, shutdown) {
        refusal(error).end();
    }
    program::finish();
}

/// What is wrong with the flags, or with the rest of the world.
fn refusal(error: Box<dyn std::error::Error>) -> Refusal {
    let other = match error.downcast::<StartError>() {
        Ok(error) => return (*error).into(),
        Err(other) => other,
    };
    match other.downcast::<Refusal>() {
        Ok(refusal) => *refusal,
        Err(other) => Refusal::Environment(other.to_string()),
    }
}

/// Runs until a signal. `websocket` is the index of the listener that the page connects to.
fn run(
    flags: Flags,
    listen: Vec<Listen>,
    tls: Option<Acceptor>,
    websocket: usize,
    page: TcpListener,
    mut shutdown: program::Shutdown,
) -> Result<(), Box<dyn std::error::Error>> {
    let url = format!("http://{}", reachable(page.local_addr()?));
    let Listen { mut address, tls: secured, .. } = listen[websocket];
    let settings = flags.settings(listen, tls)?;
    let meeting = flags.meeting()?;
    let cluster = if flags.page_only { None } else { Some(Cluster::start(settings, flags.app, meeting)?) };
    let ready = match &cluster {
        Some(cluster) => {
            address = cluster.listen()[websocket];
            format!("open {url} (websocket {address}, {})", cluster.describe())
        }
        None => format!("open {url} (the page alone; its websocket is port {})", address.port()),
    };
    let source = StatusSource::new(cluster.as_ref());
    let _admin = flags.admin.map(|address| status::serve(address, source.clone())).transpose()?;
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

/// Where clients connect when nothing else was asked for: this machine alone.
const DEFAULT_LISTEN: &str = "websocket://127.0.0.1:8282";
