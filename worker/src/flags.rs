//! A worker as a program of its own: flags in, exit code out.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use argh::{CommandInfoWithArgs, EarlyExit, FromArgs};
use crossbeam_channel::{Receiver, Sender, unbounded};
use program::{Both, Flags, Refusal, Words};
use protocol::InnerAuth;
use signal_hook::consts::SIGTERM;
use tls::InnerTls;

use crate::config::{CORES_MAX, END_GRACE, EXIT_NAME_TAKEN, SECONDS_MAX};
use crate::core::Notice;
use crate::master::{self, Child, Command, Reporter};
use crate::{Config, Events, Running, Worker, status_server};

/// The flags of a worker program.
#[derive(argh::FromArgs, argh::ArgsInfo, Clone, PartialEq, Eq, Debug)]
#[argh(description = "What every worker takes.")]
pub struct Settings {
    /// one per worker program and machine (default: the program's, and digits of its own)
    #[argh(option, arg_name = "NAME", default = "crate::name::own(\"worker\")")]
    pub name: String,
    /// cores to use (default: one per CPU)
    #[argh(option, arg_name = "N", default = "program::cpus()")]
    pub count: usize,
    /// registers (default 127.0.0.1:1236)
    #[argh(option, arg_name = "HOST:PORT[,…]", default = "String::from(\"127.0.0.1:1236\")")]
    pub register_address: String,
    /// what registers and gateways know (default: none)
    #[argh(option, arg_name = "K", default = "String::new()")]
    pub secret_key: String,
    /// file with that secret, alone on a line (default: none)
    #[argh(option, arg_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// how that is shown: `plain`, said as it is, or `challenge`, proven (default plain)
    #[argh(option, hidden_help, arg_name = "A", default = "InnerAuth::default()")]
    pub inner_auth: InnerAuth,
    /// TLS between programs: who vouches for their certificates (PEM), none but the cluster's (default: plain TCP)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_ca: Option<PathBuf>,
    /// this program's own certificate for it (PEM, its own first; default: none)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_cert: Option<PathBuf>,
    /// the certificate's key (PEM; default: none)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_key: Option<PathBuf>,
    /// how long a query waits for gateways (default 5)
    #[argh(option, arg_name = "SECONDS", default = "5")]
    pub query_timeout: u64,
    /// queued towards one gateway: from half of it on, its clients' events wait; 0: while anything is (default 10240000)
    #[argh(option, arg_name = "BYTES", default = "10_240_000")]
    pub send_to_gateway_buffer_size: usize,
    /// handlers per core that run at once; what a gateway may have in flight is a part of it (default 10000)
    #[argh(option, arg_name = "N", default = "10_000")]
    pub max_concurrent_events: usize,
    /// how long running handlers may take to end at a stop or reload (default 30)
    #[argh(option, arg_name = "SECONDS", default = "30")]
    pub drain_timeout: u64,
    /// have gateways keep no event until it is done: what a crash or freeze has in hand is lost
    #[argh(switch)]
    pub at_most_once: bool,
    /// how long an idle core looks for work before it sleeps, at most 1000000 (default 0)
    #[argh(
        option,
        arg_name = "MICROSECONDS",
        default = "Duration::ZERO",
        from_str_fn(program::microseconds)
    )]
    pub busy_poll: Duration,
    /// where it tells of itself: a dashboard, /status, /metrics, /healthz (default: none)
    #[cfg(feature = "admin")]
    #[argh(option, arg_name = "[IP:]PORT")]
    pub admin: Option<admin::Address>,
    /// what who asks there says; without it an address open to other machines answers probes alone (default: none)
    #[cfg(feature = "admin")]
    #[argh(option, hidden_help, arg_name = "TOKEN")]
    pub admin_token: Option<String>,
    /// where the process id is kept, by which `reload` and `stop` find the worker (default: none)
    #[argh(option, arg_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// no master: nobody starts the worker again when it crashes, and it cannot reload
    #[argh(switch)]
    pub no_master: bool,
}

/// What else a worker program can do.
#[derive(argh::FromArgs, argh::ArgsInfo)]
#[argh(description = "What a worker can be asked for.")]
struct Commands {
    #[argh(subcommand)]
    command: Option<Command>,
}

/// The flags of a program that has none of its own.
#[derive(argh::FromArgs, argh::ArgsInfo)]
#[argh(description = "A worker: runs the business logic behind Ringway or GatewayWorker gateways.")]
struct NoFlags {}

/// What a worker program is started for.
enum Asked<O> {
    Run(O, Box<Settings>),
    Perform(Command, Option<PathBuf>),
}

impl<O: Flags> Flags for Asked<O> {
    fn parts() -> Vec<CommandInfoWithArgs> {
        Both::<O, Both<Settings, Commands>>::parts()
    }

    fn read(words: &mut Words<'_>) -> Result<Asked<O>, EarlyExit> {
        let mut own = words.set_aside::<O>();
        let Both(settings, Commands { command }) = Both::<Settings, Commands>::read(words)?;
        Ok(match command {
            // Which needs no flag that a run cannot do without.
            Some(command) => Asked::Perform(command, settings.pid_file),
            None => Asked::Run(O::read(&mut own)?, Box::new(settings)),
        })
    }

