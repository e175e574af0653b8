//! All connections of a thread with other programs, without IO: events of the ring in, those of what is above out.

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::io;
use std::mem;

use protocol::LogLimit;
use tls::{Failure, Handshakes, Mutual};
use tracing::warn;
use uring::{Event, ListenerId, Send, Short, SocketId};

use crate::config::{HANDSHAKE_TIMEOUT_MS, LOG_PERIOD_MS, STRANGERS_MAX};
use crate::link::{Link, Side, Stage};

/// Whoever was closed because it did not prove that it belongs to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Refused {
    /// It spoke no TLS.
    pub plain: u64,
    /// It has no certificate that counts, took too long, or was one of too many; or what it said was no TLS after all.
    pub failed: u64,
}

/// The connections of a thread with other programs.
///
/// In each turn: [`Links::continue_handshakes`] and [`Links::expire`], then [`Links::on_event`] for each event of the ring. Whenever
/// something was done, [`Links::dirty`] have something to send, and [`Links::acts`] is to be done behind that.
///
/// Invariants: `strangers` counts the rows that are strangers; each of these is in `waiting`, in order of coming.
pub(crate) struct Links {
    mutual: Mutual,
    listeners: Vec<ListenerId>,
    rows: HashMap<SocketId, Link>,
    handshakes: Handshakes<SocketId>,
    strangers: usize,
    /// Who came and may still be a stranger, and until when, in ms.
    waiting: VecDeque<(u64, SocketId)>,
    pub(crate) dirty: Vec<SocketId>,
    pub(crate) acts: Vec<Act>,
    /// Who has room again, to be told.
    pub(crate) roomy: Vec<SocketId>,
    /// Who could not encrypt, to be told.
    spent: Vec<(SocketId, Failure)>,
    /// What was decrypted, or is to be encrypted; kept for its memory.
    plain: Vec<u8>,
    refused: Refused,
    plain_log: LogLimit,
    failed_log: LogLimit,
}

/// What is to be done with a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    Pause(SocketId),
    Resume(SocketId),
    Shutdown(SocketId),
    Close(SocketId),
}

/// A send, and how much of it is encrypted.
pub(crate) struct Sealed<'a> {
    send: Send<'a>,
    size: usize,
    taken: usize,
}

impl<'a> Sealed<'a> {
    pub(crate) fn new(send: Send<'a>) -> Sealed<'a> {
        Sealed { size: send.slices.iter().map(|slice| slice.len()).sum(), send, taken: 0 }
    }
}

impl Links {
    pub(crate) fn new(mutual: Mutual) -> Links {
        let log = LogLimit::new(1, LOG_PERIOD_MS);
        Links {
            mutual,
            listeners: Vec::new(),
            rows: HashMap::new(),
            handshakes: Handshakes::default(),
            strangers: 0,
            waiting: VecDeque::new(),
            dirty: Vec::new(),
            acts: Vec::new(),
            roomy: Vec::new(),
            spent: Vec::new(),
            plain: Vec::new(),
            refused: Refused::default(),
            plain_log: log.clone(),
            failed_log: log,
        }
    }

    /// Takes other certificates, for connections from now on.
    pub(crate) fn renew(&mut self, mutual: Mutual) {
        self.mutual = mutual;
    }

    pub(crate) fn refused(&self) -> Refused {
        self.refused
    }

    /// Whoever connects there is a program of the cluster.
    pub(crate) fn listen(&mut self, listener: ListenerId) {
        self.listeners.push(listener);
    }

    /// Nobody comes there any more, and strangers go.
    pub(crate) fn stop_listening(&mut self, listener: ListenerId) {
        self.listeners.retain(|other| *other != listener);
        let came_there =
            |link: &Link| matches!(link.side, Side::Accepted { listener: at, .. } if at == listener);
        let strangers = self.rows.iter().filter(|(_, link)| link.is_stranger() && came_there(link));
        self.acts.extend(strangers.map(|(socket, _)| Act::Close(*socket)));
    }

    /// A connection was begun.
    pub(crate) fn connect(&mut self, socket: SocketId) {
        self.rows.insert(socket, Link::new(self.mutual.connect(), Side::Connected));
    }

    pub(crate) fn has(&self, socket: SocketId) -> bool {
        self.rows.contains_key(&socket)
    }

    /// The socket is closed.
    pub(crate) fn forget(&mut self, socket: SocketId) -> Option<Link> {
        self.handshakes.forget(socket);
        let link = self.rows.remove(&socket)?;
        self.strangers -= usize::from(link.is_stranger());
        Some(link)
    }

    /// When strangers have had their time, in ms.
    pub(crate) fn deadline(&mut self) -> Option<u64> {
        while let Some((until, socket)) = self.waiting.front() {
            if self.rows.get(socket).is_some_and(Link::is_stranger) {
                return Some(*until);
            }
            self.waiting.pop_front();
        }
        None
    }

