//! What an operator sets by flags, and what a gateway is started with because of it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;
use program::Refusal;
use protocol::address::{self, Host};
use protocol::client::websocket::DefaultType;
use protocol::{InnerAuth, Nonces};

use crate::jwt::{Rules, Sources, Verifier};
use crate::{
    AllowedOrigin, ClientLimits, ForwardedHeader, HooksFactory, ListenFlag, Networks, OverLimit, Rate,
    ResponseHeader, Router, Settings, SlowClient, StartError, Steer, Subprotocol, acceptor, mutual, resolve,
    resolve_lan_ip,
};

/// The flags of a gateway, with GatewayWorker's names and defaults: those of the program `gateway`, and part of those of
/// `ringway`.
#[derive(FromArgs, argh::ArgsInfo, Clone, Debug)]
#[argh(description = "What every gateway takes.")]
pub struct Options {
    /// where clients connect; the host is an address, a name or `*`; may be given several times
    #[argh(option, arg_name = "SCHEME://HOST:PORT")]
    pub listen: Vec<ListenFlag>,
    /// certificate for TLS (PEM, its own first); several: by the name asked for (default: none)
    #[argh(option, arg_name = "FILE")]
    pub tls_cert: Vec<String>,
    /// key (PEM) of the certificate at the same place (default: in the certificate's file)
    #[argh(option, arg_name = "FILE")]
    pub tls_key: Vec<String>,
    /// who vouches for clients' own certificates (PEM), without which none gets in (default: they need none)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// shards, a thread each; of `ringway` the worker's cores too (default: one per CPU)
    #[argh(option, arg_name = "N", default = "program::cpus()")]
    pub count: usize,
    /// address or name (IPv4) by which workers reach this machine (default 127.0.0.1)
    #[argh(option, arg_name = "HOST", default = "Host::Ip(Ipv4Addr::LOCALHOST.into())")]
    pub lan_ip: Host,
    /// inner port of the first shard; the others follow (default 2900)
    #[argh(option, arg_name = "PORT", default = "2900")]
    pub start_port: u16,
    /// where the inner ports listen (default: `lan-ip`, or `0.0.0.0` if that is public)
    #[argh(option, hidden_help, arg_name = "HOST")]
    pub inner_listen: Option<Host>,
    /// registers (default: 127.0.0.1:1236; of `ringway` one of its own)
    #[argh(option, arg_name = "HOST:PORT[,…]")]
    pub register_address: Option<String>,
    /// what register and workers must know (default: none)
    #[argh(option, arg_name = "K", default = "String::new()")]
    pub secret_key: String,
    /// file with that secret, alone on a line (default: none)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// how register, workers and gateways show it: `plain`, said as it is, or `challenge`, proven (default plain)
    #[argh(option, hidden_help, arg_name = "A", default = "InnerAuth::default()")]
    pub inner_auth: InnerAuth,
    /// serve the inner ports on a public address to whoever comes, without a secret key
    #[argh(switch, hidden_help)]
    pub no_secret_key: bool,
    /// TLS between programs: who vouches for their certificates (PEM), none but the cluster's (default: plain TCP)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_ca: Option<PathBuf>,
    /// this program's own certificate for it (PEM, its own first; default: none)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_cert: Option<PathBuf>,
    /// the certificate's key (PEM; default: none)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_key: Option<PathBuf>,
    /// heartbeat period; 0: off (default 0)
    #[argh(option, arg_name = "SECONDS", default = "Duration::ZERO", from_str_fn(program::seconds))]
    pub ping_interval: Duration,
    /// unanswered periods until a silent client is closed; 0: never (default 0)
    #[argh(option, arg_name = "N", default = "0")]
    pub ping_not_response_limit: u32,
    /// what a silent client is sent (default: none)
    #[argh(option, arg_name = "TEXT", default = "String::new()")]
    pub ping_data: String,
    /// websocket pings instead of `--ping-data` for websocket clients
    #[argh(switch)]
    pub websocket_ping: bool,
    /// a client's worker: by `least-connections` or `random` (default least-connections)
    #[argh(option, arg_name = "R", default = "Router::default()")]
    pub router: Router,
    /// a client's shard: `even`, by lot, or `cpu`, where it was received (default even)
    #[argh(option, hidden_help, arg_name = "S", default = "Steer::default()")]
    pub steer: Steer,
    /// outgoing messages whose type nobody said: `auto`, `text` or `binary` (default auto)
    #[argh(option, hidden_help, arg_name = "T", default = "DefaultType::default()")]
    pub websocket_type: DefaultType,
    /// pass on websocket text that is not UTF-8, as PHP does, instead of closing with 1007
    #[argh(switch, hidden_help)]
    pub lenient_text: bool,
    /// compress messages of websocket clients that want it (permessage-deflate)
    #[argh(switch)]
    pub compression: bool,
    /// how hard to compress: from 1, fast, to 9, small (default 1)
    #[argh(option, hidden_help, arg_name = "N", default = "1", from_str_fn(compression_level))]
    pub compression_level: u32,
    /// size from which on a message is compressed (default 256)
    #[argh(option, hidden_help, arg_name = "BYTES", default = "256")]
    pub compress_min_size: usize,
    /// largest message that a compressed one of a client may inflate to (default: as `--max-package-size`)
    #[argh(option, hidden_help, arg_name = "BYTES")]
    pub max_inflated_size: Option<usize>,
    /// websocket subprotocol on offer; several: the first that a client wants (default: none)
    #[argh(option, arg_name = "NAME")]
    pub subprotocol: Vec<Subprotocol>,
    /// header of websocket answers; may be given several times (default: none)
    #[argh(option, arg_name = "'NAME: VALUE'")]
    pub response_header: Vec<ResponseHeader>,
    /// origin whose pages may open websockets, or `https://*.NAME`; may be given several times (default: all)
    #[argh(option, arg_name = "ORIGIN")]
    pub allow_origin: Vec<AllowedOrigin>,
    /// whose tokens let websockets in: a public key (PEM), JSON Web Keys or an HS256 secret (default: all may come)
    #[argh(option, arg_name = "FILE")]
    pub jwt_key: Option<String>,
    /// where tokens stand: `header`, `query:NAME`, `cookie:NAME`, `subprotocol` (default header,query:token)
    #[argh(option, hidden_help, arg_name = "PLACE[,…]", default = "Sources::default()")]
    pub jwt_from: Sources,
    /// who may have made tokens (`iss`); may be given several times (default: anybody who has the key)
    #[argh(option, hidden_help, arg_name = "NAME")]
    pub jwt_issuer: Vec<String>,
    /// whom tokens have to be for (`aud`); may be given several times (default: anybody)
    #[argh(option, hidden_help, arg_name = "NAME")]
    pub jwt_audience: Vec<String>,
    /// bind clients to the `sub` of their tokens as their uid
    #[argh(switch, hidden_help)]
    pub jwt_bind_sub: bool,
    /// let clients in by tokens without `exp`, too, which are good for ever
    #[argh(switch, hidden_help)]
    pub jwt_exp_optional: bool,
    /// proxies that are believed for whom they speak (default: none)
    #[argh(option, arg_name = "CIDR[,…]", default = "Networks::default()")]
    pub trusted_proxies: Networks,
    /// connections of `--trusted-proxies` begin with a PROXY header, version 1 or 2
    #[argh(switch)]
    pub proxy_protocol: bool,
    /// where those say for whom they speak: `x-forwarded-for`, `forwarded` or `x-real-ip` (default: none)
    #[argh(option, arg_name = "H")]
    pub forwarded_header: Option<ForwardedHeader>,
    /// name in logs (default gateway)
    #[argh(option, arg_name = "NAME", default = "String::from(\"gateway\")")]
    pub name: String,
    /// clients at most, of all shards together (default: no limit)
    #[argh(option, hidden_help, arg_name = "N", from_str_fn(at_least_one))]
    pub max_clients: Option<usize>,
    /// clients of each shard at most (default: no limit)
    #[argh(option, hidden_help, arg_name = "N", from_str_fn(at_least_one))]
    pub max_clients_per_shard: Option<usize>,
    /// clients of one address at most, of IPv6 of a /64, of all shards together (default: no limit)
    #[argh(option, hidden_help, arg_name = "N", from_str_fn(at_least_one))]
    pub max_clients_per_address: Option<usize>,
    /// clients that may come from such an address in a second, and at once (default: no limit)
    #[argh(option, hidden_help, arg_name = "N[:BURST]")]
    pub handshakes_per_address: Option<Rate>,
    /// messages of each client in a second, and at once (default: no limit)
    #[argh(option, hidden_help, arg_name = "N[:BURST]")]
    pub messages_per_second: Option<Rate>,
    /// bytes received from each client in a second, and at once (default: no limit)
    #[argh(option, hidden_help, arg_name = "N[:BURST]")]
    pub bytes_per_second: Option<Rate>,
    /// a client that sends more than these two allow: `pause` until it may, or `close` (default pause)
    #[argh(option, hidden_help, arg_name = "O", default = "OverLimit::default()")]
    pub over_limit: OverLimit,
    /// how long a client may be without a uid after it came; `0`: for ever (default 0)
    #[argh(
        option,
        hidden_help,
        arg_name = "SECONDS",
        default = "Duration::ZERO",
        from_str_fn(program::seconds)
    )]
    pub bind_timeout: Duration,
    /// largest client message (default 10485760)
    #[argh(option, arg_name = "BYTES", default = "10_485_760")]
    pub max_package_size: usize,
    /// frames of one websocket message at most (default: no limit)
    #[argh(option, hidden_help, arg_name = "N", from_str_fn(at_least_one))]
    pub max_fragments: Option<usize>,
    /// largest request of a websocket, its headers and all (default 65536)
    #[argh(option, hidden_help, arg_name = "BYTES", default = "65_536")]
    pub max_header_size: usize,
    /// unfinished client messages held at most, all together (default: an eighth of the memory)
    #[argh(option, hidden_help, arg_name = "BYTES")]
    pub max_unfinished_size: Option<usize>,
    /// how long a client's message may take to arrive; `0`: for ever (default 120)
    #[argh(
        option,
        hidden_help,
        arg_name = "SECONDS",
        default = "Duration::from_secs(120)",
        from_str_fn(program::seconds)
    )]
    pub unfinished_timeout: Duration,
    /// queued for a client from which on it is slow (default 1024000)
    #[argh(option, arg_name = "BYTES", default = "1_024_000")]
    pub send_to_client_buffer_size: usize,
    /// a slow client's messages: `drop` them, or `close` the client (default drop)
    #[argh(option, arg_name = "S", default = "SlowClient::default()")]
    pub slow_client: SlowClient,
    /// queued for a worker from which on its clients wait (default 10240000)
    #[argh(option, hidden_help, arg_name = "BYTES", default = "10_240_000")]
    pub send_to_worker_buffer_size: usize,
    /// how long events wait when there is no worker (default 5)
    #[argh(option, arg_name = "SECONDS", default = "Duration::from_secs(5)", from_str_fn(program::seconds))]
    pub no_worker_wait: Duration,
    /// over how long a stop spreads the closing of many clients (default 10)
    #[argh(option, arg_name = "SECONDS", default = "Duration::from_secs(10)", from_str_fn(program::seconds))]
    pub drain_timeout: Duration,
    /// where it takes orders: cordon, uncordon, drain; a Unix socket (default: none)
    #[argh(option, arg_name = "FILE")]
    pub control: Option<PathBuf>,
    /// how long a cordoned gateway still takes new clients (default 10)
    #[argh(
        option,
        hidden_help,
        arg_name = "SECONDS",
        default = "Duration::from_secs(10)",
        from_str_fn(program::seconds)
    )]
    pub cordon_delay: Duration,
    /// path at which websocket listeners tell load balancers whether to send clients, such as /healthz (default: none)
    #[argh(option, hidden_help, arg_name = "PATH", from_str_fn(health_path))]
    pub health_path: Option<String>,
    /// how long an idle shard looks for work before it sleeps, at most 1000000 (default 0)
    #[argh(
        option,
        hidden_help,
        arg_name = "MICROSECONDS",
        default = "Duration::ZERO",
        from_str_fn(program::microseconds)
    )]
    pub busy_poll: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options::from_args(&["gateway"], &[]).expect("every flag has a default")
    }
}

