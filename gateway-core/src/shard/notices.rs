//! What a shard has to tell an operator of its workers. The shard notes it, the glue writes the log.

use std::net::SocketAddr;

use protocol::inner::Refused;

/// Something about a worker's link that an operator may want to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A link was taken.
    Connected {
        /// `ip:name:core`.
        key: Box<str>,
    },
    /// A worker's link is gone.
    Gone {
        /// `ip:name:core`.
        key: Box<str>,
        /// Why.
        why: Gone,
    },
    /// A worker took the key of another that was there, as PHP's do: the other's link is closed.
    Displaced {
        /// `ip:name:core`.
        key: Box<str>,
    },
    /// A worker was told that its key is not to be had.
    Refused {
        /// `ip:name:core`.
        key: Box<str>,
        /// Why.
        why: Refused,
    },
    /// A connection said a wrong secret key, or none.
    WrongKey {
        /// Who.
        peer: SocketAddr,
    },
    /// A connection said something else than the proof that is due.
    Unproven {
        /// Who.
        peer: SocketAddr,
    },
}

/// Why a worker's link went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Gone {
    /// The worker closed it, or its process ended.
    #[default]
    Closed,
    /// The worker had handed its clients over.
    Left,
    /// The connection broke.
    Broken,
    /// Another link has its key.
    Displaced,
    /// The link goes on under another key.
    Renamed,
    /// It pinged, and does so no more.
    Silent,
    /// It took nothing for a minute.
    Stuck,
    /// It sent what is no frame.
    Malformed,
}

/// Notices that have not been taken. Beyond [`NOTICES_MAX`] they are left out: the counters have them all.
#[derive(Default)]
pub(super) struct Notices(Vec<Notice>);

impl Notices {
    pub(super) fn push(&mut self, notice: Notice) {
        if self.0.len() < NOTICES_MAX {
            self.0.push(notice);
        }
    }

    /// Moves all into `out`.
    pub(super) fn take(&mut self, out: &mut Vec<Notice>) {
        out.append(&mut self.0);
    }
}

/// Notices of one turn: as many as 54 workers with 54 cores each need when they come at once.
const NOTICES_MAX: usize = 4_096;
