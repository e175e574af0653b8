//! A shard's registration: a kept connection to each register (WIRE.md §2).

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use glommio::Task;
use glommio::net::TcpStream;
use glommio::timer::sleep;
use protocol::pulse::{LOOK_PERIOD_MS, RegisterPulse, RegisterSign};
use protocol::register::{Lines, Request, Told};
use protocol::register_trouble::{ANSWER_TIMEOUT, RegisterNews, Retry, Trouble};
use tracing::{debug, info, warn};

use crate::Settings;

/// What the log said last of each register: shards share it, so that a line is said once and not by each.
pub type News = Arc<Mutex<HashMap<String, RegisterNews>>>;

/// Registers `address` with every register, for as long as the tasks live.
pub fn register(settings: &Settings, address: SocketAddrV4, news: &News) -> Vec<Task<()>> {
    let start = |register: &String| {
        let link = RegisterLink {
            register: register.clone(),
            address: address.to_string(),
            secret_key: settings.secret_key.clone(),
            news: Arc::clone(news),
            held: Cell::new(false),
        };
        glommio::spawn_local(link.keep())
    };
    settings.register_address.iter().map(start).collect()
}

struct RegisterLink {
    register: String,
    address: String,
    secret_key: String,
    news: News,
    /// The register has taken us: it is one of ours and has answered, or PHP's and has a list.
    held: Cell<bool>,
}

impl RegisterLink {
    /// Connects, stays, and comes back after every loss, for ever: soon, unless what is there is of no use.
    async fn keep(self) {
        let mut retry = Retry::default();
        loop {
            let address = self.address.clone();
            let request = Request::GatewayConnect { address, secret_key: self.secret_key.clone() };
            let end = match self.connect(&[request, Request::RingwayPing]).await {
                Ok(stream) => future::or(self.stay(stream), self.doubt()).await,
                Err(error) => error,
            };
            let had = self.held.replace(false);
            if had {
                retry.held();
            }
            self.tell_end(&end, had);
            sleep(retry.failed(&end, RECONNECT_DELAY)).await;
        }
    }

    async fn connect(&self, requests: &[Request]) -> io::Result<TcpStream> {
        let address = resolve(self.register.clone()).await?;
        let mut stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT).await?;
        let mut lines = Vec::new();
        requests.iter().for_each(|request| request.encode(&mut lines));
        stream.write_all(&lines).await?;
        Ok(stream)
    }

    fn tell_held(&self) {
        if !self.held.replace(true) && self.news().entry(self.register.clone()).or_default().held() {
            info!(register = self.register, "registered");
        }
    }

    fn tell_end(&self, end: &io::Error, had: bool) {
        let register = &self.register;
        if !self.news().entry(register.clone()).or_default().failed(end, had) {
            debug!(register, shard = self.address, "no register: {end}");
        } else if had {
            warn!(register, "lost the register: {end}; trying on");
        } else {
            warn!(register, "not registered: {end}; trying on");
        }
    }

    fn news(&self) -> MutexGuard<'_, HashMap<String, RegisterNews>> {
        // Whatever happened to a thread that held it, it says what was told.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// PHP's register has nothing to say to a gateway, so one that is silent may be that, or anything. A worker it would
    /// answer: a second connection asks as one. Returns when it is no register.
    async fn doubt(&self) -> io::Error {
        sleep(DOUBT_AFTER).await;
        if !self.held.get() {
            let answer = async {
                sleep(ANSWER_TIMEOUT).await;
                Err(Trouble::Mute.into())
            };
            match future::or(self.ask(), answer).await {
                Ok(()) => self.tell_held(),
                Err(error) => return error,
            }
        }
        future::pending().await
    }

    /// Asks for the list of gateways.
    async fn ask(&self) -> io::Result<()> {
        let request = Request::WorkerConnect { secret_key: self.secret_key.clone() };
        let mut stream = self.connect(&[request]).await?;
        let (mut lines, mut buffer, mut said) = (Lines::default(), [0; 512], Vec::new());
        loop {
            let size = stream.read(&mut buffer).await?;
            if size == 0 {
                return Err(Trouble::closed(&said).into());
            }
            if said.len() < buffer.len() {
                said.extend_from_slice(&buffer[..size]);
            }
            lines.push(&buffer[..size]);
            match lines.next_line() {
                Ok(Some(line)) => {
                    return Told::decode(line).map(drop).map_err(|_| Trouble::foreign(line).into());
                }
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }

    /// Pings until the connection ends; returns why it did.
    async fn stay(&self, stream: TcpStream) -> io::Error {
        let pulse = Cell::new(RegisterPulse::new(&self.register));
        let (mut input, mut output) = futures_lite::io::split(stream);
        let read = async {
            let mut lines = Lines::default();
            let mut buffer = [0; 512];
            let mut said = Vec::new();
            loop {
                let size = match input.read(&mut buffer).await {
                    Ok(size) if size > 0 => size,
                    Ok(_) | Err(_) if !self.held.get() => return Trouble::closed(&said).into(),
                    Ok(_) => return io::ErrorKind::UnexpectedEof.into(),
                    Err(error) => return error,
                };
                if said.len() < buffer.len() {
                    said.extend_from_slice(&buffer[..size]);
                }
                beat(&pulse, RegisterPulse::heard);
                lines.push(&buffer[..size]);
                loop {
                    match lines.next_line() {
                        Ok(Some(line)) if Told::decode(line) == Ok(Told::Pong) => {
                            beat(&pulse, RegisterPulse::answered);
                            self.tell_held();
                        }
                        // A register has nothing else to say to a gateway.
                        Ok(Some(line)) => return Trouble::foreign(line).into(),
                        Ok(None) => break,
                        Err(error) => return io::Error::new(io::ErrorKind::InvalidData, error),
                    }
                }
            }
        };
        let ping = async {
            loop {
                sleep(Duration::from_millis(LOOK_PERIOD_MS)).await;
                let request = match beat(&pulse, RegisterPulse::look) {
                    RegisterSign::Well => continue,
                    RegisterSign::RingwayPing => Request::RingwayPing,
                    RegisterSign::Ping => Request::Ping,
                    RegisterSign::Silent => {
                        return io::Error::new(io::ErrorKind::TimedOut, "it does not answer any more");
                    }
                };
                let mut line = Vec::new();
                request.encode(&mut line);
                if let Err(error) = output.write_all(&line).await {
                    return error;
                }
            }
        };
        future::or(read, ping).await
    }
}

fn beat<T>(pulse: &Cell<RegisterPulse>, change: impl FnOnce(&mut RegisterPulse) -> T) -> T {
    let mut now = pulse.get();
    let result = change(&mut now);
    pulse.set(now);
    result
}

/// Looks a name up without holding up the shard.
async fn resolve(register: String) -> io::Result<SocketAddr> {
    if let Ok(address) = register.parse() {
        return Ok(address);
    }
    let found = glommio::executor().spawn_blocking(move || register.to_socket_addrs()).await?.next();
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// Between two attempts: PHP's 1 s, halved, so that all are connected soon after a register is back.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// How long a register may take to answer, as one of ours does, before it is asked what it is.
const DOUBT_AFTER: Duration = Duration::from_secs(2);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
