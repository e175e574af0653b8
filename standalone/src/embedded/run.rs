//! A gateway and a worker in the same threads, as a program of its own.

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use admin::{Address, Admin, AdminError};
use gateway_core::{Files, StartError};
use program::Refusal;
use ringway_worker::Events;
use tracing::warn;

use super::{Embedded, instance, serve_admin};
use crate::Options;

/// A main in one line: runs `Events` in the gateway's process until SIGINT or SIGTERM, a core in the thread of each shard.
/// A client's message never leaves the thread that received it. `make_events` is called on each core, with its index from 0.
///
/// Everything else is as with [`ringway_worker::run`] and a gateway beside it: the same `Events`, the same calls, the same
/// cluster. Other programs push to its clients, other workers serve them when they have to, and handlers command clients of
/// other gateways. It can be split when it grows: the same `Events`, given to [`ringway_worker::run`], are a worker, for
/// gateways that are the program `gateway`.
///
/// What being one process costs: there is no reload, a crash ends the connections, and a handler that computes for long
/// holds up the clients of its shard.
///
/// ```no_run
/// use ringway::{Client, Events, Gateway, Message};
///
/// struct Shout;
///
/// impl Events for Shout {
///     async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
///         gateway.send_to_client(client.id(), message.text().to_uppercase());
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     ringway::embedded(ringway::options("shout"), |_core| Shout)
/// }
/// ```
pub fn embedded<E: Events>(
    options: Options,
    make_events: impl Fn(usize) -> E + Clone + Send + 'static,
) -> ExitCode {
    program::begin("ringway");
    program::log_to_stderr(None, program::LogFormat::default());
    let meeting = options.meeting().unwrap_or_else(|refusal| refusal.end());
    let Options { beside, gateway } = options;
    let mut settings = gateway.settings().unwrap_or_else(|refusal| refusal.end());
    settings.admin = beside.admin.map(|Address(address)| address);
    if let Err(why) = program::check_machine() {
        program::fail(why);
    }
    let mut shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    shutdown.explain_reload(RELOAD);
    if settings.has_files() {
        shutdown.take_hangups();
    }
    let start_timeout = settings.drain_timeout.max(START_TIMEOUT_MIN);
    let (tell_started, started) = mpsc::channel();
    let reloaded = Arc::new(OnceLock::new());
    let files = Arc::clone(&reloaded);
    let start = move || -> Result<(Embedded, Option<Admin>), Box<dyn Error>> {
        let embedded = Embedded::start(settings, meeting, make_events)?;
        let token = beside.admin_token.as_deref();
        let serve = |address| serve_admin(address, token, Some(&embedded));
        let admin = beside.admin.map(serve).transpose()?;
        admin::feed_watchdog(instance(Some(&embedded)))?;
        let ready = format!("{} ({})", embedded.listen_urls(), embedded.describe());
        if embedded.register().is_some() {
            program::ready(ready);
        } else {
            // Registers elsewhere may be away for long.
            embedded.worker().when_ready(|| program::ready(ready))?;
        }
        Ok((embedded, admin))
    };
    // It lasts as long as `on_start` does, and may be asked to end before.
    let starting = program::spawn_vital("start", move || {
        let (embedded, admin) = start().unwrap_or_else(|error| refusal(error).end());
        embedded.gateway().files().into_iter().for_each(|found| drop(files.set(found)));
        // Nobody takes it who ends already.
        let _ = tell_started.send((embedded, admin));
    });
    starting.unwrap_or_else(|error| program::fail(error));
    shutdown.wait_and_reload(|| reloaded.get().into_iter().for_each(Files::reload));
    match started.recv_timeout(start_timeout) {
        Ok((embedded, _admin)) => embedded.stop().unwrap_or_else(|error| program::fail(error)),
        // No client has been let in.
        Err(_) => warn!("ending without waiting longer: on_start still runs"),
    }
    program::finish();
    ExitCode::SUCCESS
}

/// What is wrong with the flags, or with the rest of the world.
pub fn refusal(error: Box<dyn Error>) -> Refusal {
    let error = match error.downcast::<StartError>() {
        Ok(error) => return (*error).into(),
        Err(other) => other,
    };
    match error.downcast::<AdminError>() {
        Ok(error) => (*error).into(),
        Err(other) => Refusal::Environment(other.to_string()),
    }
}

/// What a process that is asked to end leaves its start at least: clients may have been let in a moment before.
const START_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Why a worker in the gateway's process cannot be replaced as one of its own is.
pub const RELOAD: &str = "embedded: restart, or split the worker off";
