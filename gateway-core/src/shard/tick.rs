//! What time brings: deadlines, pings, the heartbeat.

use super::Shard;
use super::clients::client::Reading;
use super::clients::leave::CloseReason;
use super::clients::lingering::Stage;
use super::links::LinkId;
use crate::Millis;

impl Shard {
    /// When [`Shard::on_tick`] has something to do next, if nothing else happens before.
    pub fn next_tick(&self) -> Millis {
        let deadlines = &self.deadlines;
        if self.is_stopping() || self.spread.is_some() || deadlines.stalled || self.links.may_drain() {
            return self.now;
        }
        let all = [
            Some(deadlines.next_link_ping),
            (self.links.len() > 0).then_some(deadlines.next_link_look),
            deadlines.first_timeout(),
            self.departed.first_deadline(),
            self.clients.unfinished.next_look(),
            self.clients.heartbeat.next_sweep(),
            self.next_turn(),
            self.clients.tokens.next_end(),
        ];
        all.into_iter().flatten().min().unwrap_or(self.now)
    }

    /// To be called when [`Shard::next_tick`] has come, but not more often than every [`crate::config::TICK_PERIOD_MS`].
    pub fn on_tick(&mut self, now: Millis) {
        self.now = now;
        self.links.forget_taken(now);
        self.expire_handshakes();
        self.expire_tokens();
        self.expire_unbound();
        self.expire_closing();
        self.expire_links();
        self.expire_no_worker();
        self.expire_unfinished();
        self.expire_drains();
        self.resume_behind_rerouted();
        self.release_suspects();
        self.clients.heartbeat.begin(now);
        self.stop_slice();
        self.ping_links();
        self.look_at_links();
    }

    fn expire_handshakes(&mut self) {
        while let Some(socket) = self.deadlines.handshake.pop_expired(self.now) {
            let Some(slot) = self.clients.find(socket) else {
                self.refuse_proxied(socket, "says nothing");
                continue;
            };
            let client = &self.clients[slot];
            if client.codec.is_open() || client.closing {
                continue;
            }
            match client.reading {
                Reading::Flowing if self.clients.sessions.is_waiting(socket) => {
                    self.deadlines.handshake.push(self.now, socket);
                }
                Reading::Flowing | Reading::Rate => {
                    self.counters.clients_closed_handshake += 1;
                    self.close_client_now(slot);
                }
                // It is not the client that takes its time.
                Reading::Stalled | Reading::OwnEvents | Reading::Share => {
                    self.counters.clients_closed_unserved += 1;
                    self.close_client_because(slot, CloseReason::Unserved);
                }
                Reading::NoWorker => self.deadlines.handshake.push(self.now, socket),
            }
        }
    }

    /// Who is bound by now may be unbound later.
    fn expire_unbound(&mut self) {
        while let Some(socket) = self.deadlines.unbound.pop_expired(self.now) {
            let Some(slot) = self.clients.find(socket) else { continue };
            let client = &self.clients[slot];
            if client.uid.is_none() && !client.closing {
                self.counters.clients_closed_unbound += 1;
                self.note_limit(client.peer.address(), "--bind-timeout", "is closed");
                self.close_client_because(slot, CloseReason::Policy);
            }
        }
    }

    fn expire_closing(&mut self) {
        while let Some(socket) = self.deadlines.answer.pop_expired(self.now) {
            self.endings().expire(socket, Stage::Answer);
        }
        while let Some(socket) = self.deadlines.flush.pop_expired(self.now) {
            match self.clients.find(socket) {
                Some(slot) => self.close_client_now(slot),
                None => self.endings().expire(socket, Stage::Flush),
            }
        }
        while let Some(socket) = self.deadlines.linger.pop_expired(self.now) {
            self.endings().expire(socket, Stage::Fin);
        }
    }

    fn expire_links(&mut self) {
        while let Some(socket) = self.deadlines.authorization.pop_expired(self.now) {
            let id = LinkId::of(socket);
            if let Some(link) = self.links.get(id).filter(|link| !link.authorized || link.refused) {
                self.counters.links_unauthorized += u64::from(!link.refused);
                self.close_link(id);
            }
        }
    }

    fn expire_no_worker(&mut self) {
        while let Some(socket) = self.deadlines.no_worker.pop_expired(self.now) {
            let Some(slot) = self.clients.find(socket) else { continue };
            if self.clients[slot].reading == Reading::NoWorker {
                self.counters.clients_closed_no_worker += 1;
                self.close_client_because(slot, CloseReason::Unserved);
            }
        }
        self.expire_departed();
    }
}
