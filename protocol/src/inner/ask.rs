//! What a worker asks on its command link, and how it knows the answer (WIRE.md §14).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU32;
use std::ops::AddAssign;

use super::Frame;
use crate::php::Value;

/// Names what was asked on a link, until it is answered. It is where frames from gateways have the client's address, and in the
/// connection id of the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AskId(pub NonZeroU32);

/// Where in a header the client's ip is (WIRE.md §3).
const CLIENT_IP_AT: usize = 11;

/// Bytes of an answer in one frame at most: what else is on the link goes between.
pub const ANSWER_SLICE_SIZE: usize = 64 * 1024;

/// Questions that a worker has unanswered on a link at most. It asks no more before some are answered, nor while the frames of
/// those have [`QUESTIONS_UNANSWERED_SIZE_MAX`] bytes or more.
pub const QUESTIONS_UNANSWERED_MAX: usize = 1_000;
/// See [`QUESTIONS_UNANSWERED_MAX`].
pub const QUESTIONS_UNANSWERED_SIZE_MAX: usize = 1024 * 1024;

impl AskId {
    /// What a frame towards a gateway asks by; `None`: nothing is asked, or the answer is a reply (WIRE.md §3).
    pub fn of(frame: &Frame<'_>) -> Option<AskId> {
        NonZeroU32::new(frame.client.ip().to_bits()).map(AskId)
    }

    /// The client's address in a frame that asks by this.
    pub fn address(self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(self.0.get()), 0)
    }

    /// Appends an encoded frame that is to ask by this.
    ///
    /// # Panics
    /// It is shorter than a header.
    pub fn append(self, frame: &[u8], out: &mut Vec<u8>) {
        let start = out.len() + CLIENT_IP_AT;
        out.extend_from_slice(frame);
        out[start..start + size_of::<u32>()].copy_from_slice(&self.0.get().to_be_bytes());
    }
}

/// What became of a message, at one gateway or at all. A client that is in two groups of a message counts twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageReport {
    /// It was queued so often.
    pub queued: u64,
    /// So often it was not, because the client does not take what it was sent before.
    pub dropped: u64,
}

impl AddAssign for MessageReport {
    fn add_assign(&mut self, other: MessageReport) {
        self.queued += other.queued;
        self.dropped += other.dropped;
    }
}

impl MessageReport {
    /// The body of REPORT: two u32. What is more counts as the most.
    pub fn encode(self) -> [u8; 8] {
        let part = |count| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
        let mut body = [0; 8];
        body[..4].copy_from_slice(&part(self.queued));
        body[4..].copy_from_slice(&part(self.dropped));
        body
    }

    /// `None`: the body is too short.
    pub fn decode(body: &[u8]) -> Option<MessageReport> {
        let (numbers, _) = body.as_chunks::<4>();
        let [queued, dropped, ..] = numbers else { return None };
        let number = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes).into();
        Some(MessageReport { queued: number(queued), dropped: number(dropped) })
    }

    /// The same as the reply to who asks on a connection of its own: a list of both.
    pub fn to_value(self) -> Value {
        let number = |count| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        Value::Array(vec![number(self.queued), number(self.dropped)].into())
    }

    /// `None`: it is something else.
    pub fn from_value(value: &Value) -> Option<MessageReport> {
        let Value::Array(array) = value else { return None };
        let mut numbers = array.values().map(|value| u64::try_from(value.as_int()?).ok());
        Some(MessageReport { queued: numbers.next()??, dropped: numbers.next()?? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cmd, FLAG_MORE, FLAG_REPORT_WANTED, FLAG_SCALAR};
    use super::*;

    fn hex(frame: &Frame<'_>) -> String {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn wire(spaced: &str) -> String {
        spaced.replace(' ', "")
    }

    fn id(number: u32) -> AskId {
        AskId(NonZeroU32::new(number).unwrap())
    }

    /// As docs/WIRE.md has it.
    #[test]
    fn a_question_and_its_answer_are_this_on_the_wire() {
        let asked =
            Frame { client: id(0x0102).address(), ext: b"g", ..Frame::command(Cmd::GetClientCountByGroup) };
        assert_eq!(hex(&asked), wire("0000001d 18 00000000 0000 00000102 0000 00000000 01 0000 00000001 67"));
        assert_eq!(AskId::of(&asked), Some(id(0x0102)));
        let (mut bytes, mut expected) = (b"before".to_vec(), b"before".to_vec());
        let mut frame = Vec::new();
        Frame { client: id(9).address(), ..asked }.encode(&mut frame);
        id(0x0102).append(&frame, &mut bytes);
        asked.encode(&mut expected);
        assert_eq!(bytes, expected);
        assert_eq!(AskId::of(&Frame::command(Cmd::IsOnline)), None);
        let answer = Frame {
            connection_id: id(0x0102).0.get(),
            flag: FLAG_SCALAR | FLAG_MORE,
            body: b"i:",
            ..Frame::command(Cmd::Answer)
        };
        assert_eq!(
            hex(&answer),
            wire("0000001e fb 00000000 0000 00000000 0000 00000102 03 0000 00000000 693a")
        );
    }

    /// As docs/WIRE.md has it.
    #[test]
    fn a_message_and_its_report_are_this_on_the_wire() {
        let message = Frame {
            client: id(7).address(),
            flag: FLAG_SCALAR | FLAG_REPORT_WANTED,
            ext: br#"["u"]"#,
            body: b"hi",
            ..Frame::command(Cmd::SendToUid)
        };
        assert_eq!(
            hex(&message),
            wire("00000023 0e 00000000 0000 00000007 0000 00000000 21 0000 00000005 5b2275225d 6869")
        );
        let report = MessageReport { queued: 3, dropped: 1 };
        let frame = Frame { connection_id: 7, body: &report.encode(), ..Frame::command(Cmd::Report) };
        assert_eq!(
            hex(&frame),
            wire("00000024 fc 00000000 0000 00000000 0000 00000007 01 0000 00000000 00000003 00000001")
        );
        assert_eq!(MessageReport::decode(frame.body), Some(report));
    }

    #[test]
    fn a_report_comes_back_from_both_its_forms() {
        for report in [MessageReport::default(), MessageReport { queued: 1_000_000, dropped: 2 }] {
            assert_eq!(MessageReport::decode(&report.encode()), Some(report));
            assert_eq!(MessageReport::from_value(&report.to_value()), Some(report));
        }
        let most = MessageReport { queued: u64::MAX, dropped: 0 };
        assert_eq!(
            MessageReport::decode(&most.encode()),
            Some(MessageReport { queued: u32::MAX.into(), dropped: 0 })
        );
        assert_eq!(MessageReport::decode(&[0; 7]), None);
        assert_eq!(MessageReport::from_value(&Value::Int(1)), None);
        assert_eq!(MessageReport::from_value(&Value::Array(vec![1].into())), None);
        assert_eq!(MessageReport::from_value(&Value::Array(vec![1, -1].into())), None);
    }
}
