//! Where the gateways are: a connection to each register, opened again after a loss (WIRE.md §2).

use std::io;
use std::sync::Arc;

use protocol::register::{Broadcast, Lines, Request};
use protocol::register_trouble::{RegisterNews, Retry, Trouble};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::config::{RECONNECT_DELAY, REGISTER_PING_INTERVAL, REGISTER_READ_SIZE};
use crate::directory::Directory;

/// No register has said where the gateways are. Each reason begins with the register's address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no register has said where the gateways are: {}", .reasons.join("; "))]
pub struct ConnectError {
    /// One for each register.
    pub reasons: Vec<String>,
}

/// Follows one register's lists, for ever.
pub(crate) async fn follow(directory: Arc<Directory>, index: usize) {
    let register = directory.config().register_addresses[index].clone();
    let (mut retry, mut news) = (Retry::default(), RegisterNews::default());
    loop {
        let mut listed = false;
        let Err(error) = converse(&directory, index, &register, &mut listed).await;
        if listed {
            retry.held();
            news.held();
        }
        if news.failed(&error, listed) {
            warn!(register, "no connection to register, trying on: {error}");
        }
        directory.lost(index, format!("{register}: {error}"));
        sleep(retry.failed(&error, RECONNECT_DELAY)).await;
    }
}

/// Takes lists until the connection ends, and sets `listed` at the first.
async fn converse(
    directory: &Directory,
    index: usize,
    register: &str,
    listed: &mut bool,
) -> io::Result<std::convert::Infallible> {
    let config = directory.config();
    let mut stream = timeout(config.connect_timeout, TcpStream::connect(register)).await??;
    write(&mut stream, &Request::WorkerConnect { secret_key: config.secret_key.clone() }).await?;
    // PHP tells local registers by this prefix, not by what the name resolves to (WIRE.md §2).
    let pings = !register.starts_with("127.0.0.1");
    let (mut lines, mut said) = (Lines::default(), Vec::new());
    let mut buffer = vec![0; REGISTER_READ_SIZE];
    loop {
        let limit = if *listed { REGISTER_PING_INTERVAL } else { config.reply_timeout };
        let size = match timeout(limit, stream.read(&mut buffer)).await {
            Ok(Ok(size)) if size > 0 => size,
            Ok(_) if !*listed => return Err(Trouble::closed(&said).into()),
            Ok(Ok(_)) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the register")),
            Ok(Err(error)) => return Err(error),
            Err(_) if !*listed && said.is_empty() => return Err(Trouble::Mute.into()),
            Err(_) if !*listed => return Err(Trouble::foreign(&said).into()),
            Err(_) => {
                if pings {
                    write(&mut stream, &Request::Ping).await?;
                }
                continue;
            }
        };
        if !*listed && said.len() < buffer.len() {
            said.extend_from_slice(&buffer[..size]);
        }
        lines.push(&buffer[..size]);
        while let Some(line) = lines.next_line().map_err(invalid)? {
            let broadcast = Broadcast::decode(line).map_err(|_| Trouble::foreign(line))?;
            debug!(register, gateways = broadcast.addresses.len(), "list of gateways");
            directory.take(index, &broadcast.addresses);
            *listed = true;
        }
    }
}

async fn write(stream: &mut TcpStream, request: &Request) -> io::Result<()> {
    let mut line = Vec::new();
    request.encode(&mut line);
    stream.write_all(&line).await
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
