//! The run of a worker in 200, and what 240 answers to it (WIRE.md §14).

use std::fmt;

use crate::json::{self, Scalar, Shape};
use crate::php::KeyRef;

/// Names one start of a worker: all links of that worker say the same, those of another one, of whatever name, something
/// else.
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
}

impl Hello {
    /// `None`: not a JSON object. A reason that nobody knows is none: the FIN behind it says enough.
    pub fn decode(body: &[u8]) -> Option<Hello> {
        let (mut refused, mut leaving, mut windows) = (None, false, false);
        let shape = json::read_elements(body, |name, value| match name {
            KeyRef::Bytes(b"refused") => refused = value.into_text(),
            KeyRef::Bytes(b"leaving") => leaving = value == Scalar::Int(1),
            KeyRef::Bytes(b"windows") => windows = value == Scalar::Int(1),
            _ => {}
        });
        let refused = match refused.as_deref() {
            Some("name") if leaving => Some(Refused::NameLeaving),
            Some("name") => Some(Refused::Name),
            Some("key") => Some(Refused::Key),
            _ => None,
        };
        matches!(shape, Some(Shape::Object(_))).then_some(Hello { refused, windows })
    }

    /// The body.
    pub fn encode(self) -> &'static [u8] {
        match self.refused {
            None if self.windows => br#"{"ringway":1,"windows":1}"#,
            None => br#"{"ringway":1}"#,
            Some(Refused::Name) => br#"{"ringway":1,"refused":"name"}"#,
            Some(Refused::NameLeaving) => br#"{"ringway":1,"refused":"name","leaving":1}"#,
            Some(Refused::Key) => br#"{"ringway":1,"refused":"key"}"#,
        }
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
    fn a_hello_says_why_if_it_refuses() {
        for (body, refused) in [
            (r#"{"ringway":1}"#, None),
            (r#"{"ringway":1,"refused":"name"}"#, Some(Refused::Name)),
            (r#"{"ringway":1,"refused":"name","leaving":1}"#, Some(Refused::NameLeaving)),
            (r#"{"ringway":1,"refused":"key"}"#, Some(Refused::Key)),
        ] {
            let hello = Hello { refused, windows: false };
            assert_eq!(hello.encode(), body.as_bytes());
            assert_eq!(Hello::decode(body.as_bytes()), Some(hello));
        }
        let windows = Hello { refused: None, windows: true };
        assert_eq!(windows.encode(), br#"{"ringway":1,"windows":1}"#);
        assert_eq!(Hello::decode(windows.encode()), Some(windows));
        for body in
            [r#"{"refused":"weather"}"#, r#"{"refused":["name"]}"#, r#"{"refused":1,"windows":2}"#, "{}"]
        {
            assert_eq!(Hello::decode(body.as_bytes()), Some(Hello::default()), "{body}");
        }
        assert_eq!(Hello::decode(b"[]"), None);
        assert_eq!(Hello::decode(b""), None);
    }
}
