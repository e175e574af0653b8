//! What of a link was taken: applied, or in the log of fan-outs (WIRE.md §14). A worker that wants to know is told; and when it comes
//! back on another link, from where on it has to say what it had said.
//!
//! What waits behind a fan-out or an answer is not taken: it goes with its link.

use std::collections::VecDeque;

use protocol::inner::{Cmd, FLAG_RECEIPT_WANTED, Frame, Receipt, Run};

use super::in_flight::InFlight;
use super::link::Link;
use super::{LinkId, Links};
use crate::Millis;
use crate::config::{TAKEN_KEPT_MS, TAKEN_LINKS_MAX};
use crate::shard::Shard;
use crate::shard::output::Output;

/// What of a link was taken.
#[derive(Default)]
pub(crate) struct Taken {
    /// Frames behind WORKER_CONNECT.
    frames: u32,
    /// One of them since the last receipt was to be confirmed.
    owes_receipt: bool,
}

/// What was taken of links that have ended.
///
/// Invariants: oldest first; no more than [`TAKEN_LINKS_MAX`].
#[derive(Default)]
pub(crate) struct TakenOfLost(VecDeque<Lost>);

struct Lost {
    until: Millis,
    /// What the link was called.
    number: u32,
    /// Whose it was.
    run: Run,
    id: LinkId,
    frames: u32,
}

/// What was taken of the link that a worker goes on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TakenBefore {
    pub(super) frames: u32,
    /// The link, which is gone or goes.
    pub(super) link: LinkId,
}

impl Link {
    /// The next frame is served.
    pub(super) fn take(&mut self, frame: &Frame<'_>) {
        self.taken.frames = self.taken.frames.wrapping_add(1);
        self.taken.owes_receipt |= frame.flag & FLAG_RECEIPT_WANTED != 0;
    }

    /// WORKER_CONNECT was served: what is behind it counts.
    pub(super) fn begin_to_count(&mut self) {
        self.taken = Taken::default();
    }

    /// Whether it is to be told what was taken.
    pub(crate) fn owes_receipt(&self) -> bool {
        self.taken.owes_receipt
    }

    /// The gateway ends: nothing is taken any more, and nobody is to wait for it.
    pub(super) fn give_last_receipt(&mut self, output: &mut Output) {
        if self.keeps() {
            self.queue_frame(output, &Frame::command(Cmd::Receipt));
        }
    }

    /// Whether its worker says which events are safe, and wants to know what is taken.
    fn keeps(&self) -> bool {
        self.in_flight.as_ref().is_some_and(InFlight::keeps)
    }

    /// What the link is called, if its worker says which events are safe.
    fn number(&self) -> Option<u32> {
        Some(self.in_flight.as_ref().and_then(InFlight::origin)?.link)
    }
}

impl Links {
    /// What was taken of a link of this number, which a worker of this run goes on from. `displaced`: the link in whose place it
    /// comes, of which nothing more is served.
    pub(super) fn taken_of(
        &self,
        number: u32,
        run: Run,
        displaced: Option<LinkId>,
        now: Millis,
    ) -> Option<TakenBefore> {
        let displaced = displaced.and_then(|id| self.get(id));
        let is_it = |link: &&Link| link.number() == Some(number) && link.run == Some(run);
        let lost = || {
            let is_it = |lost: &&Lost| lost.number == number && lost.run == run && now < lost.until;
            let lost = self.taken_of_lost.0.iter().rfind(is_it)?;
            Some(TakenBefore { frames: lost.frames, link: lost.id })
        };
        let displaced = displaced.filter(is_it);
        displaced.map(|link| TakenBefore { frames: link.taken.frames, link: link.id }).or_else(lost)
    }

    /// A link ends: its worker may come back.
    pub(super) fn remember_taken(&mut self, link: &Link, now: Millis) {
        let Some((number, run)) = link.number().zip(link.run) else { return };
        if self.taken_of_lost.0.len() >= TAKEN_LINKS_MAX {
            self.taken_of_lost.0.pop_front();
        }
        let until = now.plus(TAKEN_KEPT_MS);
        self.taken_of_lost.0.push_back(Lost { until, number, run, id: link.id, frames: link.taken.frames });
    }

    /// Forgets links that have ended long ago.
    pub(crate) fn forget_taken(&mut self, now: Millis) {
        while self.taken_of_lost.0.front().is_some_and(|lost| lost.until <= now) {
            self.taken_of_lost.0.pop_front();
        }
    }

    /// Links that have ended and are not forgotten.
    pub(crate) fn remembered(&self) -> usize {
        self.taken_of_lost.0.len()
    }
}

impl Shard {
    /// Tells a worker what was taken, if it wants to know and has not been told.
    pub(super) fn give_receipt(&mut self, id: LinkId) {
        let queued_max = self.settings.send_to_worker_buffer_size;
        let Some(link) = self.links.get_mut(id).filter(|link| link.taken.owes_receipt) else { return };
        if link.out.queue.len() >= queued_max {
            // One for all, when it takes something.
            return;
        }
        link.taken.owes_receipt = false;
        if link.leaving || !link.keeps() {
            return;
        }
        let receipt = Receipt { taken: link.taken.frames };
        let receipt = Frame { body: &receipt.encode(), ..Frame::command(Cmd::Receipt) };
        link.queue_frame(&mut self.output, &receipt);
    }
}
