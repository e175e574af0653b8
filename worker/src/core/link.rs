//! The command link to one gateway shard: what is known of the gateway, of the connection, and what follows for the next one.

use std::net::SocketAddrV4;
use std::time::Duration;

use protocol::inner::{self, Cmd, Frame};
use protocol::pulse::{LOOK_PERIOD_MS, Pulse, Sign};

use super::connections::{ConnId, Connections, Inbox};
use super::kept::Kept;
use super::reconnect::Reconnect;
use crate::config::{
    CONNECT_TIMEOUT, ESTABLISHED_AGE, HELLO_TIMEOUT, PROOF_TIMEOUT, SHORT_LINK_AGE, TAKEN_LINK_AGE,
};

/// The command link to one gateway shard, connected or not.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddrV4,
    /// In the last list of some register.
    pub(super) listed: bool,
    /// The first attempt has ended, well or not: the link was taken, or will not be at once.
    pub(super) attempted: bool,
    /// The gateway at this address has said that it is one of ours, since it was last new in a list.
    was_ours: bool,
    /// The gateway takes connections and says nothing, as one does whose process is stopped: not asked, and told nothing,
    /// until it speaks.
    mute: bool,
    /// Listed anew since it was last connected to.
    relisted: bool,
    pub(super) reconnect: Reconnect,
    /// What was commanded and its gateway has not taken, if it is one that says what it has taken.
    pub(super) kept: Option<Box<Kept>>,
    pub(super) state: State,
}

/// How far the connection is.
#[derive(Debug)]
pub(super) enum State {
    /// There is none until then.
    Away {
        retry_at: Duration,
    },
    Connecting {
        conn: ConnId,
        give_up_at: Duration,
    },
    Open(Box<Open>),
}

/// A connection that stands.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) conn: ConnId,
    pub(super) inbox: Inbox,
    pulse: Pulse,
    next_look: Duration,
    /// Looks since the connection stands, so seconds of its age; a time in which the core was held up is one.
    looks: u64,
    /// Looks since something was last heard, or might have been.
    unheard_looks: u8,
    /// The gateway is a Ringway one: it knows text from binary (WIRE.md §14).
    is_ours: bool,
    /// The last DRAIN that the gateway has answered; 0: none.
    pub(super) drained: u32,
    /// The gateway has taken this link: it is one of ours and said so, or has kept it for a while.
    pub(super) up: bool,
    pub(super) in_front: InFront,
    /// Nothing more is read nor said: what is queued goes out, and our FIN.
    pub(super) fenced: bool,
    /// Why the gateway does not take this link, if it has said so.
    pub(super) refused: Option<inner::Refused>,
    /// Not read at the moment, so what the gateway says cannot be heard.
    pub(super) paused: bool,
    /// Bytes received.
    pub(super) received: u64,
}

/// What the gateway has said of the next event.
#[derive(Debug, Default)]
pub(super) struct InFront {
    /// It was sent before, perhaps to another worker.
    pub(super) repeat: Option<inner::Repeat>,
    /// Where its client comes from, by IPv6.
    pub(super) client: Option<inner::ClientAddress>,
}

impl InFront {
    pub(super) fn read(&mut self, frame: &Frame<'_>) {
        match Cmd::from_u8(frame.cmd) {
            Some(Cmd::Repeat) => self.repeat = inner::Repeat::decode(frame.body),
            Some(Cmd::ClientAddress) => self.client = inner::ClientAddress::decode(frame.body),
            _ => {}
        }
    }
}

/// What its end says about the next connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The gateway closed it soon.
    Short,
    Lasted,
    /// The gateway fell silent, or said nothing.
    Mute,
}

/// What a look at a connection shows, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Seen {
    /// It was not refused for so long that it was taken.
    pub(super) taken: bool,
    /// It has stood so long that another worker of the name must be the newer one.
    pub(super) established: bool,
    /// It has said something, and not that it is one of ours.
    pub(super) stranger: bool,
    /// A ping is due.
    pub(super) ping: bool,
    /// It is of no use: why.
    pub(super) dead: Option<&'static str>,
}

impl Link {
    pub(super) fn new(address: SocketAddrV4, now: Duration) -> Link {
        Link {
            address,
            listed: true,
            attempted: false,
            was_ours: false,
            mute: false,
            relisted: false,
            reconnect: Reconnect::default(),
            kept: None,
            state: State::Away { retry_at: now },
        }
    }

