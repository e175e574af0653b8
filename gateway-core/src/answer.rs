//! What the answer to a websocket handshake has beside what RFC 6455 demands: a subprotocol, and headers of the operator's.

use std::str::FromStr;

use protocol::client::websocket::Request;

/// A subprotocol that websocket clients may choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subprotocol(String);

/// A header of the answer, `Name: value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResponseHeader(String);

impl FromStr for Subprotocol {
    type Err = String;

    fn from_str(name: &str) -> Result<Subprotocol, String> {
        if !is_token(name) {
            return Err(format!(
                "`{name}` is no name of a subprotocol: letters, digits and !#$%&'*+-.^_`|~ only"
            ));
        }
        Ok(Subprotocol(name.to_owned()))
    }
}

impl FromStr for ResponseHeader {
    type Err = String;

    fn from_str(line: &str) -> Result<ResponseHeader, String> {
        let (name, value) =
            line.split_once(':').ok_or_else(|| format!("`{line}` is not like `Name: value`"))?;
        if !is_token(name) {
            return Err(format!("`{name}` is no name of a header"));
        }
        if value.chars().any(|char| char.is_control() && char != '\t') {
            return Err(format!("the value of `{name}` has a line break or another control character"));
        }
        let lower = name.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) || lower.starts_with(RESERVED_PREFIX) {
            return Err(format!("`{name}` is the handshake's own (subprotocols: --subprotocol)"));
        }
        Ok(ResponseHeader(format!("{name}: {}", value.trim())))
    }
}

impl ResponseHeader {
    /// `Name: value`, without the end of the line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first of ours that the client offers.
pub(crate) fn chosen_subprotocol<'a>(ours: &'a [Subprotocol], request: &Request<'_>) -> Option<&'a str> {
    let ours = ours.iter().map(|Subprotocol(name)| name.as_str());
    ours.into_iter().find(|name| offered_subprotocols(request).any(|offered| offered == name.as_bytes()))
}

/// Whether a line is a header of this name.
pub(crate) fn is_header(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(of, _)| of.trim().eq_ignore_ascii_case(name))
}

/// What a client offers, in its order.
pub(crate) fn offered_subprotocols<'a>(request: &Request<'a>) -> impl Iterator<Item = &'a [u8]> {
    let lists = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case(SUBPROTOCOL_HEADER));
    lists.flat_map(|(_, list)| list.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// A token of HTTP (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// The header in which clients offer subprotocols, and the answer names the one that is spoken.
pub(crate) const SUBPROTOCOL_HEADER: &str = "Sec-WebSocket-Protocol";
/// Headers that say what the connection is from here on.
const RESERVED: [&str; 4] = ["upgrade", "connection", "content-length", "transfer-encoding"];
const RESERVED_PREFIX: &str = "sec-websocket-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked() {
        for (line, kept) in [
            ("X-Served-By: gateway 1", "X-Served-By: gateway 1"),
            ("Set-Cookie:a=b; Path=/", "Set-Cookie: a=b; Path=/"),
            ("X-Empty:", "X-Empty: "),
            ("X-Utf8: é", "X-Utf8: é"),
        ] {
            assert_eq!(line.parse::<ResponseHeader>().unwrap().as_str(), kept);
        }
        for line in [
            "no colon",
            ": no name",
            "two words: x",
            "X: a\r\nY: b",
            "X: a\nb",
            "X: \0",
            "Connection: close",
            "upgrade: h2c",
            "Sec-WebSocket-Accept: x",
            "sec-websocket-protocol: chat",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
        ] {
            assert!(line.parse::<ResponseHeader>().is_err(), "{line:?}");
        }
    }

    #[test]
    fn names_of_subprotocols_are_tokens() {
        assert!("ringway.1".parse::<Subprotocol>().is_ok());
        for name in ["", "a b", "a,b", "a\r\n", "é"] {
            assert!(name.parse::<Subprotocol>().is_err(), "{name:?}");
        }
    }
}