    fn defaults(program: &str) -> Vec<(&'static str, String)> {
        vec![("name", crate::name::own(program))]
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::from_args(&["worker"], &[]).expect("every flag has a default")
    }
}

impl Settings {
    /// The config, or what is wrong with the flags, in one line.
    pub(crate) fn config(self) -> Result<Config, Refusal> {
        let wrong = |why| Err(Refusal::Usage(why));
        let secret_key = program::secret("secret-key", &self.secret_key, self.secret_key_file.as_deref())?;
        self.inner_auth.check(&secret_key).map_err(Refusal::Usage)?;
        let register_addresses = protocol::address::registers(&self.register_address)
            .map_err(|why| Refusal::Usage(format!("--register-address: {why}")))?;
        if !(1..=CORES_MAX).contains(&self.count) {
            return wrong(format!("--count {}: a worker has 1 to {CORES_MAX} cores", self.count));
        }
        if self.max_concurrent_events == 0 {
            return wrong("--max-concurrent-events: a worker needs at least 1".to_owned());
        }
        if self.query_timeout == 0 {
            return wrong("--query-timeout 0: no gateway could answer".to_owned());
        }
        for (flag, seconds) in
            [("--query-timeout", self.query_timeout), ("--drain-timeout", self.drain_timeout)]
        {
            if seconds > SECONDS_MAX {
                return wrong(format!("{flag} {seconds}: at most {SECONDS_MAX} seconds, a year"));
            }
        }
        let inner_tls = InnerTls::from_flags(self.inner_tls_ca, self.inner_tls_cert, self.inner_tls_key)
            .map_err(Refusal::Usage)?;
        program::check_busy_poll(self.busy_poll, "cores", self.count).map_err(Refusal::Usage)?;
        Ok(Config {
            name: self.name,
            count: self.count,
            cpus: Vec::new(),
            register_addresses,
            #[cfg(feature = "admin")]
            admin: self.admin.map(|admin::Address(address)| address),
            #[cfg(not(feature = "admin"))]
            admin: None,
            secret_key,
            inner_auth: self.inner_auth,
            inner_tls,
            query_timeout: Duration::from_secs(self.query_timeout),
            send_to_gateway_buffer_size: self.send_to_gateway_buffer_size,
            max_concurrent_events: self.max_concurrent_events,
            drain_timeout: Duration::from_secs(self.drain_timeout),
            at_most_once: self.at_most_once,
            busy_poll: self.busy_poll,
        })
    }

    /// Runs a worker until SIGINT or SIGTERM, as a process that a master supervises unless [`Settings::no_master`]. Ends
    /// the process with one line on stderr when it cannot run.
    ///
    /// The master is this very program: it comes here too, and starts itself again as the worker process. So what is done
    /// before the call is done in both.
    ///
    /// Panics are the process' to judge from here on: in a thread that it cannot do without they end it with exit code 70, in a
    /// handler they cost an event. A panic hook that was set before is replaced.
    ///
    /// What happens is logged to stderr as the variable `RUST_LOG` wants it, unless the program has installed a subscriber of
    /// its own before.
    pub fn run<E: Events>(self, make_events: impl Fn(usize) -> E + Clone + Send + 'static) -> ExitCode {
        program::begin("worker");
        program::log_to_stderr(None, program::LogFormat::default());
        let settings = self.clone();
        let config = self.config().unwrap_or_else(|refusal| refusal.end());
        if let Err(why) = program::check_machine() {
            program::fail(why);
        }
        let child = Child::of_environment().unwrap_or_else(|error| program::fail(error));
        // The master's, if there is one.
        let _pid_file = if child.is_none() { master::claim(settings.pid_file.as_deref()) } else { None };
        let ended = match child {
            None if !settings.no_master => master::run(config.drain_timeout + END_GRACE),
            child => serve(config, &settings, child, make_events),
        };
        let code = ended.unwrap_or_else(|error| program::fail(error));
        program::finish();
        code
    }
}

/// A main in one line: takes the flags, runs until SIGINT or SIGTERM. `name` is the program's, and the worker's unless
/// `--name` says otherwise. `make_events` is called on each core, with its index from 0.
///
/// It runs as a process that a master supervises: see [`Settings::run`].
pub fn run<E: Events>(
    name: &'static str,
    make_events: impl Fn(usize) -> E + Clone + Send + 'static,
) -> ExitCode {
    let (settings, NoFlags {}) = parse(name);
    settings.run(make_events)
}

