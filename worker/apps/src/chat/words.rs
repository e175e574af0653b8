//! What the chat and its clients say to each other: a JSON object per message, told apart by `type`.
//!
//! Text goes through as it came. A page must show it as text, never as HTML.

use serde::{Deserialize, Serialize};

use super::Line;
use ringway_worker::ClientId;

/// What a client says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Request {
    /// Who it is and where it wants to be. The first message; answered with `welcome`. The name becomes the client's uid.
    Hello {
        name: String,
        #[serde(default)]
        rooms: Vec<String>,
    },
    /// Takes another name, and so another uid.
    Name { name: String },
    /// Comes into one more room.
    Join { room: String },
    /// Goes out of a room.
    Leave { room: String },
    /// Says something to all in a room.
    Say { room: String, text: String },
    /// Says something to one person: to all clients that have this name.
    Private { to: String, text: String },
    /// Asks for the list of rooms, and who is in one of its rooms. Always answered with `rooms`.
    Refresh {
        #[serde(default)]
        room: Option<String>,
    },
}

impl Request {
    /// The request, or what is wrong with it in one sentence.
    pub(super) fn parse(body: &[u8]) -> Result<Request, String> {
        if body.len() > REQUEST_SIZE_MAX {
            return Err(format!("A message has at most {REQUEST_SIZE_MAX} bytes."));
        }
        serde_json::from_slice(body).map_err(|error| format!("Not understood: {error}."))
    }
}

/// What the chat says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Reply<'a> {
    /// The answer to `hello`: the client's own id and its name as others see it; whether this chat has a history, and
    /// whether somebody has this name elsewhere already.
    Welcome {
        id: ClientId,
        name: &'a str,
        #[serde(skip_serializing_if = "is_false")]
        history: bool,
        #[serde(skip_serializing_if = "is_false")]
        elsewhere: bool,
    },
    /// Rooms in which somebody is, and the lobby.
    Rooms { rooms: Vec<RoomCount<'a>> },
    /// Somebody came into a room that was empty.
    Opened { room: &'a str },
    /// Who is in a room; in a large one only some, but `online` is always how many.
    Room { room: &'a str, people: Vec<Who<'a>>, online: u64 },
    /// Somebody came in.
    Joined { room: &'a str, who: Who<'a> },
    /// Somebody went out or is gone.
    Left { room: &'a str, who: Who<'a> },
    /// Somebody has another name now.
    Renamed { room: &'a str, who: Who<'a> },
    /// What was said in a room before the client came in, the latest, in order. `away`: it cannot be shown now.
    History {
        room: &'a str,
        lines: Vec<Said<'a>>,
        #[serde(skip_serializing_if = "is_false")]
        away: bool,
    },
    /// Said to all in a room, the speaker too. With a number if it is in the history: there it has the same.
    Message {
        room: &'a str,
        from: Who<'a>,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
    },
    /// Said to all clients of one name by one of another. All of the speaker's get it too.
    Private { from: &'a str, to: &'a str, text: &'a str },
    /// A request was not granted.
    Error {
        code: ErrorCode,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        about: Option<&'a str>,
    },
}

impl Reply<'_> {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers under fixed keys are always JSON")
    }
}

/// A client as others see it. The name is who it is; clients of one name are one person in several windows.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Who<'a> {
    pub id: ClientId,
    pub name: &'a str,
}

/// A line of the history.
#[derive(Debug, Serialize)]
pub(super) struct Said<'a> {
    pub number: u64,
    /// Milliseconds since 1970.
    pub at: u64,
    pub from: Who<'a>,
    pub text: &'a str,
}

impl<'a> From<&'a Line> for Said<'a> {
    fn from(line: &'a Line) -> Said<'a> {
        let from = Who { id: line.from, name: &line.name };
        Said { number: line.number, at: line.at, from, text: &line.text }
    }
}

/// A room, and how many are in it.
#[derive(Debug, Serialize)]
pub(super) struct RoomCount<'a> {
    pub name: &'a str,
    pub online: u64,
}

/// Which kind of thing was wrong, for programs; the text is for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ErrorCode {
    /// Not JSON, not a known request, or too long.
    Malformed,
    /// `hello` is missing, or came twice.
    Hello,
    /// The name cannot be had.
    Name,
    /// The room's name is wrong, the client is not in it, or it is one too many.
    Room,
    /// The text is empty or too long.
    Text,
    /// Nobody whose name is `about` is online.
    Offline,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Bytes of a request: the longest text with every character escaped fits.
const REQUEST_SIZE_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_type() {
        let hello = Request::parse(br#"{"type":"hello","name":"Ann","rooms":["tea"],"more":1}"#);
        assert_eq!(hello, Ok(Request::Hello { name: "Ann".into(), rooms: vec!["tea".into()] }));
        let refresh = Request::parse(br#"{"type":"refresh","room":null}"#);
        assert_eq!(refresh, Ok(Request::Refresh { room: None }));
        let private = Request::parse(br#"{"type":"private","to":"Bo","text":"hi"}"#);
        assert_eq!(private, Ok(Request::Private { to: "Bo".into(), text: "hi".into() }));
    }

    #[test]
    fn what_is_no_request_gets_a_sentence() {
        let deep = "[".repeat(20_000);
        let long = format!(r#"{{"type":"say","room":"tea","text":"{}"}}"#, "x".repeat(REQUEST_SIZE_MAX));
        let wrong: [&[u8]; 9] = [
            b"",
            b"\xff\xfe",
            b"[]",
            b"{}",
            br#"{"type":"sudo"}"#,
            br#"{"type":"say","room":7,"text":"x"}"#,
            br#"{"type":"private","to":7,"text":"x"}"#,
            deep.as_bytes(),
            long.as_bytes(),
        ];
        for body in wrong {
            assert!(Request::parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn replies_are_flat_objects() {
        let id = ClientId::new(std::net::Ipv4Addr::LOCALHOST, 2900, 7);
        let reply =
            Reply::Message { room: "tea", from: Who { id, name: "Ann" }, text: "</script>", number: None };
        assert_eq!(
            reply.to_json(),
            r#"{"type":"message","room":"tea","from":{"id":"7f0000010b5400000007","name":"Ann"},"text":"</script>"}"#
        );
        let line = Line { number: 7, at: 1_000, from: id, name: "Ann".into(), text: "hi".into() };
        let history = Reply::History { room: "tea", lines: vec![Said::from(&line)], away: false };
        assert_eq!(
            history.to_json(),
            r#"{"type":"history","room":"tea","lines":[{"number":7,"at":1000,"from":{"id":"7f0000010b5400000007","name":"Ann"},"text":"hi"}]}"#
        );
        let error = Reply::Error { code: ErrorCode::Malformed, text: "no", about: None };
        assert_eq!(error.to_json(), r#"{"type":"error","code":"malformed","text":"no"}"#);
    }
}
