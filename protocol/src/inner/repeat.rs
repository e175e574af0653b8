//! Events that come again, and what an event is called (WIRE.md §14).

use std::fmt;

use super::hello::Run;

/// Names an event, and never another one: the first time that it was sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventId([u8; 16]);

impl EventId {
    /// The event of this number on this link of a run.
    pub const fn new(run: Run, link: u32, number: u32) -> EventId {
        let name = (run.0 as u128) << 64 | (link as u128) << 32 | number as u128;
        EventId(name.to_be_bytes())
    }

    /// As it is on the wire.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl From<[u8; 16]> for EventId {
    fn from(bytes: [u8; 16]) -> EventId {
        EventId(bytes)
    }
}

/// 32 hex digits.
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Body of REPEAT, which is about the event behind it: some worker may have had it before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repeat {
    /// What the event was called the first time.
    pub id: EventId,
    /// How often it was sent before, in part at least: 1 to 255, where 255 is that or more.
    pub deliveries: u8,
}

impl Repeat {
    /// `None`: too short, or it says that there was nothing before. What is left over at the end is ignored.
    pub fn decode(body: &[u8]) -> Option<Repeat> {
        let (id, rest) = body.split_first_chunk::<16>()?;
        let deliveries = *rest.first().filter(|deliveries| **deliveries > 0)?;
        Some(Repeat { id: EventId(*id), deliveries })
    }

    /// The body.
    pub fn encode(&self) -> [u8; 17] {
        let mut body = [0; 17];
        body[..16].copy_from_slice(&self.id.0);
        body[16] = self.deliveries;
        body
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cmd, Frame};
    use super::*;

    const REPEAT: Repeat =
        Repeat { id: EventId(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\0\0\0\x07\0\0\0\x0c"), deliveries: 2 };

    #[test]
    fn an_id_is_run_link_and_number() {
        let id = EventId::new(Run(0x0123_4567_89ab_cdef), 7, 12);
        assert_eq!((id, EventId::from(id.to_bytes())), (REPEAT.id, id));
        assert_eq!(id.to_string(), "0123456789abcdef000000070000000c");
    }

    /// As docs/WIRE.md has it.
    #[test]
    fn repeat_is_this_on_the_wire() {
        let mut bytes = Vec::new();
        Frame { body: &REPEAT.encode(), ..Frame::command(Cmd::Repeat) }.encode(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let header = "0000002dfa0000000000000000000000000000000001000000000000";
        assert_eq!(hex, format!("{header}0123456789abcdef000000070000000c02"));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let body = REPEAT.encode();
        assert_eq!(Repeat::decode(&body), Some(REPEAT));
        assert_eq!(Repeat::decode(&[&body[..], b"more"].concat()), Some(REPEAT));
        assert_eq!(Repeat::decode(&body[..16]), None);
        assert_eq!(Repeat::decode(&[0; 17]), None);
    }
}