/// Takes the flags of the program `name`: those of every worker, and its own, which `O` declares. Both may stand on the command
/// line, in the environment as `RINGWAY_WORKER_…`, and in the config file.
///
/// Ends the process where there is nothing to run: after `--help` and the like, after the commands `reload` and `stop`,
/// after wrong usage.
///
/// ```no_run
/// # struct Greeter(String);
/// # impl ringway_worker::Events for Greeter {
/// #     async fn on_message(&self, _: &ringway_worker::Gateway, _: &ringway_worker::Client, _: ringway_worker::Message) {}
/// # }
/// /// Greets who comes.
/// #[derive(argh::FromArgs, argh::ArgsInfo)]
/// struct Own {
///     /// what to say (default hello)
///     #[argh(option, default = "String::from(\"hello\")")]
///     greeting: String,
/// }
///
/// fn main() -> std::process::ExitCode {
///     let (settings, own) = ringway_worker::parse::<Own>("greeter");
///     settings.run(move |_core| Greeter(own.greeting.clone()))
/// }
/// ```
pub fn parse<O: Flags>(name: &'static str) -> (Settings, O) {
    match program::parse_as("worker", name) {
        Asked::Run(own, settings) => (*settings, own),
        Asked::Perform(command, pid_file) => {
            // It has ended the process if it could not be done.
            let _ = command.perform(pid_file);
            program::finish();
            std::process::exit(0)
        }
    }
}

/// The worker itself, until a signal, which may come before it is ready.
fn serve<E: Events>(
    config: Config,
    settings: &Settings,
    child: Option<Child>,
    make_events: impl Fn(usize) -> E + Clone + Send + 'static,
) -> io::Result<ExitCode> {
    let mut shutdown =
        if child.is_some() { program::Shutdown::listen_patiently() } else { program::Shutdown::listen() }?;
    let key_name = child.as_ref().map_or_else(|| config.name.clone(), |child| child.key_name(&config.name));
    let name = config.name.clone();
    let ready = format!("{name} on {}", cores(config.count));
    let (count, is_patient) = (config.count, child.as_ref().is_some_and(|child| child.patient));
    let (notices, heard) = unbounded();
    let running = Worker::start_as(config, key_name, notices.clone(), make_events)?;
    let _status = status_server::serve(settings, &running, is_patient);
    if child.is_none() {
        admin::feed_watchdog(running.status_source().instance())?;
    }
    let name_taken = Arc::new(AtomicBool::new(false));
    relay(heard, child.map(|child| child.reporter(count)), Arc::clone(&name_taken))?;
    tell_when_ready(&running, ready, notices)?;
    shutdown.wait();
    running.stop()?;
    if name_taken.load(Ordering::Relaxed) {
        program::fail_with(
            EXIT_NAME_TAKEN,
            format!("another worker named '{name}' runs on this machine: give each its own --name"),
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Passes on what the cores tell, and has the process end when its name is another worker's.
fn relay(
    notices: Receiver<Notice>,
    mut master: Option<Reporter>,
    name_taken: Arc<AtomicBool>,
) -> io::Result<()> {
    let relay = move || {
        for notice in notices {
            if matches!(notice, Notice::NameTaken) && !name_taken.swap(true, Ordering::Relaxed) {
                // As if an operator had asked. It fails for signals that do not exist.
                let _ = signal_hook::low_level::raise(SIGTERM);
            }
            if let Some(master) = &mut master {
                master.pass_on(notice);
            }
        }
    };
    program::spawn_vital("report", relay).map(drop)
}

/// Says that it is ready once it is. Nobody waits for that: a register that is away for ever must not keep the program
/// from ending.
fn tell_when_ready(running: &Running, ready: String, notices: Sender<Notice>) -> io::Result<()> {
    running.when_ready(move || {
        program::ready(ready);
        // Without a master nobody listens.
        let _ = notices.send(Notice::Ready);
    })
}

fn cores(count: usize) -> String {
    if count == 1 { "1 core".to_owned() } else { format!("{count} cores") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_registers_are_separated_by_commas() {
        let settings = Settings { register_address: "a:1, [::1]:2".to_owned(), ..Settings::default() };
        assert_eq!(settings.config().unwrap().register_addresses, ["a:1", "[::1]:2"]);
    }

    #[test]
    fn wrong_flags_are_told_in_one_line() {
        for register_address in ["", "nonsense", "a:", ":1", "a:70000", "a:1,", "http://a:1"] {
            let settings = Settings { register_address: register_address.to_owned(), ..Settings::default() };
            let why = settings.config().unwrap_err().to_string();
            assert!(why.starts_with("--register-address: "), "{register_address:?}: {why}");
        }
        let default = Settings::default;
        for (settings, flag) in [
            (Settings { count: 0, ..default() }, "--count"),
            (Settings { count: 5000, ..default() }, "--count"),
            (Settings { max_concurrent_events: 0, ..default() }, "--max-concurrent-events"),
            (Settings { query_timeout: 0, ..default() }, "--query-timeout"),
            (Settings { query_timeout: u64::MAX, ..default() }, "--query-timeout"),
            (Settings { drain_timeout: u64::MAX, ..default() }, "--drain-timeout"),
            (Settings { busy_poll: Duration::from_micros(1), count: 4096, ..default() }, "--busy-poll"),
        ] {
            let why = settings.config().unwrap_err().to_string();
            assert!(why.starts_with(flag), "{why}");
        }
    }

    #[test]
    fn what_flags_say_of_their_defaults_is_so() {
        program::check_defaults::<Settings>();
    }
}
