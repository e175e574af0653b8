//! The heartbeat: who is silent gets a ping, who stays silent is closed (WIRE.md §11).

use std::mem;

use super::ClientSlot;
use super::leave::CloseReason;
use crate::config::{FANOUT_SENDS_MAX, HEARTBEAT_SLICE};
use crate::shard::Shard;
use crate::shard::fanouts::Message;
use crate::{Millis, Settings};

/// One sweep over the table per period, in slices. Within a sweep every client is looked at once.
pub(crate) struct Heartbeat {
    /// 0: off.
    period_ms: u64,
    limit: i32,
    next_sweep: Millis,
    /// Where the sweep goes on; past the end of the table between sweeps.
    cursor: usize,
}

/// What the sweep does with one client.
#[derive(PartialEq, Eq, Debug)]
enum Beat {
    Nothing,
    Ping,
    Close,
}

impl Heartbeat {
    pub(crate) fn new(settings: &Settings, now: Millis) -> Heartbeat {
        let interval_ms = protocol::millis(settings.ping_interval);
        let limit = i32::try_from(settings.ping_not_response_limit).unwrap_or(i32::MAX / 2);
        let period_ms = if limit > 0 { interval_ms.div_ceil(2) } else { interval_ms };
        Heartbeat { period_ms, limit, next_sweep: now.plus(period_ms), cursor: usize::MAX }
    }

    /// Whether a sweep is under way.
    pub(crate) fn is_sweeping(&self) -> bool {
        self.cursor != usize::MAX
    }

    /// When the next sweep begins, if there are any.
    pub(crate) fn next_sweep(&self) -> Option<Millis> {
        (self.period_ms > 0).then_some(self.next_sweep)
    }

    /// Starts a sweep when it is time.
    pub(crate) fn begin(&mut self, now: Millis) {
        if self.period_ms == 0 || now < self.next_sweep {
            return;
        }
        // A sweep that is still under way, because nothing else can be afforded, goes on instead.
        self.next_sweep = self.next_sweep.plus(self.period_ms).max(now);
        if !self.is_sweeping() {
            self.cursor = 0;
        }
    }

    /// Counts a silent period; `silence` is -1 after every message.
    fn beat(&self, silence: &mut i32) -> Beat {
        if self.limit > 0 && *silence >= 2 * self.limit {
            return Beat::Close;
        }
        *silence = silence.saturating_add(1);
        let answers_counted_in_halves = self.limit > 0 && *silence % 2 == 1;
        if *silence == 0 || answers_counted_in_halves { Beat::Nothing } else { Beat::Ping }
    }
}

impl Shard {
    /// Does the next slice of a sweep that is under way: as many clients as one turn has time and room for.
    pub(crate) fn continue_heartbeat(&mut self) {
        if !self.clients.heartbeat.is_sweeping() {
            return;
        }
        let (end, dirty_max) = (self.clients.rows.end(), self.output.dirty_count() + FANOUT_SENDS_MAX);
        for _ in 0..HEARTBEAT_SLICE {
            if self.clients.heartbeat.cursor >= end {
                self.clients.heartbeat.cursor = usize::MAX;
                return;
            }
            if self.output.dirty_count() >= dirty_max {
                return;
            }
            self.beat_client(self.clients.heartbeat.cursor);
            self.clients.heartbeat.cursor += 1;
        }
    }

    fn beat_client(&mut self, index: usize) {
        let Some(client) = self.clients.rows.get_mut(index) else { return };
        // Who is not read cannot be heard, and who is closing has a deadline of its own.
        if client.closing || client.is_stalled() {
            return;
        }
        let slot = ClientSlot::of(index);
        match self.clients.heartbeat.beat(&mut client.silence) {
            Beat::Nothing => {}
            Beat::Ping => self.ping_client(slot),
            Beat::Close => {
                self.counters.clients_closed_silent += 1;
                // Who has stopped to read as well cannot be told anything.
                match client.out.is_blocked() {
                    true => self.close_client_now(slot),
                    false => self.close_client_because(slot, CloseReason::Silent),
                }
            }
        }
    }

    /// A websocket ping where that is wanted and the protocol has one, else the ping data, if there is any.
    fn ping_client(&mut self, slot: ClientSlot) {
        self.catch_up(slot);
        if self.settings.websocket_ping
            && let Some(client) = self.clients.get_mut(slot)
        {
            let protocol = self.settings.protocol_of(client.listener);
            let mut has_pings = false;
            if client.codec.is_open() {
                self.output
                    .append_with(client.socket, &mut client.out, |out| has_pings = protocol.encode_ping(out));
            }
            if has_pings {
                return;
            }
        }
        if !self.settings.ping_data.is_empty() {
            let data = mem::take(&mut self.settings.ping_data);
            self.send_to_client(slot, &Message::of_bytes(&data));
            self.settings.ping_data = data;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What a client that says nothing gets, sweep by sweep.
    fn silent(limit: u32) -> Vec<Beat> {
        let settings = Settings {
            ping_interval: Duration::from_secs(2),
            ping_not_response_limit: limit,
            ..Settings::default()
        };
        let heartbeat = Heartbeat::new(&settings, Millis(0));
        let mut silence = -1;
        (0..7).map(|_| heartbeat.beat(&mut silence)).collect()
    }

    #[test]
    fn a_silent_client_gets_as_many_pings_as_the_limit_and_goes() {
        use Beat::{Close, Nothing, Ping};
        assert_eq!(silent(1), [Nothing, Nothing, Ping, Close, Close, Close, Close]);
        assert_eq!(silent(2), [Nothing, Nothing, Ping, Nothing, Ping, Close, Close]);
        assert_eq!(silent(0), [Nothing, Ping, Ping, Ping, Ping, Ping, Ping]);
    }
}
