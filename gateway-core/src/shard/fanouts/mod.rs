//! A message on its way to clients: at once if they are few, else by the log of fan-outs (`log`), a slice in each turn.
//!
//! Every client gets everything in the order in which the shard applied it, on whichever link it came: whoever else queues
//! something for a client first has it catch up with the log ([`Shard::catch_up`]).

mod log;
mod merged;
mod message;
mod reports;

use std::collections::VecDeque;
use std::ops::Range;
use std::{mem, vec};

use hashbrown::HashSet;

use self::log::{Audience, Entry, Listed, Log};
use self::message::Encodings;
pub(crate) use self::message::Message;
pub(crate) use self::reports::Sent;
use self::reports::{ReportId, Reports};
use super::Shard;
use super::clients::directory::Directory;
use super::clients::{ClientSlot, Clients};
use super::links::LinkId;
use crate::config::{
    EVERYBODY_DIRECT_MAX, FANOUT_DIRECT_MAX, FANOUT_FEW_MAX, FANOUT_SENDS_MAX, FANOUT_SLICE,
    HELD_UP_PER_TURN_MAX, WALK_MESSAGES_MAX, WALK_SENDS_MAX,
};

/// The fan-outs of a shard that take more than one turn.
#[derive(Default)]
pub(crate) struct Fanouts {
    log: Log,
    /// Those that the log has had no room for, or that have targets still to be looked up. The link of each is not served
    /// meanwhile: what comes behind it must not overtake it.
    held_up: VecDeque<(Fanout<'static>, LinkId)>,
    reports: Reports,
}

/// A message for many clients, as a command brings it.
pub(crate) struct Fanout<'a> {
    message: Encodings<'a>,
    targets: Targets,
    report: Option<ReportId>,
    /// Connection ids that get nothing.
    exclude: HashSet<u32>,
}

/// Who gets a message, and has not been looked up yet.
pub(crate) enum Targets {
    Everybody,
    Nobody,
    /// The clients with these connection ids.
    Ids(vec::IntoIter<u32>),
    /// The clients of these uids.
    Uids(vec::IntoIter<Vec<u8>>),
    /// The members of these groups.
    Groups(vec::IntoIter<Vec<u8>>),
}

impl Fanouts {
    /// Whether the next turn has something to do.
    pub(super) fn are_under_way(&self) -> bool {
        !(self.log.is_empty() && self.held_up.is_empty())
    }

    /// How many have not reached everybody.
    pub(super) fn waiting(&self) -> usize {
        self.log.len() + self.held_up.len()
    }
}

impl<'a> Fanout<'a> {
    /// `report`: who sends it wants to know what becomes of it.
    pub(super) fn new(
        message: Message<'a>,
        targets: Targets,
        exclude: HashSet<u32>,
        report: Option<ReportId>,
    ) -> Fanout<'a> {
        Fanout { message: message.into(), targets, report, exclude }
    }
}

impl Targets {
    fn are_all_taken(&self) -> bool {
        match self {
            Targets::Nobody => true,
            Targets::Everybody => false,
            Targets::Ids(ids) => ids.as_slice().is_empty(),
            Targets::Uids(names) | Targets::Groups(names) => names.as_slice().is_empty(),
        }
    }

    /// The next targets, as they are now: all of them, unless looking them up takes more than a turn. `None`: everybody, and
    /// they are many.
    fn take(&mut self, clients: &Clients) -> Option<Vec<ClientSlot>> {
        let mut slots = Vec::new();
        match self {
            Targets::Nobody => {}
            Targets::Everybody => {
                *self = Targets::Nobody;
                if clients.len() > EVERYBODY_DIRECT_MAX {
                    return None;
                }
                slots.reserve_exact(clients.len());
                // Faster than to extend by an iterator of chunks.
                clients.iter().for_each(|(slot, _)| slots.push(slot));
            }
            Targets::Ids(ids) => {
                slots.extend(ids.by_ref().take(FANOUT_SLICE).filter_map(|id| clients.by_id(id)));
            }
            Targets::Uids(names) => clients.uids.take_members(names, &mut slots),
            Targets::Groups(names) => clients.groups.take_members(names, &mut slots),
        }
        Some(slots)
    }
}

