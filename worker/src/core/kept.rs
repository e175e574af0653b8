//! Commands that may be lost with a link, until their gateway has said that it has taken them (WIRE.md §14).
//!
//! What a handler commands on its event's own link goes with the event if it is lost. What it commands elsewhere, and what
//! nobody's handler does, is kept here: the gateway says how many frames of the link it has taken, and when the link is lost,
//! the next one to the same gateway goes on from there. So each is applied once, as long as that gateway lives.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::Duration;

use protocol::client::Kind;
use protocol::inner::{self, FLAG_RECEIPT_WANTED, FRAME_SIZE_MAX_RINGWAY, Frame, Hello, Origin, Receipt};
use tracing::{debug, warn};

use super::connections::{ConnId, Outbox};
use super::link::Link;
use super::links::{Refused, marked};
use super::lost::Fate;
use super::{Core, Ticket, Timer};
use crate::config::{
    KEPT_ALL_BYTES_MAX, KEPT_BYTES_MAX, KEPT_BYTES_SHARE, KEPT_LOOK_PERIOD, KEPT_TIME, RECEIPT_TIMEOUT,
};

/// Commands to one gateway that it has not said to have taken, oldest first.
///
/// Invariants: `bytes` has their frames; the first `said` of them were said on the link called `origin`, with these numbers, and
/// all were if `away_since` is `None`.
#[derive(Debug)]
pub(super) struct Kept {
    origin: Origin,
    commands: VecDeque<Command>,
    bytes: Outbox,
    said: usize,
    /// How many there have been; where they began to be counted does not matter.
    count: u64,
    /// Since when there is no link on which the gateway has answered.
    away_since: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Command {
    /// On its link.
    number: u32,
    size: u32,
    /// How many there were before.
    position: u64,
    /// Whose handler commanded it.
    of: Option<Ticket>,
}

impl Kept {
    fn new(origin: Origin, count: u64) -> Kept {
        let (commands, bytes) = (VecDeque::new(), Outbox::default());
        Kept { origin, commands, bytes, said: 0, count, away_since: None }
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn is_away(&self) -> bool {
        self.away_since.is_some()
    }

    /// How many there have been.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Up to which of these none is kept any more.
    pub(super) fn settled(&self) -> u64 {
        self.commands.front().map_or(self.count, |first| first.position)
    }

    /// What the gateway is asked about: the link whose numbers they have.
    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// One more; `number`: it was said.
    fn add(&mut self, frame: &Frame<'_>, number: Option<u32>, of: Option<Ticket>) {
        let position = self.count;
        self.count += 1;
        self.push(frame, number, position, of);
    }

    fn push(&mut self, frame: &Frame<'_>, number: Option<u32>, position: u64, of: Option<Ticket>) {
        frame.encode(self.bytes.tail());
        let size = u32::try_from(frame.size()).expect("frames are below FRAME_SIZE_MAX_RINGWAY");
        self.commands.push_back(Command { number: number.unwrap_or(0), size, position, of });
        self.said += usize::from(number.is_some());
    }

    /// Forgets the oldest.
    fn pop(&mut self) {
        if let Some(command) = self.commands.pop_front() {
            self.bytes.advance(command.size as usize);
            self.said = self.said.saturating_sub(1);
        }
    }

    fn size(&self) -> usize {
        self.bytes.unsent().len()
    }

    /// Forgets the oldest while there is more than this; returns how many.
    fn shed(&mut self, bytes_max: usize) -> u64 {
        let mut count = 0;
        while self.size() > bytes_max && self.commands.len() > 1 {
            self.pop();
            count += 1;
        }
        count
    }

    /// The gateway has taken these.
    fn receipt(&mut self, receipt: Receipt) {
        while self.said > 0
            && let Some(first) = self.commands.front()
            && receipt.covers(first.number)
        {
            self.pop();
        }
    }

    /// Such events are safe: what they commanded is nobody's from here on.
    pub(super) fn release(&mut self, is_safe: impl Fn(Ticket) -> bool) {
        for command in self.commands.iter_mut().filter(|command| command.of.is_some_and(&is_safe)) {
            command.of = None;
        }
    }

    /// Whether some are of events of this link.
    pub(super) fn has_of(&self, conn: ConnId) -> bool {
        self.commands.iter().any(|command| command.of.is_some_and(|of| of.conn == conn))
    }

    /// All of them, in order.
    fn each(&self) -> impl Iterator<Item = (Command, Frame<'_>)> {
        let mut rest = self.bytes.unsent();
        self.commands.iter().map(move |command| {
            let (bytes, behind) = rest.split_at(command.size as usize);
            rest = behind;
            let frame = inner::decode(bytes, FRAME_SIZE_MAX_RINGWAY).ok().flatten();
            (*command, frame.expect("it was encoded").0)
        })
    }
}

impl Core {
    /// Queues a command that is not of an event of the same link. It is kept, if its gateway says what it has taken. Whether it could
    /// be.
    pub(super) fn command_elsewhere(&mut self, index: usize, frame: &Frame<'_>, kind: Kind) -> bool {
        let current = self.unsettled.current();
        match current.map_or(Fate::Live, |ticket| self.fate(ticket)) {
            Fate::Live | Fate::Gone => {}
            Fate::Unknown => {
                self.hold_back(index, current, frame, kind);
                return true;
            }
            Fate::Revoked => {
                self.counters.commands_revoked += 1;
                return false;
            }
        }
        let of = current.filter(|ticket| self.windows.has_acks(ticket.conn));
        let link = self.links.at(index);
        let (gateway, kept) = (link.address, link.kept.as_deref());
        let conn = link.answering().map(|open| open.conn);
        let is_ours = link.is_ours() || kept.is_some();
        match (conn, kept.map(Kept::is_away)) {
            (None, None | Some(false)) => return self.dropped(gateway, Refused::NotConnected),
            (Some(conn), None) => {
                let Some(frame) = marked(frame, kind, is_ours) else {
                    return self.dropped(gateway, Refused::TooLarge);
                };
                self.say_command(gateway, conn, &frame);
                let end = self.connections.end(conn);
                of.into_iter().for_each(|ticket| self.unsettled.commanded(ticket, gateway, end));
            }
            (conn, Some(is_away)) => {
                let Some(mut frame) = marked(frame, kind, is_ours) else {
                    return self.dropped(gateway, Refused::TooLarge);
                };
                frame.flag |= FLAG_RECEIPT_WANTED;
                self.keep(index, conn.filter(|_| !is_away), &frame, of);
            }
        }
        self.give_up_fullest_if_too_much();
        true
    }

