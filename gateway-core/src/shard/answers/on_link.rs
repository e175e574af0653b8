//! Answers on workers' command links, by the number that the question has (WIRE.md §14): many at a time, long ones in slices
//! between the events. A worker that asks more than it takes has its questions put aside, not its link held up: what it says of
//! events is heard.

use std::collections::VecDeque;

use protocol::inner::{
    self, ANSWER_SLICE_SIZE, AskId, Cmd, FLAG_MORE, FLAG_SCALAR, FRAME_SIZE_MAX_RINGWAY, Frame,
};

use crate::config::{
    ANSWERS_QUEUED_MAX, LISTINGS_PER_LINK_MAX, QUESTIONS_ASIDE_MAX, QUESTIONS_ASIDE_SIZE_MAX,
};
use crate::shard::Shard;
use crate::shard::links::LinkId;
use crate::shard::links::frames::LinkState;
use crate::shard::links::link::Link;
use crate::shard::output::Output;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asker {
    pub link: LinkId,
    /// `None`: it gets replies, in the order of its queries.
    pub id: Option<AskId>,
}

/// What waits on a link that asks by numbers.
///
/// Invariant: the sizes are those of what is in the lists.
#[derive(Default)]
pub(crate) struct Answers {
    /// They take turns, a slice each.
    waiting: VecDeque<Sliced>,
    waiting_size: usize,
    /// Whole frames, that are looked at when answers have gone.
    aside: VecDeque<Box<[u8]>>,
    aside_size: usize,
    /// Lists that are being written.
    listings: usize,
}

/// An answer of which something is still to be queued. Invariant: no piece is empty.
struct Sliced {
    id: AskId,
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that are queued.
    taken: usize,
}

impl Answers {
    /// Whether anything waits.
    pub(crate) fn are_waiting(&self) -> bool {
        !(self.waiting.is_empty() && self.aside.is_empty())
    }

    /// Whether nothing more is to be answered before a list is written.
    fn are_too_many_listings(&self) -> bool {
        self.listings >= LISTINGS_PER_LINK_MAX
    }

    pub(super) fn listing_begins(&mut self) {
        self.listings += 1;
    }

    pub(super) fn listing_ends(&mut self) {
        self.listings -= 1;
    }

    fn push(&mut self, id: AskId, pieces: impl IntoIterator<Item = Vec<u8>>) {
        let pieces: VecDeque<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        self.waiting_size += pieces.iter().map(Vec::len).sum::<usize>();
        self.waiting.push_back(Sliced { id, pieces, taken: 0 });
    }

    /// The next slice, whose it is, and whether more follows.
    fn next_slice(&mut self) -> Option<(AskId, Vec<u8>, bool)> {
        let mut sliced = self.waiting.pop_front()?;
        let (id, slice) = (sliced.id, sliced.take_slice());
        self.waiting_size -= slice.len();
        let has_more = !sliced.pieces.is_empty();
        if has_more {
            self.waiting.push_back(sliced);
        }
        Some((id, slice, has_more))
    }

    /// Whether there was room for it.
    fn put_aside(&mut self, frame: &Frame<'_>) -> bool {
        let mut bytes = Vec::with_capacity(frame.size());
        frame.encode(&mut bytes);
        self.aside_size += bytes.len();
        self.aside.push_back(bytes.into());
        self.aside.len() <= QUESTIONS_ASIDE_MAX && self.aside_size <= QUESTIONS_ASIDE_SIZE_MAX
    }

    fn take_aside(&mut self) -> Option<Box<[u8]>> {
        let bytes = self.aside.pop_front()?;
        self.aside_size -= bytes.len();
        Some(bytes)
    }
}

impl Sliced {
    fn take_slice(&mut self) -> Vec<u8> {
        let mut slice = Vec::new();
        while slice.len() < ANSWER_SLICE_SIZE
            && let Some(piece) = self.pieces.front()
        {
            let rest = &piece[self.taken..];
            let size = rest.len().min(ANSWER_SLICE_SIZE - slice.len());
            slice.extend_from_slice(&rest[..size]);
            self.taken += size;
            if self.taken == piece.len() {
                self.pieces.pop_front();
                self.taken = 0;
            }
        }
        slice
    }
}

impl Link {
    /// By what a frame asks. Only where windows are is every answer read, whatever the worker has in hand.
    pub(crate) fn asker(&self, frame: &Frame<'_>) -> Asker {
        let id = AskId::of(frame).filter(|_| self.in_flight.is_some());
        Asker { link: self.id, id }
    }

    /// Whether questions may have to wait until answers are gone.
    pub(crate) fn owes_answers(&self, queued_max: usize) -> bool {
        !self.answers.aside.is_empty() || self.answers.are_too_many_listings() || self.owes_much(queued_max)
    }

