//! The opening handshake (RFC 6455 §4, as leniently as WIRE.md §10 takes it).
//!
//! Host, Upgrade, Connection and Origin may be missing or say anything; what is needed is GET, a key and version 13.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha1::{Digest as _, Sha1};

use super::extension::Agreed;
use crate::client::{Malformed, begins_alike};

/// Bytes of a request up to and with its blank line, unless [`Limits::head_size_max`](crate::client::Limits) says otherwise. PHP
/// allows 10 MB here, which only serves an attacker: browsers and proxies stop at 8 to 32 KiB. Beyond: refused with 431.
pub const HANDSHAKE_SIZE_MAX: usize = 64 * 1024;

/// Header lines of a request. Beyond: refused with 431.
pub const HEADER_COUNT_MAX: usize = 128;

/// The only version there is (RFC 6455 §4.1).
pub(super) const VERSION: &str = "13";

const HEAD_END: &[u8] = b"\r\n\r\n";
const METHOD: &[u8] = b"GET ";
/// Asks for an answer without a body.
const HEAD_METHOD: &[u8] = b"HEAD ";

/// The longest method of HTTP that is looked for, in bytes.
const METHOD_SIZE_MAX: usize = 7;

/// What RFC 6455 §1.3 appends to the key.
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Length of an accept key: 20 bytes of SHA-1 in base64.
const ACCEPT_KEY_SIZE: usize = 28;

/// A websocket request, parsed, not yet answered.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    target: &'a [u8],
    version: u8,
    headers: Vec<httparse::Header<'a>>,
    key: &'a [u8],
    /// Messages may be compressed, which an acceptance says.
    pub(super) deflate: Option<Agreed>,
}

impl<'a> Request<'a> {
    /// The method; only `GET` gets here.
    pub fn method(&self) -> &'static str {
        "GET"
    }

    /// The request target as sent: path and query. Any bytes above the ASCII control characters, UTF-8 or not.
    pub fn target(&self) -> &'a [u8] {
        self.target
    }

    /// The target up to the first `?`.
    pub fn path(&self) -> &'a [u8] {
        memchr::memchr(b'?', self.target).map_or(self.target, |at| &self.target[..at])
    }

    /// The target behind the first `?`; empty if there is none.
    pub fn query(&self) -> &'a [u8] {
        memchr::memchr(b'?', self.target).map_or(&[], |at| &self.target[at + 1..])
    }

    /// The minor version of HTTP/1: 0 or 1.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Headers in order of arrival, names as sent, repeated ones each for itself.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        find(&self.headers, name)
    }

    /// Appends the 101 response, byte for byte as PHP has it, with `extra` headers (each `Name: value`, without line
    /// breaks) before the blank line.
    pub fn accept(&self, extra: &[&str], out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocol\r\n\
            Upgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\n\
            Connection: Upgrade\r\n\
            Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(&accept_key(self.key));
        // What a careless caller took from the request must not become a header or an answer of its own.
        let agreed = self.deflate.map(Agreed::header);
        for line in agreed.iter().chain(extra).filter(|line| !line.contains(['\r', '\n'])) {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(line.as_bytes());
        }
        out.extend_from_slice(HEAD_END);
    }

    /// Appends a refusal with this HTTP status. The connection is to be closed behind it.
    pub fn refuse(&self, status: u16, out: &mut Vec<u8>) {
        encode_refusal(status, "", out);
    }
}

/// Appends the refusal of a request, or of what there is of it, that may be repeated after so many seconds: 503, or 429 for
/// who has asked too often. The connection is to be closed behind it.
pub fn encode_retry_later(status: u16, retry_after_s: u64, out: &mut Vec<u8>) {
    encode_refusal(status, &format!("Retry-After: {retry_after_s}\r\n"), out);
}

/// Appends a refusal with a status and a text of a worker's. The connection is to be closed behind it.
pub fn encode_answer(status: u16, text: &str, out: &mut Vec<u8>) {
    encode_response(status, "", "text/plain; charset=utf-8", text, out);
}

