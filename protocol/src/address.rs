//! Owns how people write addresses: hosts, and hosts with ports. Looks nothing up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A machine, or one of its interfaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Host {
    /// `*`: every IPv4 address of this machine.
    Any,
    /// By number; IPv6 in brackets or without.
    Ip(IpAddr),
    /// By a name that is still to be looked up.
    Name(String),
}

/// Whether machines anywhere may reach this address, as far as its number tells: it is one of no private network, of no
/// carrier's (RFC 1918, 4193 and 6598), of no network under test (RFC 2544), of no single link, not this machine alone, and not all of its addresses.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_set_aside = (first == 100 && second & 0xc0 == 64) || (first == 198 && second & 0xfe == 18);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || is_set_aside)
        }
        IpAddr::V6(ip) => {
            let is_near = ip.is_unique_local() || ip.is_unicast_link_local();
            !(is_near || ip.is_loopback() || ip.is_unspecified())
        }
    }
}

/// `HOST:PORT`; IPv6 in brackets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    /// In front of the colon.
    pub host: Host,
    /// Behind it.
    pub port: u16,
}

impl Host {
    /// The number, if it needs no lookup.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Any => Some(Ipv4Addr::UNSPECIFIED.into()),
            Host::Ip(ip) => Some(*ip),
            Host::Name(_) => None,
        }
    }

    /// Whether it is this machine under an address that no other can reach it by.
    pub fn is_loopback(&self) -> bool {
        match self {
            Host::Any => false,
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Host, String> {
        if text == "*" {
            return Ok(Host::Any);
        }
        let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let ip = match inside {
            Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => text.parse().ok(),
        };
        match ip {
            Some(ip) => Ok(Host::Ip(ip)),
            None if is_name(text) => Ok(Host::Name(text.to_owned())),
            None => Err(format!("`{text}` is neither an IP address nor a host name")),
        }
    }
}

/// Letters, digits, hyphens and underscores between dots. What ends in a number is an IPv4 address or a slip.
fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=LABEL_SIZE_MAX).contains(&label.len()) && label.bytes().all(is_letter);
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= NAME_SIZE_MAX
        && name.split('.').all(is_label)
        && !name.starts_with('-')
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Any => f.write_str("0.0.0.0"),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<HostPort, String> {
        let is_bare_ipv6 = text.parse::<Ipv6Addr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, _)) if is_bare_ipv6 || (host.contains(':') && !host.starts_with('[')) => {
                return Err(format!("`{text}`: IPv6 is written in brackets, as [::1]:1236"));
            }
            Some((host, port)) if !text.ends_with(']') => (host, port),
            Some(_) | None => return Err(format!("`{text}` has no port: HOST:PORT is needed")),
        };
        if host.is_empty() {
            return Err(format!("`{text}` has no host: HOST:PORT is needed"));
        }
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number);
        let port =
            port.ok_or_else(|| format!("`{text}` has no port from 0 to 65535: HOST:PORT is needed"))?;
        Ok(HostPort { host: host.parse()?, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The address of a register that is to be connected to. PHP's `text://` in front means nothing.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn register(text: &str) -> Result<HostPort, String> {
    let address: HostPort = without_text(text)?.parse()?;
    match address {
        HostPort { host: Host::Any, .. } => Err(format!("`{text}`: `*` is no address of a register")),
        HostPort { port: 0, .. } => Err(format!("`{text}`: no register listens on port 0")),
        _ => Ok(address),
    }
}

/// The addresses of several, separated by commas; at least one.
///
/// # Errors
/// What is wrong with the first that is wrong.
pub fn registers(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(|address| register(address.trim()).map(|address| address.to_string())).collect()
}

/// Where a register is to listen, which PHP writes `text://0.0.0.0:1236`.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn register_listen(text: &str) -> Result<HostPort, String> {
    without_text(text)?.parse()
}

