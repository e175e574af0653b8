//! Where a gateway listens and what is spoken there, as people write it, and which of such places cannot be had together.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;

use protocol::address::{Host, HostPort};
use protocol::client::websocket::{DefaultType, Websocket};
use protocol::client::{Protocol, frame::Frame, tcp::Tcp, text::Text};

/// A place where clients connect, and what they speak there.
#[derive(Clone)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// The clients' protocol.
    pub protocol: ListenProtocol,
    /// Whether it is spoken within TLS.
    pub tls: bool,
}

/// What clients of a listener speak.
#[derive(Clone)]
pub enum ListenProtocol {
    /// RFC 6455.
    Websocket(Websocket),
    /// Lines.
    Text,
    /// A u32 length in front.
    Frame,
    /// What one read gives.
    Tcp,
    /// A protocol of the user's own.
    Custom(Arc<dyn Protocol>),
}

impl ListenProtocol {
    /// The built-in one that `--listen` calls so.
    fn named(name: &str) -> Option<ListenProtocol> {
        Some(match name {
            "websocket" | "ws" => ListenProtocol::Websocket(Websocket::default()),
            "text" => ListenProtocol::Text,
            "frame" => ListenProtocol::Frame,
            "tcp" => ListenProtocol::Tcp,
            _ => return None,
        })
    }

    /// As `--listen` has it.
    fn name(&self) -> &'static str {
        match self {
            ListenProtocol::Websocket(_) => "websocket",
            ListenProtocol::Text => "text",
            ListenProtocol::Frame => "frame",
            ListenProtocol::Tcp => "tcp",
            ListenProtocol::Custom(_) => "custom",
        }
    }

    /// What this protocol does that does not depend on the client.
    pub fn protocol(&self) -> &dyn Protocol {
        match self {
            ListenProtocol::Websocket(websocket) => websocket,
            ListenProtocol::Text => &Text,
            ListenProtocol::Frame => &Frame,
            ListenProtocol::Tcp => &Tcp,
            ListenProtocol::Custom(protocol) => protocol.as_ref(),
        }
    }

    /// The websocket protocol, if it is that.
    pub(crate) fn websocket(&self) -> Option<&Websocket> {
        match self {
            ListenProtocol::Websocket(websocket) => Some(websocket),
            _ => None,
        }
    }

    /// Sets whether messages of websocket clients that want it are compressed.
    pub fn set_compression(&mut self, compression: bool) {
        if let ListenProtocol::Websocket(websocket) = self {
            websocket.compression = compression;
        }
    }

    /// Sets what an outgoing websocket message is when nobody said.
    pub fn set_websocket_type(&mut self, default_type: DefaultType) {
        if let ListenProtocol::Websocket(websocket) = self {
            websocket.default_type = default_type;
        }
    }

    /// Sets whether websocket clients' text may be any bytes.
    pub fn set_lenient_text(&mut self, lenient_text: bool) {
        if let ListenProtocol::Websocket(websocket) = self {
            websocket.lenient_text = lenient_text;
        }
    }
}

impl Listen {
    /// Whether clients come with a handshake of HTTP.
    pub fn is_websocket(&self) -> bool {
        matches!(self.protocol, ListenProtocol::Websocket(_))
    }

    /// The scheme of its `--listen`.
    pub fn scheme(&self) -> String {
        match (self.protocol.name(), self.tls) {
            ("websocket", true) => "wss".to_owned(),
            (name, true) => format!("ssl+{name}"),
            (name, false) => name.to_owned(),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    /// As [`ListenFlag`], its name looked up at once.
    fn from_str(text: &str) -> Result<Listen, String> {
        text.parse::<ListenFlag>()?.resolve()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.address)
    }
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of `--listen`: `websocket://0.0.0.0:8282`, `text://…`, `frame://…`, `tcp://…`, and the same within TLS by `ssl+`
/// in front. `ws` is short for `websocket`, `wss` for `ssl+websocket`. The host may be a name, and `*` is every address.
#[derive(Clone)]
pub struct ListenFlag {
    protocol: ListenProtocol,
    tls: bool,
    address: HostPort,
}

impl fmt::Debug for ListenFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenFlag").field("address", &self.address).finish_non_exhaustive()
    }
}

impl FromStr for ListenFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenFlag, String> {
        let (scheme, address) = text
            .split_once("://")
            .ok_or_else(|| format!("`{text}` has no scheme; try websocket://{text}"))?;
        let scheme = scheme.to_ascii_lowercase();
        let (tls, protocol) = match scheme.strip_prefix("ssl+") {
            Some(protocol) => (true, protocol),
            None if scheme == "wss" => (true, "websocket"),
            None => (false, scheme.as_str()),
        };
        let protocol = ListenProtocol::named(protocol).ok_or_else(|| {
            format!("`{scheme}` is not one of websocket, text, frame, tcp, wss, ssl+text, ssl+frame, ssl+tcp")
        })?;
        let address = address.trim_end_matches('/');
        if address.contains('/') {
            return Err(format!("`{address}`: clients may ask for any path, none is listened on"));
        }
        Ok(ListenFlag { protocol, tls, address: address.parse()? })
    }
}

impl ListenFlag {
    /// The place itself, its name looked up.
    ///
    /// # Errors
    /// The name has no address.
    pub fn resolve(self) -> Result<Listen, String> {
        let HostPort { host, port } = self.address;
        let ip = resolve(&host).map_err(|error| format!("--listen {host}:{port}: {error}"))?;
        Ok(Listen { address: (ip, port).into(), protocol: self.protocol, tls: self.tls })
    }
}

