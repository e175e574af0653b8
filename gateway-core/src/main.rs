//! The program `gateway`.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};

use admin::{Address, Admin};
use argh::{ArgsInfo, FromArgs};
use gateway_core::{
    Certificates, Gateway, ListenFlag, ResponseHeader, Router, Settings, SlowClient, Steer, Subprotocol,
    acceptor, resolve, resolve_lan_ip,
};
use program::{Refusal, seconds};
use protocol::address::{self, Host};
use protocol::client::websocket::DefaultType;

#[global_allocator]
static ALLOCATOR: program::Allocator = program::Allocator;

/// Holds clients and moves bytes between them and workers.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "{command_name} --listen websocket://0.0.0.0:8282 --register-address 127.0.0.1:1236",
    note = "The listening schemes are websocket, text, frame and tcp, and with TLS wss, ssl+text, ssl+frame and ssl+tcp."
)]
struct Flags {
    /// where clients connect: `websocket`, `text`, `frame` or `tcp`, with TLS `wss`, `ssl+text`, `ssl+frame` or `ssl+tcp`; the host is an address, a name or `*`; may be given several times
    #[argh(option, arg_name = "SCHEME://HOST:PORT")]
    listen: Vec<ListenFlag>,
    /// certificate for TLS (PEM, its own first); several: chosen by the name that a client asks for (default: none)
    #[argh(option, arg_name = "FILE")]
    tls_cert: Vec<String>,
    /// private key (PEM) of the certificate at the same place (default: in the certificate's file)
    #[argh(option, arg_name = "FILE")]
    tls_key: Vec<String>,
    /// shards, each a thread pinned to a CPU (default: one per CPU)
    #[argh(option, arg_name = "N")]
    count: Option<usize>,
    /// address (IPv4, or a name that has one) under which workers reach this machine (default 127.0.0.1)
    #[argh(option, arg_name = "HOST", default = "Host::Ip(Ipv4Addr::LOCALHOST.into())")]
    lan_ip: Host,
    /// inner port of the first shard; the others follow (default 2900)
    #[argh(option, arg_name = "PORT", default = "2900")]
    start_port: u16,
    /// where the inner ports listen (default: `lan-ip`, or `0.0.0.0` if that is public)
    #[argh(option, arg_name = "HOST")]
    inner_listen: Option<Host>,
    /// registers (default 127.0.0.1:1236)
    #[argh(option, arg_name = "HOST:PORT[,…]", default = "String::from(\"127.0.0.1:1236\")")]
    register_address: String,
    /// what register and workers must know (default: none)
    #[argh(option, arg_name = "K", default = "String::new()")]
    secret_key: String,
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
    /// how a client gets its worker: `least-connections` or `random` (default least-connections)
    #[argh(option, arg_name = "R", default = "Router::default()")]
    router: Router,
    /// how a client gets its shard: `even`, by lot, or `cpu`, the one on the CPU that received it (default even)
    #[argh(option, arg_name = "S", default = "Steer::default()")]
    steer: Steer,
    /// outgoing messages whose type nobody said: `auto`, `text` or `binary` (default auto)
    #[argh(option, arg_name = "T", default = "DefaultType::default()")]
    websocket_type: DefaultType,
    /// text frames of websocket clients that are not UTF-8 are passed on, as by PHP, instead of ending the client with 1007
    #[argh(switch)]
    lenient_text: bool,
    /// websocket subprotocol that clients may choose; several: the first of these that a client offers (default: none)
    #[argh(option, arg_name = "NAME")]
    subprotocol: Vec<Subprotocol>,
    /// header of the answer to websocket handshakes; may be given several times (default: none)
    #[argh(option, arg_name = "'NAME: VALUE'")]
    response_header: Vec<ResponseHeader>,
    /// name in logs (default gateway)
    #[argh(option, arg_name = "NAME", default = "String::from(\"gateway\")")]
    name: String,
    /// largest client message (default 10485760)
    #[argh(option, arg_name = "BYTES", default = "10_485_760")]
    max_package_size: usize,
    /// unfinished client messages held at most, all together (default: an eighth of the memory)
    #[argh(option, arg_name = "BYTES")]
    max_unfinished_size: Option<usize>,
    /// how long a client's message may take to arrive; `0`: for ever (default 120)
    #[argh(option, arg_name = "SECONDS", default = "120.0")]
    unfinished_timeout: f64,
    /// queued for a client from which on it is slow (default 1024000)
    #[argh(option, arg_name = "BYTES", default = "1_024_000")]
    send_to_client_buffer_size: usize,
    /// what happens when a message is for a slow client: `drop` it or `close` the client (default drop)
    #[argh(option, arg_name = "S", default = "SlowClient::default()")]
    slow_client: SlowClient,
    /// queued for a worker from which on its clients wait (default 10240000)
    #[argh(option, arg_name = "BYTES", default = "10_240_000")]
    send_to_worker_buffer_size: usize,
    /// where `ringway status` may ask how things are (default: none)
    #[argh(option, arg_name = "[IP:]PORT")]
    admin: Option<Address>,
    /// how long events wait when there is no worker (default 5)
    #[argh(option, arg_name = "SECONDS", default = "5.0")]
    no_worker_wait: f64,
    /// over how long a stop spreads the closing of many clients (default 10)
    #[argh(option, arg_name = "SECONDS", default = "10.0")]
    drain_timeout: f64,
}

