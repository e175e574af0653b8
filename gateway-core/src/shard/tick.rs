//! What time brings: deadlines, pings, the heartbeat.

use super::client::Reading;
use super::{Conn, Shard, slot};
use crate::Millis;

impl Shard {
    /// To be called about every [`crate::config::TICK_PERIOD_MS`].
    pub fn on_tick(&mut self, now: Millis) {
        self.now = now;
        self.expire_handshakes();
        self.expire_closing();
        self.expire_links();
        self.expire_no_worker();
        self.expire_drains();
        self.begin_heartbeat();
        self.stop_slice();
        self.ping_links();
        self.look_at_links();
    }

    fn expire_handshakes(&mut self) {
        while let Some(socket) = self.waits.handshake.pop_expired(self.now) {
            if let Some(Conn::Client(client)) = self.conns.get(socket.index())
                && client.socket == socket
                && !client.codec.is_open()
                && !client.closing
            {
                self.counters.clients_closed_handshake += 1;
                self.close_client_now(slot(socket));
            }
        }
    }

    fn expire_closing(&mut self) {
        while let Some(socket) = self.waits.flush.pop_expired(self.now) {
            if matches!(self.conns.get(socket.index()), Some(Conn::Client(client)) if client.socket == socket)
            {
                self.close_client_now(slot(socket));
            }
        }
        while let Some(socket) = self.waits.linger.pop_expired(self.now) {
            if matches!(self.conns.get(socket.index()), Some(Conn::Lingering(other)) if *other == socket) {
                self.close_lingering(socket);
            }
        }
    }

    fn expire_links(&mut self) {
        while let Some(socket) = self.waits.authorization.pop_expired(self.now) {
            if let Some(Conn::Link(link)) = self.conns.get(socket.index())
                && link.socket == socket
                && !link.authorized
            {
                self.counters.links_unauthorized += 1;
                self.close_link(slot(socket));
            }
        }
    }

    fn expire_no_worker(&mut self) {
        while let Some(socket) = self.waits.no_worker.pop_expired(self.now) {
            if let Some(Conn::Client(client)) = self.conns.get(socket.index())
                && client.socket == socket
                && client.reading == Reading::Stalled
            {
                self.counters.clients_closed_no_worker += 1;
                self.close_client_when_sent(slot(socket));
            }
        }
        while self.waits.orphans.front().is_some_and(|(deadline, _)| *deadline <= self.now) {
            self.drop_orphan();
        }
    }
}
