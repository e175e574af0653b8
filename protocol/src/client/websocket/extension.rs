//! Whether permessage-deflate is spoken with a client (RFC 7692 §5 to §7.1).
//!
//! The answer always says that neither side keeps anything of a message for the next. Offers are taken in the client's order,
//! and the first that can be accepted is.

use super::handshake::Request;

/// The header of offers and of the answer.
const HEADER: &str = "Sec-WebSocket-Extensions";
const NAME: &[u8] = b"permessage-deflate";

/// The window of the deflater, as a power of two. An offer that asks for a smaller one is passed over: what is
/// compressed once for many must be readable by each of them.
const WINDOW_BITS: u8 = 15;
const WINDOW_BITS_MIN: u8 = 8;

/// What was agreed upon: compression, both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Agreed {
    /// The client has asked for the window that is used anyway, and wants to hear of it.
    names_window: bool,
}

impl Agreed {
    /// The header of the answer.
    pub(super) fn header(self) -> &'static str {
        match self.names_window {
            false => {
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            }
            true => {
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                server_max_window_bits=15"
            }
        }
    }
}

/// The first offer of a request that can be accepted.
pub(super) fn agree(request: &Request<'_>) -> Option<Agreed> {
    let headers = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case(HEADER));
    headers.flat_map(|(_, value)| split(value, b',')).find_map(accept)
}

/// Parameters that an offer has.
#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: bool,
}

impl Parameters {
    /// Takes one more. `None`: it is unknown, has been there, or its value is none of its values.
    fn take(&mut self, name: &[u8], value: Option<&[u8]>) -> Option<()> {
        let is_new = match (name, value) {
            (b"server_no_context_takeover", None) => set(&mut self.server_no_context_takeover),
            (b"client_no_context_takeover", None) => set(&mut self.client_no_context_takeover),
            (b"client_max_window_bits", None) => set(&mut self.client_max_window_bits),
            (b"client_max_window_bits", Some(value)) => {
                window_bits(value)?;
                set(&mut self.client_max_window_bits)
            }
            (b"server_max_window_bits", Some(value)) => {
                self.server_max_window_bits.replace(window_bits(value)?).is_none()
            }
            _ => false,
        };
        is_new.then_some(())
    }
}

/// Sets what is not set; returns whether it was not.
fn set(flag: &mut bool) -> bool {
    !std::mem::replace(flag, true)
}

/// What comes of an offer, if it can be accepted.
fn accept(offer: &[u8]) -> Option<Agreed> {
    let mut parts = split(offer, b';');
    if !parts.next()?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut parameters = Parameters::default();
    for part in parts {
        let (name, value) = match memchr::memchr(b'=', part) {
            Some(at) => (part[..at].trim_ascii_end(), Some(unquoted(part[at + 1..].trim_ascii_start())?)),
            None => (part, None),
        };
        parameters.take(name, value)?;
    }
    match parameters.server_max_window_bits {
        None => Some(Agreed { names_window: false }),
        Some(WINDOW_BITS) => Some(Agreed { names_window: true }),
        Some(_) => None,
    }
}

/// A number from 8 to 15 without a zero in front.
fn window_bits(value: &[u8]) -> Option<u8> {
    let bits = match *value {
        [one @ b'0'..=b'9'] => one - b'0',
        [b'1', one @ b'0'..=b'9'] => 10 + one - b'0',
        _ => return None,
    };
    (WINDOW_BITS_MIN..=WINDOW_BITS).contains(&bits).then_some(bits)
}

/// A value without its quotes, if it has some. No value that means anything needs a backslash in them.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value {
        [b'"', inner @ .., b'"'] => Some(inner),
        [b'"', ..] => None,
        token => Some(token),
    }
}

/// The parts of a list, trimmed; a separator within quotes is none.
fn split(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = list.split(move |byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            byte => return *byte == separator && !is_quoted,
        }
        false
    });
    parts.map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Option<Agreed> = Some(Agreed { names_window: false });
    const NAMED: Option<Agreed> = Some(Agreed { names_window: true });

    fn first(list: &str) -> Option<Agreed> {
        split(list.as_bytes(), b',').find_map(accept)
    }

    #[test]
    fn offers_that_can_be_accepted() {
        for offer in [
            "permessage-deflate",
            "Permessage-Deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits = \"10\" ; server_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits=15",
        ] {
            assert_eq!(first(offer), PLAIN, "{offer}");
        }
        for offer in [
            "permessage-deflate; server_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=\"15\"",
        ] {
            assert_eq!(first(offer), NAMED, "{offer}");
        }
    }

    #[test]
    fn offers_that_cannot() {
        for parameters in [
            "server_max_window_bits",
            "server_max_window_bits=",
            "server_max_window_bits=8",
            "server_max_window_bits=14",
            "server_max_window_bits=16",
            "server_max_window_bits=015",
            "server_max_window_bits=+15",
            "server_max_window_bits=\"15",
            "server_max_window_bits=15; server_max_window_bits=15",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=08",
            "client_max_window_bits=\"\"",
            "client_max_window_bits; client_max_window_bits=10",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "client_no_context_takeover; client_no_context_takeover",
            "unknown",
            "",
        ] {
            assert_eq!(first(&format!("permessage-deflate; {parameters}")), None, "{parameters}");
        }
        for other in ["", "x-webkit-deflate-frame", "permessage-bzip2", "permessage-deflated", ",;,"] {
            assert_eq!(first(other), None, "{other}");
        }
    }

    #[test]
    fn the_first_that_can_be_accepted_is() {
        let list = "permessage-bzip2, permessage-deflate; server_max_window_bits=10, \
            permessage-deflate; x=\"a, permessage-deflate\", permessage-deflate; server_max_window_bits=15, permessage-deflate";
        assert_eq!(first(list), NAMED);
        assert_eq!(first("x; y=\"\\\", permessage-deflate\""), None);
    }
}