    /// Keeps a command, and says it if there is a link.
    fn keep(&mut self, index: usize, conn: Option<ConnId>, frame: &Frame<'_>, of: Option<Ticket>) {
        let gateway = self.links.at(index).address;
        let number = match conn {
            Some(conn) => Some(self.say_command(gateway, conn, frame)),
            None => {
                self.note_command(gateway, frame);
                None
            }
        };
        let Some(kept) = self.links.at_mut(index).kept.as_deref_mut() else { return };
        kept.add(frame, number, of);
        let (end, size) = (kept.count, kept.size());
        let shed = if size > KEPT_BYTES_SHARE { self.shed_kept(index) } else { 0 };
        of.into_iter().for_each(|ticket| self.unsettled.commanded(ticket, gateway, end));
        if shed > 0 {
            self.counters.commands_forgotten += shed;
            let unproven = self.settle(gateway);
            self.counters.events_unproven += unproven;
        }
    }

    /// Forgets the oldest of a gateway for which too much is kept; returns how many.
    fn shed_kept(&mut self, index: usize) -> u64 {
        let all: usize =
            self.links.all().iter().filter_map(|link| link.kept.as_ref()).map(|kept| kept.size()).sum();
        let bytes_max = if all > KEPT_ALL_BYTES_MAX { KEPT_BYTES_SHARE } else { KEPT_BYTES_MAX };
        self.links.at_mut(index).kept.as_deref_mut().map_or(0, |kept| kept.shed(bytes_max))
    }

    /// RECEIPT: the gateway has taken so many frames of the link, or ends.
    pub(super) fn on_receipt(&mut self, gateway: SocketAddrV4, body: &[u8]) {
        let kept = self.links.find_mut(gateway).and_then(|link| link.kept.as_deref_mut());
        let Some(kept) = kept.filter(|kept| !kept.is_away()) else { return };
        let Some(receipt) = Receipt::decode(body) else { return self.give_up_kept(gateway, true) };
        kept.receipt(receipt);
        self.settle(gateway);
    }

    /// A link that stood is gone, or says nothing more.
    pub(super) fn keep_for_next_link(&mut self, gateway: SocketAddrV4) {
        let kept = self.links.find_mut(gateway).and_then(|link| link.kept.as_deref_mut());
        if let Some(kept) = kept.filter(|kept| !kept.is_away()) {
            kept.away_since = Some(self.now);
            self.timers.arm(Timer::Kept, self.now + KEPT_LOOK_PERIOD);
        }
    }

