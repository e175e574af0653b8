//! A gateway with a worker's core in each of its threads, and a register in this process, or others that it joins.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use gateway_core::protocol::InnerAuth;
use gateway_core::tls::{InnerTls, Mutual};
use gateway_core::{Gateway, GuestFactory, Settings, StartError};
use ringway_register::Register;
use ringway_worker::{Config, Events, Running, Worker};

use super::guest::CoreGuest;

/// Where gateway and worker find others, and are found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meeting {
    /// A register of our own that nobody else can use.
    Private,
    /// A register of our own, for others too.
    Served {
        /// HOST:PORT
        listen: String,
        /// What others must know.
        secret_key: String,
    },
    /// Registers that are there already.
    Joined {
        /// HOST:PORT each.
        addresses: Vec<String>,
        /// What they know.
        secret_key: String,
    },
}

/// A gateway and a worker in the same threads, running, and perhaps a register beside them. On the wire they are what programs
/// of their own would be.
pub struct Embedded {
    register: Option<ringway_register::Running>,
    gateway: Gateway,
    worker: Running,
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

impl Embedded {
    /// Starts the parts, the gateway with `settings` but for where the others are, and a core for each of its shards with
    /// `make_events`, which is called with the core's index from 0. Returns when `on_start` has ended on all of them and clients
    /// may connect; with a register of its own, when the cores have found each other, too.
    ///
    /// # Errors
    /// The first thing that is wrong; then nothing is left running.
    pub fn start<E: Events>(
        settings: Settings,
        meeting: Meeting,
        make_events: impl Fn(usize) -> E + Clone + Send + 'static,
    ) -> Result<Embedded, Box<dyn std::error::Error>> {
        if cfg!(panic = "abort") {
            let why = "panic = \"abort\" in the Cargo profile: a handler's panic would end the gateway, too; leave it away, \
                       or run the worker as a program of its own";
            return Err(StartError::Settings(why.to_owned()).into());
        }
        let Met { register, addresses, secret_key, is_public } =
            meet(meeting, settings.inner_auth, settings.inner_tls.as_ref().map(Mutual::files))?;
        let registers = if is_public { addresses.join(" ") } else { String::new() };
        let config = Config {
            count: settings.count,
            register_addresses: addresses.clone(),
            secret_key: secret_key.clone(),
            admin: settings.admin,
            inner_auth: settings.inner_auth,
            drain_timeout: settings.drain_timeout,
            ..Config::default()
        };
        let (worker, launches) = Worker::prepare(config)?;
        let launches: Vec<_> = launches.into_iter().map(Some).collect();
        let to_launch = Mutex::new((launches, make_events));
        let guests = GuestFactory::new(move |place| {
            let mut to_launch = to_launch.lock().unwrap_or_else(PoisonError::into_inner);
            let launch = to_launch.0[place.shard].take().expect("each shard has one guest, once");
            let make_events = to_launch.1.clone();
            drop(to_launch);
            CoreGuest::new(place, launch, make_events)
        });
        let gateway = Gateway::start(Settings {
            register_address: addresses,
            secret_key,
            guests: Some(guests),
            ..settings
        })?;
        if register.is_some() {
            worker.ready()?;
        }
        Ok(Embedded { register, gateway, worker, registers })
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The worker. Its cores end with the gateway's threads.
    pub fn worker(&self) -> &Running {
        &self.worker
    }

    /// The register, if it has one of its own.
    pub fn register(&self) -> Option<&ringway_register::Running> {
        self.register.as_ref()
    }

    /// Where clients connect, in the order asked, with the real ports.
    pub fn listen(&self) -> &[SocketAddr] {
        self.gateway.listen()
    }

    /// The same with their protocols, in one line.
    pub fn listen_urls(&self) -> String {
        self.gateway.listen_urls()
    }

    /// How many shards it has, and where other programs find it.
    pub fn describe(&self) -> String {
        let count = self.gateway.shard_count();
        let shards = if count == 1 { "1 shard".to_owned() } else { format!("{count} shards") };
        if self.registers.is_empty() { shards } else { format!("{shards}, register {}", self.registers) }
    }

    /// Ends all parts. First the gateway leaves its registers and closes its clients, whose handlers run; then the cores hand
    /// over the clients of other gateways, let handlers that still run finish, for [`Settings::drain_timeout`] once more at most,
    /// and `on_stop`, and send what is queued.
    ///
    /// # Errors
    /// The register did not end well.
    pub fn stop(self) -> io::Result<()> {
        self.gateway.stop();
        self.worker.stop()?;
        self.register.map_or(Ok(()), ringway_register::Running::stop)
    }
}

/// Starts the register of our own, if there is to be one.
fn meet(
    meeting: Meeting,
    inner_auth: InnerAuth,
    inner_tls: Option<&InnerTls>,
) -> Result<Met, Box<dyn std::error::Error>> {
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
        inner_auth,
        inner_tls_ca: inner_tls.map(|files| files.ca.clone()),
        inner_tls_cert: inner_tls.map(|files| files.cert.clone()),
        inner_tls_key: inner_tls.map(|files| files.key.clone()),
        ..ringway_register::Config::default()
    };
    let register =
        Register::start(config).map_err(|why| why.to_string().replace("--listen", "--register-listen"))?;
    let addresses = vec![reachable(register.addr()).to_string()];
    Ok(Met { register: Some(register), addresses, secret_key, is_public })
}

/// An address at which programs on this machine reach what listens there.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let localhost: SocketAddr = ([127, 0, 0, 1], address.port()).into();
        address = localhost;
    }
    address
}

/// A key that nobody else on this machine knows: loopback ports are open to all its users.
fn random_key() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
