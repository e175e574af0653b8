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

admin::counters! {
    /// Connections taken.
    accepted,
    /// Connections closed at accept because there were too many.
    refused_full,
    /// Connections closed for a line that is no request.
    refused_not_a_request,
    /// Connections closed for an event that a register does not know.
    refused_unknown_event,
    /// Connections closed for an address that is none.
    refused_bad_address,
    /// Connections closed for a wrong or missing secret key.
    refused_wrong_key,
    /// Connections closed because they spoke no TLS, where `--inner-tls-ca` asks for it.
    refused_without_tls,
    /// Connections closed because their TLS handshake failed: no certificate that counts, or not in time.
    refused_tls_failed,
    /// Connections closed because they said what they are, or a key, and not a proof, which `--inner-auth challenge` wants.
    refused_unproven,
    /// Connections closed because they did not say in time what they are.
    refused_silent,
    /// Connections closed before that, because there were too many of their kind.
    refused_crowded,
    /// Connections closed for a line that is too long.
    refused_too_long,
    /// Connections of peers that pinged, closed because nothing was heard of them any more.
    dead,
    /// Lines that were taken.
    requests,
    /// Lists sent to workers.
    lists,
}

impl Counters {
    /// A connection was closed for this reason.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::NotARequest => &mut self.refused_not_a_request,
            Refusal::UnknownEvent => &mut self.refused_unknown_event,
            Refusal::BadAddress => &mut self.refused_bad_address,
            Refusal::WrongKey => &mut self.refused_wrong_key,
            Refusal::Unproven => &mut self.refused_unproven,
            Refusal::Silent => &mut self.refused_silent,
            Refusal::Crowded => &mut self.refused_crowded,
            Refusal::TooLong => &mut self.refused_too_long,
        };
        *counter += 1;
    }
}