    /// Whether something is to be done without another event.
    pub(crate) fn is_pending(&self) -> bool {
        self.handshakes.are_waiting()
            || !(self.dirty.is_empty()
                && self.acts.is_empty()
                && self.roomy.is_empty()
                && self.spent.is_empty())
    }

    /// Takes an event, and delivers what comes of it.
    pub(crate) fn on_event(&mut self, now: u64, event: Event<'_>, deliver: &mut impl FnMut(Event<'_>)) {
        if let Event::Accepted { listener, socket, peer } = event
            && self.listeners.contains(&listener)
        {
            return self.accept(now, socket, Side::Accepted { listener, peer });
        }
        let Some(socket) = event.socket().filter(|socket| self.has(*socket)) else { return deliver(event) };
        match event {
            Event::Connected { .. } => self.take(now, socket, &mut [], deliver),
            Event::Received { bytes, .. } => self.received(now, socket, bytes, deliver),
            Event::EndOfStream { .. } => self.cut(now, socket, io::ErrorKind::UnexpectedEof.into(), deliver),
            Event::Failed { error, .. } => self.cut(now, socket, error, deliver),
            Event::Writable { .. } => self.dirty.push(socket),
            other => deliver(other),
        }
    }

    /// Handshakes that waited for this turn.
    pub(crate) fn continue_handshakes(&mut self, now: u64, deliver: &mut impl FnMut(Event<'_>)) {
        self.handshakes.begin_turn();
        while let Some((socket, mut bytes)) = self.handshakes.take_next() {
            self.acts.push(Act::Resume(socket));
            self.received(now, socket, &mut bytes, deliver);
        }
    }

    /// Strangers who have had their time, and what nobody was told yet.
    pub(crate) fn expire(&mut self, now: u64, deliver: &mut impl FnMut(Event<'_>)) {
        while self.deadline().is_some_and(|until| until <= now) {
            self.expel_oldest(now, &"it took too long");
        }
        for (socket, failure) in mem::take(&mut self.spent) {
            self.fail(now, socket, &failure, deliver);
        }
        for socket in self.roomy.drain(..) {
            deliver(Event::Writable { socket });
        }
    }

    /// Encrypts what has room of sends. What is through leaves the list; what there is no room for, too, and is in `short`.
    pub(crate) fn seal(&mut self, sends: &mut Vec<Sealed<'_>>, short: &mut Vec<Short>) {
        sends.retain_mut(|sealed| {
            let socket = sealed.send.socket;
            let Some(link) = self.rows.get_mut(&socket) else { return false };
            if link.is_shut || sealed.taken == sealed.size {
                return false;
            }
            let has_room = link.session.is_open() && !link.has_unsent() && link.stage < Stage::Broken;
            match if has_room { link.seal(sealed.send.slices, sealed.taken, &mut self.plain) } else { Ok(0) }
            {
                Ok(0) => {
                    link.is_short = true;
                    short.push(Short { socket, sent: sealed.taken });
                    false
                }
                Ok(size) => {
                    sealed.taken += size;
                    self.dirty.push(socket);
                    true
                }
                Err(failure) => {
                    self.spent.push((socket, failure));
                    short.push(Short { socket, sent: sealed.taken });
                    false
                }
            }
        });
    }

    /// What is to be sent on a socket now.
    pub(crate) fn unsent(&self, socket: SocketId) -> &[u8] {
        self.rows.get(&socket).map_or(&[], Link::unsent)
    }

    /// Of that, `size` bytes were taken.
    pub(crate) fn on_sent(&mut self, socket: SocketId, size: usize) {
        let Some(link) = self.rows.get_mut(&socket) else { return };
        link.on_sent(size);
        if link.has_unsent() {
            return;
        }
        if link.is_shut {
            self.acts.push(Act::Shutdown(socket));
        }
        if mem::take(&mut link.is_short) && link.stage < Stage::Broken {
            self.roomy.push(socket);
        }
    }

    /// Nothing more will be sent: says so behind what is unsent.
    pub(crate) fn shut_down(&mut self, socket: SocketId) {
        let Some(link) = self.rows.get_mut(&socket) else { return };
        if !mem::replace(&mut link.is_shut, true) {
            link.finish();
            self.dirty.push(socket);
        }
    }

    fn accept(&mut self, now: u64, socket: SocketId, side: Side) {
        if self.strangers == STRANGERS_MAX {
            self.expel_oldest(now, &"too many have not proved that they belong here");
        }
        self.rows.insert(socket, Link::new(self.mutual.accept(), side));
        self.strangers += 1;
        self.waiting.push_back((now + HANDSHAKE_TIMEOUT_MS, socket));
    }

    /// Bytes that came: a handshake waits for its turn.
    fn received(
        &mut self,
        now: u64,
        socket: SocketId,
        bytes: &mut [u8],
        deliver: &mut impl FnMut(Event<'_>),
    ) {
        let Some(link) = self.rows.get(&socket) else { return };
        if link.stage == Stage::Handshaking && self.handshakes.are_enough() {
            self.handshakes.hold(socket, link.session.has_answered(), bytes);
            self.acts.push(Act::Pause(socket));
        } else {
            self.take(now, socket, bytes, deliver);
        }
    }

    fn take(&mut self, now: u64, socket: SocketId, bytes: &mut [u8], deliver: &mut impl FnMut(Event<'_>)) {
        let Some(link) = self.rows.get_mut(&socket).filter(|link| link.stage < Stage::Ended) else { return };
        let was_stranger = link.is_stranger();
        let mut plain = mem::take(&mut self.plain);
        plain.clear();
        let (has_answer, result) = link.receive(bytes, &mut plain);
        if has_answer {
            self.dirty.push(socket);
        }
        if link.stage == Stage::Handshaking {
            let opened = link.session.is_open();
            if opened || has_answer {
                self.handshakes.answered();
            }
            if opened {
                link.stage = Stage::Open;
                self.strangers -= usize::from(was_stranger);
                deliver(link.stands(socket));
            }
        }
        if !plain.is_empty() {
            deliver(Event::Received { socket, bytes: &mut plain });
        }
        self.plain = plain;
        match result {
            Err(failure) => self.fail(now, socket, &failure, deliver),
            Ok(()) if link.session.has_ended() && link.stage == Stage::Open => {
                link.stage = Stage::Ended;
                deliver(Event::EndOfStream { socket });
            }
            Ok(()) => {}
        }
    }

    /// The session is over: what came is no TLS, or not from one of the cluster.
    fn fail(&mut self, now: u64, socket: SocketId, failure: &Failure, deliver: &mut impl FnMut(Event<'_>)) {
        let Some(link) = self.rows.get_mut(&socket) else { return };
        if !link.is_stranger() {
            link.stage = Stage::Broken;
            return deliver(Event::Failed { socket, error: error(failure) });
        }
        if let Failure::NotTls = failure {
            self.refuse(now, socket, None);
            return self.acts.push(Act::Close(socket));
        }
        // The alert says why, if it is not lost with unread bytes.
        link.stage = Stage::Leaving;
        link.is_shut = true;
        self.dirty.push(socket);
        self.refuse(now, socket, Some(failure));
    }

    /// The connection ended, by a FIN or otherwise. Only close_notify says that nothing of what was sent is missing.
    fn cut(&mut self, now: u64, socket: SocketId, error: io::Error, deliver: &mut impl FnMut(Event<'_>)) {
        let Some(link) = self.rows.get_mut(&socket) else { return };
        let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
        if link.is_stranger() {
            if link.session.has_answered() && link.stage == Stage::Handshaking {
                self.refuse(now, socket, Some(&"it went"));
            }
            return self.acts.push(Act::Close(socket));
        }
        let error = match link.stage {
            Stage::Broken => return,
            Stage::Ended if is_end => return,
            Stage::Handshaking if is_end => io::Error::new(io::ErrorKind::InvalidData, ENDED_EARLY),
            _ if is_end => io::Error::new(error.kind(), "it ended without saying so"),
            _ => error,
        };
        link.stage = Stage::Broken;
        deliver(Event::Failed { socket, error });
    }

    fn expel_oldest(&mut self, now: u64, why: &dyn Display) {
        if self.deadline().is_none() {
            return;
        }
        let Some((_, socket)) = self.waiting.pop_front() else { return };
        if self.rows.get(&socket).is_some_and(|link| link.stage == Stage::Handshaking) {
            self.refuse(now, socket, Some(why));
        }
        self.acts.push(Act::Close(socket));
        // Its place is free at once; the ring's is when it has closed the socket.
        if self.forget(socket).is_none() {
            debug_assert!(false, "the deadline is a stranger's");
        }
    }

    /// Counts a stranger that has to go, and says why now and then; `None`: it speaks no TLS.
    fn refuse(&mut self, now: u64, socket: SocketId, why: Option<&dyn Display>) {
        let Some(Link { side: Side::Accepted { peer, .. }, .. }) = self.rows.get(&socket) else { return };
        match why {
            None => {
                self.refused.plain += 1;
                if let Some(unsaid) = self.plain_log.admit(now) {
                    warn!(%peer, unsaid, "closed a program that speaks no TLS: {GIVE_IT}");
                }
            }
            Some(why) => {
                self.refused.failed += 1;
                if let Some(unsaid) = self.failed_log.admit(now) {
                    warn!(%peer, unsaid, "closed a program whose TLS handshake failed: {why}");
                }
            }
        }
    }
}

/// What the failure is to whoever is above.
fn error(failure: &Failure) -> io::Error {
    let why = match failure {
        Failure::NotTls => format!("it speaks no TLS: {GIVE_IT}"),
        failure => format!("TLS: {failure}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, why)
}

const GIVE_IT: &str = "give it --inner-tls-ca, --inner-tls-cert and --inner-tls-key, too";

const ENDED_EARLY: &str = "it ends the connection at the TLS handshake: give it --inner-tls-ca, --inner-tls-cert and --inner-tls-key, too";

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