impl Flags {
    fn settings(self) -> Result<Settings, Refusal> {
        // What is wrong with the flags themselves goes before what the machine says to them.
        let ping_interval = seconds("--ping-interval", self.ping_interval)?;
        let no_worker_wait = seconds("--no-worker-wait", self.no_worker_wait)?;
        let drain_timeout = seconds("--drain-timeout", self.drain_timeout)?;
        let register_address = address::registers(&self.register_address)
            .map_err(|why| Refusal::Usage(format!("--register-address: {why}")))?;
        let listen = self.listen.into_iter().map(ListenFlag::resolve).collect::<Result<Vec<_>, _>>();
        let mut listen = listen.map_err(Refusal::Environment)?;
        for listen in &mut listen {
            listen.protocol.set_websocket_type(self.websocket_type);
            listen.protocol.set_lenient_text(self.lenient_text);
        }
        Ok(Settings {
            listen,
            tls: acceptor(self.tls_cert, self.tls_key)?,
            count: self.count.unwrap_or_else(program::cpus),
            lan_ip: resolve_lan_ip(&self.lan_ip)?,
            start_port: self.start_port,
            inner_listen: self.inner_listen.map(|host| inner_ip(&host)).transpose()?,
            register_address,
            secret_key: self.secret_key,
            ping_interval,
            ping_not_response_limit: self.ping_not_response_limit,
            ping_data: self.ping_data.into_bytes(),
            websocket_ping: self.websocket_ping,
            subprotocols: self.subprotocol,
            response_headers: self.response_header,
            router: self.router,
            steer: self.steer,
            name: self.name,
            max_package_size: self.max_package_size,
            max_unfinished_size: self.max_unfinished_size,
            unfinished_timeout: seconds("--unfinished-timeout", self.unfinished_timeout)?,
            send_to_client_buffer_size: self.send_to_client_buffer_size,
            send_to_worker_buffer_size: self.send_to_worker_buffer_size,
            no_worker_wait,
            drain_timeout,
            slow_client: self.slow_client,
            ..Settings::default()
        })
    }
}

fn main() {
    let flags: Flags = program::parse("gateway");
    if let Err(why) = program::check_machine() {
        program::fail(why);
    }
    let mut shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let (admin, name) = (flags.admin, flags.name.clone());
    let settings = flags.settings().unwrap_or_else(|refusal| refusal.end());
    let schemes: Vec<&str> = settings.listen.iter().map(|listen| listen.scheme()).collect();
    let gateway = Gateway::start(settings).unwrap_or_else(|error| Refusal::from(error).end());
    let listen: Vec<String> = schemes
        .iter()
        .zip(gateway.listen())
        .map(|(scheme, address)| format!("{scheme}://{address}"))
        .collect();
    let listen = listen.join(" ");
    let _admin = admin.map(|address| {
        let (source, name, listen) = (gateway.status_source(), name.clone(), listen.clone());
        let clock = program::Uptime::start();
        Admin::serve(address, move || gateway_core::report(&source, &name, &listen, clock.elapsed()))
            .unwrap_or_else(|error| {
                program::fail(program::describe_bind_error(address.0, &error).replace("--listen", "--admin"))
            })
    });
    let certificates = gateway.certificates();
    if certificates.is_some() {
        shutdown.take_hangups();
    }
    program::ready(format_args!("{} ({} shards)", listen, gateway.shard_count()));
    shutdown.wait_and_reload(|| certificates.iter().for_each(Certificates::reload));
    gateway.stop();
    program::finish();
}

fn inner_ip(host: &Host) -> Result<IpAddr, Refusal> {
    resolve(host).map_err(|error| Refusal::Environment(format!("--inner-listen {host}: {error}")))
}
