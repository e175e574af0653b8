//! What a worker answers to a handshake that its gateway has left to it (WIRE.md §14).

use super::Cmd;
use super::frame::{FLAG_SCALAR, Frame};

/// A worker's answer to a websocket handshake: let in, with headers and a subprotocol of its own if it likes, or refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandshakeAnswer {
    status: u16,
    /// Header lines of an acceptance, or the text of a refusal.
    text: String,
}

impl HandshakeAnswer {
    /// The client is let in.
    pub fn accept() -> HandshakeAnswer {
        HandshakeAnswer { status: ACCEPTED, text: String::new() }
    }

    /// The client is answered this status, 400 to 599 (others become 500), and a short text, of which 4,096 bytes are said at most.
    pub fn refuse(status: u16, text: impl Into<String>) -> HandshakeAnswer {
        let mut text = text.into();
        let end = (0..=TEXT_SIZE_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        HandshakeAnswer { status: refusal_status(status), text }
    }

    /// With this header, too, if the client is let in. One that is none, or that the handshake has itself, is left out by the gateway.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> HandshakeAnswer {
        // A line break would make two of it.
        let is_line = !name.contains(['\r', '\n']) && !value.contains(['\r', '\n']);
        if self.is_accepted() && is_line {
            self.text += &format!("{name}: {value}\n");
        }
        self
    }

    /// With this subprotocol, one of those that the client offers, in place of the gateway's own choice.
    #[must_use]
    pub fn with_subprotocol(self, name: &str) -> HandshakeAnswer {
        self.with_header("Sec-WebSocket-Protocol", name)
    }

    /// Whether the client is let in.
    pub fn is_accepted(&self) -> bool {
        self.status == ACCEPTED
    }

    /// 101, or that of the refusal.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header lines of an acceptance, `Name: value` each.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|_| self.is_accepted())
    }

    /// The text of a refusal.
    pub fn text(&self) -> &str {
        if self.is_accepted() { "" } else { &self.text }
    }

    /// The frame about this client, given to `take`.
    pub fn encode<T>(&self, connection_id: u32, take: impl FnOnce(&Frame<'_>) -> T) -> T {
        let (ext, body) = (&self.status.to_be_bytes(), self.text.as_bytes());
        take(&Frame { connection_id, flag: FLAG_SCALAR, ext, body, ..Frame::command(Cmd::HandshakeAnswer) })
    }

    /// What a frame says. What cannot be read lets nobody in.
    pub fn decode(frame: &Frame<'_>) -> HandshakeAnswer {
        let status = <[u8; 2]>::try_from(frame.ext).map(u16::from_be_bytes);
        match (status, str::from_utf8(frame.body)) {
            (Ok(ACCEPTED), Ok(text)) if text.len() <= HEADERS_SIZE_MAX => {
                HandshakeAnswer { status: ACCEPTED, text: text.to_owned() }
            }
            (Ok(status), Ok(text)) => HandshakeAnswer::refuse(status, text),
            _ => HandshakeAnswer::refuse(UNREADABLE, ""),
        }
    }
}

fn refusal_status(status: u16) -> u16 {
    if (400..600).contains(&status) { status } else { UNREADABLE }
}

/// Switching Protocols.
const ACCEPTED: u16 = 101;

/// Internal Server Error.
const UNREADABLE: u16 = 500;

/// The header lines of an acceptance, in bytes. Beyond: refused.
const HEADERS_SIZE_MAX: usize = 16 * 1024;

/// The text of a refusal, in bytes. Beyond: cut.
const TEXT_SIZE_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(answer: &HandshakeAnswer) -> HandshakeAnswer {
        answer.encode(7, HandshakeAnswer::decode)
    }

    #[test]
    fn answers_come_through() {
        let accepted = HandshakeAnswer::accept().with_header("X-A", "b: c").with_subprotocol("chat");
        for answer in
            [HandshakeAnswer::accept(), accepted.clone(), HandshakeAnswer::refuse(403, "banned\nfor a day")]
        {
            assert_eq!(there_and_back(&answer), answer);
        }
        assert_eq!(accepted.headers().collect::<Vec<_>>(), ["X-A: b: c", "Sec-WebSocket-Protocol: chat"]);
    }

    /// As docs/WIRE.md has it.
    #[test]
    fn the_bytes_of_an_acceptance() {
        let mut bytes = Vec::new();
        HandshakeAnswer::accept().with_header("X-A", "b").encode(7, |frame| frame.encode(&mut bytes));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "00000025fd0000000000000000000000000000000701000000000002".to_owned() + "0065582d413a20620a"
        );
    }

    #[test]
    fn what_is_no_answer_lets_nobody_in() {
        let decode = |ext: &[u8], body: &[u8]| {
            HandshakeAnswer::decode(&Frame { ext, body, ..Frame::command(Cmd::HandshakeAnswer) })
        };
        for (ext, body) in [
            (&b""[..], &b""[..]),
            (b"\0", b""),
            (b"\0\x65\0", b""),
            (b"\0\x65", b"\xff"),
            (b"\0\xc8", b""),
            (b"\xff\xff", b""),
        ] {
            assert_eq!(decode(ext, body).status(), 500, "{ext:?}");
        }
        assert_eq!(decode(b"\0\x65", &vec![b'a'; HEADERS_SIZE_MAX + 1]).status(), 500);
        assert_eq!(HandshakeAnswer::refuse(403, "é".repeat(4_096)).text().len(), 4_096);
        assert_eq!(HandshakeAnswer::refuse(101, "").status(), 500);
        let split = HandshakeAnswer::accept().with_header("X-A", "b\r\nSet-Cookie: c=d");
        assert_eq!(split, HandshakeAnswer::accept());
        assert_eq!(HandshakeAnswer::refuse(403, "").with_header("X-A", "b").text(), "");
    }
}
