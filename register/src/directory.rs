//! Owns who is connected and what each of them is owed.
//!
//! Lines come in, verdicts and lists go out. A list that a worker has not taken yet is replaced by the newer one, so a
//! worker that does not read costs a flag and nothing more. Must never touch a socket or a clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use protocol::Credentials;
use protocol::inner::{Acceptor, Answer, Scope};
use protocol::register::{BAD_REQUEST, Broadcast, Request, RequestError, challenge_line, proof_line};
use uring::SocketId;

use crate::config::{ADDRESS_SIZE_MAX, CONNECTIONS_MAX, STRANGERS_MAX};

/// Why a connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The line is no request. The only refusal that is told to the peer.
    #[error("not a request")]
    NotARequest,
    /// The event is none that a register knows.
    #[error("unknown event")]
    UnknownEvent,
    /// The gateway's address is empty, longer than [`ADDRESS_SIZE_MAX`], or has bytes that no address has.
    #[error("no usable gateway address")]
    BadAddress,
    /// The key is not the register's.
    #[error("wrong secret key")]
    WrongKey,
    /// The key is to be proven, and the connection says it, or something else before the proof.
    #[error("no proof of the secret key: set --inner-auth challenge there, too")]
    Unproven,
    /// The connection did not say for too long after accept that it is a gateway or a worker.
    #[error("neither gateway nor worker in time")]
    Silent,
    /// It was the oldest of too many that have not said what they are.
    #[error("too many connections that do not say what they are")]
    Crowded,
    /// The line is longer than [`crate::REQUEST_SIZE_MAX`].
    #[error("line too long")]
    TooLong,
}

impl Refusal {
    /// The line to send before the close, if any.
    pub(crate) fn farewell(self) -> Option<&'static [u8]> {
        (self == Self::NotARequest).then_some(BAD_REQUEST)
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::NotARequest => Self::NotARequest,
            RequestError::UnknownEvent => Self::UnknownEvent,
            RequestError::EmptyAddress => Self::BadAddress,
            RequestError::BadKey => Self::WrongKey,
            RequestError::NoProof => Self::Unproven,
        }
    }
}

/// All connections of a register and the addresses they brought.
///
/// Invariants: `gateways.len() <= peers.len()`, `workers` are peers, an owed peer is a worker, and every owed peer was
/// put into `woken` when it became owed. `strangers` are peers that are neither gateway nor worker.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    credentials: Credentials,
    peers: HashMap<SocketId, Peer>,
    /// Who has not said what it is, and was not told to go, by the time until which it may stay, in ms.
    strangers: BTreeSet<(u64, SocketId)>,
    /// In the order in which the connections registered. One address may be there several times: it is listed once,
    /// in its first place, until the last of its connections is gone.
    gateways: BTreeMap<Place, String>,
    next_place: u64,
    workers: BTreeSet<SocketId>,
    /// The encoded list, until the addresses change.
    line: Option<Rc<[u8]>>,
    woken: Vec<SocketId>,
}

/// A connection's place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64);

#[derive(Debug, Default)]
struct Peer {
    introduced_by: u64,
    /// Whether a list is due that it has not taken.
    is_owed: bool,
    /// Whether its last ping wants an answer.
    is_owed_pong: bool,
    /// A challenge or a proof that is to be said.
    owed_proof: Option<Rc<[u8]>>,
    trust: Trust,
    place: Option<Place>,
    /// What it is, and the port at which its process tells of itself.
    admin: Option<(&'static str, u16)>,
}

/// How far a peer has shown that it knows the key.
#[derive(Debug, Default)]
enum Trust {
    /// It says it, with what it is.
    #[default]
    Said,
    /// It is to prove it.
    Asked(Box<Acceptor>),
    /// It has, and may register this address, or none if this is empty.
    Proven(String),
}

impl Directory {
    /// A register that nobody is connected to.
    pub(crate) fn new(credentials: impl Into<Credentials>) -> Self {
        Self { credentials: credentials.into(), ..Self::default() }
    }

