//! Signs of life on inner connections (WIRE.md §4, §14).

use std::net::Ipv4Addr;

use protocol::inner::{Cmd, Frame};
use protocol::pulse::{LOOK_PERIOD_MS, Sign};

use super::directory::Slot;
use super::{Conn, Shard, slot};
use crate::config::LINK_PING_PERIOD_MS;

impl Shard {
    /// PHP's PING to every worker, unless workers are on this machine (WIRE.md §4).
    pub(super) fn ping_links(&mut self) {
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

    /// Who is silent gets a ping, who stays silent is dead, and who takes nothing is no better.
    pub(super) fn look_at_links(&mut self) {
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
            Sign::Silent => {
                self.counters.links_silent += 1;
                self.close_link(slot);
            }
            Sign::Stuck => {
                self.counters.links_stuck += 1;
                self.close_link(slot);
            }
        }
    }

    /// RINGWAY_PING, to a worker that knows it.
    pub(super) fn ping_link(&mut self, slot: Slot) {
        let Some(Conn::Link(link)) = self.conns.get_mut(slot as usize) else { return };
        let ping = Frame::command(Cmd::RingwayPing);
        self.output.append_with(link.socket, &mut link.out, |out| ping.encode(out));
    }
}