    pub(super) fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    /// The connection, if there is one, or will perhaps be.
    pub(super) fn conn(&self) -> Option<ConnId> {
        match &self.state {
            State::Away { .. } => None,
            State::Connecting { conn, .. } => Some(*conn),
            State::Open(open) => Some(open.conn),
        }
    }

    /// When it is to be looked at.
    pub(super) fn due(&self) -> Duration {
        match &self.state {
            State::Away { retry_at } => *retry_at,
            State::Connecting { give_up_at, .. } => *give_up_at,
            State::Open(open) => open.next_look,
        }
    }

    /// Whether it leads to a gateway of ours.
    pub(super) fn is_ours(&self) -> bool {
        self.open().is_some_and(|open| open.is_ours)
    }

    /// The connection on which the gateway can be told something, unless something speaks against that it would hear it.
    pub(super) fn answering(&self) -> Option<&Open> {
        self.open().filter(|open| !self.mute && !open.fenced)
    }

    /// Whether it led to one, since the gateway was last new in a list.
    pub(super) fn was_ours(&self) -> bool {
        self.was_ours
    }

    /// Whether the gateway may say on this connection that it is one of ours, which would be the first that it says: one that was
    /// ours, or that may have to be told what is kept for it, at any time, another one soon.
    pub(super) fn may_greet(&self) -> bool {
        let is_expected = |open: &Open| self.was_ours || self.kept.is_some() || !open.up;
        self.open().is_some_and(|open| !open.is_ours && open.may_greet() && is_expected(open))
    }

    /// Whether it was heard within the time in which a gateway of ours always says something.
    pub(super) fn is_heard(&self) -> bool {
        self.open().is_some_and(|open| open.is_ours && open.unheard_looks < HEARD_LOOKS)
    }

    /// The place behind the last of what was commanded there, if anything can be.
    pub(super) fn commanded(&self, connections: &Connections) -> Option<u64> {
        match &self.kept {
            Some(kept) => Some(kept.count()),
            None => self.open().map(|open| connections.end(open.conn)),
        }
    }

    /// Up to which place its gateway has got that, or never will.
    pub(super) fn settled(&self, connections: &Connections) -> u64 {
        match (&self.kept, self.open()) {
            (Some(kept), _) => kept.settled(),
            (None, Some(open)) => connections.gone(open.conn),
            (None, None) => u64::MAX,
        }
    }

