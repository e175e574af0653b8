//! The connections of a core, whatever they are for: frames taken out of what arrives, and what waits to be sent. The
//! sockets are the host's.

use std::net::SocketAddrV4;

use protocol::inner::{self, FRAME_SIZE_MAX_RINGWAY, Frame, FrameError};
use protocol::register_set::RegisterConn;

use super::proof::Aim;
use crate::config::BUFFER_KEEP_SIZE;

/// Names a connection of a core, and never another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    /// Where it is in tables: small, and used again.
    pub index: u32,
    generation: u32,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Commands to a gateway, and its events.
    Link(SocketAddrV4),
    /// Questions to a gateway.
    Queries(SocketAddrV4),
    /// To a gateway that has not proven yet that it knows the key.
    Unproven(SocketAddrV4, Aim),
    /// To a register.
    Register(RegisterConn),
}

#[derive(Debug)]
struct Connection {
    purpose: Purpose,
    is_open: bool,
    /// The host was told that there is something to send, or has to say first that there is room.
    is_dirty: bool,
    /// Of that, the latter.
    is_blocked: bool,
    /// Nothing more is to be sent behind what is queued.
    finishes: bool,
    /// Frames that were said behind the first bytes, for gateways count them.
    frames: u32,
    outbox: Outbox,
}

/// The connections of a core.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<(u32, Option<Connection>)>,
    free: Vec<u32>,
    dirty: Vec<ConnId>,
}

impl Connections {
    pub(super) fn add(&mut self, purpose: Purpose) -> ConnId {
        let connection = Connection {
            purpose,
            is_open: false,
            is_dirty: false,
            is_blocked: false,
            finishes: false,
            frames: 0,
            outbox: Outbox::default(),
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).expect("a core has few connections")
        });
        let (generation, slot) = &mut self.slots[index as usize];
        *generation = generation.wrapping_add(1);
        *slot = Some(connection);
        ConnId { index, generation: *generation }
    }

    /// Forgets it and what is queued there; returns how much that was.
    pub(super) fn remove(&mut self, conn: ConnId) -> usize {
        let Some(connection) = self.get_mut(conn) else { return 0 };
        let queued = connection.outbox.unsent().len();
        self.slots[conn.index as usize].1 = None;
        self.free.push(conn.index);
        queued
    }

    pub(super) fn purpose(&self, conn: ConnId) -> Option<Purpose> {
        self.get(conn).map(|connection| connection.purpose)
    }

    /// It is for something else now.
    pub(super) fn set_purpose(&mut self, conn: ConnId, purpose: Purpose) {
        if let Some(connection) = self.get_mut(conn) {
            connection.purpose = purpose;
        }
    }

    /// It stands: what is queued may be sent.
    pub(super) fn opened(&mut self, conn: ConnId) {
        if let Some(connection) = self.get_mut(conn) {
            connection.is_open = true;
        }
        self.touch(conn);
    }

    /// The buffer of what is to be sent, to append to.
    pub(super) fn tail(&mut self, conn: ConnId) -> &mut Vec<u8> {
        self.touch(conn);
        self.get_mut(conn).expect("who sends has a connection").outbox.tail()
    }

    /// Appends a frame to what is to be sent on a link. Gateways count them, so each one behind WORKER_CONNECT goes through here.
    /// Returns its number.
    pub(super) fn push_frame(&mut self, conn: ConnId, frame: &Frame<'_>) -> u32 {
        self.push_encoded(conn, |out| frame.encode(out))
    }

    /// The same; `encode` appends one frame.
    pub(super) fn push_encoded(&mut self, conn: ConnId, encode: impl FnOnce(&mut Vec<u8>)) -> u32 {
        self.touch(conn);
        let connection = self.get_mut(conn).expect("who sends has a connection");
        encode(connection.outbox.tail());
        let number = connection.frames;
        connection.frames = number.wrapping_add(1);
        number
    }

    /// Sends nothing more behind what is queued.
    pub(super) fn finish(&mut self, conn: ConnId) {
        if let Some(connection) = self.get_mut(conn) {
            connection.finishes = true;
        }
    }

    /// Whether everything was sent behind which nothing more is to come.
    pub(super) fn is_finished(&self, conn: ConnId) -> bool {
        self.get(conn).is_none_or(|connection| connection.finishes && connection.outbox.is_empty())
    }

    /// Whether something is to be sent now.
    pub(super) fn is_to_be_sent(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|connection| connection.is_dirty && !connection.is_blocked)
    }

    /// Whether what is added would be sent now.
    pub(super) fn takes_more(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|connection| !connection.is_blocked && !connection.finishes)
    }

    /// Bytes that wait to be sent.
    pub(super) fn queued(&self, conn: ConnId) -> usize {
        self.get(conn).map_or(0, |connection| connection.outbox.unsent().len())
    }

    /// The end of what is queued now, in bytes since its beginning.
    pub(super) fn end(&self, conn: ConnId) -> u64 {
        self.get(conn).map_or(0, |connection| connection.outbox.end())
    }

    /// How much of it was sent, in the same bytes.
    pub(super) fn gone(&self, conn: ConnId) -> u64 {
        self.get(conn).map_or(0, |connection| connection.outbox.gone)
    }

    /// Whether nothing up to this [`Connections::end`] is left; so if the connection is gone.
    pub(super) fn is_past(&self, conn: ConnId, end: u64) -> bool {
        self.get(conn).is_none_or(|connection| connection.outbox.is_past(end))
    }

    /// Moves those that have something to send to `list`.
    pub(super) fn take_dirty(&mut self, list: &mut Vec<ConnId>) {
        list.append(&mut self.dirty);
    }

    /// What is to be sent next.
    pub(super) fn unsent(&self, conn: ConnId) -> &[u8] {
        self.get(conn).map_or(&[], |connection| connection.outbox.unsent())
    }

    /// Notes that `size` bytes of [`Connections::unsent`] were sent; what is left waits for [`Connections::writable`].
    pub(super) fn sent(&mut self, conn: ConnId, size: usize) {
        if let Some(connection) = self.get_mut(conn) {
            connection.outbox.advance(size);
            connection.is_dirty = !connection.outbox.is_empty();
            connection.is_blocked = connection.is_dirty;
        }
    }

    /// There is room again.
    pub(super) fn writable(&mut self, conn: ConnId) {
        if let Some(connection) = self.get_mut(conn) {
            (connection.is_dirty, connection.is_blocked) = (false, false);
            self.touch(conn);
        }
    }

    fn touch(&mut self, conn: ConnId) {
        if let Some(connection) = self.get_mut(conn)
            && connection.is_open
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(conn);
        }
    }

    fn get(&self, conn: ConnId) -> Option<&Connection> {
        let (generation, slot) = self.slots.get(conn.index as usize)?;
        slot.as_ref().filter(|_| *generation == conn.generation)
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let (generation, slot) = self.slots.get_mut(conn.index as usize)?;
        slot.as_mut().filter(|_| *generation == conn.generation)
    }
}