/// Appends the refusal of who has shown no token (RFC 6750 §3), or one that is not good. The connection is to be closed behind it.
pub fn encode_unauthorized(has_shown_one: bool, out: &mut Vec<u8>) {
    let error = if has_shown_one { " error=\"invalid_token\"" } else { "" };
    encode_refusal(401, &format!("WWW-Authenticate: Bearer{error}\r\n"), out);
}

/// Answers plain HTTP at a port that speaks TLS, if it is that what `begun` begins with; returns whether it is. The
/// connection is to be closed behind it.
pub fn encode_tls_needed(begun: &[u8], out: &mut Vec<u8>) -> bool {
    let method_size = memchr::memchr(b' ', begun).unwrap_or(begun.len());
    let method = &begun[..method_size];
    if method.is_empty() || method_size > METHOD_SIZE_MAX || !method.iter().all(u8::is_ascii_uppercase) {
        return false;
    }
    let text = "This is a TLS port: use https:// or wss://.\n";
    encode_response(400, "", "text/plain", if begun.starts_with(HEAD_METHOD) { "" } else { text }, out);
    true
}

/// What the bytes so far are.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    /// No end yet in the first `scanned` bytes.
    NeedMore { scanned: u32 },
    /// A request that may be accepted.
    Request { consumed: usize, request: Request<'a> },
}

/// Why a request is refused before anybody is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// Not HTTP, not GET, or no key.
    Bad,
    /// A HEAD request, whose answer has no body.
    Head,
    /// No version said.
    VersionMissing,
    /// A version that does not exist.
    VersionUnknown,
    /// Over the size that a request may have, or [`HEADER_COUNT_MAX`].
    TooLarge,
}

impl Refusal {
    pub(super) fn malformed(self) -> Malformed {
        match self {
            Self::TooLarge => Malformed::HeadTooLarge,
            Self::Bad | Self::Head | Self::VersionMissing | Self::VersionUnknown => Malformed::Handshake,
        }
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        const SUPPORTED: &str = "Sec-WebSocket-Version: 13\r\n";
        match self {
            Self::Bad => encode_refusal(400, "", out),
            Self::Head => encode_head(400, "", "text/html", page(400).len(), out),
            Self::VersionMissing => encode_refusal(400, SUPPORTED, out),
            Self::VersionUnknown => encode_refusal(426, SUPPORTED, out),
            Self::TooLarge => encode_refusal(431, "", out),
        }
    }
}

/// Looks for a request of at most `size_max` bytes at the start of `input`, of which the first `scanned` are known to hold no
/// end.
///
/// Nothing is parsed before the end is there, so a request that trickles in costs no more than one that comes whole.
/// What does not begin like one is refused at once.
pub(super) fn parse(input: &[u8], scanned: u32, size_max: usize) -> Result<Parsed<'_>, Refusal> {
    if !begins_alike(input, METHOD) {
        return match begins_alike(input, HEAD_METHOD) {
            true if input.len() < HEAD_METHOD.len() => Ok(Parsed::NeedMore { scanned: 0 }),
            true => Err(Refusal::Head),
            false => Err(Refusal::Bad),
        };
    }
    let window = &input[..input.len().min(size_max)];
    let mut from = (scanned as usize).min(window.len());
    while let Some(found) = memchr::memchr(b'\n', &window[from..]) {
        from += found + 1;
        let head = &window[..from];
        // Who ends lines by a bare newline ends the request by two of them, which nobody else would take for its end.
        if !head.ends_with(b"\r\n") {
            return Err(Refusal::Bad);
        }
        if head.ends_with(HEAD_END) {
            return Ok(Parsed::Request { consumed: from, request: parse_head(head)? });
        }
    }
    match window.len() {
        size if size >= size_max => Err(Refusal::TooLarge),
        // Who sets a limit beyond 4 GiB has the end looked for from there on again.
        size => Ok(Parsed::NeedMore { scanned: u32::try_from(size).unwrap_or(u32::MAX) }),
    }
}

