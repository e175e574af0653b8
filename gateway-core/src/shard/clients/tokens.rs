//! Clients that are let in by tokens: no worker hears of one before its token is known to be good, and none stays for longer than
//! its token says.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use protocol::LogLimit;
use protocol::client::websocket::{Peeked, encode_unauthorized};
use tracing::warn;
use uring::SocketId;

use super::ClientSlot;
use super::client::Client;
use super::codec::AnyCodec;
use super::leave::CloseReason;
use crate::Millis;
use crate::config::TOKEN_LOG_PERIOD_MS;
use crate::jwt::{Admitted, Refusal};
use crate::shard::{Counters, Shard};

/// What tokens say of a shard's clients. Nothing, where none are asked for.
///
/// Invariants: all are clients' that are there; a client has an entry in `admitted` from when its token is checked until its
/// handshake is answered, and then one in `until`, if it has to go; `ends` has the same as `until`.
pub(crate) struct Tokens {
    clock: UnixClock,
    admitted: HashMap<SocketId, Admitted>,
    /// When clients have to go, in seconds of Unix.
    until: HashMap<SocketId, u64>,
    /// The same in order.
    ends: BTreeSet<(u64, SocketId)>,
    /// Lines about tokens that are not good.
    log: LogLimit,
}

/// The time of day, as it was last told, and since then by the shard's own clock.
#[derive(Default)]
struct UnixClock {
    told_ms: u64,
    at: Millis,
}

impl UnixClock {
    fn seconds(&self, now: Millis) -> u64 {
        (self.told_ms + now.since(self.at)) / 1_000
    }

    /// When it will be so late, by the shard's clock.
    fn when(&self, seconds: u64) -> Millis {
        self.at.plus(seconds.saturating_mul(1_000).saturating_sub(self.told_ms))
    }
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens {
            clock: UnixClock::default(),
            admitted: HashMap::new(),
            until: HashMap::new(),
            ends: BTreeSet::new(),
            log: LogLimit::new(1, TOKEN_LOG_PERIOD_MS),
        }
    }
}

impl Tokens {
    /// What the good token of a client says whose handshake is answered now. If it has an end, that counts from here on.
    pub(super) fn enter(&mut self, socket: SocketId) -> Option<Admitted> {
        let admitted = self.admitted.remove(&socket)?;
        if let Some(until) = admitted.until_s {
            self.until.insert(socket, until);
            self.ends.insert((until, socket));
        }
        Some(admitted)
    }

    /// A client is gone.
    pub(super) fn forget(&mut self, socket: SocketId) {
        self.admitted.remove(&socket);
        if let Some(until) = self.until.remove(&socket) {
            self.ends.remove(&(until, socket));
        }
    }

    /// When the next client has to go.
    pub(crate) fn next_end(&self) -> Option<Millis> {
        self.ends.first().map(|(until, _)| self.clock.when(*until))
    }

    /// A client whose time is over.
    fn pop_ended(&mut self, now: Millis) -> Option<SocketId> {
        let (until, socket) = *self.ends.first().filter(|(until, _)| *until <= self.clock.seconds(now))?;
        self.ends.remove(&(until, socket));
        self.until.remove(&socket);
        Some(socket)
    }
}

impl Counters {
    fn refused(&mut self, refusal: Refusal) -> &mut u64 {
        match refusal {
            Refusal::Missing => &mut self.tokens_missing,
            Refusal::Malformed => &mut self.tokens_malformed,
            Refusal::UnknownKey => &mut self.tokens_unknown_key,
            Refusal::Signature => &mut self.tokens_bad_signature,
            Refusal::Expired => &mut self.tokens_expired,
            Refusal::Early => &mut self.tokens_early,
            Refusal::Foreign => &mut self.tokens_foreign,
            Refusal::Claims => &mut self.tokens_incomplete,
        }
    }
}

impl Shard {
    /// Tells the time of day, in ms of Unix. To be called before the first client comes, and from time to time, as it may be set
    /// anew.
    pub fn on_unix_time(&mut self, now: Millis, unix_ms: u64) {
        self.clients.tokens.clock = UnixClock { told_ms: unix_ms, at: now };
    }

    /// Checks tokens by other keys, those of clients that come from now on.
    pub fn on_token_keys(&mut self, verifier: crate::jwt::Verifier) {
        self.settings.jwt = Some(verifier);
    }

    /// Looks at the token of a websocket of which no worker knows yet. Whether nothing else is to be done with what has come: its
    /// request is not whole, or is refused, or is served by now.
    pub(super) fn takes_token(&mut self, slot: ClientSlot, bytes: &mut [u8]) -> bool {
        if self.settings.jwt.is_none() {
            return false;
        }
        let unix_s = self.clients.tokens.clock.seconds(self.now);
        let socket = self.clients[slot].socket;
        let is_checked = self.clients.tokens.admitted.contains_key(&socket);
        let Client { codec: AnyCodec::Websocket(codec), rest, .. } = &mut self.clients[slot] else {
            return false;
        };
        if is_checked || !codec.is_handshaking() {
            return false;
        }
        rest.extend(bytes);
        let input = rest.take();
        let checked = match codec.peek(&self.settings.limits(), &input) {
            Peeked::NeedMore => None,
            Peeked::Malformed => Some(None),
            Peeked::Request(request) => {
                // A signature costs more than all else that is looked at: who is one too many is told so before.
                let mut reply = Vec::new();
                if !self.admits_forwarded(slot, &request, &mut reply) {
                    let client = &mut self.clients[slot];
                    self.output.append(client.socket, &mut client.out, &reply);
                    self.close_client_when_sent(slot);
                    return true;
                }
                self.settings.jwt.as_ref().map(|verifier| Some(verifier.check(&request, unix_s)))
            }
        };
        self.clients[slot].rest.put_back(input, 0);
        match checked {
            None => {}
            Some(None) => self.refuse_malformed(slot, bytes),
            Some(Some(Err(refusal))) => self.refuse_token(slot, refusal),
            Some(Some(Ok(admitted))) => {
                self.clients.tokens.admitted.insert(socket, admitted);
                self.take_input(slot, &mut []);
            }
        }
        true
    }

    fn refuse_token(&mut self, slot: ClientSlot, refusal: Refusal) {
        *self.counters.refused(refusal) += 1;
        let client = &mut self.clients[slot];
        let is_shown = refusal != Refusal::Missing;
        self.output.append_with(client.socket, &mut client.out, |out| encode_unauthorized(is_shown, out));
        let peer = client.peer.address();
        if is_shown && let Some(unsaid) = self.clients.tokens.log.admit(self.now.0) {
            warn!(%peer, unsaid, "a websocket is refused by its token: {refusal}");
        }
        self.close_client_when_sent(slot);
    }

    /// Closes those whose tokens have expired.
    pub(in crate::shard) fn expire_tokens(&mut self) {
        while let Some(socket) = self.clients.tokens.pop_ended(self.now) {
            let Some(slot) = self.clients.find(socket) else { continue };
            self.counters.clients_closed_token += u64::from(!self.clients[slot].closing);
            self.close_client_because(slot, CloseReason::Expired);
        }
    }
}
