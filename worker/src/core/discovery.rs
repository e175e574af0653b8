//! Where the gateways are: a connection to each register, and the union of what they list (WIRE.md §2).

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use glommio::Task;
use glommio::net::TcpStream;
use glommio::timer::sleep;
use protocol::pulse::{LOOK_PERIOD_MS, RegisterPulse, RegisterSign};
use protocol::register::{Lines, Request, Told};
use protocol::register_trouble::{ANSWER_TIMEOUT, Retry, Trouble};
use tracing::{debug, info, warn};

use super::connect::connect_by_name;
use super::dispatch::Dispatch;
use super::link::Link;
use super::link_task;
use crate::Events;
use crate::config::{GATEWAYS_MAX, REGISTER_READ_SIZE, REGISTER_RECONNECT_DELAY};

/// The last list of each register; a register that is away keeps its last one.
pub(super) struct Discovery<E> {
    dispatch: Rc<Dispatch<E>>,
    lists: RefCell<Vec<HashSet<SocketAddrV4>>>,
}

impl<E: Events> Discovery<E> {
    /// Starts a task for each register.
    pub(super) fn start(dispatch: &Rc<Dispatch<E>>) -> Vec<Task<()>> {
        let registers = dispatch.core().config.register_addresses.clone();
        let lists = RefCell::new(vec![HashSet::new(); registers.len()]);
        let discovery = Rc::new(Discovery { dispatch: Rc::clone(dispatch), lists });
        let run = |(index, register)| glommio::spawn_local(Rc::clone(&discovery).run(index, register));
        registers.into_iter().enumerate().map(run).collect()
    }

    /// Keeps the connection to one register up, for ever.
    async fn run(self: Rc<Self>, index: usize, register: String) {
        let core = self.dispatch.core();
        let mut retry = Retry::default();
        loop {
            let answered = Cell::new(false);
            let why = match connect_by_name(&register).await {
                Ok(stream) => self.serve(index, &register, stream, &answered).await,
                Err(error) => error,
            };
            if answered.get() {
                retry.held();
            }
            if !core.standing.is_new_failure(&register, &why, answered.get()) {
                debug!(register, core = core.index, "no register: {why}");
            } else if answered.get() {
                warn!(register, core = core.index, "lost register, trying on: {why}");
            } else {
                warn!(register, core = core.index, "no register, trying on: {why}");
            }
            sleep(retry.failed(&why, REGISTER_RECONNECT_DELAY)).await;
        }
    }

    /// Takes lists until the connection ends; says why it did. `answered` is set by the first.
    async fn serve(
        &self,
        index: usize,
        register: &str,
        mut stream: TcpStream,
        answered: &Cell<bool>,
    ) -> io::Error {
        let converse = async {
            match self.converse(index, register, &mut stream, answered).await {
                Ok(()) => io::ErrorKind::UnexpectedEof.into(),
                Err(error) => error,
            }
        };
        let mute = async {
            sleep(ANSWER_TIMEOUT).await;
            if answered.get() { future::pending().await } else { Trouble::Mute.into() }
        };
        future::or(converse, mute).await
    }

    async fn converse(
        &self,
        index: usize,
        register: &str,
        stream: &mut TcpStream,
        answered: &Cell<bool>,
    ) -> io::Result<()> {
        let secret_key = self.dispatch.core().config.secret_key.clone();
        write(stream, &Request::WorkerConnect { secret_key }).await?;
        write(stream, &Request::RingwayPing).await?;
        let pulse = Cell::new(RegisterPulse::new(register));
        let (mut input, mut output) = futures_lite::io::split(stream);
        let read = async {
            // Whoever is in the first list of a register that was away may have started again meanwhile.
            let mut known = HashSet::new();
            let mut lines = Lines::default();
            let mut buffer = vec![0; REGISTER_READ_SIZE];
            let mut said = Vec::new();
            loop {
                let size = match input.read(&mut buffer).await {
                    Ok(size) if size > 0 => size,
                    Ok(_) | Err(_) if !answered.get() => return Err(Trouble::closed(&said).into()),
                    Ok(_) => return Ok(()),
                    Err(error) => return Err(error),
                };
                if !answered.get() && said.len() < REGISTER_READ_SIZE {
                    said.extend_from_slice(&buffer[..size]);
                }
                beat(&pulse, RegisterPulse::heard);
                lines.push(&buffer[..size]);
                while let Some(line) = lines.next_line().map_err(invalid)? {
                    match Told::decode(line).map_err(|_| Trouble::foreign(line))? {
                        Told::Addresses(addresses) => {
                            let core = self.dispatch.core();
                            if !answered.replace(true) && core.standing.is_new_register(register) {
                                info!(register, core = core.index, "connected to register");
                            }
                            known = self.take(index, &addresses, &known);
                        }
                        Told::Pong => beat(&pulse, RegisterPulse::answered),
                    }
                }
            }
        };
        let ping = async {
            loop {
                sleep(Duration::from_millis(LOOK_PERIOD_MS)).await;
                match beat(&pulse, RegisterPulse::look) {
                    RegisterSign::Well => {}
                    RegisterSign::RingwayPing => write(&mut output, &Request::RingwayPing).await?,
                    RegisterSign::Ping => write(&mut output, &Request::Ping).await?,
                    RegisterSign::Silent => {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer any more"));
                    }
                }
            }
        };
        future::or(read, ping).await
    }

    /// Notes a register's new list, which is returned, and connects to gateways that are new in it. `before` is the one
    /// before it, on the same connection.
    fn take(
        &self,
        index: usize,
        addresses: &[String],
        before: &HashSet<SocketAddrV4>,
    ) -> HashSet<SocketAddrV4> {
        let list = addresses.iter().take(GATEWAYS_MAX).filter_map(|address| parse(address));
        let list: HashSet<_> = list.collect();
        self.lists.borrow_mut()[index].clone_from(&list);
        let lists = self.lists.borrow();
        let core = self.dispatch.core();
        for link in core.links.all() {
            link.listed.set(lists.iter().any(|list| list.contains(&link.address())));
        }
        let known = |gateway: &&SocketAddrV4| {
            let link = core.links.find(**gateway);
            link.inspect(|link| link.relist(!before.contains(*gateway))).is_some()
        };
        let mut new: Vec<_> = lists[index].iter().filter(|gateway| !known(gateway)).collect();
        new.sort_unstable();
        for gateway in new {
            let link = Rc::new(Link::new(*gateway, Rc::clone(&core.backlog)));
            core.links.insert(Rc::clone(&link));
            let task = glommio::spawn_local(link_task::run(Rc::clone(&self.dispatch), Rc::clone(&link)));
            *link.task.borrow_mut() = Some(task);
        }
        self.dispatch.check_ready();
        list
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), request: &Request) -> io::Result<()> {
    let mut line = Vec::new();
    request.encode(&mut line);
    stream.write_all(&line).await
}

fn beat<T>(pulse: &Cell<RegisterPulse>, change: impl FnOnce(&mut RegisterPulse) -> T) -> T {
    let mut now = pulse.get();
    let result = change(&mut now);
    pulse.set(now);
    result
}

fn parse(address: &str) -> Option<SocketAddrV4> {
    let parsed = address.parse().ok();
    if parsed.is_none() {
        debug!(address, "not an address of a gateway, left out");
    }
    parsed
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
