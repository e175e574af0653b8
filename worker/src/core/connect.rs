//! Opening connections: names resolved off the core, attempts limited in time.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};

use glommio::net::TcpStream;

use crate::config::CONNECT_TIMEOUT;

/// Connects to a gateway.
pub(super) async fn connect(address: SocketAddrV4) -> io::Result<TcpStream> {
    connect_socket(address.into()).await
}

/// Connects to `host:port`. A name is looked up on a thread of its own, since that may take seconds.
pub(super) async fn connect_by_name(address: &str) -> io::Result<TcpStream> {
    if let Ok(address) = address.parse() {
        return connect_socket(address).await;
    }
    let name = address.to_owned();
    let found = glommio::executor()
        .spawn_blocking(move || name.to_socket_addrs().map(|mut addresses| addresses.next()))
        .await?;
    match found {
        Some(address) => connect_socket(address).await,
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
    }
}

async fn connect_socket(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
