//! Where in a websocket's request its token stands.

use std::fmt;
use std::str::FromStr;

use protocol::client::websocket::Request;

use crate::answer::offered_subprotocols;

/// The value of `--jwt-from`: places, by commas. The first that has something counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources(Vec<Source>);

/// One place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// `Authorization: Bearer …`, which browsers cannot say.
    Header,
    /// This parameter of the query.
    Query(String),
    /// This cookie.
    Cookie(String),
    /// What a client offers as a subprotocol behind [`SUBPROTOCOL`]: what pages can say without its being in logs of proxies.
    Subprotocol,
}

impl Sources {
    /// The token of a request, and where it stands.
    pub(crate) fn find<'a>(&self, request: &Request<'a>) -> Option<(&'a [u8], &Source)> {
        self.0.iter().find_map(|source| source.find(request).map(|token| (token, source)))
    }
}

impl Default for Sources {
    fn default() -> Sources {
        Sources(vec![Source::Header, Source::Query("token".to_owned())])
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, source) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match source {
                Source::Header => write!(f, "{comma}header")?,
                Source::Query(name) => write!(f, "{comma}query:{name}")?,
                Source::Cookie(name) => write!(f, "{comma}cookie:{name}")?,
                Source::Subprotocol => write!(f, "{comma}subprotocol")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Sources {
    type Err = String;

    fn from_str(text: &str) -> Result<Sources, String> {
        text.split(',').map(|place| place.trim().parse()).collect::<Result<_, _>>().map(Sources)
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        match text.split_once(':') {
            None if text == "header" => Ok(Source::Header),
            None if text == "subprotocol" => Ok(Source::Subprotocol),
            Some(("query", name)) if is_name(name) => Ok(Source::Query(name.to_owned())),
            Some(("cookie", name)) if is_name(name) => Ok(Source::Cookie(name.to_owned())),
            _ => Err(format!("`{text}` is not one of header, query:NAME, cookie:NAME, subprotocol")),
        }
    }
}

impl Source {
    fn find<'a>(&self, request: &Request<'a>) -> Option<&'a [u8]> {
        let token = match self {
            Source::Header => request.header("Authorization").and_then(bearer),
            Source::Query(name) => value(request.query().split(|byte| *byte == b'&'), name),
            Source::Cookie(name) => {
                let lines = request.headers().filter(|(header, _)| header.eq_ignore_ascii_case("Cookie"));
                value(lines.flat_map(|(_, line)| line.split(|byte| *byte == b';')), name)
            }
            Source::Subprotocol => {
                let mut offered = offered_subprotocols(request);
                offered.find(|name| *name == SUBPROTOCOL.as_bytes()).and_then(|_| offered.next())
            }
        };
        token.filter(|token| !token.is_empty())
    }
}

/// What is behind the scheme of an `Authorization` (RFC 6750 §2.1).
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.trim_ascii().split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

/// The value of the first pair of this name.
fn value<'a>(mut pairs: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<&'a [u8]> {
    pairs.find_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The subprotocol behind which a token is offered, and which is agreed on if there is no other.
pub(crate) const SUBPROTOCOL: &str = "bearer";

const SCHEME: &[u8] = b"Bearer ";
