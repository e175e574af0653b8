//! What ON_WEBSOCKET_CONNECT tells the worker: `get`, `server` and `cookie` as PHP fills them (WIRE.md §4).

use std::net::SocketAddr;

use serde::de::DeserializeOwned;

use super::parse_str::parse_str;
use crate::client::websocket;
use crate::php::write::{array_end, array_start, encode_bytes};
use crate::php::{self, Array, DecodeError, Key, Value};

/// The three arrays of a websocket handshake.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct WebsocketRequest {
    /// The query as PHP's parse_str reads it.
    pub get: Array,
    /// QUERY_STRING, REQUEST_METHOD, … and HTTP_*.
    pub server: Array,
    /// Cookies.
    pub cookie: Array,
}

impl WebsocketRequest {
    /// What a worker is told about this handshake from `client` on the listener at `server_port`.
    pub fn from_request(
        request: &websocket::Request<'_>,
        client: SocketAddr,
        server_port: u16,
    ) -> WebsocketRequest {
        let headers = Headers::new(request.headers());
        let query = query_of(request.target());
        WebsocketRequest {
            get: parse_str(query),
            cookie: cookies(headers.get("cookie").unwrap_or_default()),
            server: server(request.target(), query, headers, client, server_port),
        }
    }

    /// Says beside what the client has said what its token claims, as JSON. No header of a client's has this name here.
    pub fn set_jwt_claims(&mut self, claims: &str) {
        self.server.insert(JWT_CLAIMS, claims);
    }

    /// What the client's token claims, which the gateway has checked (`--jwt-key`), as a type of your own or `serde_json::Value`;
    /// `None`: the gateway asks for no tokens.
    ///
    /// # Errors
    /// They are not such as the type says.
    pub fn jwt_claims<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.server.get(JWT_CLAIMS).and_then(Value::as_str).map(serde_json::from_str).transpose()
    }

    /// Appends the body of the frame, serialized.
    pub fn encode(&self, out: &mut Vec<u8>) {
        array_start(3, out);
        for (name, part) in [("get", &self.get), ("server", &self.server), ("cookie", &self.cookie)] {
            encode_bytes(name.as_bytes(), out);
            php::encode_array(part, out);
        }
        array_end(out);
    }

    /// Reads the body of the frame. A part that is missing or no array is empty.
    pub fn decode(body: &[u8]) -> Result<WebsocketRequest, DecodeError> {
        let mut whole = php::decode(body)?;
        let mut part = |name: &str| match whole.as_array_mut().and_then(|whole| whole.get_mut(name)) {
            Some(Value::Array(part)) => std::mem::take(part),
            _ => Array::new(),
        };
        Ok(WebsocketRequest { get: part("get"), server: part("server"), cookie: part("cookie") })
    }
}

/// Headers by lower-case name, in order of first arrival, repeated ones joined by commas. There are few
/// ([`websocket::HEADER_COUNT_MAX`]), so looking through them costs less than a map.
struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    fn new<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Headers {
        let mut joined: Vec<(String, Vec<u8>)> = Vec::with_capacity(HEADERS_USUAL);
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if let Some((_, first)) = joined.iter_mut().find(|(known, _)| *known == name) {
                first.push(b',');
                first.extend_from_slice(value);
            } else {
                joined.push((name, value.to_vec()));
            }
        }
        Headers(joined)
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

/// What is between the first `?` and a `#`.
fn query_of(target: &[u8]) -> &[u8] {
    let until = |bytes: &[u8], end: u8| bytes.iter().position(|&byte| byte == end);
    let target = &target[..until(target, b'#').unwrap_or(target.len())];
    until(target, b'?').map_or(&[], |at| &target[at + 1..])
}

