//! The glue: shards on `uring` and glommio, one thread each.
//!
//! * [`check`]: what is wrong before anything is tried.
//! * [`bind`]: all ports, before any thread starts, so that nothing is half up.
//! * [`pump`]: one shard's loop between its ring and its [`crate::Shard`]; [`sink`]: where its turns take effect.
//! * [`register_link`]: a shard's registration.
//! * [`control`]: the control socket.
//! * [`files`]: certificates and keys that are read again while it runs.
//! * [`groups`]: the largest groups of a shard.
//! * [`worker_log`]: what is logged of workers.

mod bind;
mod check;
mod control;
mod files;
mod groups;
mod pump;
mod register_link;
mod sink;
mod worker_log;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use admin::{Instance, NoAnswer, Order, Part};
use crossbeam_channel::{Receiver, RecvError, Sender};
use glommio::ExecutorJoinHandle;
use tracing::{error, info, warn};
use uring::Waker;

use self::bind::ShardSockets;
pub use self::control::give as give_order;
use self::control::{ControlSocket, Orders, ShardOrder, Standing};
pub use self::files::Files;
use self::groups::Groups;
use self::pump::Pump;
use self::register_link::RegisterLog;
use self::worker_log::WorkerLog;
use crate::config::UNFINISHED_MEMORY_DIVISOR;
use crate::shard::LargestGroups;
use crate::{ClientCounts, Counters, Listen, Settings, Status, Steer, jwt, status};

/// A gateway: as many shards as `Settings::count`, in this process.
pub struct Gateway {
    name: String,
    shards: Vec<ShardHandle>,
    listen: Vec<SocketAddr>,
    /// By listener, as their flags begin.
    schemes: Vec<String>,
    tls: Option<tls::Acceptor>,
    inner_tls: Option<tls::Mutual>,
    jwt: Option<jwt::Verifier>,
    orders: Arc<Orders>,
    control: Option<ControlSocket>,
}

/// A shard that serves.
struct ShardHandle {
    control: ShardControl,
    thread: ExecutorJoinHandle<Counters>,
}

/// A shard whose thread has begun.
struct StartingShard {
    commands: Sender<Control>,
    /// How to wake it, or why it does not serve.
    started: Receiver<Result<Waker, StartError>>,
    thread: ExecutorJoinHandle<Counters>,
}

/// How to tell a shard something, from any thread.
#[derive(Clone)]
struct ShardControl {
    commands: Sender<Control>,
    waker: Waker,
}

/// What the control thread tells a shard.
enum Control {
    /// Say how things are.
    Status(SyncSender<Status>),
    /// Serve clients that come from now on with these.
    Certificates(tls::Acceptor),
    /// Connect with other programs from now on by these.
    InnerTls(tls::Mutual),
    /// Check tokens of clients that come from now on by these.
    TokenKeys(jwt::Verifier),
    /// Let clients in, who connect here, in the order of `Settings::listen`.
    LetIn(Vec<TcpListener>),
    /// Look at some more groups, and say what was found and whether that was all.
    Groups(LargestGroups, SyncSender<(LargestGroups, bool)>),
    /// Take new clients or not, and say how many there are.
    Order(ShardOrder, SyncSender<usize>),
    Stop,
}

