//! What a register counts, and what it has at one moment.

use crate::directory::Refusal;

/// What a register has at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Connections, whether they have said what they are or not.
    pub connections: usize,
    /// Gateway shards registered.
    pub gateways: usize,
    /// Worker cores that are told of them.
    pub workers: usize,
    /// What has been counted since the start.
    pub counters: Counters,
}

/// Plain numbers since the start; the register's thread alone writes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections taken.
    pub accepted: u64,
    /// Connections closed at accept because there were too many.
    pub refused_full: u64,
    /// Connections closed for a line that is no request.
    pub refused_not_a_request: u64,
    /// Connections closed for an event that a register does not know.
    pub refused_unknown_event: u64,
    /// Connections closed for an address that is none.
    pub refused_bad_address: u64,
    /// Connections closed for a wrong or missing secret key.
    pub refused_wrong_key: u64,
    /// Connections closed because they did not say in time what they are.
    pub refused_silent: u64,
    /// Connections closed before that, because there were too many of their kind.
    pub refused_crowded: u64,
    /// Connections closed for a line that is too long.
    pub refused_too_long: u64,
    /// Connections of peers that pinged, closed because nothing was heard of them any more.
    pub dead: u64,
    /// Lines that were taken.
    pub requests: u64,
    /// Lists sent to workers.
    pub lists: u64,
}

impl Counters {
    /// A connection was closed for this reason.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::NotARequest => &mut self.refused_not_a_request,
            Refusal::UnknownEvent => &mut self.refused_unknown_event,
            Refusal::BadAddress => &mut self.refused_bad_address,
            Refusal::WrongKey => &mut self.refused_wrong_key,
            Refusal::Silent => &mut self.refused_silent,
            Refusal::Crowded => &mut self.refused_crowded,
            Refusal::TooLong => &mut self.refused_too_long,
        };
        *counter += 1;
    }

    /// Every counter by name.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("accepted", self.accepted),
            ("refused_full", self.refused_full),
            ("refused_not_a_request", self.refused_not_a_request),
            ("refused_unknown_event", self.refused_unknown_event),
            ("refused_bad_address", self.refused_bad_address),
            ("refused_wrong_key", self.refused_wrong_key),
            ("refused_silent", self.refused_silent),
            ("refused_crowded", self.refused_crowded),
            ("refused_too_long", self.refused_too_long),
            ("dead", self.dead),
            ("requests", self.requests),
            ("lists", self.lists),
        ]
        .into_iter()
    }
}
