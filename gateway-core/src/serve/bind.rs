//! All ports of a gateway.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpListener};
use std::time::Duration;

use program::BindRetry;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use tracing::warn;
use uring::Steering;

use crate::{Settings, Steer};

/// One shard's listening sockets.
pub(super) struct ShardSockets {
    /// In the order of `Settings::listen`. They do not listen before [`listen`].
    pub clients: Vec<TcpListener>,
    pub inner: TcpListener,
    /// What is registered: `lan_ip` and the inner port.
    pub address: SocketAddrV4,
}

impl ShardSockets {
    pub(super) fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.clients
            .iter()
            .map(|socket| socket.local_addr().expect("a bound socket has an address"))
            .collect()
    }
}

/// Binds everything, or says in one line what cannot be bound.
///
/// Ports 0 are chosen by the kernel: one per listener for all shards, one per shard for the inner ports.
pub(super) fn bind_all(settings: &Settings) -> Result<Vec<ShardSockets>, String> {
    let mut addresses: Vec<SocketAddr> = settings.listen.iter().map(|listen| listen.address).collect();
    let mut retry = BindRetry::default();
    for address in &addresses {
        retry
            .bind(|| refuse_if_taken(*address))
            .map_err(|error| program::describe_bind_error(address, &error))?;
    }
    let mut shards = Vec::with_capacity(settings.count);
    for index in 0..settings.count {
        let mut clients = Vec::with_capacity(addresses.len());
        for address in &mut addresses {
            let socket = bind(*address, Sharing::AllShards)
                .and_then(notice_vanished_clients)
                .map_err(|error| program::describe_bind_error(*address, &error))?;
            address.set_port(socket.local_addr().map_err(|error| error.to_string())?.port());
            clients.push(socket);
        }
        let (inner, address) = bind_inner(settings, index, &mut retry)?;
        shards.push(ShardSockets { clients, inner, address });
    }
    Ok(shards)
}

/// Lets clients connect: the shards' sockets listen from here on, in their order, by which they are steered to.
pub(super) fn listen(shards: &[Vec<TcpListener>]) -> Result<(), String> {
    for socket in shards.iter().flatten() {
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        let listen = SockRef::from(socket).listen(BACKLOG);
        listen.map_err(|error| program::describe_bind_error(address, &error))?;
    }
    Ok(())
}

/// Sets which shard gets a new client; `cpus` are the shards'. An even spread is a nicety that a container may forbid, and
/// the kernel has its own way; whoever asks for CPUs is to know if it cannot be.
pub(super) fn steer(steer: Steer, shards: &[Vec<TcpListener>], cpus: &[usize]) -> Result<(), String> {
    let [first, _, ..] = shards else { return Ok(()) };
    let steering = match steer {
        Steer::Even => Steering::Even { sockets: shards.len() },
        Steer::Cpu => Steering::ByCpu { cpus },
    };
    for listener in first {
        match (uring::steer(listener, steering), steer) {
            (Ok(()), _) => {}
            (Err(error), Steer::Even) => warn!("the kernel's own way spreads clients over shards: {error}"),
            (Err(error), Steer::Cpu) => {
                return Err(format!("--steer cpu is not possible here: {error}; leave it away"));
            }
        }
    }
    Ok(())
}

fn bind_inner(
    settings: &Settings,
    index: usize,
    retry: &mut BindRetry,
) -> Result<(TcpListener, SocketAddrV4), String> {
    let ip: IpAddr = settings.inner_ip();
    let port = match settings.start_port {
        0 => 0,
        start => start + u16::try_from(index).expect("checked with the settings"),
    };
    let address = SocketAddr::new(ip, port);
    let inner =
        retry.bind(|| bind(address, Sharing::Alone)).and_then(notice_dead_peers).map_err(|error| {
            let why = program::describe_bind_error(address, &error).replace("--listen", "--start-port");
            let is_elsewhere = error.kind() == io::ErrorKind::AddrNotAvailable;
            let hint = if is_elsewhere { "; see --lan-ip and --inner-listen" } else { "" };
            format!("inner port of shard {index}: {why}{hint}")
        })?;
    let port = inner.local_addr().map_err(|error| error.to_string())?.port();
    Ok((inner, SocketAddrV4::new(settings.lan_ip, port)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    /// SO_REUSEPORT: the kernel spreads connections over the shards.
    AllShards,
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = open(address)?;
    socket.set_reuse_port(sharing == Sharing::AllShards)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SockAddr::from(address))?;
    if sharing == Sharing::Alone {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// Lets the kernel end idle inner connections whose other machine is gone: for PHP's peers and for query connections, which
/// do not ping (WIRE.md §14). Accepted sockets inherit it. Those to which something is sent are the shard's to judge, by what
/// is acknowledged: TCP_USER_TIMEOUT would end those of peers that are alive and do not read for a while.
fn notice_dead_peers(listener: TcpListener) -> io::Result<TcpListener> {
    let socket = SockRef::from(&listener);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_TRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    Ok(listener)
}

/// Lets the kernel end connections of clients whose machine or network is gone without a word, whatever the heartbeat is
/// set to. Accepted sockets inherit it.
fn notice_vanished_clients(listener: TcpListener) -> io::Result<TcpListener> {
    let keepalive = TcpKeepalive::new()
        .with_time(CLIENT_KEEPALIVE_IDLE)
        .with_interval(CLIENT_KEEPALIVE_INTERVAL)
        .with_retries(CLIENT_KEEPALIVE_TRIES);
    SockRef::from(&listener).set_tcp_keepalive(&keepalive)?;
    Ok(listener)
}

/// With SO_REUSEPORT another gateway of the same user would share the port without a word.
fn refuse_if_taken(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    open(address)?.bind(&SockAddr::from(address))
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip() != IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Idle time until the kernel asks whether a peer's machine is still there, and between two such questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// The same for clients. The idle time is PHP's, and mobile networks forget connections that are idle for longer than some
/// minutes. PHP asks once and waits 55 s more; asked five times in that time, a client behind a bad network loses its
/// connection to no single packet.
const CLIENT_KEEPALIVE_IDLE: Duration = Duration::from_secs(55);
const CLIENT_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(11);
const CLIENT_KEEPALIVE_TRIES: u32 = 5;

/// Unanswered questions after which an idle inner connection ends: a minute after the last sign.
const KEEPALIVE_TRIES: u32 = 9;

/// Connections the kernel keeps for us to accept, as far as net.core.somaxconn lets it.
const BACKLOG: i32 = 65_535;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn clients_that_vanish_are_noticed_by_the_kernel() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = bind(any, Sharing::AllShards).and_then(notice_vanished_clients).unwrap();
        listen(&[vec![listener.try_clone().unwrap()]]).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), CLIENT_KEEPALIVE_IDLE);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), CLIENT_KEEPALIVE_INTERVAL);
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), CLIENT_KEEPALIVE_TRIES);
    }

    #[test]
    fn inner_connections_are_ended_by_the_kernel_when_their_machine_is_gone() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = bind(any, Sharing::Alone).and_then(notice_dead_peers).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), KEEPALIVE_TRIES);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), None, "it would count a closed window");
    }
}
