//! What time brings: deadlines, pings, the heartbeat.

use ring::SocketId;

use crate::Millis;
use crate::shard::clients::client::Reading;
use crate::shard::clients::leave::CloseReason;
use crate::shard::clients::lingering::Stage;
use crate::shard::{Conn, Shard, slot};

impl Shard {
    /// To be called about every [`crate::config::TICK_PERIOD_MS`].
    pub fn on_tick(&mut self, now: Millis) {
        self.now = now;
        self.expire_handshakes();
        self.expire_closing();
        self.expire_links();
        self.expire_no_worker();
        self.expire_unfinished();
        self.expire_drains();
        self.resume_behind_rerouted();
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
                match client.reading {
                    Reading::Flowing => {
                        self.counters.clients_closed_handshake += 1;
                        self.close_client_now(slot(socket));
                    }
                    // It is not the client that takes its time.
                    Reading::Stalled => {
                        self.counters.clients_closed_unserved += 1;
                        self.close_client_because(slot(socket), CloseReason::Unserved);
                    }
                    Reading::NoWorker => self.waits.handshake.push(self.now, socket),
                }
            }
        }
    }

    fn expire_closing(&mut self) {
        while let Some(socket) = self.waits.answer.pop_expired(self.now) {
            if self.is_lingering(socket, Stage::Answer) {
                self.say_end(slot(socket));
            }
        }
        while let Some(socket) = self.waits.flush.pop_expired(self.now) {
            if matches!(self.conns.get(socket.index()), Some(Conn::Client(client)) if client.socket == socket)
            {
                self.close_client_now(slot(socket));
            } else if self.is_lingering(socket, Stage::Flush) {
                self.close_lingering(slot(socket));
            }
        }
        while let Some(socket) = self.waits.linger.pop_expired(self.now) {
            if self.is_lingering(socket, Stage::Fin) {
                self.close_lingering(slot(socket));
            }
        }
    }

    fn is_lingering(&self, socket: SocketId, stage: Stage) -> bool {
        matches!(
            self.conns.get(socket.index()),
            Some(Conn::Lingering(lingering)) if lingering.socket == socket && lingering.stage == stage
        )
    }

    fn expire_links(&mut self) {
        while let Some(socket) = self.waits.authorization.pop_expired(self.now) {
            if let Some(Conn::Link(link)) = self.conns.get(socket.index())
                && link.socket == socket
                && (!link.authorized || link.refused)
            {
                self.counters.links_unauthorized += u64::from(!link.refused);
                self.close_link(slot(socket));
            }
        }
    }

    fn expire_no_worker(&mut self) {
        while let Some(socket) = self.waits.no_worker.pop_expired(self.now) {
            if let Some(Conn::Client(client)) = self.conns.get(socket.index())
                && client.socket == socket
                && client.reading == Reading::NoWorker
            {
                self.counters.clients_closed_no_worker += 1;
                self.close_client_because(slot(socket), CloseReason::Unserved);
            }
        }
        self.expire_departed();
    }
}
