//! One connection to a register: what has come, what is to be said, and how far each end has shown that it knows the key.

use std::io;

use crate::inner::{Dialler, Nonce, Proof, Scope, Step};
use crate::register::{Lines, Request};
use crate::register_trouble::Trouble;

/// How far it is.
#[derive(Debug, Default)]
pub(crate) enum State {
    #[default]
    Absent,
    /// Asked for. `by`, in ms, is [`NEVER`] while the register's name is looked up, which takes as long as it takes.
    Opening {
        by: u64,
    },
    Open(Stream),
}

/// One that stands.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) lines: Lines,
    /// What is not sent yet: at most a proof and the first requests, then one ping.
    pub(crate) output: Vec<u8>,
    /// Until the key is proven, if it is to be. Nothing else is said before.
    pub(crate) dialler: Option<Dialler>,
}

/// What a register says before it is told anything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Challenge(Nonce),
    Proof(Proof),
}

impl State {
    pub(crate) fn opening_by(&self) -> u64 {
        if let State::Opening { by } = self { *by } else { NEVER }
    }

    pub(crate) fn unfinished(&self) -> &[u8] {
        if let State::Open(stream) = self { stream.lines.unfinished() } else { &[] }
    }

    pub(crate) fn is_unasked(&self) -> bool {
        matches!(self, State::Open(stream) if stream.is_unasked())
    }
}

impl Stream {
    /// Whether a proof is to be asked for, and was not.
    pub(crate) fn is_unasked(&self) -> bool {
        self.dialler.as_ref().is_some_and(|dialler| !dialler.was_asked())
    }

    /// Answers what the register says; whether it has proven itself by that. `listed` is what it is to list.
    pub(crate) fn prove(&mut self, secret_key: &str, listed: &str, said: Said) -> io::Result<bool> {
        let Some(dialler) = &mut self.dialler else { return Err(Trouble::Asks.into()) };
        let scope = Scope::Register(listed);
        let step = match said {
            Said::Challenge(nonce) if !dialler.was_asked() => dialler.take(secret_key, scope, &nonce.0),
            Said::Proof(proof) if dialler.was_asked() => dialler.take(secret_key, scope, &proof),
            Said::Challenge(_) | Said::Proof(_) => return Err(Trouble::NotProven.into()),
        };
        match step {
            Ok(Step::Answer(answer)) => {
                Request::Prove { answer, address: listed.to_owned() }.encode(&mut self.output);
                Ok(false)
            }
            Ok(Step::Proven) => {
                self.dialler = None;
                Ok(true)
            }
            Err(_) => Err(Trouble::NotProven.into()),
        }
    }
}

/// No time ever.
pub(crate) const NEVER: u64 = u64::MAX;
