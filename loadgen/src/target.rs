//! Where clients connect, as `--target` names it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

program::choice! {
    /// A client protocol.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Scheme {
        /// RFC 6455.
        Websocket = "ws",
        /// Lines.
        Text = "text",
        /// A length in front.
        Frame = "frame",
        /// A bare stream; a message is every so many bytes.
        Tcp = "tcp",
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
        let scheme = if scheme == "websocket" { "ws" } else { scheme };
        let scheme = scheme.parse().map_err(|_: String| {
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

    /// Scheme and address, as reports name the target.
    pub fn url(&self) -> String {
        let Target { scheme, address, .. } = self;
        match (self.tls, scheme) {
            (false, _) => format!("{scheme}://{address}"),
            (true, Scheme::Websocket) => format!("wss://{address}"),
            (true, _) => format!("ssl+{scheme}://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Target {
        url.parse().unwrap()
    }

    #[test]
    fn targets_are_read() {
        let [chat, text] = ["ws://127.0.0.1:8282/chat?room=1", "text://[::1]:9"].map(read);
        assert_eq!(
            (chat.scheme, chat.host.as_str(), chat.path.as_str()),
            (Scheme::Websocket, "127.0.0.1:8282", "/chat?room=1")
        );
        assert_eq!(chat.address, SocketAddr::from(([127, 0, 0, 1], 8282)));
        assert_eq!((text.scheme, text.path.as_str()), (Scheme::Text, "/"));
        assert!(text.address.is_ipv6());
        assert_eq!((chat.name(), text.name(), text.tls), ("127.0.0.1", "::1", false));
        let secure = ["wss://localhost:8282", "ssl+frame://127.0.0.1:9"].map(read);
        let seen = secure.each_ref().map(|target| (target.scheme, target.tls, target.name()));
        assert_eq!(seen, [(Scheme::Websocket, true, "localhost"), (Scheme::Frame, true, "127.0.0.1")]);
        for url in ["ws://127.0.0.1:1", "wss://127.0.0.1:1", "text://127.0.0.1:1", "ssl+tcp://127.0.0.1:1"] {
            assert_eq!(read(url).url(), url);
        }
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
