//! What became of messages whose senders want to know: counted while they are brought to clients, told when they are through.

use hashbrown::HashMap;
use protocol::inner::{Cmd, FLAG_REPORT_WANTED, Frame, MessageReport};
use protocol::php;

use crate::shard::Shard;
use crate::shard::answers::on_link::Asker;
use crate::shard::links::LinkId;

/// Names a message of which somebody wants a report.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ReportId(u64);

/// What became of a message for one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    Queued,
    /// The client does not take what it has been sent before.
    Dropped,
    /// The client is gone, or goes.
    Gone,
}

/// The reports that are not told yet. Of a message that nobody asks about, nothing is kept.
#[derive(Default)]
pub(crate) struct Reports {
    under_way: HashMap<ReportId, UnderWay>,
    begun: u64,
}

struct UnderWay {
    asker: Asker,
    report: MessageReport,
    /// Parts of the message that are not through: its entries in the log, and one for what is to be looked up yet.
    parts: usize,
}

impl Reports {
    pub(super) fn are_none(&self) -> bool {
        self.under_way.is_empty()
    }

    /// A message begins, with one part.
    fn begin(&mut self, asker: Asker) -> ReportId {
        self.begun += 1;
        let id = ReportId(self.begun);
        self.under_way.insert(id, UnderWay { asker, report: MessageReport::default(), parts: 1 });
        id
    }

    /// One part more of it.
    pub(super) fn add_part(&mut self, id: ReportId) {
        if let Some(under_way) = self.under_way.get_mut(&id) {
            under_way.parts += 1;
        }
    }

    pub(super) fn count(&mut self, id: ReportId, sent: Sent) {
        let Some(UnderWay { report, .. }) = self.under_way.get_mut(&id) else { return };
        match sent {
            Sent::Queued => report.queued += 1,
            Sent::Dropped => report.dropped += 1,
            Sent::Gone => {}
        }
    }

    /// A part is through. If it was the last one, what is to be told to whom.
    fn end_part(&mut self, id: ReportId) -> Option<(Asker, MessageReport)> {
        let under_way = self.under_way.get_mut(&id)?;
        under_way.parts -= 1;
        if under_way.parts > 0 {
            return None;
        }
        self.under_way.remove(&id).map(|under_way| (under_way.asker, under_way.report))
    }

    /// Whether its sender gets nothing else before the report.
    pub(super) fn holds_up(&self, id: ReportId) -> bool {
        self.under_way.get(&id).is_some_and(|under_way| under_way.asker.id.is_none())
    }
}

impl Shard {
    /// The report of the message in `frame`, if its sender wants one, and takes what it is told. A worker's link that asks by numbers
    /// does so for each.
    pub(crate) fn begin_report(&mut self, link: LinkId, frame: &Frame<'_>) -> Option<ReportId> {
        if frame.flag & FLAG_REPORT_WANTED == 0 {
            return None;
        }
        let from = self.links.get(link)?;
        let asker = from.asker(frame);
        let is_taken = !from.owes_answers(self.settings.send_to_worker_buffer_size);
        let is_answered = if asker.id.is_some() { is_taken } else { from.worker.is_none() };
        is_answered.then(|| self.fanouts.reports.begin(asker))
    }

    /// The only part of a message is through, for one client.
    pub(crate) fn end_report(&mut self, id: ReportId, sent: Sent) {
        self.fanouts.reports.count(id, sent);
        self.end_report_part(id);
    }

    /// A part of a message is through.
    pub(crate) fn end_report_part(&mut self, id: ReportId) {
        let Some((asker, report)) = self.fanouts.reports.end_part(id) else { return };
        let Some(link) = self.links.get_mut(asker.link).filter(|link| !link.shut) else { return };
        let Some(id) = asker.id else {
            let is_held_up = link.busy;
            self.answer(asker, |_, out| php::encode(&report.to_value(), out));
            if is_held_up {
                self.link_idle(asker.link);
            }
            return;
        };
        let frame =
            Frame { connection_id: id.0.get(), body: &report.encode(), ..Frame::command(Cmd::Report) };
        link.queue_frame(&mut self.output, &frame);
    }
}

#[cfg(test)]
mod tests {
    use uring::SocketId;

    use super::*;

    #[test]
    fn a_report_is_told_with_the_last_part() {
        let mut reports = Reports::default();
        let asker = Asker { link: LinkId::of(SocketId::new(1, 1)), id: None };
        let id = reports.begin(asker);
        reports.add_part(id);
        for sent in [Sent::Queued, Sent::Dropped, Sent::Queued, Sent::Gone] {
            reports.count(id, sent);
        }
        assert!(reports.holds_up(id));
        assert_eq!(reports.end_part(id), None);
        assert_eq!(reports.end_part(id), Some((asker, MessageReport { queued: 2, dropped: 1 })));
        assert!(reports.are_none());
    }
}
