//! Which pages may open websockets: the origin that a browser says (RFC 6454), against those that an operator allows.

use std::str::FromStr;

use protocol::client::websocket::Request;

/// A value of `--allow-origin`: `https://example.com`, with a port if it is not the scheme's own, `https://*.example.com` for all
/// names below it, or `null` for pages that have no origin to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowedOrigin {
    /// All of it, or what is in front of the part of the name that may be any.
    start: String,
    /// What is behind that part.
    end: Option<String>,
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<AllowedOrigin, String> {
        let lower = text.to_ascii_lowercase();
        if lower == NULL {
            return Ok(AllowedOrigin { start: lower, end: None });
        }
        let wrong = || format!("`{text}` is no origin: like https://example.com or https://*.example.com");
        let (scheme, host) = lower.split_once("://").ok_or_else(wrong)?;
        let host = match scheme {
            "http" => host.strip_suffix(":80"),
            "https" => host.strip_suffix(":443"),
            _ => None,
        }
        .unwrap_or(host);
        let (is_wildcard, name) = host.strip_prefix('*').map_or((false, host), |name| (true, name));
        let is_part = if is_wildcard { name.len() > 1 && name.starts_with('.') } else { !name.is_empty() };
        let is_host = |byte: u8| is_name(byte) || b":[]".contains(&byte);
        if !is_part || scheme.is_empty() || !name.bytes().all(is_host) {
            return Err(wrong());
        }
        Ok(match is_wildcard {
            true => AllowedOrigin { start: format!("{scheme}://"), end: Some(name.to_owned()) },
            false => AllowedOrigin { start: format!("{scheme}://{name}"), end: None },
        })
    }
}

impl AllowedOrigin {
    /// Whether this is what a browser says, in small letters.
    fn allows(&self, origin: &[u8]) -> bool {
        let Some(end) = &self.end else { return origin == self.start.as_bytes() };
        let below = origin.strip_prefix(self.start.as_bytes());
        let below = below.and_then(|host| host.strip_suffix(end.as_bytes()));
        below.is_some_and(|name| !name.is_empty() && name.iter().all(|byte| is_name(*byte)))
    }
}

/// The first origin of a request that is not allowed. Who says none is no page in a browser; where nothing is listed, all may come.
pub(crate) fn refused<'a>(allowed: &[AllowedOrigin], request: &Request<'a>) -> Option<&'a [u8]> {
    if allowed.is_empty() {
        return None;
    }
    let origins = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("Origin"));
    let mut origins = origins.map(|(_, origin)| origin.trim_ascii());
    origins.find(|origin| {
        let lower = origin.to_ascii_lowercase();
        !allowed.iter().any(|allowed| allowed.allows(&lower))
    })
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

/// The origin of pages from files, in frames without rights of their own, and of some redirects.
const NULL: &str = "null";

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(allowed: &str, origin: &str) -> bool {
        allowed.parse::<AllowedOrigin>().unwrap().allows(origin.to_ascii_lowercase().as_bytes())
    }

    #[test]
    fn an_origin_is_allowed_as_a_whole() {
        for (allowed, origin) in [
            ("https://example.com", "https://example.com"),
            ("HTTPS://Example.com:443", "https://EXAMPLE.com"),
            ("http://example.com:80", "http://example.com"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
            ("https://*.example.com", "https://a.example.com"),
            ("https://*.example.com", "https://a.b-c.example.com"),
            ("https://*.example.com:8443", "https://a.example.com:8443"),
            ("app://desktop", "app://desktop"),
            ("null", "null"),
        ] {
            assert!(allows(allowed, origin), "{allowed}: {origin}");
        }
        for (allowed, origin) in [
            ("https://example.com", "http://example.com"),
            ("https://example.com", "https://example.com:8443"),
            ("https://example.com", "https://example.com.evil.org"),
            ("https://example.com", "https://a.example.com"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://.example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "https://evil.org/.example.com"),
            ("https://*.example.com", "https://evil.org:80.example.com"),
            ("https://*.example.com", "https://user@a.example.com"),
            ("https://*.example.com", "http://a.example.com"),
            ("https://*.example.com", "https://a.example.com:8443"),
            ("https://example.com", "null"),
            ("https://example.com", ""),
        ] {
            assert!(!allows(allowed, origin), "{allowed}: {origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_told() {
        for text in [
            "",
            "*",
            "example.com",
            "https://",
            "https://*",
            "https://*.",
            "https://*example.com",
            "https://a.*.example.com",
            "https://example.com/",
            "https://example.com/chat",
            "https://user@example.com",
            "://example.com",
        ] {
            let why = text.parse::<AllowedOrigin>().unwrap_err();
            assert!(
                why.ends_with("is no origin: like https://example.com or https://*.example.com"),
                "{why}"
            );
        }
    }
}