impl Options {
    /// What register and workers must know; empty: nothing.
    ///
    /// # Errors
    /// It is said and stands in a file, too; or the file has no secret; or there is none to be proven.
    pub fn secret_key(&self) -> Result<String, Refusal> {
        let key = program::secret("secret-key", &self.secret_key, self.secret_key_file.as_deref())?;
        self.inner_auth.check(&key).map_err(Refusal::Usage)?;
        Ok(key)
    }

    /// What a gateway is started with: names are looked up, and certificates loaded.
    ///
    /// # Errors
    /// A value that cannot be, or what is not there.
    pub fn settings(self) -> Result<Settings, Refusal> {
        let secret_key = self.secret_key()?;
        // What is wrong with the flags themselves goes before what the machine says to them.
        let registers = self.register_address.as_deref().unwrap_or(REGISTER_ADDRESS);
        let register_address = address::registers(registers)
            .map_err(|why| Refusal::Usage(format!("--register-address: {why}")))?;
        let (jwt, client_limits) = (self.verifier()?, self.client_limits());
        let listen = self.listen.into_iter().map(ListenFlag::resolve).collect::<Result<Vec<_>, _>>();
        let mut listen = listen.map_err(Refusal::Environment)?;
        for listen in &mut listen {
            listen.protocol.set_websocket_type(self.websocket_type);
            listen.protocol.set_lenient_text(self.lenient_text);
            listen.protocol.set_compression(self.compression);
        }
        Ok(Settings {
            client_limits,
            client_counts: None,
            listen,
            jwt,
            tls: acceptor(self.tls_cert, self.tls_key, self.tls_client_ca)?,
            count: self.count,
            lan_ip: resolve_lan_ip(&self.lan_ip)?,
            start_port: self.start_port,
            inner_listen: self.inner_listen.map(|host| inner_ip(&host)).transpose()?,
            register_address,
            secret_key,
            no_secret_key: self.no_secret_key,
            inner_auth: self.inner_auth,
            nonces: Nonces::default(),
            inner_tls: mutual(self.inner_tls_ca, self.inner_tls_cert, self.inner_tls_key)?,
            ping_interval: self.ping_interval,
            ping_not_response_limit: self.ping_not_response_limit,
            ping_data: self.ping_data.into_bytes(),
            websocket_ping: self.websocket_ping,
            subprotocols: self.subprotocol,
            response_headers: self.response_header,
            allow_origins: self.allow_origin,
            trusted_proxies: self.trusted_proxies,
            proxy_protocol: self.proxy_protocol,
            forwarded_header: self.forwarded_header,
            router: self.router,
            steer: self.steer,
            name: self.name,
            max_package_size: self.max_package_size,
            max_fragments: self.max_fragments,
            max_header_size: self.max_header_size,
            max_unfinished_size: self.max_unfinished_size,
            unfinished_timeout: self.unfinished_timeout,
            send_to_client_buffer_size: self.send_to_client_buffer_size,
            send_to_worker_buffer_size: self.send_to_worker_buffer_size,
            no_worker_wait: self.no_worker_wait,
            drain_timeout: self.drain_timeout,
            admin: None,
            control: self.control,
            cordon_delay: self.cordon_delay,
            health_path: self.health_path,
            busy_poll: self.busy_poll,
            compression_level: self.compression_level,
            compress_min_size: self.compress_min_size,
            max_inflated_size: self.max_inflated_size,
            slow_client: self.slow_client,
            sockets_max: None,
            hooks: HooksFactory::default(),
            guests: None,
        })
    }
}