/// The first header of this name, in any case.
pub(super) fn find<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The answer to a key (RFC 6455 §4.2.2).
pub(super) fn accept_key(key: &[u8]) -> [u8; ACCEPT_KEY_SIZE] {
    let digest = Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize();
    let mut accept = [0; ACCEPT_KEY_SIZE];
    BASE64_STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 in base64");
    accept
}

/// Parses a request that ends with `head`.
fn parse_head(head: &[u8]) -> Result<Request<'_>, Refusal> {
    let line_size = memchr::memchr(b'\n', head).ok_or(Refusal::Bad)? + 1;
    let (line, rest) = head.split_at(line_size);
    let (target, version) = parse_request_line(line).ok_or(Refusal::Bad)?;
    let mut space = [httparse::EMPTY_HEADER; HEADER_COUNT_MAX];
    let headers = match httparse::parse_headers(rest, &mut space) {
        Ok(httparse::Status::Complete((size, headers))) if size == rest.len() => headers,
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Ok(_) | Err(_) => return Err(Refusal::Bad),
    };
    let key = find(headers, "Sec-WebSocket-Key").map(<[u8]>::trim_ascii);
    let key = key.filter(|key| !key.is_empty()).ok_or(Refusal::Bad)?;
    let said = find(headers, "Sec-WebSocket-Version").ok_or(Refusal::VersionMissing)?;
    if said.trim_ascii() != VERSION.as_bytes() {
        return Err(Refusal::VersionUnknown);
    }
    Ok(Request { target, version, headers: headers.to_vec(), key, deflate: None })
}

/// The target and the minor version of `GET target HTTP/1.x`. httparse would not take a target that is not UTF-8; native
/// clients send some, and PHP passes them on.
fn parse_request_line(line: &[u8]) -> Option<(&[u8], u8)> {
    let line = line.strip_prefix(METHOD)?.strip_suffix(b"\r\n")?;
    let (target, version) = match line {
        [target @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', version @ (b'0' | b'1')] => {
            (target, version - b'0')
        }
        _ => return None,
    };
    let is_printable = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    (!target.is_empty() && target.iter().all(is_printable)).then_some((target, version))
}

/// Appends a whole response; `headers` are lines with their ends.
fn encode_refusal(status: u16, headers: &str, out: &mut Vec<u8>) {
    encode_response(status, headers, "text/html", &page(status), out);
}

/// Appends a whole response of plain text. The connection is to be closed behind it.
pub(super) fn encode_plain(status: u16, text: &str, out: &mut Vec<u8>) {
    encode_response(status, "", "text/plain", text, out);
}

fn encode_response(status: u16, headers: &str, content_type: &str, body: &str, out: &mut Vec<u8>) {
    encode_head(status, headers, content_type, body.len(), out);
    out.extend_from_slice(body.as_bytes());
}

fn encode_head(status: u16, headers: &str, content_type: &str, size: usize, out: &mut Vec<u8>) {
    let reason = reason(status);
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\n{headers}Connection: close\r\n\
        Content-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

fn page(status: u16) -> String {
    let reason = reason(status);
    format!("<!doctype html><title>{status}</title><h1>{status} {reason}</h1>\n")
}

/// What a status is called; HTTP lets the name be empty.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        410 => "Gone",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc() {
        assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_end_is_found_across_every_cut() {
        let request = b"GET / HTTP/1.1\r\nsec-websocket-key:k\r\nsec-websocket-version:13\r\n\r\n";
        for cut in 0..request.len() {
            let Ok(Parsed::NeedMore { scanned }) = parse(&request[..cut], 0, HANDSHAKE_SIZE_MAX) else {
                panic!("done at {cut}");
            };
            let Ok(Parsed::Request { consumed, .. }) = parse(request, scanned, HANDSHAKE_SIZE_MAX) else {
                panic!("not done after {cut}");
            };
            assert_eq!(consumed, request.len());
        }
    }
}
