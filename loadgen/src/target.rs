//! Where clients connect, as `--target` names it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// A client protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// RFC 6455.
    Websocket,
    /// Lines.
    Text,
    /// A length in front.
    Frame,
    /// A bare stream; a message is every so many bytes.
    Tcp,
}

impl Scheme {
    fn from_name(name: &str) -> Option<Scheme> {
        match name {
            "ws" | "websocket" => Some(Scheme::Websocket),
            "text" => Some(Scheme::Text),
            "frame" => Some(Scheme::Frame),
            "tcp" => Some(Scheme::Tcp),
            _ => None,
        }
    }
}

/// One server's listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// What is spoken there.
    pub scheme: Scheme,
    /// Whether it is spoken within TLS.
    pub tls: bool,
    /// Where it is.
    pub address: SocketAddr,
    /// Host and port as the user wrote them, for the handshake.
    pub host: String,
    /// Path and query, for the handshake.
    pub path: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Target, String> {
        let wrong = |why: &str| format!("target {url}: {why}");
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("expected SCHEME://HOST:PORT, e.g. ws://127.0.0.1:8282"))?;
        let (tls, scheme) = match scheme.strip_prefix("ssl+") {
            Some(scheme) => (true, scheme),
            None if scheme == "wss" => (true, "ws"),
            None => (false, scheme),
        };
        let scheme = Scheme::from_name(scheme).ok_or_else(|| {
            wrong("the schemes are ws, websocket, text, frame, tcp, wss, ssl+text, ssl+frame and ssl+tcp")
        })?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        if path.bytes().any(|byte| byte <= b' ') {
            return Err(wrong("a path has no spaces"));
        }
        let mut addresses = host.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
        let address = addresses.next().ok_or_else(|| wrong("the name has no address"))?;
        Ok(Target { scheme, tls, address, host: host.to_owned(), path: path.to_owned() })
    }
}

impl Target {
    /// The host without its port, as a certificate names it.
    pub fn name(&self) -> &str {
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        name.trim_start_matches('[').trim_end_matches(']')
    }
}

/// The value of `--target`: one or more, comma separated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Targets(pub Vec<Target>);

impl FromStr for Targets {
    type Err = String;

    fn from_str(urls: &str) -> Result<Targets, String> {
        urls.split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>().map(Targets)
    }
}

/// The value of `--source`: one or more addresses, comma separated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources(pub Vec<IpAddr>);

impl FromStr for Sources {
    type Err = String;

    fn from_str(addresses: &str) -> Result<Sources, String> {
        let read = |address: &str| {
            let address = address.trim();
            address.parse().map_err(|_| format!("source {address}: expected an IP address of this machine"))
        };
        addresses.split(',').map(read).collect::<Result<_, _>>().map(Sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let Targets(targets) = "ws://127.0.0.1:8282/chat?room=1, text://[::1]:9".parse().unwrap();
        let [chat, text] = targets.as_slice() else { panic!("two targets") };
        assert_eq!(
            (chat.scheme, chat.host.as_str(), chat.path.as_str()),
            (Scheme::Websocket, "127.0.0.1:8282", "/chat?room=1")
        );
        assert_eq!(chat.address, SocketAddr::from(([127, 0, 0, 1], 8282)));
        assert_eq!((text.scheme, text.path.as_str()), (Scheme::Text, "/"));
        assert!(text.address.is_ipv6());
        assert_eq!((chat.name(), text.name(), text.tls), ("127.0.0.1", "::1", false));
        let Targets(targets) = "wss://localhost:8282, ssl+frame://127.0.0.1:9".parse().unwrap();
        let read: Vec<_> = targets.iter().map(|target| (target.scheme, target.tls, target.name())).collect();
        assert_eq!(read, [(Scheme::Websocket, true, "localhost"), (Scheme::Frame, true, "127.0.0.1")]);
    }

    #[test]
    fn sources_are_read() {
        let Sources(sources) = "192.0.2.1, ::1".parse().unwrap();
        assert_eq!(sources, [IpAddr::from([192, 0, 2, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)]);
        assert!("here".parse::<Sources>().unwrap_err().contains("source here: expected an IP address"));
    }

    #[test]
    fn wrong_targets_are_explained() {
        for (url, why) in [
            ("127.0.0.1:8282", "expected SCHEME://HOST:PORT"),
            ("https://127.0.0.1:8282", "the schemes are"),
            ("ws://127.0.0.1", "invalid socket address"),
            ("ws://127.0.0.1:1/a b", "no spaces"),
        ] {
            let error = url.parse::<Target>().unwrap_err();
            assert!(error.contains(url) && error.contains(why), "{error}");
        }
    }
}
