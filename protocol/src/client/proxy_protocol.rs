//! The PROXY protocol, versions 1 and 2: what a proxy says of a connection in front of its first byte.
//!
//! As haproxy's proxy-protocol.txt has it. The caller knows from whom to believe it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::begins_alike;

/// A header's size in bytes at most, of version 2. It may say 65,551; what proxies write is some hundred, and nginx stops here
/// as well. Beyond: malformed.
pub const HEADER_SIZE_MAX: usize = 4096;

/// The longest header of version 1 in bytes, with its end.
pub const LINE_SIZE_MAX: usize = 107;

/// What a proxy says of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// Bytes in front of the connection's own.
    pub size: usize,
    /// Where the connection really comes from. `None`: the proxy speaks for itself, as in a health check, or does not know; then
    /// the connection's own address counts.
    pub source: Option<SocketAddr>,
    /// The host name that the client asked for, such as the server name of TLS. Version 2 only.
    pub authority: Option<&'a str>,
}

/// What is no header, or one that must not be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a PROXY header")]
pub struct HeaderError;

/// Reads the header at the start of `input`. `None`: more is needed.
///
/// # Errors
/// It begins in another way, is longer than may be, or is broken.
pub fn decode(input: &[u8]) -> Result<Option<Header<'_>>, HeaderError> {
    if begins_alike(input, SIGNATURE) {
        decode_binary(input)
    } else if begins_alike(input, LINE_START) {
        decode_line(input)
    } else {
        Err(HeaderError)
    }
}

/// Whether this is the start of a header, and of hardly anything else.
pub fn is_header(input: &[u8]) -> bool {
    input.starts_with(SIGNATURE) || input.starts_with(LINE_START)
}

/// Version 1: a line such as `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`.
fn decode_line(input: &[u8]) -> Result<Option<Header<'_>>, HeaderError> {
    let window = &input[..input.len().min(LINE_SIZE_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < LINE_SIZE_MAX { Ok(None) } else { Err(HeaderError) };
    };
    let line = window[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(LINE_START));
    let line = line.and_then(|line| str::from_utf8(line).ok()).ok_or(HeaderError)?;
    let source = line_source(line).ok_or(HeaderError)?;
    Ok(Some(Header { size: end + 1, source, authority: None }))
}

/// What is behind `PROXY `: the source, if the proxy knows it. `None`: malformed.
fn line_source(line: &str) -> Option<Option<SocketAddr>> {
    let (family, addresses) = line.split_once(' ').unwrap_or((line, ""));
    match family {
        // Whatever follows.
        "UNKNOWN" => Some(None),
        "TCP4" => line_addresses::<Ipv4Addr>(addresses).map(Some),
        "TCP6" => line_addresses::<Ipv6Addr>(addresses).map(Some),
        _ => None,
    }
}

/// The first address and the first port of two each, all of which have to be good.
fn line_addresses<Ip: FromStr + Into<IpAddr>>(addresses: &str) -> Option<SocketAddr> {
    let mut words = addresses.split(' ');
    let mut ip = || words.next()?.parse::<Ip>().ok();
    let (source, _) = (ip()?, ip()?);
    let mut port = || line_port(words.next()?);
    let (source_port, _) = (port()?, port()?);
    words.next().is_none().then(|| address(source, source_port))
}

/// Digits alone, and none that would not have to be.
fn line_port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// Version 2: a signature, then what kind of header, then a u16 length of addresses and of typed values behind them.
fn decode_binary(input: &[u8]) -> Result<Option<Header<'_>>, HeaderError> {
    let [command, family, high, low] = match input.get(SIGNATURE.len()..) {
        Some([command, family, high, low, ..]) => [*command, *family, *high, *low],
        // The first of them says enough, if it is wrong.
        Some([command, ..]) if *command >> 4 != VERSION => return Err(HeaderError),
        _ => return Ok(None),
    };
    let size = BINARY_START_SIZE + usize::from(u16::from_be_bytes([high, low]));
    let is_local = match command {
        LOCAL => true,
        PROXY => false,
        _ => return Err(HeaderError),
    };
    if size > HEADER_SIZE_MAX {
        return Err(HeaderError);
    }
    let Some(rest) = input.get(BINARY_START_SIZE..size) else { return Ok(None) };
    if is_local {
        // Whatever it says beside.
        return Ok(Some(Header { size, source: None, authority: None }));
    }
    let (source, values) = binary_source(family, rest).ok_or(HeaderError)?;
    let authority = authority(values)?;
    Ok(Some(Header { size, source, authority }))
}

/// The source, if the proxy says one that is good for something, and what is behind the addresses. `None`: malformed.
fn binary_source(family: u8, rest: &[u8]) -> Option<(Option<SocketAddr>, &[u8])> {
    let (family, transport) = (family >> 4, family & 0xf);
    if transport > TRANSPORT_MAX {
        return None;
    }
    let is_tcp = transport == STREAM;
    match family {
        UNSPECIFIED => Some((None, rest)),
        INET => {
            let (addresses, values) = rest.split_first_chunk::<12>()?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses;
            let source = address(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]));
            Some((is_tcp.then_some(source), values))
        }
        INET6 => {
            let (addresses, values) = rest.split_first_chunk::<36>()?;
            let ip = u128::from_be_bytes(*addresses.first_chunk()?);
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            Some((is_tcp.then(|| address(Ipv6Addr::from_bits(ip), port)), values))
        }
        UNIX => Some((None, rest.get(UNIX_SIZE..)?)),
        _ => None,
    }
}

/// The host name among typed values, if one is there and is text.
fn authority(mut values: &[u8]) -> Result<Option<&str>, HeaderError> {
    let mut authority = None;
    while !values.is_empty() {
        let (&[kind, high, low], rest) = values.split_first_chunk().ok_or(HeaderError)?;
        let size = usize::from(u16::from_be_bytes([high, low]));
        let (value, behind) = rest.split_at_checked(size).ok_or(HeaderError)?;
        if kind == AUTHORITY {
            authority = str::from_utf8(value).ok();
        }
        values = behind;
    }
    Ok(authority)
}

/// IPv4 as such, also where a proxy listens for both.
fn address(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into().to_canonical(), port)
}

/// What version 1 begins with.
const LINE_START: &[u8] = b"PROXY ";
/// What version 2 begins with: no text of any protocol.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// With command, family and length.
const BINARY_START_SIZE: usize = SIGNATURE.len() + 4;

const VERSION: u8 = 2;
const LOCAL: u8 = VERSION << 4;
const PROXY: u8 = VERSION << 4 | 1;

const UNSPECIFIED: u8 = 0;
const INET: u8 = 1;
const INET6: u8 = 2;
const UNIX: u8 = 3;
/// Two paths of 108 bytes.
const UNIX_SIZE: usize = 216;

const STREAM: u8 = 1;
/// Datagrams.
const TRANSPORT_MAX: u8 = 2;

/// The type of a value that is a host name.
const AUTHORITY: u8 = 2;