impl Directory {
    /// Appends the members of the sets of these names, until there are many.
    fn take_members(&self, names: &mut vec::IntoIter<Vec<u8>>, slots: &mut Vec<ClientSlot>) {
        let mut looked_up = 0;
        while looked_up + slots.len() < FANOUT_SLICE
            && let Some(name) = names.next()
        {
            looked_up += 1;
            slots.extend(self.members_of(&name));
        }
    }
}

impl Shard {
    /// Queues a message for its targets, or puts it into the log.
    pub(super) fn start_fan_out(&mut self, link: LinkId, mut fanout: Fanout<'_>) {
        if self.fanouts.held_up.is_empty() {
            self.apply_fan_out(&mut fanout);
        }
        if fanout.targets.are_all_taken() {
            return self.fan_out_taken(link, fanout.report);
        }
        if let Some(from) = self.links.get_mut(link) {
            from.busy = true;
        }
        let Fanout { message, targets, report, exclude } = fanout;
        let fanout = Fanout { message: message.to_owned(), targets, report, exclude };
        self.fanouts.held_up.push_back((fanout, link));
    }

    /// A worker goes on with another link: what is held up of the one before holds up that one, too, so that nothing overtakes it.
    pub(super) fn take_over_fan_out(&mut self, before: LinkId, link: LinkId) {
        let mut of_before = self.fanouts.held_up.iter_mut().filter(|(_, from)| *from == before);
        if let Some((_, from)) = of_before.next()
            && let Some(link) = self.links.get_mut(link)
        {
            *from = link.id;
            link.busy = true;
        }
    }

    /// All targets of a fan-out have it, or it is in the log. Its link is held up if it gets the report before anything else.
    fn fan_out_taken(&mut self, link: LinkId, report: Option<ReportId>) {
        let Some(report) = report else { return };
        self.end_report_part(report);
        if self.fanouts.reports.holds_up(report)
            && let Some(from) = self.links.get_mut(link)
        {
            from.busy = true;
        }
    }

    /// The next slice of the log, and the next targets of a fan-out that is held up.
    #[inline]
    pub(super) fn continue_fan_outs(&mut self) {
        if self.fanouts.are_under_way() {
            self.walk();
            self.apply_held_up();
        }
    }

    /// Takes those that are held up, and so what is behind them on their links: while any waits, all that come are held up.
    fn apply_held_up(&mut self) {
        for _ in 0..HELD_UP_PER_TURN_MAX {
            if self.fanouts.log.is_full() {
                return;
            }
            let Some((mut fanout, link)) = self.fanouts.held_up.pop_front() else { return };
            self.apply_fan_out(&mut fanout);
            if !fanout.targets.are_all_taken() {
                return self.fanouts.held_up.push_back((fanout, link));
            }
            match fanout.report.filter(|report| self.fanouts.reports.holds_up(*report)) {
                Some(report) => self.end_report_part(report),
                None => {
                    fanout.report.into_iter().for_each(|report| self.end_report_part(report));
                    self.link_idle(link);
                }
            }
        }
    }

    /// Looks up the next targets of a fan-out, unless the log is full. Few get it at once, others by the log.
    fn apply_fan_out(&mut self, fanout: &mut Fanout<'_>) {
        if self.fanouts.log.is_full() {
            return;
        }
        let targets = fanout.targets.take(&self.clients);
        let target_count = targets.as_ref().map_or(self.clients.len(), Vec::len);
        if target_count > 1 {
            self.measures.fan_out_targets.record(target_count as u64);
        }
        let direct_max = match self.output.dirty_count() {
            ..=FANOUT_SENDS_MAX => FANOUT_DIRECT_MAX,
            _ => FANOUT_FEW_MAX,
        };
        if let Some(few) = targets.as_ref().filter(|slots| slots.len() <= direct_max) {
            return few.iter().for_each(|slot| self.send_at_once(*slot, fanout));
        }
        let audience = targets.map_or(Audience::Everybody, |slots| Audience::Listed(Listed::new(slots)));
        let exclude = match fanout.targets.are_all_taken() {
            true => mem::take(&mut fanout.exclude),
            false => fanout.exclude.clone(),
        };
        let (message, report) = (fanout.message.to_owned(), fanout.report);
        report.into_iter().for_each(|report| self.fanouts.reports.add_part(report));
        self.fanouts.log.push(Entry::new(message, audience, report, exclude, self.clients.accepted()));
    }

