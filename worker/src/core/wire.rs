//! The two buffers of a link, without IO: frames taken out of what arrives, and what waits to be sent.

use protocol::inner::{self, FRAME_SIZE_MAX_RINGWAY, Frame, FrameError};

use crate::config::BUFFER_KEEP_SIZE;

/// Takes frames out of what arrives. Whole frames are read where they lie; only an unfinished one is copied.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The beginning of a frame whose end has not arrived.
    unfinished: Vec<u8>,
}

impl Inbox {
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
