//! Signs of life on inner connections (WIRE.md §4, §14).

use std::mem;
use std::net::Ipv4Addr;
use std::time::Duration;

use protocol::inner::{Cmd, Frame};
use protocol::pulse::{LOOK_PERIOD_MS, Sign};
use tracing::warn;
use uring::Acks;

use super::link::Link;
use super::{LinkId, Links};
use crate::config::{LINK_PING_PERIOD_MS, SILENT_KEPT_MS, UNACKNOWLEDGED_MS};
use crate::shard::Shard;
use crate::shard::notices::Gone;
use crate::shard::output::Output;

impl Link {
    /// RINGWAY_PING, to a worker that knows it.
    pub(super) fn ping(&mut self, output: &mut Output) {
        self.queue_frame(output, &Frame::command(Cmd::RingwayPing));
    }
}

impl Links {
    /// A peer that pings has done so.
    pub(crate) fn pinged(&mut self, id: LinkId) {
        if let Some(link) = self.get_mut(id).filter(|link| link.ringway) {
            link.pulse.pinged();
        }
    }

    /// Whether another worker takes events and has been heard lately. Of those that a dead network cuts off at once, none has.
    fn is_another_alive(&self, link: LinkId) -> bool {
        let mut others = self.workers.links().filter(|other| *other != link);
        others.any(|other| self.get(other).is_some_and(|other| other.pulse.is_fresh()))
    }

    /// PHP's PING to every worker.
    fn ping_workers(&mut self, output: &mut Output) {
        let Links { rows, workers, .. } = self;
        for id in workers.links() {
            if let Some(link) = rows.get_mut(id.socket().index()) {
                link.queue_frame(output, &Frame::command(Cmd::Ping));
            }
        }
    }
}

impl Shard {
    /// PHP's PING to every worker, unless workers are on this machine (WIRE.md §4).
    pub(crate) fn ping_links(&mut self) {
        if self.now < self.deadlines.next_link_ping {
            return;
        }
        self.deadlines.next_link_ping = self.now.plus(LINK_PING_PERIOD_MS);
        if self.settings.lan_ip != Ipv4Addr::LOCALHOST {
            self.links.ping_workers(&mut self.output);
        }
    }

    /// Who is silent gets a ping, who stays silent is dead; of who does not ping, the kernel is asked.
    pub(crate) fn look_at_links(&mut self) {
        if self.now < self.deadlines.next_link_look {
            return;
        }
        self.deadlines.next_link_look = self.now.plus(LOOK_PERIOD_MS);
        for index in (0..self.links.len()).rev() {
            if let Some(id) = self.links.nth(index) {
                self.look_at_link(id);
            }
        }
    }

    fn look_at_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.is_held_up() {
            // It may be talking; we do not listen.
            link.pulse.heard();
        }
        match link.pulse.look(!link.out.queue.is_empty()) {
            Sign::Well => {}
            Sign::Ping if link.leaving => {}
            Sign::Ping => link.ping(&mut self.output),
            Sign::Silent => self.close_or_keep_silent_link(id),
            Sign::Unheard => self.output.unheard.push(id),
        }
    }

    /// A worker that does not ping any more is given up if another takes its clients. Else they are better off waiting for it,
    /// unread, than thrown out: until it speaks, TCP ends it, or a while is over.
    fn close_or_keep_silent_link(&mut self, id: LinkId) {
        let is_another_alive = self.links.is_another_alive(id);
        let Some(link) = self.links.get_mut(id) else { return };
        let worker = link.worker.filter(|_| link.pulse.silent_ms() < SILENT_KEPT_MS && !is_another_alive);
        let Some(worker) = worker else {
            self.counters.links_silent += 1;
            return self.close_link_because(id, Gone::Silent);
        };
        // It must not take us for dead when it comes back.
        link.ping(&mut self.output);
        if !mem::replace(&mut link.silent, true) {
            self.counters.links_kept += 1;
            let worker = self.links.workers.key(worker);
            warn!(worker, "a worker does not answer and there is no other: its clients wait");
        }
    }

    /// What the kernel told of a link whose peer was not heard for a minute.
    pub(crate) fn on_acknowledged(&mut self, id: LinkId, acks: Option<Acks>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let unanswered =
            acks.is_some_and(|acks| acks.awaited && acks.last >= Duration::from_millis(UNACKNOWLEDGED_MS));
        if link.pulse.is_dead(unanswered) {
            self.counters.links_stuck += 1;
            self.close_link_because(id, Gone::Stuck);
        }
    }
}