fn without_text(text: &str) -> Result<&str, String> {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("text") => Ok(rest.trim_end_matches('/')),
        Some((scheme, _)) => Err(format!("`{text}`: a register speaks text, not {scheme}")),
        None => Ok(text),
    }
}

/// Of a host name, and of a part of it between dots, in bytes (RFC 1035 §2.3.4).
const NAME_SIZE_MAX: usize = 253;
/// See [`NAME_SIZE_MAX`].
const LABEL_SIZE_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public_is_no_network_of_somebody() {
        let near = "10.1.2.3 172.31.0.1 192.168.0.1 127.8.8.8 169.254.1.1 100.64.0.1 100.127.255.255 198.18.0.1 198.19.255.1 0.0.0.0 ::1 :: fd00::1 \
            fe80::1 ::ffff:10.0.0.1";
        for ip in near.split_whitespace() {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in "8.8.8.8 172.32.0.1 100.128.0.1 100.63.0.1 198.17.0.1 198.20.0.1 2001:db8::1 ::ffff:8.8.8.8"
            .split_whitespace()
        {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn hosts_are_read() {
        for text in ["10.0.0.1", "[::1]", "localhost", "db-1.example.org", "my_service", "1password.com"] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
        }
        assert_eq!("*".parse::<Host>().unwrap().to_string(), "0.0.0.0");
        assert_eq!("::1".parse::<Host>().unwrap().to_string(), "[::1]");
        for text in ["", "a b", "a..b", ".a", "-a", "1.2.3", "300.1.1.1", "[1.2.3.4]", "a/b", "ä", "[::1"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
        assert!("a".repeat(64).parse::<Host>().is_err());
        assert!(["a"; 127].join(".").parse::<Host>().is_ok());
        assert!(["a"; 128].join(".").parse::<Host>().is_err());
    }

    #[test]
    fn registers_are_read_as_people_write_them() {
        for (text, address) in [
            ("127.0.0.1:1236", "127.0.0.1:1236"),
            ("text://10.0.0.1:1236", "10.0.0.1:1236"),
            ("TEXT://10.0.0.1:1236/", "10.0.0.1:1236"),
            ("register.example.org:1236", "register.example.org:1236"),
            ("[::1]:1236", "[::1]:1236"),
        ] {
            assert_eq!(register(text).unwrap().to_string(), address);
        }
        assert_eq!(registers("a:1, [::1]:2").unwrap(), ["a:1", "[::1]:2"]);
    }

    #[test]
    fn wrong_registers_are_told() {
        for (text, why) in [
            ("", "has no port"),
            ("nonsense", "has no port"),
            ("[::1]", "has no port"),
            ("a:", "has no port from 0 to 65535"),
            ("a:70000", "has no port from 0 to 65535"),
            ("a:+1", "has no port from 0 to 65535"),
            (":1236", "has no host"),
            ("a:0", "port 0"),
            ("*:1236", "is no address of a register"),
            ("::1:1236", "in brackets"),
            ("a b:1236", "neither an IP address nor a host name"),
            ("http://a:1236", "not http"),
            ("text://text://a:1236", "in brackets"),
        ] {
            let error = register(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(registers(&format!("a:1,{text}")).is_err());
        }
    }

    #[test]
    fn a_register_may_listen_everywhere_and_on_any_port() {
        for (text, address) in [
            ("text://0.0.0.0:1236", "0.0.0.0:1236"),
            ("*:1236", "0.0.0.0:1236"),
            ("localhost:0", "localhost:0"),
        ] {
            assert_eq!(register_listen(text).unwrap().to_string(), address);
        }
        assert!(register_listen("1236").is_err());
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        let is_loopback = |text: &str| text.parse::<Host>().unwrap().is_loopback();
        assert!(["127.0.0.1", "127.9.9.9", "::1", "LocalHost"].into_iter().all(is_loopback));
        assert!(!["10.0.0.1", "*", "register"].into_iter().any(is_loopback));
    }
}