    /// Whether its gateway has said that it has taken all, as far as it can.
    pub(super) fn are_all_taken(&self) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.len() == 0 || kept.is_away())
    }

    /// An attempt begins.
    pub(super) fn connecting(&mut self, conn: ConnId, now: Duration) {
        self.state = State::Connecting { conn, give_up_at: now + CONNECT_TIMEOUT };
    }

    /// It stands, and both ends are to prove that they know the key.
    pub(super) fn proving(&mut self, conn: ConnId, now: Duration) {
        self.state = State::Connecting { conn, give_up_at: now + PROOF_TIMEOUT };
    }

    /// The connection stands.
    pub(super) fn opened(&mut self, conn: ConnId, now: Duration) {
        self.relisted = false;
        self.state = State::Open(Box::new(Open {
            conn,
            inbox: Inbox::default(),
            pulse: Pulse::default(),
            next_look: now + LOOK_PERIOD,
            looks: 0,
            unheard_looks: 0,
            is_ours: false,
            drained: 0,
            up: false,
            in_front: InFront::default(),
            fenced: false,
            refused: None,
            paused: false,
            received: 0,
        }));
    }

    /// The connection has ended, or could not be had. Whether to connect again at once: the gateway was listed anew meanwhile.
    pub(super) fn closed(&mut self, now: Duration) -> bool {
        self.state = State::Away { retry_at: now + self.reconnect.delay() };
        let at_once = std::mem::take(&mut self.relisted);
        if at_once {
            self.reconnect.relisted();
        }
        at_once
    }

    /// The gateway is one of ours: it gets text told from binary, and pings.
    pub(super) fn greeted(&mut self) {
        self.was_ours = true;
        if let Some(open) = self.open_mut() {
            open.is_ours = true;
            open.pulse.begin();
        }
    }

    /// The gateway takes connections, or has one, and says nothing.
    pub(super) fn set_mute(&mut self) {
        self.mute = true;
        // A list from before tells nothing.
        self.relisted = false;
    }

    /// Bytes came. Whether that ends a time in which it said nothing.
    pub(super) fn heard(&mut self, size: usize) -> bool {
        if let Some(open) = self.open_mut() {
            open.pulse.heard();
            open.unheard_looks = 0;
            open.received += size as u64;
        }
        std::mem::take(&mut self.mute)
    }

    /// A register has just listed the gateway, perhaps because it has started again: then there is no use in waiting. One
    /// that says nothing has not, unless it is new in the list; then it may also be another. Whether to connect now.
    pub(super) fn relist(&mut self, new: bool) -> bool {
        if new {
            self.mute = false;
            self.was_ours = self.is_ours();
        } else if self.mute {
            return false;
        }
        if matches!(self.state, State::Away { .. }) {
            self.reconnect.relisted();
            return true;
        }
        self.relisted = true;
        false
    }

    /// Looks at a connection that stands; to be called when it is due.
    pub(super) fn look(&mut self, queued: bool, now: Duration) -> Seen {
        let (was_ours, is_remote) = (self.was_ours, !self.address.ip().is_loopback());
        let Some(open) = self.open_mut() else { return Seen::default() };
        open.next_look = now + LOOK_PERIOD;
        open.looks += 1;
        open.unheard_looks = open.unheard_looks.saturating_add(1);
        // It has to say that it is one of ours, and has not, though it has had time: not if it has said anything else, as a
        // gateway of PHP's does in its place.
        let owes_hello = was_ours && !open.is_ours && open.received == 0;
        let mut seen = Seen::default();
        if open.is_aged(HELLO_TIMEOUT) && owes_hello && !open.paused && open.unheard_looks >= LISTENED_LOOKS {
            seen.dead = Some(MUTE);
            return seen;
        }
        seen.taken = open.is_aged(TAKEN_LINK_AGE) && !owes_hello;
        // One of ours says that first.
        seen.stranger = !open.is_ours && !open.may_greet();
        seen.established = open.is_aged(ESTABLISHED_AGE);
        if open.paused {
            open.pulse.heard();
            open.unheard_looks = 0;
        }
        match open.pulse.look(queued) {
            Sign::Ping => seen.ping = true,
            // Every gateway of another machine pings every 25 s (WIRE.md §4): this one was gone before it could.
            Sign::Unheard if is_remote => seen.dead = Some(SILENT),
            Sign::Silent => seen.dead = Some(SILENT),
            // On this machine it cannot die unnoticed.
            Sign::Well | Sign::Unheard => {}
        }
        if open.received > 0 && !open.is_ours {
            self.was_ours = false;
        }
        seen
    }
}

impl Open {
    /// What an end now says.
    pub(super) fn fate(&self) -> Fate {
        if self.is_aged(SHORT_LINK_AGE) { Fate::Lasted } else { Fate::Short }
    }

    /// The gateway pings, so it will again.
    pub(super) fn pinged(&mut self) {
        self.pulse.pinged();
    }

    /// The same of PHP's ping, which gateways of ours send too.
    pub(super) fn php_pinged(&mut self) {
        self.pulse.php_pinged();
    }

    /// Whether it has said nothing whole yet: one of ours says first whether it keeps to windows, and is read for that.
    pub(super) fn may_greet(&self) -> bool {
        self.received == self.inbox.part_size() as u64
    }

    /// Bytes went out.
    pub(super) fn said(&mut self) {
        self.pulse.said();
    }

    /// Whether it has stood this long.
    fn is_aged(&self, age: Duration) -> bool {
        LOOK_PERIOD.saturating_mul(u32::try_from(self.looks).unwrap_or(u32::MAX)) >= age
    }
}

/// Why one ends whose gateway is stopped.
pub(super) const MUTE: &str = "it takes connections and says nothing";

/// Why a connection ends whose gateway pinged, or should have, and does not.
pub(super) const SILENT: &str = "it does not ping any more";

const LOOK_PERIOD: Duration = Duration::from_millis(LOOK_PERIOD_MS);

/// A gateway of ours says something every 2 s.
const HEARD_LOOKS: u8 = 4;

/// A whole period lies between two looks.
const LISTENED_LOOKS: u8 = 2;
