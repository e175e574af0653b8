//! Load balancers that ask a websocket's port whether to send clients there.

use super::handshake::encode_plain;

/// What the beginning of a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// It may still become one.
    NeedMore,
    /// Something else.
    No,
    /// A request for the path alone, which is to be answered.
    Asked {
        /// The method is HEAD: the answer has no body.
        head: bool,
    },
}

/// Whether a connection that begins so asks for `path`, by GET or HEAD. It takes a few bytes more than the path has.
pub fn probe(begun: &[u8], path: &str) -> Probe {
    let asks = |method: &[u8]| {
        let request = [method, path.as_bytes(), b" HTTP/1."].concat();
        let common = request.iter().zip(begun).take_while(|(one, other)| one == other).count();
        match common {
            _ if common == request.len() => Some(true),
            _ if common == begun.len() => None,
            _ => Some(false),
        }
    };
    match (asks(b"GET "), asks(b"HEAD ")) {
        (Some(true), _) => Probe::Asked { head: false },
        (_, Some(true)) => Probe::Asked { head: true },
        (Some(false), Some(false)) => Probe::No,
        _ => Probe::NeedMore,
    }
}

/// How many bytes of a connection's beginning decide.
pub fn probe_size(path: &str) -> usize {
    "HEAD ".len() + path.len() + " HTTP/1.".len()
}

/// Appends the answer: 200 and `ok`, or 503 and why not. The connection is to be closed behind it.
pub fn encode_probe_answer(wrong: Option<&str>, head: bool, out: &mut Vec<u8>) {
    let status = if wrong.is_some() { 503 } else { 200 };
    let text = format!("{}\n", wrong.unwrap_or("ok"));
    encode_plain(status, if head { "" } else { &text }, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_known_by_its_path_at_every_cut() {
        for (request, head) in
            [("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", false), ("HEAD /healthz HTTP/1.0\r\n\r\n", true)]
        {
            let decided = request.find("HTTP/1.").unwrap() + "HTTP/1.".len();
            for cut in 0..=request.len() {
                let expected = if cut < decided { Probe::NeedMore } else { Probe::Asked { head } };
                assert_eq!(probe(&request.as_bytes()[..cut], "/healthz"), expected, "{cut}");
            }
            assert!(decided <= probe_size("/healthz"));
        }
    }

    #[test]
    fn everything_else_is_none() {
        for other in [
            "GET / HTTP/1.1",
            "GET /healthz2 HTTP/1.1",
            "GET /healthz?a HTTP/1.1",
            "POST /healthz HTTP/1.1",
            "get /healthz HTTP/1.1",
            "GET  /healthz HTTP/1.1",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(probe(other.as_bytes(), "/healthz"), Probe::No, "{other}");
        }
    }

    #[test]
    fn the_answers() {
        let answer = |wrong, head| {
            let mut out = Vec::new();
            encode_probe_answer(wrong, head, &mut out);
            String::from_utf8(out).unwrap()
        };
        let ok = answer(None, false);
        assert!(
            ok.starts_with("HTTP/1.1 200 OK\r\n") && ok.ends_with("Content-Length: 3\r\n\r\nok\n"),
            "{ok}"
        );
        assert!(answer(Some("no worker"), false).ends_with("\r\n\r\nno worker\n"));
        let head = answer(Some("no worker"), true);
        assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
    }
}
