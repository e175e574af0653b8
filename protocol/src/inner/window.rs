//! How much a worker takes of a gateway before it has said that some of it is done (WIRE.md §14).

/// What of events may be in flight on a link, as the worker says in WORKER_CONNECT. Both parts are at least 1; one event may
/// be in flight whatever its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Events.
    pub events: u32,
    /// Bytes of their frames.
    pub bytes: u32,
}

/// Windows of events on one link that are done and not safe: a gateway closes the link of a worker that has more (WIRE.md §14).
pub const UNSAFE_WINDOWS_MAX: usize = 8;

/// Part of the body of EVENTS_DONE and EVENTS_SAFE: events that follow each other on a link, by number. The first event of a link is number 0,
/// and after the last number comes 0 again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EventRange {
    /// The first of them.
    pub first: u32,
    /// How many they are.
    pub count: u32,
}

impl EventRange {
    /// The number behind its last event.
    pub fn end(&self) -> u32 {
        self.first.wrapping_add(self.count)
    }

    /// Appends it to a body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
    }

    /// All of a body. What is left over at its end is ignored.
    pub fn decode_all(body: &[u8]) -> impl Iterator<Item = EventRange> {
        let number = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
        let numbers = body.as_chunks::<4>().0.as_chunks::<2>().0.iter();
        numbers.map(move |[first, count]| EventRange { first: number(first), count: number(count) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cmd, Frame};
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let (mut body, all) =
            (Vec::new(), [EventRange { first: 7, count: 1 }, EventRange { first: u32::MAX, count: 3 }]);
        all.iter().for_each(|done| done.encode(&mut body));
        assert_eq!(body, [0, 0, 0, 7, 0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 0, 3]);
        assert_eq!(EventRange::decode_all(&body).collect::<Vec<_>>(), all);
        assert_eq!((all[0].end(), all[1].end()), (8, 2));
    }

    /// As docs/WIRE.md has it.
    #[test]
    fn events_done_is_this_on_the_wire() {
        let (mut body, mut bytes) = (Vec::new(), Vec::new());
        EventRange { first: 7, count: 2 }.encode(&mut body);
        EventRange { first: 12, count: 1 }.encode(&mut body);
        Frame { body: &body, ..Frame::command(Cmd::EventsDone) }.encode(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let header = "0000002cf80000000000000000000000000000000001000000000000";
        assert_eq!(hex, format!("{header}00000007000000020000000c00000001"));
    }

    #[test]
    fn what_is_left_over_is_ignored() {
        assert_eq!(EventRange::decode_all(&[9; 15]).count(), 1);
        assert_eq!(EventRange::decode_all(&[9; 7]).count(), 0);
    }
}
