//! A gateway that is cordoned takes no new clients and serves those that it has; one that is drained closes them, too. Both can be
//! taken back.

use super::ClientSlot;
use super::leave::CloseReason;
use super::stop::SpreadClose;
use crate::shard::Shard;
use crate::{ListenProtocol, Millis};

/// Since when newcomers are turned away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cordon {
    from: Millis,
    /// The first who was, by [`Client::accepted`](super::client::Client::accepted). Who came before is served, whatever it waits for.
    first: Option<u64>,
}

impl Shard {
    /// Takes new clients for `delay_ms` more, in which load balancers look elsewhere, and then none until [`Shard::uncordon`]:
    /// websockets are told to try again later, others closed.
    pub fn cordon(&mut self, now: Millis, delay_ms: u64) {
        self.now = now;
        let from = now.plus(delay_ms);
        let cordon = self.cordon.get_or_insert(Cordon { from, first: None });
        cordon.from = cordon.from.min(from);
    }

    /// Takes new clients again. Who has not been told to go stays.
    pub fn uncordon(&mut self, now: Millis) {
        self.now = now;
        self.cordon = None;
        if !self.is_stopping() {
            self.spread = None;
        }
    }

    /// Takes no new clients from now on, and closes those that are there, as [`Shard::begin_stop`] does.
    pub fn drain_clients(&mut self, now: Millis) {
        self.cordon(now, 0);
        if self.spread.is_none() {
            self.spread_close();
        }
    }

    /// Closes whoever is there, by and by.
    pub(super) fn spread_close(&mut self) {
        let waiting = self.clients.iter().map(|(_, client)| client.connection_id).collect();
        let until = self.now.plus(protocol::millis(self.settings.drain_timeout));
        self.spread = Some(SpreadClose::new(waiting, until, &mut self.random));
        self.stop_slice();
    }

    /// Whether somebody who has just connected is turned away at once. A websocket is let in until it can be told.
    pub(super) fn turns_away(&mut self, listener: u8, accepted: u64) -> bool {
        let now = self.now;
        let Some(cordon) = self.cordon.as_mut().filter(|cordon| now >= cordon.from) else { return false };
        cordon.first.get_or_insert(accepted);
        self.counters.clients_cordoned += 1;
        !matches!(self.settings.listen[usize::from(listener)].protocol, ListenProtocol::Websocket(_))
    }

    /// Tells a websocket that came too late to try again later, once it has said something. Whether it came too late.
    pub(super) fn turn_away(&mut self, slot: ClientSlot, bytes: &[u8]) -> bool {
        let client = &mut self.clients[slot];
        let first = self.cordon.and_then(|cordon| cordon.first);
        if first.is_none_or(|first| client.accepted < first) {
            return false;
        }
        client.rest.extend(bytes);
        if !client.rest.is_empty() {
            self.close_client_because(slot, CloseReason::GoingAway);
        }
        true
    }
}