    /// A gateway of ours has taken a link, on which nothing was said yet if anything is kept for it: it is told what it has not
    /// taken, before anything new.
    pub(super) fn resume_kept(&mut self, gateway: SocketAddrV4, conn: ConnId, hello: &Hello) {
        let Some(index) = self.links.index(gateway) else { return };
        let kept = &mut self.links.at_mut(index).kept;
        if kept.as_ref().is_some_and(|kept| !kept.is_away()) {
            return;
        }
        let before = kept.take();
        let Some(origin) = hello.acks.filter(|_| self.windows.has_acks(conn)) else {
            return before.into_iter().for_each(|kept| self.forget_kept(gateway, &kept, true));
        };
        let count = before.as_ref().map_or_else(|| self.connections.end(conn), |kept| kept.count);
        *kept = Some(Box::new(Kept::new(origin, count)));
        let Some(mut before) = before else { return };
        let is_same = before.origin.run == origin.run;
        let Some(taken) = hello.taken.filter(|_| is_same) else {
            return self.forget_kept(gateway, &before, !is_same);
        };
        before.receipt(Receipt { taken });
        self.say_again(index, conn, &before);
        self.settle(gateway);
    }

    /// Says what a lost link's gateway has not taken on its next one.
    fn say_again(&mut self, index: usize, conn: ConnId, before: &Kept) {
        debug!(gateway = %self.links.at(index).address, commands = before.len(), "going on");
        for (command, frame) in before.each() {
            match command.of.map_or(Fate::Live, |ticket| self.fate(ticket)) {
                Fate::Unknown => self.hold_back(index, command.of, &frame, Kind::Unspecified),
                Fate::Revoked => self.counters.commands_revoked += 1,
                Fate::Live | Fate::Gone => {
                    let number = self.connections.push_frame(conn, &frame);
                    self.backlog.add(frame.size());
                    let kept = self.links.at_mut(index).kept.as_deref_mut();
                    let kept = kept.expect("it was made for this link");
                    kept.push(&frame, Some(number), command.position, command.of);
                }
            }
        }
    }

    /// Nobody will be told what was kept for a gateway. `is_proof`: it is not the one for which it was kept.
    pub(super) fn forget_kept(&mut self, gateway: SocketAddrV4, kept: &Kept, is_proof: bool) {
        let (commands, core) = (kept.len(), self.index);
        self.counters.commands_forgotten += commands as u64;
        if commands > 0 && is_proof {
            debug!(%gateway, core, commands, "what a gateway had not taken when it ended is forgotten");
        } else if commands > 0 {
            warn!(%gateway, core, commands, "what a gateway has not taken is forgotten: it does not come back");
        }
        let unproven = self.settle_to(gateway, u64::MAX);
        self.counters.events_unproven += if is_proof { 0 } else { unproven };
    }

    /// The same of a gateway to which there is a link, or will perhaps be: from here on it is told everything at once.
    pub(super) fn give_up_kept(&mut self, gateway: SocketAddrV4, is_proof: bool) {
        let kept = self.links.find_mut(gateway).and_then(|link| link.kept.take());
        kept.into_iter().for_each(|kept| self.forget_kept(gateway, &kept, is_proof));
    }

    /// Looks at what has been kept, or waited for, for too long.
    pub(super) fn look_at_kept(&mut self) {
        let now = self.now;
        let is_over = |since: Duration, time: Duration| now.saturating_sub(since) >= time;
        let is_late = |link: &&Link| {
            let since = link.kept.as_ref().and_then(|kept| kept.away_since);
            since.is_some_and(|since| is_over(since, KEPT_TIME))
        };
        let late: Vec<_> = self.links.all().iter().filter(is_late).map(|link| link.address).collect();
        late.into_iter().for_each(|gateway| self.give_up_kept(gateway, false));
        self.give_up_unknown(|since| is_over(since, KEPT_TIME));
        self.settle_late(|since| is_over(since, RECEIPT_TIMEOUT));
        let is_away = |link: &Link| link.kept.as_ref().is_some_and(|kept| kept.is_away());
        let waits = self.unsettled.waits() || self.lost.waits() || self.links.all().iter().any(is_away);
        if waits {
            self.timers.arm(Timer::Kept, now + KEPT_LOOK_PERIOD);
        }
    }
}