    /// Whether answers wait that are more than the worker may leave unread.
    fn owes_much(&self, queued_max: usize) -> bool {
        self.out.queue.len() + self.answers.waiting_size >= queued_max
    }

    /// Queues an answer, or as much of it as is not in the way of events.
    pub(super) fn queue_answer(
        &mut self,
        output: &mut Output,
        id: AskId,
        pieces: impl IntoIterator<Item = Vec<u8>>,
    ) {
        if self.shut {
            return;
        }
        self.answers.push(id, pieces);
        if self.out.queue.len() < ANSWERS_QUEUED_MAX {
            self.queue_slices(output);
        }
    }

    /// At least one of those that wait, however much is queued: events must not keep answers waiting for ever.
    fn queue_slices(&mut self, output: &mut Output) {
        while let Some((id, slice, has_more)) = self.answers.next_slice() {
            let flag = FLAG_SCALAR | if has_more { FLAG_MORE } else { 0 };
            let frame =
                Frame { connection_id: id.0.get(), flag, body: &slice, ..Frame::command(Cmd::Answer) };
            self.queue_frame(output, &frame);
            if self.out.queue.len() >= ANSWERS_QUEUED_MAX {
                return;
            }
        }
    }
}

impl Shard {
    /// A question of a link that has answers waiting, and takes too little of them, waits behind them. `None`: it is none.
    #[cold]
    pub(crate) fn put_aside(&mut self, link: LinkId, frame: &Frame<'_>) -> Option<LinkState> {
        let asking = self.links.get_mut(link)?;
        let is_query = Cmd::from_u8(frame.cmd).is_some_and(Cmd::is_query);
        if !is_query || asking.asker(frame).id.is_none() {
            return None;
        }
        if asking.answers.put_aside(frame) {
            return Some(LinkState::Open);
        }
        self.close_malformed(link);
        Some(LinkState::Gone)
    }

    /// Something was sent on a link, or a list is written: the next slices go, and questions that were put aside are answered.
    pub(crate) fn continue_answers(&mut self, id: LinkId) {
        let queued_max = self.settings.send_to_worker_buffer_size;
        let Some(link) = self.links.get_mut(id) else { return };
        link.queue_slices(&mut self.output);
        while let Some(link) = self.links.get_mut(id) {
            if link.owes_much(queued_max) || link.answers.are_too_many_listings() {
                return;
            }
            let Some(bytes) = link.answers.take_aside() else { return };
            if let Ok(Some((frame, _))) = inner::decode(&bytes, FRAME_SIZE_MAX_RINGWAY)
                && let Some(cmd) = Cmd::from_u8(frame.cmd)
            {
                self.apply(id, cmd, &frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn id(number: u32) -> AskId {
        AskId(NonZeroU32::new(number).expect("not 0"))
    }

    #[test]
    fn answers_take_turns_and_come_whole() {
        let mut answers = Answers::default();
        let long: Vec<u8> = (0..3 * ANSWER_SLICE_SIZE + 5).map(|byte| byte as u8).collect();
        let pieces = long.chunks(50_000).map(<[u8]>::to_vec);
        answers.push(id(1), pieces.chain([Vec::new()]));
        answers.push(id(2), [b"short".to_vec(), b"er".to_vec()]);
        answers.push(id(3), [Vec::new()]);
        let mut seen = Vec::new();
        let mut whole = Vec::new();
        while let Some((id, slice, has_more)) = answers.next_slice() {
            assert!(slice.len() <= ANSWER_SLICE_SIZE);
            seen.push((id.0.get(), slice.len(), has_more));
            if id.0.get() == 1 {
                whole.extend_from_slice(&slice);
            }
        }
        let full = ANSWER_SLICE_SIZE;
        assert_eq!(
            seen,
            [(1, full, true), (2, 7, false), (3, 0, false), (1, full, true), (1, full, true), (1, 5, false)]
        );
        assert_eq!(whole, long);
        assert!(!answers.are_waiting());
        assert_eq!(answers.waiting_size, 0);
    }

    #[test]
    fn only_so_many_questions_are_put_aside() {
        let mut answers = Answers::default();
        let frame = Frame { client: id(1).address(), ..Frame::command(Cmd::IsOnline) };
        for _ in 0..QUESTIONS_ASIDE_MAX {
            assert!(answers.put_aside(&frame));
        }
        assert!(!answers.put_aside(&frame));
        let mut answers = Answers::default();
        let large = vec![b'x'; QUESTIONS_ASIDE_SIZE_MAX];
        assert!(!answers.put_aside(&Frame { ext: &large, ..frame }));
        while answers.take_aside().is_some() {}
        assert_eq!(answers.aside_size, 0);
    }
}
