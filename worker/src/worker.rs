//! Starts the cores of a worker on threads of their own, and stops them.

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use glommio::ExecutorJoinHandle;

use crate::config::Config;
use crate::control::{Control, Request, control};
use crate::core::{Announced, Notice, Setup};
use crate::driver::Launch;
use crate::pump;
use crate::runtime::Bridge;
use crate::{Events, StatusSource};

/// A worker: cores that share nothing, each with a value of `Events`.
#[derive(Clone, Copy, Debug)]
pub struct Worker;

/// A worker that runs. Dropping it tells its cores to stop, without waiting for them.
#[derive(Debug)]
pub struct Running {
    name: String,
    cores: Vec<RunningCore>,
    bridge: Bridge,
}

#[derive(Debug)]
struct RunningCore {
    /// `None` once it was waited for, and if it is somebody else's.
    thread: Option<ExecutorJoinHandle<()>>,
    ready: Receiver<()>,
    control: Control,
}

/// That every core is ready. One value of it is waited for, once.
pub(crate) struct Readiness(Vec<Receiver<()>>);

impl Readiness {
    /// `false`: a core has ended before it was ready.
    pub(crate) fn wait(&self) -> bool {
        self.0.iter().all(|ready| ready.recv().is_ok())
    }
}

impl Worker {
    /// Starts [`Config::count`] cores; `make_events` is called on each, with its index from 0.
    ///
    /// Returns at once: see [`Running::ready`].
    ///
    /// # Errors
    /// An address of a register that cannot be one, or a thread cannot be started.
    pub fn start<E: Events>(
        config: Config,
        make_events: impl Fn(usize) -> E + Clone + Send + 'static,
    ) -> io::Result<Running> {
        let key_name = config.name.clone();
        let (notices, nobody) = unbounded();
        drop(nobody);
        Worker::start_as(config, key_name, notices, make_events)
    }

    /// The same under another key, and with somebody who is told at which gateways the cores are known.
    pub(crate) fn start_as<E: Events>(
        config: Config,
        key_name: String,
        notices: Sender<Notice>,
        make_events: impl Fn(usize) -> E + Clone + Send + 'static,
    ) -> io::Result<Running> {
        let cpus = if config.cpus.is_empty() { program::cpu_order() } else { config.cpus.clone() };
        let (mut running, launches) = Worker::prepare_as(config, key_name, &notices)?;
        for (core, launch) in running.cores.iter_mut().zip(launches) {
            core.thread = Some(start_core(cpus[launch.index() % cpus.len()], launch, make_events.clone())?);
        }
        Ok(running)
    }

    /// Cores that are to be started by somebody else, on threads and rings of theirs, each with a
    /// [`Driver`](crate::driver::Driver). When these have stopped, [`Running::stop`] ends the rest.
    ///
    /// # Errors
    /// An address of a register that cannot be one.
    pub fn prepare(config: Config) -> io::Result<(Running, Vec<Launch>)> {
        let key_name = config.name.clone();
        let (notices, nobody) = unbounded();
        drop(nobody);
        Worker::prepare_as(config, key_name, &notices)
    }

    fn prepare_as(
        config: Config,
        key_name: String,
        notices: &Sender<Notice>,
    ) -> io::Result<(Running, Vec<Launch>)> {
        let config = checked(config)?.bounded();
        let mutual =
            config.inner_tls.as_ref().map(tls::Mutual::load).transpose().map_err(io::Error::other)?;
        for notice in mutual.iter().flat_map(tls::Mutual::notices) {
            tracing::warn!("{notice}");
        }
        let bridge = Bridge::new(&program::allowed_cpus());
        let announced = Arc::new(Announced::default());
        let mut running = Running { name: config.name.clone(), cores: Vec::new(), bridge: bridge.clone() };
        let mut launches = Vec::new();
        for index in 0..config.count.max(1) {
            let (config, key_name, announced) = (config.clone(), key_name.clone(), Arc::clone(&announced));
            let setup = Setup { config, key_name, index, announced, own_gateway: None };
            let ((control, requests), (tell_ready, ready)) = (control(), bounded(1));
            let (bridge, notices) = (bridge.clone(), notices.clone());
            let mutual = mutual.clone();
            launches.push(Launch { setup, bridge, requests, notices, ready: tell_ready, mutual });
            running.cores.push(RunningCore { thread: None, ready, control });
        }
        Ok((running, launches))
    }
}

/// With the register's addresses as they are connected to.
fn checked(mut config: Config) -> io::Result<Config> {
    for address in &mut config.register_addresses {
        let read = protocol::address::register(address);
        *address = read.map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?.to_string();
    }
    let is_right = config.inner_auth.check(&config.secret_key);
    is_right.map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
    Ok(config)
}

fn start_core<E: Events>(
    cpu: usize,
    launch: Launch,
    make_events: impl Fn(usize) -> E + Send + 'static,
) -> io::Result<ExecutorJoinHandle<()>> {
    program::start_executor("worker", Some(cpu), move || pump::run(launch, make_events))
}

impl Running {
    /// Waits until every core has heard from a register and tried each gateway in its list.
    ///
    /// # Errors
    /// A core could not start, or has ended. Call it once: what it waits for comes once.
    pub fn ready(&self) -> io::Result<()> {
        match self.readiness().wait() {
            true => Ok(()),
            false => Err(io::Error::other("a core of the worker has ended before it was ready")),
        }
    }

    /// Calls `then`, from a thread of its own, once every core has heard from a register; never if one ends before that.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn when_ready(&self, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let waiter = self.readiness();
        let wait = move || {
            if waiter.wait() {
                then();
            }
        };
        program::spawn_vital("ready", wait).map(drop)
    }

    /// The same for another thread to wait for.
    pub(crate) fn readiness(&self) -> Readiness {
        Readiness(self.cores.iter().map(|core| core.ready.clone()).collect())
    }

    /// How to ask the cores how things are, from any thread, for as long as they run.
    pub fn status_source(&self) -> StatusSource {
        StatusSource::new(&self.name, self.cores.iter().map(|core| core.control.clone()).collect())
    }

    /// Hands the clients over to other workers, lets running handlers, for [`Config::drain_timeout`] at most, and `on_stop`
    /// finish, sends what is queued, and ends the cores.
    ///
    /// # Errors
    /// A core could not start, or panicked.
    pub fn stop(mut self) -> io::Result<()> {
        self.tell_stop();
        let ended = self.cores.iter_mut().try_for_each(RunningCore::join);
        self.bridge.stop();
        ended
    }

    fn tell_stop(&self) {
        for core in &self.cores {
            // One that has ended by itself does not listen any more.
            core.control.tell(Request::Stop);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tell_stop();
    }
}

impl RunningCore {
    fn join(&mut self) -> io::Result<()> {
        match self.thread.take() {
            Some(thread) => Ok(thread.join()?),
            None => Ok(()),
        }
    }
}
