//! TLS handshakes take turns: answering one costs more than all else that a client can ask for, and a storm of them must not
//! hold up others.
//!
//! Who would be one too many in a turn is not read, and what it has said waits here. Handshakes that have begun go first: so
//! each turn ends some, however many have come.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::config::{HANDSHAKE_RECEIVES_PER_TURN, HANDSHAKES_PER_TURN};

/// Handshakes of this turn, and those that wait for the next ones. `K` names a socket.
///
/// Invariant: a socket of which something is held is in one of the lists, once; one in a list of which nothing is held is gone.
pub struct Handshakes<K> {
    /// How many answers this turn may still compute.
    answers_left: usize,
    /// How many receives that waited it may still look at.
    receives_left: usize,
    held: HashMap<K, Vec<u8>>,
    /// Who has had an answer.
    begun: VecDeque<K>,
    fresh: VecDeque<K>,
}

impl<K> Default for Handshakes<K> {
    fn default() -> Handshakes<K> {
        Handshakes {
            answers_left: HANDSHAKES_PER_TURN,
            receives_left: 0,
            held: HashMap::new(),
            begun: VecDeque::new(),
            fresh: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Handshakes<K> {
    /// A turn begins.
    pub fn begin_turn(&mut self) {
        (self.answers_left, self.receives_left) = (HANDSHAKES_PER_TURN, HANDSHAKE_RECEIVES_PER_TURN);
    }

    /// Whether this turn answers no more.
    pub fn are_enough(&self) -> bool {
        self.answers_left == 0
    }

    /// One was answered.
    pub fn answered(&mut self) {
        self.answers_left = self.answers_left.saturating_sub(1);
    }

    /// Keeps what came on a socket, which is not to be read until [`Handshakes::take_next`] gives it back.
    pub fn hold(&mut self, socket: K, has_begun: bool, bytes: &[u8]) {
        let held = self.held.entry(socket).or_default();
        if held.is_empty() {
            let list = if has_begun { &mut self.begun } else { &mut self.fresh };
            list.push_back(socket);
        }
        held.extend_from_slice(bytes);
    }

    /// The next that may be answered in this turn.
    pub fn take_next(&mut self) -> Option<(K, Vec<u8>)> {
        while self.answers_left > 0 && self.receives_left > 0 {
            self.receives_left -= 1;
            let socket = self.begun.pop_front().or_else(|| self.fresh.pop_front())?;
            if let Some(bytes) = self.held.remove(&socket) {
                return Some((socket, bytes));
            }
        }
        None
    }

    /// Whether any wait.
    pub fn are_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether this one does.
    pub fn is_waiting(&self, socket: K) -> bool {
        self.held_size(socket) > 0
    }

    /// Bytes that are kept of a socket.
    pub fn held_size(&self, socket: K) -> usize {
        if self.held.is_empty() { 0 } else { self.held.get(&socket).map_or(0, Vec::len) }
    }

    /// The socket is gone.
    pub fn forget(&mut self, socket: K) {
        if !self.held.is_empty() {
            self.held.remove(&socket);
        }
        if self.held.is_empty() {
            (self.begun, self.fresh) = (VecDeque::new(), VecDeque::new());
        }
    }
}
