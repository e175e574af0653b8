//! What clients speak: lines, or websocket, with a handshake that workers answer.

use protocol::client::websocket::client::{Answer, Decoder, Event, TEXT};
use protocol::client::websocket::client::{decode_answer, encode_close, encode_frame, encode_request};

/// A client's side of its connection.
pub(crate) enum Speech {
    Lines,
    /// A websocket that has asked.
    Asking,
    Websocket(Decoder),
    /// One that was not let in.
    Refused,
    /// One that was told that it is closed.
    Closed,
}

/// What a client hears.
pub(crate) enum Heard {
    Text(String),
    /// It is not let in, with this status.
    Refusal(u16),
    /// It is closed, which is to be answered by this.
    Goodbye(Vec<u8>),
}

impl Speech {
    /// How a client begins, and what it says first.
    pub(crate) fn begin(is_websocket: bool) -> (Speech, Vec<u8>) {
        let mut request = Vec::new();
        if !is_websocket {
            return (Speech::Lines, request);
        }
        encode_request("simulation", "/", NONCE, &mut request);
        (Speech::Asking, request)
    }

    /// Whether it may say something.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Speech::Lines | Speech::Websocket(_))
    }

    /// A message as it is sent.
    pub(crate) fn encode(&self, text: &str) -> Vec<u8> {
        let mut frame = Vec::new();
        match self {
            Speech::Lines => return format!("{text}\n").into_bytes(),
            _ => encode_frame(TEXT, text.as_bytes(), MASK, &mut frame),
        }
        frame
    }

    /// Takes the next of what has come.
    pub(crate) fn take(&mut self, unread: &mut Vec<u8>) -> Option<Heard> {
        let (heard, consumed) = match self {
            Speech::Lines => {
                let end = unread.iter().position(|byte| *byte == b'\n')?;
                (Heard::Text(String::from_utf8_lossy(&unread[..end]).into_owned()), end + 1)
            }
            Speech::Asking => match decode_answer(unread, NONCE) {
                Answer::NeedMore => return None,
                Answer::Open { consumed } => {
                    unread.drain(..consumed);
                    *self = Speech::Websocket(Decoder::default());
                    return self.take(unread);
                }
                Answer::Refused { status } => {
                    *self = Speech::Refused;
                    return Some(Heard::Refusal(status));
                }
                answer @ Answer::Malformed => panic!("a gateway answers {answer:?}"),
            },
            Speech::Websocket(decoder) => match decoder.decode(usize::MAX, unread) {
                Event::NeedMore { consumed } => {
                    unread.drain(..consumed);
                    return None;
                }
                Event::Message { consumed, body, .. } => {
                    (Heard::Text(String::from_utf8_lossy(body).into_owned()), consumed)
                }
                Event::Close { code, .. } => {
                    let mut answer = Vec::new();
                    encode_close(code.unwrap_or(1000), MASK, &mut answer);
                    *self = Speech::Closed;
                    return Some(Heard::Goodbye(answer));
                }
                event => panic!("a gateway says {event:?}"),
            },
            Speech::Refused | Speech::Closed => return None,
        };
        unread.drain(..consumed);
        Some(heard)
    }
}

const NONCE: [u8; 16] = *b"a simulated one!";
const MASK: [u8; 4] = [1, 2, 3, 4];