    /// A connection was accepted, which is to say until then what it is, in ms.
    pub(crate) fn on_open(&mut self, peer: SocketId, introduced_by: u64) {
        let mut newcomer = Peer { introduced_by, ..Peer::default() };
        if let Some(nonces) = &self.credentials.nonces {
            let acceptor = Acceptor::new(nonces.draw());
            newcomer.owed_proof = Some(challenge_line(acceptor.challenge()).into());
            newcomer.trust = Trust::Asked(Box::new(acceptor));
        }
        self.peers.insert(peer, newcomer);
        self.strangers.insert((introduced_by, peer));
    }

    /// Who is to be closed before one more connection is opened, if anybody is; `Err` if nobody can be.
    pub(crate) fn make_room(&mut self) -> Result<Option<SocketId>, Full> {
        if self.strangers.len() < STRANGERS_MAX && self.peers.len() < CONNECTIONS_MAX {
            return Ok(None);
        }
        self.strangers.pop_first().map(|(_, oldest)| Some(oldest)).ok_or(Full)
    }

    /// A line came from `peer`, without its line end.
    ///
    /// # Errors
    /// Why the connection must be closed; [`Self::on_closed`] is still to be called.
    pub(crate) fn on_line(&mut self, peer: SocketId, line: &[u8]) -> Result<(), Refusal> {
        match Request::decode(line)? {
            Request::Prove { answer, address } => self.take_proof(peer, &answer, address),
            Request::Ping | Request::RingwayPing if self.is_to_prove(peer) => Err(Refusal::Unproven),
            Request::Ping => Ok(()),
            Request::RingwayPing => {
                self.peer_mut(peer).is_owed_pong = true;
                Ok(())
            }
            Request::WorkerConnect { secret_key, admin } => {
                self.check_key(peer, &secret_key, "")?;
                self.on_introduced(peer);
                self.peer_mut(peer).admin = admin.map(|port| ("worker", port));
                self.workers.insert(peer);
                self.owe(peer);
                Ok(())
            }
            Request::GatewayConnect { address, secret_key, admin } => {
                self.check_key(peer, &secret_key, &address)?;
                self.list(peer, address)?;
                self.peer_mut(peer).admin = admin.map(|port| ("gateway", port));
                Ok(())
            }
        }
    }

    /// The connection is gone, whoever closed it.
    pub(crate) fn on_closed(&mut self, peer: SocketId) {
        self.workers.remove(&peer);
        let gone = self.peers.remove(&peer).expect("a connection is closed once");
        self.strangers.remove(&(gone.introduced_by, peer));
        if let Some(address) = gone.place.and_then(|place| self.gateways.remove(&place)) {
            tracing::info!(address, "gateway gone");
            self.broadcast();
        }
    }

    /// The workers that became owed a list since the last call. They may be gone or served by now.
    pub(crate) fn take_woken(&mut self) -> Vec<SocketId> {
        std::mem::take(&mut self.woken)
    }

    /// Whether there are such workers.
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// The list for `peer`, newline included, if it is owed one; it then is no longer.
    pub(crate) fn take_line(&mut self, peer: SocketId) -> Option<Rc<[u8]>> {
        if !std::mem::take(&mut self.peer_mut(peer).is_owed) {
            return None;
        }
        Some(Rc::clone(self.line.get_or_insert_with(|| encode_list(self.gateways.values()))))
    }

    /// The challenge or the proof that `peer` is owed, newline included; it then is no longer.
    pub(crate) fn take_owed_proof(&mut self, peer: SocketId) -> Option<Rc<[u8]>> {
        self.peer_mut(peer).owed_proof.take()
    }

    /// Whether `peer` is owed [`protocol::register::PONG`]; it then is no longer.
    pub(crate) fn take_pong(&mut self, peer: SocketId) -> bool {
        std::mem::take(&mut self.peer_mut(peer).is_owed_pong)
    }

    /// What a peer is, and the port at which its process tells of itself, if it has said so.
    pub(crate) fn admin(&self, peer: SocketId) -> Option<(&'static str, u16)> {
        self.peers.get(&peer)?.admin
    }

    /// How many connections there are.
    pub(crate) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// How many connections have registered as gateways.
    pub(crate) fn gateway_count(&self) -> usize {
        self.gateways.len()
    }

