//! The run of a worker in 200, and what 240 answers to it (WIRE.md §14).

use std::fmt::{self, Write};

use super::repeat::EventId;
use crate::json::{self, Scalar, Shape};
use crate::php::KeyRef;

/// Names one start of a worker: all links of that worker say the same, those of another one, of whatever name, something
/// else. Or one start of a gateway's shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run(pub u64);

impl Run {
    /// 16 hex digits, or nothing.
    pub fn parse(text: &str) -> Option<Run> {
        let is_run = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| is_run).map(Run)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why a gateway does not take a worker's link. Its FIN follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refused {
    /// Another run has a link of that name.
    Name,
    /// The same, and that one is about to go: it hands its clients over.
    NameLeaving,
    /// The secret key is not the gateway's.
    Key,
}

/// Body of RINGWAY_HELLO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hello {
    /// `None`: the link is taken. Said only to who said a run.
    pub refused: Option<Refused>,
    /// The gateway keeps to the window that the worker has said.
    pub windows: bool,
    /// It answers queries on this link. Said only with `windows`: so nothing stands in front of an answer that the worker does
    /// not read.
    pub answers: bool,
    /// The gateway keeps events until they are safe. Said only with `windows`, and to who asked for it.
    pub acks: Option<Origin>,
    /// How many frames of the link that the worker goes on from were taken, if that is known. Said only with `acks`, and to who
    /// asked for it.
    pub taken: Option<u32>,
}

/// Where an event comes from that is kept until it is safe: with its number, that is its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Of the gateway's shard.
    pub run: Run,
    /// No other link of that run has this number.
    pub link: u32,
}

impl Origin {
    /// The event of this number.
    pub const fn event(self, number: u32) -> EventId {
        EventId::new(self.run, self.link, number)
    }
}

impl Hello {
    /// `None`: not a JSON object. A reason that nobody knows is none: the FIN behind it says enough.
    pub fn decode(body: &[u8]) -> Option<Hello> {
        let (mut refused, mut leaving) = (None, false);
        let (mut windows, mut answers) = (false, false);
        let (mut acks, mut run, mut link, mut taken) = (false, None, None, None);
        let shape = json::read_elements(body, |name, value| match name {
            KeyRef::Bytes(b"refused") => refused = value.into_text(),
            KeyRef::Bytes(b"leaving") => leaving = value == Scalar::Int(1),
            KeyRef::Bytes(b"windows") => windows = value == Scalar::Int(1),
            KeyRef::Bytes(b"answers") => answers = value == Scalar::Int(1),
            KeyRef::Bytes(b"acks") => acks = value == Scalar::Int(1),
            KeyRef::Bytes(b"run") => run = value.into_text().as_deref().and_then(Run::parse),
            KeyRef::Bytes(b"link") => link = number(&value),
            KeyRef::Bytes(b"taken") => taken = number(&value),
            _ => {}
        });
        let refused = match refused.as_deref() {
            Some("name") if leaving => Some(Refused::NameLeaving),
            Some("name") => Some(Refused::Name),
            Some("key") => Some(Refused::Key),
            _ => None,
        };
        let acks = run.zip(link).filter(|_| acks && windows).map(|(run, link)| Origin { run, link });
        let taken = taken.filter(|_| acks.is_some());
        let hello = Hello { refused, windows, answers: answers && windows, acks, taken };
        matches!(shape, Some(Shape::Object(_))).then_some(hello)
    }

    /// The body.
    pub fn encode(self) -> Vec<u8> {
        let mut body = r#"{"ringway":1"#.to_owned();
        match self.refused {
            Some(Refused::Name) => body += r#","refused":"name""#,
            Some(Refused::NameLeaving) => body += r#","refused":"name","leaving":1"#,
            Some(Refused::Key) => body += r#","refused":"key""#,
            None => self.encode_terms(&mut body),
        }
        body.push('}');
        body.into_bytes()
    }

