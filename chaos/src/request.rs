//! What clients ask workers for, and what they are told: a line each.

use std::fmt;

/// What a message asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Joins a room; the answer is who the client is. Each client's first.
    Hello,
    /// An answer.
    Echo,
    /// An answer after a while.
    Wait,
    /// An answer, and a word to a client of another gateway.
    Foreign,
    /// Joins a group and sends to it; that is the answer.
    Group,
    /// An answer, and a word to all others in the client's room.
    Room,
    /// An answer from what all gateways say.
    Query,
    /// Counts in the session; the answer is the count.
    Count,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 8] = [
        Kind::Hello,
        Kind::Echo,
        Kind::Wait,
        Kind::Foreign,
        Kind::Group,
        Kind::Room,
        Kind::Query,
        Kind::Count,
    ];

    /// Its name on the wire and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Hello => "hello",
            Kind::Echo => "echo",
            Kind::Wait => "wait",
            Kind::Foreign => "foreign",
            Kind::Group => "group",
            Kind::Room => "room",
            Kind::Query => "query",
            Kind::Count => "count",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Which message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId {
    /// Which client said it.
    pub client: u32,
    /// How many it had said before.
    pub number: u32,
}

impl MessageId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<MessageId> {
        let (client, number) = text.split_once(':')?;
        Some(MessageId { client: client.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.client, self.number)
    }
}

/// A message of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// What it asks for.
    pub kind: Kind,
    /// Which it is.
    pub id: MessageId,
    /// Of [`Kind::Foreign`]: the id of the client that gets a word; of [`Kind::Hello`] and [`Kind::Room`]: the room; else
    /// something that is no space.
    pub target: &'a str,
}

impl Request<'_> {
    /// The message without its end of line.
    pub fn parse(line: &str) -> Option<Request<'_>> {
        let mut words = line.split(' ');
        let kind = Kind::from_name(words.next()?)?;
        Some(Request { kind, id: MessageId::parse(words.next()?)?, target: words.next()? })
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.kind.name(), self.id, self.target)
    }
}

/// What a worker says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply<'a> {
    /// To the client that asked.
    Answer {
        /// What is answered.
        id: MessageId,
        /// A count, or the client's id.
        value: &'a str,
    },
    /// To another client.
    Foreign {
        /// The message that asked for it.
        id: MessageId,
    },
}

impl Reply<'_> {
    /// The reply without its end of line.
    pub fn parse(line: &str) -> Option<Reply<'_>> {
        let mut words = line.split(' ');
        let (what, id) = (words.next()?, MessageId::parse(words.next()?)?);
        match what {
            "answer" => Some(Reply::Answer { id, value: words.next()? }),
            "from" => Some(Reply::Foreign { id }),
            _ => None,
        }
    }
}

impl fmt::Display for Reply<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Answer { id, value } => write!(out, "answer {id} {value}"),
            Reply::Foreign { id } => write!(out, "from {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let id = MessageId { client: 7, number: 19 };
        for kind in Kind::ALL {
            let request = Request { kind, id, target: "7f000001" };
            assert_eq!(Request::parse(&request.to_string()), Some(request));
        }
        for reply in [Reply::Answer { id, value: "12" }, Reply::Foreign { id }] {
            assert_eq!(Reply::parse(&reply.to_string()), Some(reply));
        }
        for line in ["", "echo", "echo 7 x", "echo 7: x", "nothing 7:19 x", "echo 7:19"] {
            assert_eq!(Request::parse(line), None, "{line:?}");
        }
    }
}
