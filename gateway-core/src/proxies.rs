//! Proxies in front of a gateway: which are believed, and what HTTP headers of theirs say of where a client comes from.
//!
//! What a header says is anybody's word until a proxy that is believed has written it. So lists are read from the right, where
//! the last proxy has written, and only as long as what is read is such a proxy itself.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use protocol::client::websocket::Request;

/// Addresses that have their first bits in common: `10.0.0.0/8`, `2001:db8::/32`, or one alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    /// What is not of the prefix is zero.
    ip: IpAddr,
    prefix: u32,
}

/// The value of `--trusted-proxies`: networks, by commas. None unless some are named.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Networks(Vec<Network>);

program::choice! {
    /// Where an HTTP proxy tells for whom it speaks. Only one is believed: proxies pass on those that they do not write themselves.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum ForwardedHeader {
        /// A list of addresses, each proxy's own last.
        XForwardedFor = "x-forwarded-for",
        /// RFC 7239.
        Forwarded = "forwarded",
        /// One address.
        XRealIp = "x-real-ip",
    }
}

impl Networks {
    /// Whether an address is in one of them. IPv4 is the same within IPv6.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(ip))
    }

    /// Whether there are none.
    pub fn are_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Networks, String> {
        text.split(',').map(|network| network.trim().parse()).collect::<Result<_, _>>().map(Networks)
    }
}

