//! A shard's registration: a kept connection to each register (WIRE.md §2).

use std::io;
use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use glommio::Task;
use glommio::net::TcpStream;
use glommio::timer::sleep;
use protocol::register::Request;
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
    /// Connects, stays, and comes back 1 s after every loss, for ever. Logs changes only.
    async fn keep(self) {
        let mut reachable = true;
        loop {
            match self.connect().await {
                Ok(stream) => {
                    info!(register = self.register, "registered");
                    reachable = true;
                    let end = self.stay(stream).await;
                    warn!(register = self.register, "lost the register: {end}; trying again every second");
                }
                Err(error) if reachable => {
                    reachable = false;
                    warn!(register = self.register, "no register: {error}; trying again every second");
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
        stream.write_all(&line).await?;
        Ok(stream)
    }

    /// Pings until the connection ends; returns why it did.
    async fn stay(&self, stream: TcpStream) -> io::Error {
        let (mut input, mut output) = futures_lite::io::split(stream);
        let pings = async {
            // A register on this machine needs none (WIRE.md §2).
            if self.register.starts_with("127.0.0.1") {
                return future::pending().await;
            }
            let mut line = Vec::new();
            Request::Ping.encode(&mut line);
            loop {
                sleep(PING_PERIOD).await;
                if let Err(error) = output.write_all(&line).await {
                    return error;
                }
            }
        };
        let end = async {
            // A register has nothing to say to a gateway.
            let mut ignored = [0; 512];
            loop {
                match input.read(&mut ignored).await {
                    Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
        };
        future::or(pings, end).await
    }
}

/// Looks a name up without holding up the shard.
async fn resolve(register: String) -> io::Result<SocketAddr> {
    if let Ok(address) = register.parse() {
        return Ok(address);
    }
    let found = glommio::executor().spawn_blocking(move || register.to_socket_addrs()).await?.next();
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

const RECONNECT_DELAY: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const PING_PERIOD: Duration = Duration::from_secs(25);
