//! The gateway's stop, and how it closes clients: they go one after the other, in an order that nobody chose, so that they do not
//! all come back to the other gateways in the same moment. Who has not gone yet is served as ever.

use super::ClientSlot;
use super::leave::CloseReason;
use crate::Millis;
use crate::config::{STOP_CLIENTS_PER_TICK_MIN, TICK_PERIOD_MS};
use crate::shard::Shard;

/// A stop under way.
pub(crate) struct Stop {
    /// There is no more time: see [`Shard::end_clients`].
    is_ending: bool,
}

/// Clients that are closed one after the other.
pub(crate) struct SpreadClose {
    /// Connection ids of those who have not been told, the next one last. They name nobody else meanwhile: new clients are turned
    /// away, and there are four billion ids.
    waiting: Vec<u32>,
    /// Everybody has been told by then.
    until: Millis,
}

impl SpreadClose {
    pub(super) fn new(mut waiting: Vec<u32>, until: Millis, random: &mut fastrand::Rng) -> SpreadClose {
        random.shuffle(&mut waiting);
        SpreadClose { waiting, until }
    }

    /// How many go in this tick: as many as an even pace asks for, but never so few that a small gateway takes its time.
    fn pace(&self, now: Millis) -> usize {
        let ticks_left = self.until.since(now) / TICK_PERIOD_MS;
        let even = self.waiting.len().div_ceil(ticks_left.max(1) as usize);
        even.max(STOP_CLIENTS_PER_TICK_MIN)
    }
}

impl Shard {
    /// Begins to stop: every client gets what is queued for it and a close frame, every worker its ON_CLOSE; by and by,
    /// over the settings' `drain_timeout` at most. New connections are refused. [`Shard::is_stopped`] tells when all is
    /// done.
    pub fn begin_stop(&mut self, now: Millis) {
        self.now = now;
        if self.is_stopping() {
            return;
        }
        self.hooks.call(now, "on_worker_stop", |hooks| hooks.on_worker_stop());
        self.stop = Some(Stop { is_ending: false });
        self.spread_close();
    }

    /// Whether [`Shard::begin_stop`] was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// After [`Shard::begin_stop`]: no client is left, and everything is sent that could be.
    pub fn is_stopped(&self) -> bool {
        let is_empty = self.clients.is_empty() && self.lingering.is_empty();
        self.is_stopping() && is_empty && !self.is_pending() && !self.departed.waits_for_workers()
    }

    /// The end of a stop for its clients: who has not gone in time goes now, and workers are told of each, however much is queued
    /// for them already.
    pub fn end_clients(&mut self, now: Millis) {
        self.now = now;
        self.stop.iter_mut().for_each(|stop| stop.is_ending = true);
        self.end_drains();
        let slots: Vec<ClientSlot> = self.clients.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.close_client_now(slot);
        }
        for index in 0..self.links.len() {
            self.links.nth(index).into_iter().for_each(|link| self.retry_departed_of(link));
        }
    }

    /// Whether a stop has no more time for its clients.
    pub(crate) fn is_ending(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.is_ending)
    }

    /// The end of a stop: [`Shard::end_clients`], and every link gets our FIN behind what is queued for it.
    pub fn end_stop(&mut self, now: Millis) {
        self.end_clients(now);
        for index in 0..self.links.len() {
            self.links.nth(index).into_iter().for_each(|link| self.shut_down_link(link));
        }
    }

    /// Whether an inner connection is left whose peer's FIN is to be waited for: a worker's, or one that has not been sent all.
    /// An idle one for queries is not: its peer may notice our FIN only with its next question.
    pub fn has_links(&self) -> bool {
        self.links.iter().any(|link| link.worker.is_some() || !link.out.queue.is_empty())
    }

    /// The next few clients that are to be closed.
    pub(crate) fn stop_slice(&mut self) {
        let now = self.now;
        let Some(spread) = &mut self.spread else { return };
        let rest = spread.waiting.len().saturating_sub(spread.pace(now));
        let next = spread.waiting.split_off(rest);
        if rest == 0 {
            self.spread = None;
        }
        for connection_id in next {
            if let Some(slot) = self.clients.by_id(connection_id) {
                self.close_client_because(slot, CloseReason::GoingAway);
            }
        }
    }
}