    /// What holds on a link that is taken.
    fn encode_terms(self, body: &mut String) {
        if self.windows {
            *body += r#","windows":1"#;
        }
        if self.answers {
            *body += r#","answers":1"#;
        }
        if let Some(Origin { run, link }) = self.acks {
            // Writing to a string does not fail.
            let _ = write!(body, r#","acks":1,"run":"{run}","link":{link}"#);
        }
        if let Some(taken) = self.taken {
            let _ = write!(body, r#","taken":{taken}"#);
        }
    }
}

pub(super) fn number(value: &Scalar) -> Option<u32> {
    match value {
        Scalar::Int(number) => u32::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_16_hex_digits() {
        assert_eq!(Run(0xf00d).to_string(), "000000000000f00d");
        assert_eq!(Run::parse("000000000000f00d"), Some(Run(0xf00d)));
        assert_eq!(Run::parse(&Run(u64::MAX).to_string()), Some(Run(u64::MAX)));
        for other in
            ["", "f00d", "00000000000000000", "+00000000000f00d", "00000000000000g0", "é00000000000000"]
        {
            assert_eq!(Run::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_hello_says_what_events_are_called() {
        let acks = Some(Origin { run: Run(0xf00d), link: 7 });
        let hello = Hello { acks, windows: true, ..Hello::default() };
        let body = br#"{"ringway":1,"windows":1,"acks":1,"run":"000000000000f00d","link":7}"#;
        assert_eq!(hello.encode(), body);
        assert_eq!(Hello::decode(body), Some(hello));
        let resumed =
            br#"{"ringway":1,"windows":1,"acks":1,"run":"000000000000f00d","link":7,"taken":4294967295}"#;
        let hello = Hello { taken: Some(u32::MAX), ..hello };
        assert_eq!((&*hello.encode(), Hello::decode(resumed)), (&resumed[..], Some(hello)));
        for body in [
            r#"{"ringway":1,"windows":1,"acks":1,"run":"f00d","link":7}"#,
            r#"{"ringway":1,"windows":1,"acks":1,"run":"000000000000f00d","link":-1}"#,
            r#"{"ringway":1,"windows":1,"acks":1,"run":"000000000000f00d"}"#,
            r#"{"ringway":1,"windows":1,"run":"000000000000f00d","link":7,"taken":1}"#,
            r#"{"ringway":1,"windows":1,"acks":"1","run":"000000000000f00d","link":7}"#,
        ] {
            let hello = Hello { windows: true, ..Hello::default() };
            assert_eq!(Hello::decode(body.as_bytes()), Some(hello), "{body}");
        }
        let unwindowed = br#"{"ringway":1,"acks":1,"run":"000000000000f00d","link":7}"#;
        assert_eq!(Hello::decode(unwindowed), Some(Hello::default()));
    }

    #[test]
    fn a_hello_says_why_if_it_refuses() {
        for (body, refused) in [
            (r#"{"ringway":1}"#, None),
            (r#"{"ringway":1,"refused":"name"}"#, Some(Refused::Name)),
            (r#"{"ringway":1,"refused":"name","leaving":1}"#, Some(Refused::NameLeaving)),
            (r#"{"ringway":1,"refused":"key"}"#, Some(Refused::Key)),
        ] {
            let hello = Hello { refused, ..Hello::default() };
            assert_eq!(hello.encode(), body.as_bytes());
            assert_eq!(Hello::decode(body.as_bytes()), Some(hello));
        }
        let windows = Hello { windows: true, ..Hello::default() };
        assert_eq!(windows.encode(), br#"{"ringway":1,"windows":1}"#);
        assert_eq!(Hello::decode(&windows.encode()), Some(windows));
        let answers = Hello { answers: true, ..windows };
        assert_eq!(answers.encode(), br#"{"ringway":1,"windows":1,"answers":1}"#);
        assert_eq!(Hello::decode(&answers.encode()), Some(answers));
        assert_eq!(
            Hello::decode(br#"{"ringway":1,"answers":1}"#),
            Some(Hello::default()),
            "only with windows"
        );
        for body in
            [r#"{"refused":"weather"}"#, r#"{"refused":["name"]}"#, r#"{"refused":1,"windows":2}"#, "{}"]
        {
            assert_eq!(Hello::decode(body.as_bytes()), Some(Hello::default()), "{body}");
        }
        assert_eq!(Hello::decode(b"[]"), None);
        assert_eq!(Hello::decode(b""), None);
    }
}
