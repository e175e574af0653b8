//! Where the gateways are: a connection to each register, and the union of what they list (WIRE.md §2).

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddrV4;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use glommio::timer::{sleep, timeout};
use glommio::{GlommioError, Task};
use protocol::register::{Broadcast, Lines, Request};
use tracing::{debug, info, warn};

use super::connect::connect_by_name;
use super::dispatch::Dispatch;
use super::link::Link;
use super::link_task;
use crate::Events;
use crate::config::{GATEWAYS_MAX, RECONNECT_DELAY, REGISTER_PING_INTERVAL, REGISTER_READ_SIZE};

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
        let mut told = false;
        loop {
            match connect_by_name(&register).await {
                Ok(stream) => {
                    info!(register, core = core.index, "connected to register");
                    let why = self.serve(index, &register, stream).await;
                    warn!(register, core = core.index, "lost register, trying on: {why}");
                    told = true;
                }
                Err(error) => {
                    // Every core finds out; one tells.
                    if !std::mem::replace(&mut told, true) && core.index == 0 {
                        warn!(register, core = core.index, "cannot reach register, trying on: {error}");
                    }
                }
            }
            sleep(RECONNECT_DELAY).await;
        }
    }

    /// Takes lists until the connection ends; says why it did.
    async fn serve(&self, index: usize, register: &str, mut stream: TcpStream) -> io::Error {
        match self.converse(index, register, &mut stream).await {
            Ok(()) => io::ErrorKind::UnexpectedEof.into(),
            Err(error) => error,
        }
    }

    async fn converse(&self, index: usize, register: &str, stream: &mut TcpStream) -> io::Result<()> {
        let secret_key = self.dispatch.core().config.secret_key.clone();
        write(stream, &Request::WorkerConnect { secret_key }).await?;
        // PHP tells local registers by this prefix, not by what the name resolves to (WIRE.md §2).
        let pings = !register.starts_with("127.0.0.1");
        let mut lines = Lines::default();
        let mut buffer = vec![0; REGISTER_READ_SIZE];
        loop {
            let Some(size) = read(stream, &mut buffer).await? else {
                if pings {
                    write(stream, &Request::Ping).await?;
                }
                continue;
            };
            if size == 0 {
                return Ok(());
            }
            lines.push(&buffer[..size]);
            while let Some(line) = lines.next_line().map_err(invalid)? {
                let broadcast = Broadcast::decode(line).map_err(invalid)?;
                self.take(index, &broadcast.addresses);
            }
        }
    }

    /// Notes a register's new list and connects to gateways that are new in it.
    fn take(&self, index: usize, addresses: &[String]) {
        let list = addresses.iter().take(GATEWAYS_MAX).filter_map(|address| parse(address));
        self.lists.borrow_mut()[index] = list.collect();
        let lists = self.lists.borrow();
        let core = self.dispatch.core();
        for link in core.links.all() {
            link.listed.set(lists.iter().any(|list| list.contains(&link.address())));
        }
        let mut new: Vec<_> =
            lists[index].iter().filter(|&&gateway| core.links.find(gateway).is_none()).collect();
        new.sort_unstable();
        for gateway in new {
            let link = Rc::new(Link::new(*gateway));
            core.links.insert(Rc::clone(&link));
            let task = glommio::spawn_local(link_task::run(Rc::clone(&self.dispatch), Rc::clone(&link)));
            *link.task.borrow_mut() = Some(task);
        }
        self.dispatch.check_ready();
    }
}

async fn write(stream: &mut TcpStream, request: &Request) -> io::Result<()> {
    let mut line = Vec::new();
    request.encode(&mut line);
    stream.write_all(&line).await
}

/// Bytes read, 0 at the end; `None` when the register was silent for so long that a ping is due.
async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let read = async { Ok(stream.read(buffer).await?) };
    match timeout(REGISTER_PING_INTERVAL, read).await {
        Ok(size) => Ok(Some(size)),
        Err(GlommioError::TimedOut(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
