//! The table of command links: every gateway that is listed by a register or still connected.

use std::cell::RefCell;
use std::net::SocketAddrV4;
use std::rc::Rc;

use hashbrown::HashMap;
use protocol::client::Kind;
use protocol::inner::{Cmd, Frame};
use tracing::{debug, warn};

use super::Core;
use super::backlog::is_behind;
use super::link::{Link, Refused};

/// Every gateway that is listed by a register or still connected.
#[derive(Debug, Default)]
pub(crate) struct Links {
    by_address: RefCell<HashMap<SocketAddrV4, Rc<Link>>>,
    /// In the order in which they were first listed: broadcasts and queries keep it.
    in_order: RefCell<Vec<Rc<Link>>>,
}

impl Links {
    pub(crate) fn find(&self, gateway: SocketAddrV4) -> Option<Rc<Link>> {
        self.by_address.borrow().get(&gateway).cloned()
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddrV4> {
        self.in_order.borrow().iter().map(|link| link.address()).collect()
    }

    pub(super) fn all(&self) -> Vec<Rc<Link>> {
        self.in_order.borrow().clone()
    }

    pub(super) fn connected_count(&self) -> usize {
        self.in_order.borrow().iter().filter(|link| link.is_connected()).count()
    }

    pub(super) fn insert(&self, link: Rc<Link>) {
        self.by_address.borrow_mut().insert(link.address(), Rc::clone(&link));
        self.in_order.borrow_mut().push(link);
    }

    pub(super) fn remove(&self, gateway: SocketAddrV4) {
        self.by_address.borrow_mut().remove(&gateway);
        self.in_order.borrow_mut().retain(|link| link.address() != gateway);
    }
}

impl Core {
    /// Whether it makes sense to ask this gateway: it is listed, and not known to be away, nor to be silent.
    pub(crate) fn is_reachable(&self, gateway: SocketAddrV4) -> bool {
        self.links.find(gateway).is_some_and(|link| link.is_answering() || !link.attempted.get())
            && !self.query_links.is_suspect(gateway)
    }

    /// Whether the gateway has said that it is one of ours.
    pub(crate) fn is_ours(&self, gateway: SocketAddrV4) -> bool {
        self.links.find(gateway).is_some_and(|link| link.is_extended())
    }

    /// Queues a command for one gateway.
    pub(crate) fn command(&self, gateway: SocketAddrV4, frame: &Frame<'_>, kind: Kind) {
        let links = self.links.by_address.borrow();
        match links.get(&gateway) {
            Some(link) => self.push(link, frame, kind),
            None => self.dropped(gateway, Refused::NotConnected),
        }
    }

    /// Queues a command for every gateway.
    pub(crate) fn broadcast(&self, frame: &Frame<'_>, kind: Kind) {
        for link in self.links.in_order.borrow().iter() {
            self.push(link, frame, kind);
        }
    }

    fn push(&self, link: &Link, frame: &Frame<'_>, kind: Kind) {
        match link.push(frame, kind) {
            Ok(()) => {
                self.count(|counters| {
                    counters.commands += 1;
                    counters.messages_out += u64::from(is_message(frame.cmd));
                });
                self.sessions.commanded(link.address(), frame);
                if self.backlog.is_too_much() {
                    self.give_up_fullest();
                }
            }
            Err(refused) => self.dropped(link.address(), refused),
        }
    }

    fn dropped(&self, gateway: SocketAddrV4, refused: Refused) {
        self.count(|counters| counters.commands_dropped += 1);
        match refused {
            Refused::NotConnected => debug!(%gateway, "command dropped: not connected"),
            Refused::TooLarge => debug!(%gateway, "command dropped: too large for a frame"),
        }
    }

    /// Gives up the link with the most queued: memory is not without end, and that gateway takes the least.
    fn give_up_fullest(&self) {
        let links = self.links.in_order.borrow();
        let Some(link) = links.iter().filter(|link| link.is_connected()).max_by_key(|link| link.queued())
        else {
            return;
        };
        let (gateway, queued) = (link.address(), link.queued());
        self.count(|counters| counters.links_overfull += 1);
        warn!(
            %gateway, core = self.index, queued, all = self.backlog.bytes(),
            "too much is queued for gateways, giving up the one that takes the least, and what it was to be told"
        );
        link.give_up();
    }

    /// Whether a gateway takes too little for its clients' events to be started. Not one that is gone: what its clients'
    /// handlers say to others is still of use.
    pub(super) fn is_behind(&self, gateway: SocketAddrV4) -> bool {
        let bytes_max = self.config.send_to_gateway_buffer_size;
        // Where all together is little, one is: the usual case needs no look-up.
        is_behind(self.backlog.bytes(), bytes_max)
            && self
                .links
                .by_address
                .borrow()
                .get(&gateway)
                .is_some_and(|link| is_behind(link.queued(), bytes_max))
    }
}

/// Whether a command brings clients a message.
fn is_message(cmd: u8) -> bool {
    use Cmd::{SendToAll, SendToGroup, SendToOne, SendToUid};
    matches!(Cmd::from_u8(cmd), Some(SendToOne | SendToAll | SendToUid | SendToGroup))
}