/// Takes frames out of what arrives. Whole frames are read where they lie; only an unfinished one is copied.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The beginning of a frame whose end has not arrived.
    unfinished: Vec<u8>,
}

impl Inbox {
    /// Bytes of a frame whose rest is to come.
    pub(super) fn part_size(&self) -> usize {
        self.unfinished.len()
    }

    /// Gives every frame that is whole now to `each`, in order.
    ///
    /// An error means that the link is of no use any more; frames before the bad one were given.
    pub(super) fn feed(&mut self, arrived: &[u8], each: impl FnMut(&Frame<'_>)) -> Result<(), FrameError> {
        if self.unfinished.is_empty() {
            let used = take_frames(arrived, each)?;
            self.unfinished.extend_from_slice(&arrived[used..]);
            return Ok(());
        }
        self.unfinished.extend_from_slice(arrived);
        let used = take_frames(&self.unfinished, each)?;
        self.unfinished.drain(..used);
        if self.unfinished.is_empty() {
            self.unfinished.shrink_to(BUFFER_KEEP_SIZE);
        }
        Ok(())
    }
}

/// Returns how many bytes the whole frames at the start of `input` took.
fn take_frames(input: &[u8], mut each: impl FnMut(&Frame<'_>)) -> Result<usize, FrameError> {
    let mut used = 0;
    while let Some((frame, size)) = inner::decode(&input[used..], FRAME_SIZE_MAX_RINGWAY)? {
        each(&frame);
        used += size;
    }
    Ok(used)
}

/// What waits to be sent, in order. Invariant: `sent <= bytes.len()`.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes that were ever sent.
    gone: u64,
}

impl Outbox {
    /// The buffer to append to.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What is to be sent next.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// The end of what is queued now, in bytes since the beginning.
    pub(super) fn end(&self) -> u64 {
        self.gone + self.unsent().len() as u64
    }

    /// Whether nothing up to this [`Outbox::end`] is left.
    pub(super) fn is_past(&self, end: u64) -> bool {
        self.gone >= end
    }