    fn send_at_once(&mut self, slot: ClientSlot, fanout: &mut Fanout<'_>) {
        self.catch_up(slot);
        if self.clients.get(slot).is_some_and(|client| !fanout.exclude.contains(&client.connection_id)) {
            let sent = self.send_shared(slot, &mut fanout.message);
            fanout.report.into_iter().for_each(|report| self.fanouts.reports.count(report, sent));
        }
    }

    /// Brings what is in the log to as many clients as one turn has room for.
    fn walk(&mut self) {
        let (mut log, end) = (mem::take(&mut self.fanouts.log), self.clients.end());
        // However much others send: the walk gets on.
        let dirty_max = self.output.dirty_count() + WALK_SENDS_MAX;
        let mut queued = 0;
        for _ in 0..FANOUT_SLICE {
            if self.output.dirty_count() >= dirty_max || queued >= WALK_MESSAGES_MAX {
                break;
            }
            let Some((slot, entries)) = log.walk(end) else { break };
            queued += self.bring(&mut log, slot, entries);
        }
        let ended = log.take_ended();
        self.fanouts.log = log;
        ended.into_iter().for_each(|report| self.end_report_part(report));
    }

    /// Queues what is in the log for a client and has not been brought to it. To be called before anything else is queued for
    /// it. The client may be gone then, if it does not take that.
    #[inline]
    pub(super) fn catch_up(&mut self, slot: ClientSlot) {
        if !self.fanouts.log.is_empty() {
            self.catch_up_with_log(slot);
        }
    }

    #[cold]
    fn catch_up_with_log(&mut self, slot: ClientSlot) {
        let mut log = mem::take(&mut self.fanouts.log);
        let entries = log.catch_up(slot);
        self.bring(&mut log, slot, entries);
        self.fanouts.log = log;
    }

    /// Queues entries of the log for a client; returns how many messages that were.
    fn bring(&mut self, log: &mut Log, slot: ClientSlot, entries: Range<usize>) -> usize {
        if log.may_be_merged(&entries) && self.bring_merged(log, slot, &entries) {
            return 1;
        }
        let mut queued = 0;
        for index in entries {
            let Some(client) = self.clients.get(slot) else { break };
            let (times, report) = (log.times(index, slot, client), log.report(index));
            for _ in 0..times {
                let sent = log.with_message(index, |message| self.send_shared(slot, message));
                report.into_iter().for_each(|report| self.fanouts.reports.count(report, sent));
            }
            queued += times;
        }
        queued
    }

    /// The same in one piece. `false`: the client may not get all of them.
    #[inline]
    fn bring_merged(&mut self, log: &mut Log, slot: ClientSlot, entries: &Range<usize>) -> bool {
        let Some(client) = self.clients.get_mut(slot) else { return true };
        let merged = log.merged(entries, client, &self.settings.listen, &mut self.compression);
        let Some(piece) = merged else { return false };
        let room = self.settings.send_to_client_buffer_size.saturating_sub(piece.as_bytes().len());
        let takes_all = client.takes_message(room);
        if takes_all {
            self.counters.messages_out += entries.len() as u64;
            client.queue_shared(&mut self.output, piece);
            if !self.fanouts.reports.are_none() {
                let reports = entries.clone().filter_map(|index| log.report(index));
                reports.for_each(|report| self.fanouts.reports.count(report, Sent::Queued));
            }
        }
        takes_all
    }
}
