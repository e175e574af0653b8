//! Connections to gateways on which both ends prove that they know the secret key, before anything else is said (WIRE.md §14).

use std::io;
use std::net::SocketAddrV4;

use hashbrown::HashMap;
use protocol::InnerAuth;
use protocol::inner::{Cmd, Dialler, Frame, FrameError, Hello, NotProven, Refused, Scope, Step};
use tracing::{debug, warn};

use super::announced::Trouble;
use super::connections::{ConnId, Inbox, Purpose};
use super::link::{Fate, MUTE};
use super::{Core, encode};

/// Those that stand, and on which the gateway has not proven itself yet.
#[derive(Debug, Default)]
pub(super) struct Proofs(HashMap<ConnId, Proof>);

#[derive(Debug)]
struct Proof {
    dialler: Dialler,
    inbox: Inbox,
}

/// What a connection to a gateway is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aim {
    Link,
    Queries,
}

impl Aim {
    fn purpose(self, gateway: SocketAddrV4) -> Purpose {
        match self {
            Aim::Link => Purpose::Link(gateway),
            Aim::Queries => Purpose::Queries(gateway),
        }
    }
}

impl Proofs {
    /// Whether a connection stands, and its gateway has asked for no proof.
    pub(super) fn is_unasked(&self, conn: ConnId) -> bool {
        self.0.get(&conn).is_some_and(|proof| !proof.dialler.was_asked())
    }

    pub(super) fn end(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }
}

impl Proof {
    /// What follows from what came.
    fn take(&mut self, key: &str, gateway: SocketAddrV4, bytes: &[u8]) -> Result<Option<Step>, Trouble> {
        let Proof { dialler, inbox } = self;
        let mut step = Ok(None);
        let fed = inbox.feed(bytes, |frame| {
            step = match step {
                Ok(None) => next(dialler, key, gateway, frame).map(Some),
                // It has to wait for what we say.
                Ok(Some(_)) => Err(Trouble::NotProven),
                Err(trouble) => Err(trouble),
            };
        });
        match fed {
            Ok(()) => step,
            Err(FrameError) if dialler.was_asked() => Err(Trouble::NotProven),
            Err(FrameError) => Err(Trouble::Unasked),
        }
    }
}

fn next(dialler: &mut Dialler, key: &str, gateway: SocketAddrV4, frame: &Frame<'_>) -> Result<Step, Trouble> {
    let was_asked = dialler.was_asked();
    match Cmd::from_u8(frame.cmd) {
        Some(Cmd::Challenge) => {
            dialler.take(key, Scope::Gateway(gateway), frame.body).map_err(|why| match why {
                NotProven::OutOfOrder if !was_asked => Trouble::Unasked,
                NotProven::OutOfOrder | NotProven::WrongKey => Trouble::NotProven,
            })
        }
        Some(Cmd::RingwayHello) if was_asked => {
            let refused = Hello::decode(frame.body).and_then(|hello| hello.refused);
            Err(refused.map_or(Trouble::NotProven, Trouble::Refused))
        }
        _ if was_asked => Err(Trouble::NotProven),
        _ => Err(Trouble::Unasked),
    }
}

impl Core {
    /// Opens a connection to a gateway, on which the key is proven first, if that is wanted.
    pub(super) fn dial(&mut self, gateway: SocketAddrV4, aim: Aim) -> ConnId {
        let purpose = match self.config.inner_auth {
            InnerAuth::Plain => aim.purpose(gateway),
            InnerAuth::Challenge => Purpose::Unproven(gateway, aim),
        };
        self.connect(purpose, gateway)
    }

    /// It stands.
    pub(super) fn proof_begins(&mut self, gateway: SocketAddrV4, aim: Aim, conn: ConnId) {
        let dialler = Dialler::new(self.announced.nonces().draw());
        self.proofs.0.insert(conn, Proof { dialler, inbox: Inbox::default() });
        match aim {
            Aim::Link => self.link_proving(gateway, conn),
            Aim::Queries => self.queries_proving(gateway),
        }
    }

    /// Bytes came before the gateway has proven itself.
    pub(super) fn proof_received(&mut self, gateway: SocketAddrV4, aim: Aim, conn: ConnId, bytes: &[u8]) {
        let Some(proof) = self.proofs.0.get_mut(&conn) else { return };
        match proof.take(&self.config.secret_key, gateway, bytes) {
            Ok(None) => {}
            Ok(Some(Step::Answer(answer))) => {
                let answer = encode(Cmd::Challenge, &answer);
                self.connections.tail(conn).extend_from_slice(&answer);
            }
            Ok(Some(Step::Proven)) => {
                self.proofs.end(conn);
                self.connections.set_purpose(conn, aim.purpose(gateway));
                match aim {
                    Aim::Link => self.link_opened(gateway, conn),
                    Aim::Queries => self.queries_opened(gateway),
                }
            }
            Err(trouble) => self.unproven(gateway, aim, trouble),
        }
    }

    /// It ended before that, or could not be had.
    pub(super) fn proof_ended(&mut self, gateway: SocketAddrV4, aim: Aim, error: io::Error) {
        match aim {
            Aim::Link => self.link_ended(gateway, error),
            Aim::Queries => self.queries_ended(gateway, &error),
        }
    }

    /// A gateway asks for a proof, and the key is to be said here.
    pub(super) fn link_asked(&mut self, gateway: SocketAddrV4) {
        self.turned_away(gateway, Trouble::Asks);
    }

    /// A connection stands, and its gateway says nothing: it is stopped, or would have the key said.
    pub(super) fn link_unasked(&mut self, gateway: SocketAddrV4) {
        let Some(link) = self.links.find_mut(gateway) else { return };
        link.set_mute();
        if !link.was_ours() {
            return self.turned_away(gateway, Trouble::Unasked);
        }
        link.reconnect.mute();
        self.link_lost(gateway);
        let why = io::Error::new(io::ErrorKind::TimedOut, MUTE);
        self.tell_lost(gateway, &why, Fate::Mute, false, false);
    }

    fn unproven(&mut self, gateway: SocketAddrV4, aim: Aim, trouble: Trouble) {
        match aim {
            Aim::Link => self.turned_away(gateway, trouble),
            Aim::Queries => {
                let error = io::Error::new(io::ErrorKind::PermissionDenied, "no proof of the secret key");
                self.queries_ended(gateway, &error);
            }
        }
    }

    /// Ends a link that is not to be had before an operator has changed something.
    fn turned_away(&mut self, gateway: SocketAddrV4, trouble: Trouble) {
        let now = self.now;
        let Some(link) = self.links.find_mut(gateway) else { return };
        link.reconnect.refused(Refused::Key, now);
        self.link_lost(gateway);
        if !self.announced.is_new_trouble(gateway, trouble) {
            return debug!(%gateway, core = self.index, "turned away again: {trouble:?}");
        }
        match trouble {
            Trouble::Asks => warn!(
                %gateway,
                "the gateway wants the secret key to be proven, not said: set --inner-auth challenge here, too; trying less often"
            ),
            Trouble::Unasked => warn!(
                %gateway,
                "the gateway does not ask for a proof of the secret key: set --inner-auth challenge there, too; trying less often"
            ),
            Trouble::Refused(_) => warn!(
                %gateway,
                "the gateway refuses the secret key: give both the same --secret-key; trying less often"
            ),
            _ => warn!(
                %gateway,
                "the gateway does not prove that it knows the secret key: is it one of this cluster? trying less often"
            ),
        }
    }
}
