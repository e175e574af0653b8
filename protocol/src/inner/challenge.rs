//! How two programs of a cluster show each other that they know its secret key, and say nothing of it (WIRE.md §14): without IO,
//! nonces are passed in.
//!
//! ```text
//! acceptor → dialler   a, a nonce
//! dialler  → acceptor  b, a nonce, and a proof over a, b and what the connection is for
//! acceptor → dialler   another proof over the same
//! ```
//!
//! Each end has chosen a part of what it is shown a proof over, so none that was ever said before is good again. Which end proves is in
//! the proof, so nobody's own proof comes back as another's. And what the connection is for is in it ([`Scope`]), so a proof that
//! was made for one port opens no other one.

use std::net::SocketAddrV4;

use crate::{is_proof, prove};

/// What is said once, and by chance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Nonce(pub [u8; NONCE_SIZE]);

/// Bytes of a nonce.
pub const NONCE_SIZE: usize = 32;

/// Bytes of a proof.
pub const PROOF_SIZE: usize = 32;

/// What the acceptor says last.
pub type Proof = [u8; PROOF_SIZE];

/// What the dialler says: its nonce, and the proof.
pub type Answer = [u8; NONCE_SIZE + PROOF_SIZE];

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope<'a> {
    /// An inner port, as registers list it: who is listed in a gateway's place and asks the gateway itself gets proofs for
    /// the wrong address.
    Gateway(SocketAddrV4),
    /// A register, and the address that it is to list; `""` of who is no gateway. The register's own address is not in it: it may have many
    /// names, and be reached through others.
    Register(&'a str),
}

/// Why a peer is not let in, or not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotProven {
    /// It says something else than what is due.
    #[error("it says something else than what is due")]
    OutOfOrder,
    /// Its proof is none: it knows another key, or none.
    #[error("the secret key is another one")]
    WrongKey,
}

/// The end that a connection comes to. [`Self::challenge`] is said first; then [`Self::take`], once.
#[derive(Debug)]
pub struct Acceptor {
    challenge: Nonce,
    is_over: bool,
}

impl Acceptor {
    /// `challenge` was never said before.
    pub fn new(challenge: Nonce) -> Acceptor {
        Acceptor { challenge, is_over: false }
    }

    /// What is said first.
    pub fn challenge(&self) -> &Nonce {
        &self.challenge
    }

    /// The peer has said this. What is said then, and the peer is let in.
    ///
    /// # Errors
    /// It is not to be let in, and no further proof of it to be heard.
    pub fn take(&mut self, secret_key: &str, scope: Scope<'_>, answer: &[u8]) -> Result<Proof, NotProven> {
        let is_first = !std::mem::replace(&mut self.is_over, true);
        let (nonce, proof) = answer.split_first_chunk().ok_or(NotProven::OutOfOrder)?;
        if !is_first || proof.len() != PROOF_SIZE {
            return Err(NotProven::OutOfOrder);
        }
        let said = Said { challenge: self.challenge, nonce: Nonce(*nonce) };
        if !said.is_proven(End::Dialler, secret_key, scope, proof) {
            return Err(NotProven::WrongKey);
        }
        Ok(said.prove(End::Acceptor, secret_key, scope))
    }
}

/// The end that a connection comes from. It says nothing before it was asked.
#[derive(Debug)]
pub struct Dialler {
    nonce: Nonce,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitsChallenge,
    AwaitsProof(Said),
    Over,
}

/// What follows for the dialler from what the acceptor has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// This is to be said.
    Answer(Answer),
    /// The acceptor has proven itself, and has let this end in: now the connection is what it would be without all this.
    Proven,
}

impl Dialler {
    /// `nonce` was never said before.
    pub fn new(nonce: Nonce) -> Dialler {
        Dialler { nonce, state: State::AwaitsChallenge }
    }

    /// Whether the acceptor has asked.
    pub fn was_asked(&self) -> bool {
        !matches!(self.state, State::AwaitsChallenge)
    }

    /// The acceptor has said this.
    ///
    /// # Errors
    /// It is not to be told anything.
    pub fn take(&mut self, secret_key: &str, scope: Scope<'_>, said: &[u8]) -> Result<Step, NotProven> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::AwaitsChallenge => {
                let challenge = Nonce(said.try_into().map_err(|_| NotProven::OutOfOrder)?);
                let said = Said { challenge, nonce: self.nonce };
                self.state = State::AwaitsProof(said);
                let proof = said.prove(End::Dialler, secret_key, scope);
                let mut answer = [0; NONCE_SIZE + PROOF_SIZE];
                answer[..NONCE_SIZE].copy_from_slice(&self.nonce.0);
                answer[NONCE_SIZE..].copy_from_slice(&proof);
                Ok(Step::Answer(answer))
            }
            State::AwaitsProof(_) if said.len() != PROOF_SIZE => Err(NotProven::OutOfOrder),
            State::AwaitsProof(both) => match both.is_proven(End::Acceptor, secret_key, scope, said) {
                true => Ok(Step::Proven),
                false => Err(NotProven::WrongKey),
            },
            State::Over => Err(NotProven::OutOfOrder),
        }
    }
}

/// What both ends have chosen.
#[derive(Clone, Copy, Debug)]
struct Said {
    challenge: Nonce,
    nonce: Nonce,
}

/// Who proves.
#[derive(Clone, Copy, Debug)]
enum End {
    Dialler,
    Acceptor,
}

impl Said {
    fn prove(&self, end: End, secret_key: &str, scope: Scope<'_>) -> Proof {
        prove(secret_key, scope.purpose(end), &[&self.challenge.0, &self.nonce.0, &scope.part()])
    }

    fn is_proven(&self, end: End, secret_key: &str, scope: Scope<'_>, proof: &[u8]) -> bool {
        let parts = [&self.challenge.0[..], &self.nonce.0, &scope.part()];
        is_proof(proof, secret_key, scope.purpose(end), &parts)
    }
}

impl Scope<'_> {
    /// What a proof is for: no two of these are alike, so that none is taken for another.
    fn purpose(self, end: End) -> &'static str {
        match (self, end) {
            (Scope::Gateway(_), End::Dialler) => "ringway dials a gateway",
            (Scope::Gateway(_), End::Acceptor) => "a ringway gateway accepts",
            (Scope::Register(_), End::Dialler) => "ringway dials a register",
            (Scope::Register(_), End::Acceptor) => "a ringway register accepts",
        }
    }

    /// Of a gateway, its address as client ids begin with it: 4 bytes and 2.
    fn part(self) -> Vec<u8> {
        match self {
            Scope::Gateway(address) => [&address.ip().octets()[..], &address.port().to_be_bytes()].concat(),
            Scope::Register(listed) => listed.as_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
#[path = "challenge_tests.rs"]
mod tests;
