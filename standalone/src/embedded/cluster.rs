//! A register, a gateway and a worker in this process, joined by ports of which nobody has to choose one; or the last two,
//! with a register elsewhere.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;

use gateway_core::{Gateway, Listen, Settings};
use ringway_apps::App;
use ringway_apps::chat::Chat;
use ringway_apps::echo::Echo;
use ringway_register::Register;
use ringway_worker::{Config, Worker};

/// Where gateway and worker find each other, and others find them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Meeting {
    /// A register of our own that nobody else can use.
    Private,
    /// A register of our own, for others too.
    Served {
        /// HOST:PORT
        listen: String,
        secret_key: String,
    },
    /// Registers that are there already.
    Joined { addresses: Vec<String>, secret_key: String },
}

/// The parts, running. They speak to each other as programs of their own would.
pub(crate) struct Cluster {
    /// `None` where a register elsewhere was joined.
    pub register: Option<ringway_register::Running>,
    pub gateway: Gateway,
    pub worker: ringway_worker::Running,
    schemes: Vec<String>,
    /// Where others meet it; empty if nowhere.
    registers: String,
}

/// What is known before gateway and worker start.
struct Met {
    register: Option<ringway_register::Running>,
    addresses: Vec<String>,
    secret_key: String,
    is_public: bool,
}

impl Cluster {
    /// Starts the parts, the gateway with `settings` but for where the others are. With a register of its own it returns when
    /// the worker has found the gateway; whether one that it joins is there, nobody waits for here.
    pub(crate) fn start(
        settings: Settings,
        app: App,
        meeting: Meeting,
    ) -> Result<Cluster, Box<dyn std::error::Error>> {
        let (schemes, count) = (settings.listen.iter().map(Listen::scheme).collect(), settings.count);
        let Met { register, addresses, secret_key, is_public } = meet(meeting)?;
        let registers = if is_public { addresses.join(" ") } else { String::new() };
        let gateway = Gateway::start(Settings {
            register_address: addresses.clone(),
            secret_key: secret_key.clone(),
            ..settings
        })?;
        let config = Config {
            count,
            cpus: cpus_behind(count),
            register_addresses: addresses,
            secret_key,
            ..Config::default()
        };
        let worker = match app {
            App::Chat => Worker::start(config, |_core| Chat::default()),
            App::Echo => Worker::start(config, |_core| Echo),
        }?;
        if register.is_some() {
            worker.ready()?;
        }
        Ok(Cluster { register, gateway, worker, schemes, registers })
    }

    /// Where clients connect, in the order asked, with the real ports.
    pub(crate) fn listen(&self) -> &[SocketAddr] {
        self.gateway.listen()
    }

    /// The same with their protocols, in one line.
    pub(crate) fn listen_urls(&self) -> String {
        let urls = self.schemes.iter().zip(self.listen());
        urls.map(|(scheme, address)| format!("{scheme}://{address}")).collect::<Vec<_>>().join(" ")
    }

    /// How many shards it has, and where other programs find it.
    pub(crate) fn describe(&self) -> String {
        let count = self.gateway.shard_count();
        let shards = if count == 1 { "1 shard".to_owned() } else { format!("{count} shards") };
        if self.registers.is_empty() { shards } else { format!("{shards}, register {}", self.registers) }
    }

    /// Ends all parts, the gateway first, so that clients are told.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.gateway.stop();
        self.worker.stop()?;
        self.register.map_or(Ok(()), ringway_register::Running::stop)
    }
}

/// Starts the register of our own, if there is to be one.
fn meet(meeting: Meeting) -> Result<Met, Box<dyn std::error::Error>> {
    let is_public = meeting != Meeting::Private;
    let (listen, secret_key) = match meeting {
        Meeting::Private => ("127.0.0.1:0".to_owned(), random_key()?),
        Meeting::Served { listen, secret_key } => (listen, secret_key),
        Meeting::Joined { addresses, secret_key } => {
            return Ok(Met { register: None, addresses, secret_key, is_public });
        }
    };
    let config = ringway_register::Config {
        listen,
        secret_key: secret_key.clone(),
        ..ringway_register::Config::default()
    };
    let register =
        Register::start(config).map_err(|why| why.to_string().replace("--listen", "--register-listen"))?;
    let addresses = vec![reachable(register.addr()).to_string()];
    Ok(Met { register: Some(register), addresses, secret_key, is_public })
}

/// An address at which programs on this machine reach what listens there.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let localhost: SocketAddr = ([127, 0, 0, 1], address.port()).into();
        address = localhost;
    }
    address
}

/// The worker's CPUs begin where the shards' end, so that few of both do not share one.
fn cpus_behind(shard_count: usize) -> Vec<usize> {
    let mut cpus = program::cpu_order();
    let behind = shard_count % cpus.len();
    cpus.rotate_left(behind);
    cpus
}

/// A key that nobody else on this machine knows: loopback ports are open to all its users.
fn random_key() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