/// The address of a host. If it has several, IPv4 goes first: workers know of no other.
///
/// # Errors
/// The name has none.
pub fn resolve(host: &Host) -> io::Result<IpAddr> {
    let Host::Name(name) = host else {
        return Ok(host.ip().expect("only a name has no number"));
    };
    let mut found: Vec<IpAddr> = (name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    found.first().copied().ok_or_else(no_address)
}

/// The value of `--lan-ip`, its name looked up: IPv4, for client ids hold it in four bytes.
///
/// # Errors
/// It is IPv6, or the name has no address.
pub fn resolve_lan_ip(host: &Host) -> Result<Ipv4Addr, program::Refusal> {
    match (resolve(host), host) {
        (Ok(IpAddr::V4(ip)), _) => Ok(ip),
        (Ok(IpAddr::V6(ip)), Host::Ip(_)) => {
            Err(program::Refusal::Usage(format!("--lan-ip {ip}: workers know gateways by IPv4 addresses")))
        }
        (Ok(_), _) => {
            Err(program::Refusal::Environment(format!("--lan-ip {host}: the name has no IPv4 address")))
        }
        (Err(error), _) => Err(program::Refusal::Environment(format!("--lan-ip {host}: {error}"))),
    }
}

/// Whether a client could come to either of two listeners, or neither of the two could be had beside the other. `[::]` is
/// IPv4 as well; port 0 is any that is free.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let [a, b] = [one, other].map(|address| address.ip().to_canonical());
    let is_whole = |ip: IpAddr, of: IpAddr| ip.is_unspecified() && (ip.is_ipv6() || of.is_ipv4());
    one.port() != 0 && one.port() == other.port() && (a == b || is_whole(a, b) || is_whole(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_reads_what_it_prints() {
        for text in ["websocket://0.0.0.0:8282", "text://127.0.0.1:1", "frame://[::1]:80", "tcp://1.2.3.4:5"]
        {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in
            ["wss://0.0.0.0:443", "ssl+text://127.0.0.1:1", "ssl+frame://[::1]:8", "ssl+tcp://1.2.3.4:5"]
        {
            let listen: Listen = text.parse().unwrap();
            assert_eq!((listen.tls, listen.to_string().as_str()), (true, text));
        }
        assert_eq!("ssl+websocket://1.2.3.4:5".parse::<Listen>().unwrap().to_string(), "wss://1.2.3.4:5");
        assert_eq!("ws://1.2.3.4:5/".parse::<Listen>().unwrap().to_string(), "websocket://1.2.3.4:5");
        for wrong in ["0.0.0.0:8282", "http://0.0.0.0:80", "text://8282", "ssl+wss://1.2.3.4:5", ""] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn schemes_and_hosts_are_read_as_php_reads_them() {
        for (text, listen) in [
            ("Websocket://0.0.0.0:8282", "websocket://0.0.0.0:8282"),
            ("WSS://*:443", "wss://0.0.0.0:443"),
            ("SSL+Text://127.0.0.1:1", "ssl+text://127.0.0.1:1"),
            ("websocket://localhost:8282", "websocket://127.0.0.1:8282"),
            ("tcp://[::]:80/", "tcp://[::]:80"),
        ] {
            let flag: ListenFlag = text.parse().unwrap();
            assert_eq!(flag.resolve().unwrap().to_string(), listen);
        }
        let nowhere: ListenFlag = "text://nowhere.invalid:1".parse().unwrap();
        assert!(nowhere.resolve().unwrap_err().starts_with("--listen nowhere.invalid:1: "));
    }

    #[test]
    fn wrong_listeners_are_told() {
        for (text, why) in [
            ("", "has no scheme"),
            ("0.0.0.0:8282", "try websocket://0.0.0.0:8282"),
            ("http://0.0.0.0:80", "`http` is not one of"),
            ("ssl+wss://1.2.3.4:5", "`ssl+wss` is not one of"),
            ("text://8282", "has no port"),
            ("text://0.0.0.0", "has no port"),
            ("text://0.0.0.0:", "has no port"),
            ("text://:8282", "has no host"),
            ("websocket://0.0.0.0:80/chat", "any path"),
            ("text://1.2.3:4", "neither an IP address nor a host name"),
            ("text://::1:4", "in brackets"),
        ] {
            let error = text.parse::<ListenFlag>().map(|_| ()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn listeners_of_one_port_overlap_where_their_addresses_do() {
        let both_ways = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|address| address.parse().unwrap());
            assert_eq!(overlap(one, other), overlap(other, one));
            overlap(one, other)
        };
        for (one, other) in [
            ("1.2.3.4:80", "1.2.3.4:80"),
            ("0.0.0.0:80", "1.2.3.4:80"),
            ("0.0.0.0:80", "[::]:80"),
            ("[::]:80", "1.2.3.4:80"),
            ("[::]:80", "[::1]:80"),
            ("[::ffff:1.2.3.4]:80", "0.0.0.0:80"),
        ] {
            assert!(both_ways(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1.2.3.4:80", "1.2.3.4:81"),
            ("1.2.3.4:80", "1.2.3.5:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("0.0.0.0:0", "0.0.0.0:0"),
        ] {
            assert!(!both_ways(one, other), "{one} {other}");
        }
    }
}