    /// Notes that `size` bytes of [`Outbox::unsent`] are sent.
    ///
    /// The space is used again when all is sent, or when more than half of the buffer is: so nothing is moved more
    /// than once on average, and a gateway that is always a little behind does not make the buffer grow.
    pub(super) fn advance(&mut self, size: usize) {
        self.sent += size;
        self.gone += size as u64;
        assert!(self.sent <= self.bytes.len(), "no more is sent than was queued");
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(BUFFER_KEEP_SIZE);
            self.sent = 0;
        } else if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::inner::Cmd;

    use super::*;

    fn gateway(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new([10, 0, 0, 1].into(), port)
    }

    #[test]
    fn a_number_that_is_used_again_names_nobody_from_before() {
        let mut connections = Connections::default();
        let first = connections.add(Purpose::Link(gateway(0)));
        connections.tail(first).extend_from_slice(b"1234");
        assert_eq!(connections.remove(first), 4);
        let second = connections.add(Purpose::Link(gateway(1)));
        assert_eq!((second.index, second == first), (first.index, false));
        assert_eq!(connections.purpose(first), None);
        assert_eq!(connections.purpose(second), Some(Purpose::Link(gateway(1))));
        assert_eq!((connections.queued(first), connections.remove(first)), (0, 0));
    }

    #[test]
    fn what_is_queued_is_sent_once_connected_and_when_there_is_room() {
        let mut connections = Connections::default();
        let conn = connections.add(Purpose::Link(gateway(0)));
        let dirty = |connections: &mut Connections| {
            let mut list = Vec::new();
            connections.take_dirty(&mut list);
            list.len()
        };
        connections.tail(conn).extend_from_slice(b"1234");
        assert_eq!(dirty(&mut connections), 0);
        connections.opened(conn);
        assert_eq!(dirty(&mut connections), 1);
        connections.sent(conn, 3);
        connections.tail(conn).extend_from_slice(b"5");
        assert_eq!(dirty(&mut connections), 0, "there was no room");
        connections.writable(conn);
        assert_eq!((dirty(&mut connections), connections.unsent(conn)), (1, b"45".as_slice()));
        connections.finish(conn);
        assert!(!connections.is_finished(conn));
        connections.sent(conn, 2);
        assert!(connections.is_finished(conn));
    }

    fn frames(bodies: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for body in bodies {
            Frame { body, connection_id: 7, ..Frame::command(Cmd::OnMessage) }.encode(&mut out);
        }
        out
    }

    #[test]
    fn frames_come_out_however_they_are_cut() {
        let bodies: [&[u8]; 4] = [b"one", b"", b"three", &[9; 300]];
        let input = frames(&bodies);
        for size in 1..=input.len() {
            let mut inbox = Inbox::default();
            let mut seen = Vec::new();
            for chunk in input.chunks(size) {
                inbox.feed(chunk, |frame| seen.push(frame.body.to_vec())).unwrap();
            }
            assert_eq!(seen, bodies, "chunks of {size}");
            assert!(inbox.unfinished.is_empty());
        }
    }

    #[test]
    fn frames_before_a_bad_one_are_given() {
        let mut input = frames(&[b"good"]);
        input.extend_from_slice(&[0, 0, 0, 1]);
        let mut count = 0;
        assert_eq!(Inbox::default().feed(&input, |_| count += 1), Err(FrameError));
        assert_eq!(count, 1);
    }

    #[test]
    fn what_was_queued_is_past_when_it_is_sent() {
        let mut outbox = Outbox::default();
        outbox.tail().extend_from_slice(b"12345");
        let end = outbox.end();
        outbox.tail().extend_from_slice(b"678");
        outbox.advance(4);
        assert!(!outbox.is_past(end));
        outbox.advance(1);
        assert!(outbox.is_past(end));
    }

    #[test]
    fn the_outbox_sends_everything_once_in_order() {
        let mut outbox = Outbox::default();
        let mut sent = Vec::new();
        for round in 0..100_u8 {
            outbox.tail().extend_from_slice(&[round; 5]);
            let size = outbox.unsent().len().min(3 + usize::from(round % 5));
            sent.extend_from_slice(&outbox.unsent()[..size]);
            outbox.advance(size);
        }
        sent.extend_from_slice(outbox.unsent());
        outbox.advance(outbox.unsent().len());
        assert!(outbox.is_empty());
        assert_eq!(outbox.end(), 500);
        assert_eq!(sent, (0..100).flat_map(|round| [round; 5]).collect::<Vec<u8>>());
    }
}
