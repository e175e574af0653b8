//! A shard's registration: a kept connection to each register (WIRE.md §2).

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use glommio::Task;
use glommio::net::TcpStream;
use glommio::timer::sleep;
use protocol::pulse::{LOOK_PERIOD_MS, RegisterPulse, RegisterSign};
use protocol::register::{Lines, Request, Told};
use tracing::{info, warn};

use crate::Settings;

/// Registers `address` with every register, for as long as the tasks live.
pub fn register(settings: &Settings, address: SocketAddrV4) -> Vec<Task<()>> {
    let start = |register: &String| {
        let link = RegisterLink {
            register: register.clone(),
            request: Request::GatewayConnect {
                address: address.to_string(),
                secret_key: settings.secret_key.clone(),
            },
        };
        glommio::spawn_local(link.keep())
    };
    settings.register_address.iter().map(start).collect()
}

struct RegisterLink {
    register: String,
    request: Request,
}

impl RegisterLink {
    /// Connects, stays, and comes back soon after every loss, for ever. Logs changes only.
    async fn keep(self) {
        let mut reachable = true;
        loop {
            match self.connect().await {
                Ok(stream) => {
                    info!(register = self.register, "registered");
                    reachable = true;
                    let end = self.stay(stream).await;
                    warn!(register = self.register, "lost the register: {end}; trying on");
                }
                Err(error) if reachable => {
                    reachable = false;
                    warn!(register = self.register, "no register: {error}; trying on");
                }
                Err(_) => {}
            }
            sleep(RECONNECT_DELAY).await;
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let address = resolve(self.register.clone()).await?;
        let mut stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT).await?;
        let mut line = Vec::new();
        self.request.encode(&mut line);
        Request::RingwayPing.encode(&mut line);
        stream.write_all(&line).await?;
        Ok(stream)
    }

    /// Pings until the connection ends; returns why it did.
    async fn stay(&self, stream: TcpStream) -> io::Error {
        let pulse = Cell::new(RegisterPulse::new(&self.register));
        let (mut input, mut output) = futures_lite::io::split(stream);
        let read = async {
            let mut lines = Lines::default();
            let mut buffer = [0; 512];
            loop {
                let size = match input.read(&mut buffer).await {
                    Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                    Ok(size) => size,
                    Err(error) => return error,
                };
                beat(&pulse, RegisterPulse::heard);
                lines.push(&buffer[..size]);
                loop {
                    match lines.next_line() {
                        Ok(Some(line)) if Told::decode(line) == Ok(Told::Pong) => {
                            beat(&pulse, RegisterPulse::answered);
                        }
                        // A register has nothing else to say to a gateway.
                        Ok(Some(_)) => {}
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
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