/// Why a gateway does not start, as one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error("{0}")]
    Bind(String),
    /// The ring cannot be had.
    #[error(transparent)]
    Ring(#[from] uring::SetupError),
    /// The thread or its executor cannot be had.
    #[error("cannot start a shard: {0}")]
    Executor(#[from] io::Error),
    /// The control socket cannot be had.
    #[error("{0}")]
    Control(String),
    /// A certificate or a key cannot be had.
    #[error(transparent)]
    Certificate(#[from] tls::CertificateError),
    /// The keys of tokens cannot be had.
    #[error(transparent)]
    TokenKeys(#[from] jwt::KeyError),
    /// A setting that cannot be.
    #[error("{0}")]
    Settings(String),
}

impl From<StartError> for program::Refusal {
    fn from(error: StartError) -> program::Refusal {
        match error {
            StartError::Settings(why) => program::Refusal::Usage(why),
            error => program::Refusal::Environment(error.to_string()),
        }
    }
}

/// What the flags `--tls-cert`, `--tls-key` and `--tls-client-ca` name; `None` if they name nothing.
///
/// # Errors
/// There are more certificates than keys or the other way round, clients need one where the server has none, or a file is not as
/// it should be.
pub fn acceptor(
    certs: Vec<String>,
    keys: Vec<String>,
    client_ca: Option<PathBuf>,
) -> Result<Option<tls::Acceptor>, StartError> {
    let files = tls::KeyPair::from_flags(certs, keys).map_err(StartError::Settings)?;
    match client_ca {
        Some(_) if files.is_empty() => Err(StartError::Settings(
            "--tls-client-ca without a certificate of this server: add --tls-cert and --tls-key".to_owned(),
        )),
        None if files.is_empty() => Ok(None),
        client_ca => Ok(Some(tls::Acceptor::load_for(&files, client_ca.as_deref())?)),
    }
}

/// What the flags `--inner-tls-ca`, `--inner-tls-cert` and `--inner-tls-key` name; `None` if they name nothing.
///
/// # Errors
/// They name some of it, or a file is not as it should be.
pub fn mutual(
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<tls::Mutual>, StartError> {
    let files = tls::InnerTls::from_flags(ca, cert, key).map_err(StartError::Settings)?;
    Ok(files.map(|files| tls::Mutual::load(&files)).transpose()?)
}

impl Gateway {
    /// Binds all ports, starts all shards, and returns when every one serves.
    ///
    /// # Errors
    /// The first thing that is wrong; then nothing is left running.
    pub fn start(mut settings: Settings) -> Result<Gateway, StartError> {
        check(&settings)?;
        check::addresses(&mut settings)?;
        for warning in check::warnings(&settings) {
            warn!("{warning}");
        }
        let mut sockets = bind::bind_all(&settings).map_err(StartError::Bind)?;
        let listen = sockets[0].listen_addresses();
        for (setting, real) in settings.listen.iter_mut().zip(&listen) {
            setting.address.set_port(real.port());
        }
        settings.max_unfinished_size = settings.max_unfinished_size.or_else(part_of_memory);
        settings.client_counts = Some(ClientCounts::new(&settings.client_limits));
        let open_files = program::raise_open_files();
        let cpus: Vec<usize> = program::cpu_order().into_iter().cycle().take(settings.count).collect();
        let (register_log, worker_log) = (RegisterLog::default(), Arc::new(WorkerLog::new()));
        let setup = |index| {
            let (register_log, worker_log) = (Arc::clone(&register_log), Arc::clone(&worker_log));
            ShardSetup { index, cpu: cpus[index], open_files, register_log, worker_log }
        };
        let (steer, control) = (settings.steer, settings.control.take());
        let (cordon_delay, drain_timeout, turn) =
            (settings.cordon_delay, settings.drain_timeout, Mutex::new(()));
        let clients = sockets.iter_mut().map(|sockets| std::mem::take(&mut sockets.clients)).collect();
        // All of them first, so that they start side by side.
        let starting: Vec<_> = sockets
            .into_iter()
            .enumerate()
            .map(|(index, sockets)| StartingShard::new(setup(index), settings.clone(), sockets))
            .collect();
        let mut shards = Vec::new();
        let mut failure = None;
        for shard in starting {
            match shard.and_then(StartingShard::await_start) {
                Ok(shard) => shards.push(shard),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let (standing, controls) = (Standing::default(), shards.iter().map(|shard| shard.control.clone()));
        let orders = Orders { shards: controls.collect(), standing, cordon_delay, drain_timeout, turn };
        let mut gateway = Gateway {
            name: settings.name,
            shards,
            listen,
            schemes: settings.listen.iter().map(Listen::scheme).collect(),
            tls: settings.tls,
            inner_tls: settings.inner_tls,
            jwt: settings.jwt,
            orders: Arc::new(orders),
            control: None,
        };
        let started = failure.map_or(Ok(()), Err).and_then(|()| {
            gateway.control = control.map(|path| gateway.take_orders(&path)).transpose()?;
            gateway.let_in(steer, &cpus, clients)
        });
        match started {
            Ok(()) => Ok(gateway),
            Err(error) => {
                gateway.stop();
                Err(error)
            }
        }
    }

    /// Every shard serves: clients may come.
    fn let_in(&self, steer: Steer, cpus: &[usize], sockets: Vec<Vec<TcpListener>>) -> Result<(), StartError> {
        bind::listen(&sockets).and_then(|()| bind::steer(steer, &sockets, cpus)).map_err(StartError::Bind)?;
        for (shard, sockets) in self.shards.iter().zip(sockets) {
            // One that has ended by now is noticed as later.
            let _ = shard.control.tell(Control::LetIn(sockets));
        }
        Ok(())
    }

    /// Opens the control socket.
    fn take_orders(&self, path: &Path) -> Result<ControlSocket, StartError> {
        ControlSocket::listen(path, Arc::clone(&self.orders)).map_err(StartError::Control)
    }

    /// Where clients connect, in the order of `Settings::listen`, with the real ports.
    pub fn listen(&self) -> &[SocketAddr] {
        &self.listen
    }

    /// The same with their protocols, in one line.
    pub fn listen_urls(&self) -> String {
        let urls =
            self.schemes.iter().zip(&self.listen).map(|(scheme, address)| format!("{scheme}://{address}"));
        urls.collect::<Vec<_>>().join(" ")
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// What `--admin` tells of it, for as long as it runs.
    pub fn instance(&self) -> Instance {
        Instance::new("gateway", env!("CARGO_PKG_VERSION"), self.parts())
            .with_standing(self.standing())
            .with_orders(self.orders())
    }

    /// Who carries out orders that come by the admin address, from any thread.
    pub fn orders(&self) -> impl Fn(Order) -> Result<String, String> + Send + Sync + use<> {
        let orders = Arc::clone(&self.orders);
        move |order| orders.carry_out(order, "admin address")
    }

    /// Who says why no clients are to be sent here, though nothing is broken, from any thread.
    pub fn standing(&self) -> impl Fn() -> Option<String> + Send + Sync + use<> {
        let (name, standing) = (self.name.clone(), self.orders.standing.clone());
        move || standing.fault().map(|fault| format!("{name} {fault}"))
    }

    /// The shards, to be asked as parts of the process, from any thread, for as long as they run.
    pub fn parts(&self) -> Vec<Part> {
        let part = |(index, shard): (usize, &ShardHandle)| {
            let (control, listen, schemes) =
                (shard.control.clone(), self.listen_urls(), self.schemes.clone());
            let tell = move |answer| control.tell(Control::Status(answer));
            let read = move |status: Status| status::report(&listen, &schemes, &status);
            let name = format!("{}:{index}", self.name);
            let groups = Groups::new(shard.control.clone());
            let asked = groups.clone();
            let part = Part::new(name, "gateway", Some(("shard", index)), tell, read);
            part.with_groups(move || asked.look(), move || groups.whole())
        };
        self.shards.iter().enumerate().map(part).collect()
    }

    fn controls(&self) -> Vec<ShardControl> {
        self.shards.iter().map(|shard| shard.control.clone()).collect()
    }

    /// How to read files again, from any thread; `None`: there are none.
    pub fn files(&self) -> Option<Files> {
        let (certificates, inner_tls, token_keys) =
            (self.tls.clone(), self.inner_tls.clone(), self.jwt.clone());
        let are_some = certificates.is_some() || inner_tls.is_some() || token_keys.is_some();
        are_some.then(|| Files { certificates, inner_tls, token_keys, shards: self.controls() })
    }

    /// Ends all shards: leaves the register, delivers what is queued, closes the clients (websocket: 1001) and tells
    /// the workers of each, spread over the settings' `drain_timeout` if there are many. Returns when all are done,
    /// some 6 s after that at the latest.
    pub fn stop(mut self) {
        self.control = None;
        for shard in &self.shards {
            // A shard that has ended by itself does not listen any more.
            let _ = shard.control.tell(Control::Stop);
        }
        for (index, shard) in self.shards.into_iter().enumerate() {
            match shard.thread.join() {
                Ok(counters) => info!(shard = index, ?counters, "shard ended"),
                Err(error) => error!(shard = index, %error, "shard failed"),
            }
        }
    }
}

/// Which shard it is, where it runs, and what it shares with the others: the log.
struct ShardSetup {
    index: usize,
    cpu: usize,
    open_files: u64,
    register_log: RegisterLog,
    worker_log: Arc<WorkerLog>,
}

impl StartingShard {
    fn new(
        setup: ShardSetup,
        settings: Settings,
        sockets: ShardSockets,
    ) -> Result<StartingShard, StartError> {
        let (commands, told) = crossbeam_channel::unbounded();
        let (start, started) = crossbeam_channel::bounded(1);
        let name = format!("{}-{}", settings.name, setup.index);
        let cpu = setup.cpu;
        let thread = program::start_executor(&name, Some(cpu), move || async move {
            // Who started it waits for what is sent.
            match Pump::new(setup, settings, sockets, told) {
                Ok((pump, waker)) => pump.run(move || drop(start.send(Ok(waker)))).await,
                Err(error) => {
                    let _ = start.send(Err(error));
                    Counters::default()
                }
            }
        })?;
        Ok(StartingShard { commands, started, thread })
    }

    fn await_start(self) -> Result<ShardHandle, StartError> {
        let StartingShard { commands, started, thread } = self;
        match started.recv() {
            Ok(Ok(waker)) => Ok(ShardHandle { control: ShardControl { commands, waker }, thread }),
            Ok(Err(error)) => Err(error),
            Err(RecvError) => Err(io::Error::other("it ended before it served").into()),
        }
    }
}

impl ShardControl {
    fn tell(&self, command: Control) -> Result<(), NoAnswer> {
        self.commands.send(command).map_err(|_| NoAnswer::Ended)?;
        self.waker.wake();
        Ok(())
    }
}

/// What clients may hold of unfinished messages, where nobody has said.
fn part_of_memory() -> Option<usize> {
    program::memory_size().and_then(|size| usize::try_from(size / UNFINISHED_MEMORY_DIVISOR).ok())
}

fn check(settings: &Settings) -> Result<(), StartError> {
    let wrong = |what: &str| Err(StartError::Settings(what.into()));
    match settings {
        Settings { listen, .. } if listen.is_empty() => {
            wrong("no --listen: say where clients connect, for example --listen websocket://0.0.0.0:8282")
        }
        Settings { listen, tls: None, .. } if listen.iter().any(|listen| listen.tls) => {
            wrong("a --listen with TLS needs --tls-cert, and --tls-key unless the key is in the same file")
        }
        Settings { listen, tls: Some(_), .. } if !listen.iter().any(|listen| listen.tls) => {
            wrong("--tls-cert, but no --listen with TLS: write for example --listen wss://0.0.0.0:443")
        }
        Settings { listen, .. } if listen.len() > LISTENERS_MAX => wrong("more than 64 --listen"),
        Settings { count: 0, .. } => wrong("--count 0: at least one shard is needed"),
        Settings { start_port, count, .. }
            if *start_port != 0 && usize::from(*start_port) + count > 65_536 =>
        {
            wrong("--start-port and --count exceed port 65535: choose a lower --start-port")
        }
        Settings { max_package_size: 0, .. } => wrong("--max-package-size 0: no message could pass"),
        Settings { max_package_size, .. } if *max_package_size > PACKAGE_SIZE_MAX => wrong(
            "--max-package-size above 66060288 (63 MiB): larger messages do not fit between gateway and worker",
        ),
        Settings { max_header_size, .. } if !HEADER_SIZES.contains(max_header_size) => {
            wrong("--max-header-size has to be from 256, for a request to fit, to 1048576 (1 MiB)")
        }
        _ => {
            let busy_poll = program::check_busy_poll(settings.busy_poll, "shards", settings.count);
            busy_poll.map_err(StartError::Settings)
        }
    }
}

/// The largest `max_package_size`: a frame of the inner protocol less 1 MiB for header and session.
const PACKAGE_SIZE_MAX: usize = protocol::inner::FRAME_SIZE_MAX_RINGWAY - 1024 * 1024;

/// What `max_header_size` may be: the requests of browsers have some 500 bytes.
const HEADER_SIZES: RangeInclusive<usize> = 256..=1024 * 1024;

/// Listeners per gateway: a client refers to its listener in one byte.
const LISTENERS_MAX: usize = 64;