    /// How many connections are workers.
    pub(crate) fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// Who has been there longest of those that have not said whether they are gateways or workers, and until when it may.
    pub(crate) fn oldest_stranger(&self) -> Option<(u64, SocketId)> {
        self.strangers.first().copied()
    }

    /// It has said what it is.
    fn on_introduced(&mut self, peer: SocketId) {
        let introduced_by = self.peer_mut(peer).introduced_by;
        self.strangers.remove(&(introduced_by, peer));
    }

    /// `listed`: what it wants to be listed, or nothing.
    fn check_key(&self, peer: SocketId, key: &str, listed: &str) -> Result<(), Refusal> {
        match &self.peers.get(&peer).expect(BETWEEN).trust {
            Trust::Said if protocol::is_secret(key, &self.credentials.secret_key) => Ok(()),
            Trust::Said => Err(Refusal::WrongKey),
            Trust::Proven(proven) if key.is_empty() && proven == listed => Ok(()),
            Trust::Proven(_) | Trust::Asked(_) => Err(Refusal::Unproven),
        }
    }

    fn is_to_prove(&self, peer: SocketId) -> bool {
        matches!(self.peers.get(&peer).expect(BETWEEN).trust, Trust::Asked(_))
    }

    /// What it has proven, it may do; what it says is nothing that anybody else said.
    fn take_proof(&mut self, peer: SocketId, answer: &Answer, address: String) -> Result<(), Refusal> {
        let Directory { credentials, peers, .. } = self;
        let peer = peers.get_mut(&peer).expect(BETWEEN);
        let acceptor = match &mut peer.trust {
            // Nobody has asked.
            Trust::Said => return Err(Refusal::UnknownEvent),
            Trust::Proven(_) => return Err(Refusal::Unproven),
            Trust::Asked(acceptor) => acceptor,
        };
        let proof = acceptor.take(&credentials.secret_key, Scope::Register(&address), answer);
        peer.owed_proof = Some(proof_line(&proof.map_err(|_| Refusal::WrongKey)?).into());
        peer.trust = Trust::Proven(address);
        Ok(())
    }

    /// Puts an address on the list; a connection that registers again changes the address in its place.
    fn list(&mut self, peer: SocketId, address: String) -> Result<(), Refusal> {
        if !is_usable(&address) {
            return Err(Refusal::BadAddress);
        }
        self.on_introduced(peer);
        let new_place = Place(self.next_place);
        self.next_place += 1;
        let place = *self.peer_mut(peer).place.get_or_insert(new_place);
        if place == new_place {
            tracing::info!(address, "gateway registered");
        }
        self.gateways.insert(place, address);
        self.broadcast();
        Ok(())
    }

    /// Owes the list to all workers. Also when it reads the same as before: a worker connects again to a gateway that
    /// it lost when it sees its address listed.
    fn broadcast(&mut self) {
        self.line = None;
        let workers = std::mem::take(&mut self.workers);
        for &worker in &workers {
            self.owe(worker);
        }
        self.workers = workers;
    }

    fn owe(&mut self, peer: SocketId) {
        if !std::mem::replace(&mut self.peer_mut(peer).is_owed, true) {
            self.woken.push(peer);
        }
    }

    fn peer_mut(&mut self, peer: SocketId) -> &mut Peer {
        self.peers.get_mut(&peer).expect(BETWEEN)
    }
}

const BETWEEN: &str = "events come only between open and closed";

/// Everybody has said what it is, and one more would be too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Nothing that JSON would have to escape, so that the list is not longer than the addresses.
fn is_usable(address: &str) -> bool {
    !address.is_empty()
        && address.len() <= ADDRESS_SIZE_MAX
        && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-_[]%".contains(&byte))
}

fn encode_list<'a>(gateways: impl Iterator<Item = &'a String>) -> Rc<[u8]> {
    let mut listed = HashSet::new();
    let addresses = gateways.filter(|address| listed.insert(address.as_str())).cloned().collect();
    let mut line = Vec::new();
    Broadcast { addresses }.encode(&mut line);
    line.into()
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
