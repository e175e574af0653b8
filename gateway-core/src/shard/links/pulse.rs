//! Signs of life on inner connections (WIRE.md §4, §14).

use std::mem;
use std::net::Ipv4Addr;
use std::time::Duration;

use protocol::inner::{Cmd, Frame};
use protocol::pulse::{LOOK_PERIOD_MS, Sign};

use ring::{Acks, SocketId};
use tracing::warn;

use crate::config::{LINK_PING_PERIOD_MS, SILENT_KEPT_MS, UNACKNOWLEDGED_MS};
use crate::shard::clients::directory::Slot;
use crate::shard::notices::Gone;
use crate::shard::{Conn, Shard, slot};

impl Shard {
    /// PHP's PING to every worker, unless workers are on this machine (WIRE.md §4).
    pub(crate) fn ping_links(&mut self) {
        if self.now < self.waits.next_link_ping {
            return;
        }
        self.waits.next_link_ping = self.now.plus(LINK_PING_PERIOD_MS);
        if self.settings.lan_ip == Ipv4Addr::LOCALHOST {
            return;
        }
        for socket in self.workers.links() {
            if let Some(Conn::Link(link)) = self.conns.get_mut(socket.index()) {
                let ping = Frame::command(Cmd::Ping);
                self.output.append_with(socket, &mut link.out, |out| ping.encode(out));
            }
        }
    }

    /// Who is silent gets a ping, who stays silent is dead; of who does not ping, the kernel is asked.
    pub(crate) fn look_at_links(&mut self) {
        if self.now < self.waits.next_link_look {
            return;
        }
        self.waits.next_link_look = self.now.plus(LOOK_PERIOD_MS);
        // From behind: a link that is closed leaves the list.
        for index in (0..self.links.len()).rev() {
            if let Some(socket) = self.links.get(index).copied() {
                self.look_at_link(slot(socket));
            }
        }
    }

    fn look_at_link(&mut self, slot: Slot) {
        let Some(link) = self.link(slot) else { return };
        if link.is_held_up() {
            // It may be talking; we do not listen.
            link.pulse.heard();
        }
        match link.pulse.look(!link.out.queue.is_empty()) {
            Sign::Well => {}
            Sign::Ping if link.leaving => {}
            Sign::Ping => self.ping_link(slot),
            Sign::Silent => self.judge_silent_link(slot),
            Sign::Unheard => {
                let socket = link.socket;
                self.output.unheard.push(socket);
            }
        }
    }

    /// A worker that does not ping any more is given up if another takes its clients. Else they are better off waiting for it,
    /// unread, than thrown out: until it speaks, TCP ends it, or a while is over.
    fn judge_silent_link(&mut self, slot: Slot) {
        let Some(link) = self.link(slot) else { return };
        let (socket, worker, silent_ms) = (link.socket, link.worker, link.pulse.silent_ms());
        if worker.is_none() || silent_ms >= SILENT_KEPT_MS || self.is_another_alive(socket) {
            self.counters.links_silent += 1;
            return self.close_link_because(slot, Gone::Silent);
        }
        if let Some(link) = self.link(slot)
            && !mem::replace(&mut link.silent, true)
        {
            self.counters.links_kept += 1;
            let worker = worker.map_or("", |worker| self.workers.key(worker));
            warn!(worker, "a worker does not answer and there is no other: its clients wait");
        }
        // It must not take us for dead when it comes back.
        self.ping_link(slot);
    }

    /// Whether another worker takes events and has been heard lately. Of those that a dead network cuts off at once, none has.
    fn is_another_alive(&self, link: SocketId) -> bool {
        self.workers.links().filter(|other| *other != link).any(|other| match self.conns.get(other.index()) {
            Some(Conn::Link(other)) => other.pulse.is_fresh(),
            _ => false,
        })
    }

    /// What the kernel told of a link whose peer was not heard for a minute.
    pub(crate) fn on_acknowledged(&mut self, socket: SocketId, acks: Option<Acks>) {
        let slot = slot(socket);
        let Some(link) = self.link(slot).filter(|link| link.socket == socket) else { return };
        let unanswered =
            acks.is_some_and(|acks| acks.awaited && acks.last >= Duration::from_millis(UNACKNOWLEDGED_MS));
        if link.pulse.is_dead(unanswered) {
            self.counters.links_stuck += 1;
            self.close_link_because(slot, Gone::Stuck);
        }
    }

    /// RINGWAY_PING, to a worker that knows it.
    pub(crate) fn ping_link(&mut self, slot: Slot) {
        let Some(Conn::Link(link)) = self.conns.get_mut(slot as usize) else { return };
        let ping = Frame::command(Cmd::RingwayPing);
        self.output.append_with(link.socket, &mut link.out, |out| ping.encode(out));
    }
}