/// PHP's `$_SERVER`, in the order that the PHP gateway has.
fn server(target: &[u8], query: &[u8], headers: Headers, client: SocketAddr, server_port: u16) -> Array {
    let header = |name: &str| headers.get(name).map_or(Value::Null, Value::from);
    let fixed = [
        ("QUERY_STRING", Value::from(query)),
        ("REQUEST_METHOD", Value::from("GET")),
        ("REQUEST_URI", Value::from(target)),
        ("SERVER_PROTOCOL", Value::from("HTTP/1.1")),
        ("SERVER_NAME", header("host")),
        ("CONTENT_TYPE", header("content-type")),
        ("REMOTE_ADDR", Value::from(client.ip().to_canonical().to_string())),
        ("REMOTE_PORT", Value::from(i64::from(client.port()))),
        ("SERVER_PORT", Value::from(i64::from(server_port))),
    ];
    let variable = |name: &str| -> Vec<u8> {
        let upper = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
        b"HTTP_".iter().copied().chain(name.bytes().map(upper)).collect()
    };
    let fixed = fixed.map(|(name, value)| (Key::from(name), value)).into_iter();
    fixed.chain(headers.0.into_iter().map(|(name, value)| (variable(&name).into(), value.into()))).collect()
}

/// Cut at `;`, then at the first `=`; names are trimmed, values are not; parts without `=` are skipped.
fn cookies(header: &[u8]) -> Array {
    let pairs = header.split(|&byte| byte == b';').filter_map(|part| {
        let at = part.iter().position(|&byte| byte == b'=')?;
        Some((php_trimmed(&part[..at]), &part[at + 1..]))
    });
    pairs.collect()
}

/// Without the blanks and zero bytes around it that PHP's trim takes away.
fn php_trimmed(text: &[u8]) -> &[u8] {
    let kept = |byte: &u8| !b" \t\n\r\0\x0b".contains(byte);
    let start = text.iter().position(kept).unwrap_or(text.len());
    let end = text.iter().rposition(kept).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Where in `server` the claims are.
const JWT_CLAIMS: &str = "JWT_CLAIMS";

/// Headers of a browser's request, and some of a proxy's.
const HEADERS_USUAL: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_cut_as_php_cuts_them() {
        let cookies =
            |header: &str| String::from_utf8(php::to_bytes(&cookies(header.as_bytes()).into())).unwrap();
        assert_eq!(cookies("a=b"), r#"a:1:{s:1:"a";s:1:"b";}"#);
        assert_eq!(cookies(""), "a:0:{}");
        assert_eq!(
            cookies("a; b =c=d ;7=%41; a=1;=x"),
            r#"a:4:{s:1:"b";s:4:"c=d ";i:7;s:3:"%41";s:1:"a";s:1:"1";s:0:"";s:1:"x";}"#
        );
    }

    #[test]
    fn the_query_ends_at_the_fragment() {
        assert_eq!(query_of(b"/chat?a=1?b#c?d"), b"a=1?b");
        assert_eq!(query_of(b"/chat#?a"), b"");
        assert_eq!(query_of(b""), b"");
    }

    #[test]
    fn repeated_headers_are_joined() {
        let headers: [(&str, &[u8]); 4] = [("X-A", b"1"), ("Host", b"h"), ("x-a", b"2"), ("5", b"five")];
        let joined = Headers::new(headers.into_iter());
        let server = server(b"/?q", b"q", joined, "[::ffff:10.0.0.1]:5".parse().unwrap(), 80);
        assert_eq!(server.get("HTTP_X_A").and_then(Value::as_str), Some("1,2"));
        assert_eq!(server.get("HTTP_5").and_then(Value::as_str), Some("five"));
        assert_eq!(server.get("SERVER_NAME").and_then(Value::as_str), Some("h"));
        assert_eq!(server.get("REMOTE_ADDR").and_then(Value::as_str), Some("10.0.0.1"));
        assert!(server.get("CONTENT_TYPE").is_some_and(Value::is_null));
    }

    #[test]
    fn missing_parts_are_empty() {
        assert_eq!(WebsocketRequest::decode(b"a:1:{s:3:\"get\";i:1;}"), Ok(WebsocketRequest::default()));
        assert_eq!(WebsocketRequest::decode(b"N;"), Ok(WebsocketRequest::default()));
        assert!(WebsocketRequest::decode(b"").is_err());
    }
}