impl Network {
    fn contains(self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && masked(ip, self.prefix) == self.ip
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("`{text}` is no network: like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7");
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
        let said: IpAddr = ip.parse().map_err(|_| wrong())?;
        let ip = said.to_canonical();
        let whole = bits_of(ip);
        let prefix = match prefix {
            None => whole,
            // Of IPv4 within IPv6 the first 96 bits are no address.
            Some(prefix) => prefix
                .parse::<u32>()
                .ok()
                .and_then(|prefix| prefix.checked_sub(bits_of(said) - whole))
                .filter(|prefix| *prefix <= whole)
                .ok_or_else(wrong)?,
        };
        let network = Network { ip: masked(ip, prefix), prefix };
        if network.ip != ip {
            return Err(format!("`{text}` is an address and not a network: did you mean {network}?"));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

fn bits_of(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { u32::BITS } else { u128::BITS }
}

/// An address without what is behind so many bits.
fn masked(ip: IpAddr, prefix: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(u32::BITS - prefix).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(u128::BITS - prefix).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

impl ForwardedHeader {
    /// Where the client of a request comes from, which a trusted proxy has made. The port is 0 where nobody says it. `None`: the
    /// proxy does not say, or says what cannot be read.
    pub(crate) fn client(self, request: &Request<'_>, trusted: &Networks) -> Option<SocketAddr> {
        let name = self.to_string();
        let values = request.headers().filter(|(header, _)| header.eq_ignore_ascii_case(&name));
        let values: Vec<&[u8]> = values.map(|(_, value)| value).collect();
        if self == ForwardedHeader::XRealIp {
            return address(values.last()?);
        }
        // Not by quotes: one that a client leaves open must not take in what proxies write behind it. No address has a comma.
        let hops = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        let mut client = None;
        for hop in hops {
            let read = if self == ForwardedHeader::Forwarded { forwarded_for(hop) } else { address(hop) };
            let Some(read) = read else { break };
            client = Some(read);
            if !trusted.contain(read.ip()) {
                break;
            }
        }
        client
    }
}

/// What an element of `Forwarded` says by its only `for=`.
fn forwarded_for(element: &[u8]) -> Option<SocketAddr> {
    let mut pairs = element.split(|byte| *byte == b';').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        pair[..at].trim_ascii().eq_ignore_ascii_case(b"for").then_some(&pair[at + 1..])
    });
    let (value, None) = (pairs.next()?.trim_ascii(), pairs.next()) else { return None };
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    address(unquoted.unwrap_or(value))
}

/// An address, with a port or without; IPv6 in brackets, or without a port. Not `unknown`, nor a name that somebody made up.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().map(|ip: IpAddr| SocketAddr::new(ip, 0));
    let address = ip.or_else(|_| text.parse::<SocketAddr>()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use protocol::client::websocket::WebsocketCodec;
    use protocol::client::{Codec, Decoded, Limits};

    use super::*;

    fn networks(text: &str) -> Networks {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_what_begins_like_them() {
        let some = networks("10.0.0.0/8, 192.0.2.7,2001:db8::/33,::1");
        for ip in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "::ffff:10.1.2.3", "2001:db8:7fff::1", "::1"] {
            assert!(some.contain(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["11.0.0.0", "9.255.255.255", "192.0.2.6", "2001:db8:8000::", "::2", "::", "a00::"] {
            assert!(!some.contain(ip.parse().unwrap()), "{ip}");
        }
        let mapped = networks("::ffff:10.0.0.0/104");
        assert_eq!(mapped, networks("10.0.0.0/8"));
        let all = networks("0.0.0.0/0");
        assert!(all.contain([1, 2, 3, 4].into()) && !all.contain("::1".parse().unwrap()));
        assert!(networks("::/0").contain("2001:db8::1".parse().unwrap()));
        assert!(!Networks::default().contain([127, 0, 0, 1].into()) && Networks::default().are_none());
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "::/129",
            "10.0.0/8",
            "lan",
            "10.0.0.0/8,",
            "::ffff:10.0.0.0/95",
        ] {
            assert!(text.parse::<Networks>().unwrap_err().contains("is no network"), "{text}");
        }
        let why = "10.1.2.3/8".parse::<Networks>().unwrap_err();
        assert!(why.ends_with("did you mean 10.0.0.0/8?"), "{why}");
    }

    /// What a request with these headers says to who trusts 10.0.0.0/8.
    fn client(header: ForwardedHeader, lines: &[&str]) -> Option<String> {
        let fixed = "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2V5\r\n";
        let mut request = format!("{fixed}{}\r\n\r\n", lines.join("\r\n")).into_bytes();
        let limits = Limits::new(1_000);
        let mut codec = WebsocketCodec::default();
        let Decoded::Handshake { request, .. } = codec.decode(&limits, &mut request, &mut Vec::new()) else {
            panic!("it is a request")
        };
        header.client(&request, &networks("10.0.0.0/8")).map(|address| address.to_string())
    }

    #[test]
    fn lists_are_read_from_the_right_past_proxies_that_are_trusted() {
        for (lines, said) in [
            (&["X-Forwarded-For: 192.0.2.1"][..], Some("192.0.2.1:0")),
            (&["x-forwarded-for: 192.0.2.1:77 , 10.0.0.2"], Some("192.0.2.1:77")),
            (&["X-Forwarded-For: 1.1.1.1, 192.0.2.1, 10.0.0.2,10.0.0.3"], Some("192.0.2.1:0")),
            (&["X-Forwarded-For: 192.0.2.1", "Other: x", "X-Forwarded-For: 10.0.0.2"], Some("192.0.2.1:0")),
            (&["X-Forwarded-For: 10.0.0.3", "X-Forwarded-For: 192.0.2.1"], Some("192.0.2.1:0")),
            (&["X-Forwarded-For: 10.0.0.4, 10.0.0.2"], Some("10.0.0.4:0")),
            (&["X-Forwarded-For: 2001:db8::1"], Some("[2001:db8::1]:0")),
            (&["X-Forwarded-For: [2001:db8::1]"], Some("[2001:db8::1]:0")),
            (&["X-Forwarded-For: [2001:db8::1]:5"], Some("[2001:db8::1]:5")),
            (&["X-Forwarded-For: ::ffff:192.0.2.1"], Some("192.0.2.1:0")),
            // Whoever said something that cannot be read is the last that is known.
            (&["X-Forwarded-For: 1.1.1.1, unknown, 10.0.0.2"], Some("10.0.0.2:0")),
            (&["X-Forwarded-For: 1.1.1.1, "], None),
            (&["X-Forwarded-For: me"], None),
            (&["X-Forwarded-For:"], None),
            (&["X-Real-IP: 1.1.1.1", "Forwarded: for=1.1.1.1"], None),
            (&[], None),
        ] {
            let read = client(ForwardedHeader::XForwardedFor, lines);
            assert_eq!(read.as_deref(), said, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_has_it() {
        for (line, said) in [
            ("Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43", Some("192.0.2.60:0")),
            ("Forwarded: For=\"[2001:db8:cafe::17]:4711\"", Some("[2001:db8:cafe::17]:4711")),
            ("Forwarded: by=10.0.0.9; FOR = \"192.0.2.43:80\"", Some("192.0.2.43:80")),
            ("Forwarded: for=1.1.1.1, for=192.0.2.43, for=10.0.0.7", Some("192.0.2.43:0")),
            // A quote that the client has left open.
            ("Forwarded: for=1.1.1.1;by=\", for=192.0.2.43", Some("192.0.2.43:0")),
            ("Forwarded: for=\"1.1.1.1, for=192.0.2.43;proto=\"http\"", Some("192.0.2.43:0")),
            ("Forwarded: for=192.0.2.43;for=1.1.1.1", None),
            ("Forwarded: for=_hidden", None),
            ("Forwarded: for=unknown, for=10.0.0.7", Some("10.0.0.7:0")),
            ("Forwarded: proto=https", None),
            ("Forwarded: for=192.0.2.43, proto=https", None),
            ("Forwarded: 192.0.2.43", None),
        ] {
            assert_eq!(client(ForwardedHeader::Forwarded, &[line]).as_deref(), said, "{line}");
        }
    }

    #[test]
    fn of_single_addresses_the_last_counts() {
        let read = |lines: &[&str]| client(ForwardedHeader::XRealIp, lines);
        assert_eq!(read(&["X-Real-IP: 192.0.2.1"]).as_deref(), Some("192.0.2.1:0"));
        assert_eq!(read(&["X-Real-IP: 1.1.1.1", "X-Real-IP: 10.0.0.5"]).as_deref(), Some("10.0.0.5:0"));
        assert_eq!(read(&["X-Real-IP: 1.1.1.1, 192.0.2.1"]), None);
        assert_eq!(read(&["X-Forwarded-For: 192.0.2.1"]), None);
    }
}