impl Options {
    fn client_limits(&self) -> ClientLimits {
        ClientLimits {
            clients_max: self.max_clients,
            shard_clients_max: self.max_clients_per_shard,
            address_clients_max: self.max_clients_per_address,
            address_handshakes: self.handshakes_per_address,
            messages: self.messages_per_second,
            bytes: self.bytes_per_second,
            over_limit: self.over_limit,
            bind_timeout: self.bind_timeout,
        }
    }

    /// What checks tokens, if any are asked for.
    fn verifier(&self) -> Result<Option<Verifier>, Refusal> {
        let rules = Rules {
            sources: self.jwt_from.clone(),
            issuers: self.jwt_issuer.clone(),
            audiences: self.jwt_audience.clone(),
            is_exp_optional: self.jwt_exp_optional,
            binds_sub: self.jwt_bind_sub,
        };
        match &self.jwt_key {
            Some(file) => Ok(Some(Verifier::load(file.clone(), rules).map_err(StartError::from)?)),
            None if rules != Rules::default() => Err(Refusal::Usage(
                "a --jwt-… flag without --jwt-key: say whose tokens let clients in".to_owned(),
            )),
            None => Ok(None),
        }
    }
}

impl Default for Settings {
    /// Those of the flags, with one shard and nowhere to listen.
    fn default() -> Settings {
        let settings = Options { count: 1, ..Options::default() }.settings();
        settings.expect("no default has a name to look up or a file to read")
    }
}

fn inner_ip(host: &Host) -> Result<IpAddr, Refusal> {
    resolve(host).map_err(|error| Refusal::Environment(format!("--inner-listen {host}: {error}")))
}

/// A level of zlib's.
fn compression_level(text: &str) -> Result<u32, String> {
    let level = text.parse().ok().filter(|level| (1..=9).contains(level));
    level.ok_or_else(|| "expected a number from 1 to 9".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "not a number from 1 on".to_owned())
}

/// A path as a request line has it.
fn health_path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?');
    match is_path && text.len() <= HEALTH_PATH_SIZE_MAX {
        true => Ok(text.to_owned()),
        false => Err("not a path such as /healthz".to_owned()),
    }
}

/// The longest path for load balancers, in bytes.
const HEALTH_PATH_SIZE_MAX: usize = 256;

/// The default of `--register-address`.
const REGISTER_ADDRESS: &str = "127.0.0.1:1236";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flags_say_of_their_defaults_is_so() {
        program::check_defaults::<Options>();
    }
}
