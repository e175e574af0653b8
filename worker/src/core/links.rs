//! The table of command links, and the commands that go out on them.

use std::net::SocketAddrV4;

use hashbrown::HashMap;
use protocol::client::Kind;
use protocol::inner::{Cmd, FLAG_BINARY, FLAG_TEXT, FRAME_SIZE_MAX, FRAME_SIZE_MAX_RINGWAY, Frame};
use tracing::{debug, warn};

use super::Core;
use super::backlog::is_behind;
use super::connections::ConnId;
use super::link::Link;

/// Every gateway that is listed by a register or still connected.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// In the order in which they were first listed: broadcasts and queries keep it.
    in_order: Vec<Link>,
    /// Where each is in `in_order`.
    indices: HashMap<SocketAddrV4, usize>,
}

impl Links {
    pub(super) fn find(&self, gateway: SocketAddrV4) -> Option<&Link> {
        self.indices.get(&gateway).map(|index| &self.in_order[*index])
    }

    pub(super) fn find_mut(&mut self, gateway: SocketAddrV4) -> Option<&mut Link> {
        self.indices.get(&gateway).map(|index| &mut self.in_order[*index])
    }

    /// Where a gateway's link is, until one is removed.
    pub(super) fn index(&self, gateway: SocketAddrV4) -> Option<usize> {
        self.indices.get(&gateway).copied()
    }

    pub(super) fn at(&self, index: usize) -> &Link {
        &self.in_order[index]
    }

    pub(super) fn at_mut(&mut self, index: usize) -> &mut Link {
        &mut self.in_order[index]
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddrV4> {
        self.in_order.iter().map(|link| link.address).collect()
    }

    pub(super) fn all(&self) -> &[Link] {
        &self.in_order
    }

    pub(super) fn insert(&mut self, link: Link) {
        self.indices.insert(link.address, self.in_order.len());
        self.in_order.push(link);
    }

    pub(super) fn remove(&mut self, gateway: SocketAddrV4) {
        self.in_order.retain(|link| link.address != gateway);
        self.indices = self.in_order.iter().enumerate().map(|(index, link)| (link.address, index)).collect();
    }
}

/// Why a command was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    NotConnected,
    TooLarge,
}

impl Core {
    /// Every gateway that is listed or still connected, the longest known first.
    pub(crate) fn gateways(&self) -> Vec<SocketAddrV4> {
        let is_there = |link: &&Link| link.listed || link.open().is_some();
        self.links.all().iter().filter(is_there).map(|link| link.address).collect()
    }

    /// The same, and those for which commands are kept.
    pub(crate) fn commanded_gateways(&self) -> Vec<SocketAddrV4> {
        self.links.addresses()
    }

    /// Whether it makes sense to ask this gateway: it is listed, and not known to be away, nor to be silent.
    pub(crate) fn is_reachable(&self, gateway: SocketAddrV4) -> bool {
        self.links.find(gateway).is_some_and(|link| link.answering().is_some() || !link.attempted)
            && !self.is_suspect(gateway)
    }

    /// Whether the gateway has said that it is one of ours.
    pub(crate) fn is_ours(&self, gateway: SocketAddrV4) -> bool {
        self.links.find(gateway).is_some_and(Link::is_ours)
    }

    /// Queues a command for one gateway. `kind` is told to gateways that understand it.
    /// Whether it could be.
    pub(crate) fn command(&mut self, gateway: SocketAddrV4, frame: &Frame<'_>, kind: Kind) -> bool {
        match self.links.index(gateway) {
            Some(index) => self.push(index, frame, kind),
            None => self.dropped(gateway, Refused::NotConnected),
        }
    }

    /// Queues a command for every gateway.
    pub(crate) fn broadcast(&mut self, frame: &Frame<'_>, kind: Kind) {
        for index in 0..self.links.in_order.len() {
            self.push(index, frame, kind);
        }
    }

    fn push(&mut self, index: usize, frame: &Frame<'_>, kind: Kind) -> bool {
        let link = &self.links.in_order[index];
        let own = link.answering().map(|open| open.conn).filter(|conn| self.unsettled.is_of(*conn));
        let Some(conn) = own else { return self.command_elsewhere(index, frame, kind) };
        let gateway = link.address;
        let Some(frame) = marked(frame, kind, link.is_ours()) else {
            return self.dropped(gateway, Refused::TooLarge);
        };
        self.say_command(gateway, conn, &frame);
        self.give_up_fullest_if_too_much();
        true
    }

    /// Queues a command; returns its number on the link.
    pub(super) fn say_command(&mut self, gateway: SocketAddrV4, conn: ConnId, frame: &Frame<'_>) -> u32 {
        let number = self.connections.push_frame(conn, frame);
        self.backlog.add(frame.size());
        self.note_command(gateway, frame);
        number
    }

    /// Notes what was commanded.
    pub(super) fn note_command(&mut self, gateway: SocketAddrV4, frame: &Frame<'_>) {
        self.counters.commands += 1;
        self.counters.messages_out += u64::from(is_message(frame.cmd));
        self.sessions.commanded(gateway, frame);
    }

    /// Queues one of our additions to the wire (WIRE.md §14), however much is queued: there are few of them.
    pub(super) fn say(&mut self, gateway: SocketAddrV4, cmd: Cmd, body: &[u8]) {
        let open = self.links.find(gateway).and_then(Link::open).filter(|open| !open.fenced);
        let Some(open) = open else { return };
        let frame = Frame { body, ..Frame::command(cmd) };
        self.connections.push_frame(open.conn, &frame);
        self.backlog.add(frame.size());
    }

    pub(super) fn dropped(&mut self, gateway: SocketAddrV4, refused: Refused) -> bool {
        self.counters.commands_dropped += 1;
        match refused {
            Refused::NotConnected => debug!(%gateway, "command dropped: not connected"),
            Refused::TooLarge => debug!(%gateway, "command dropped: too large for a frame"),
        }
        false
    }

    /// Gives up the link with the most queued if all together is too much: memory is not without end, and that gateway takes the
    /// least.
    pub(super) fn give_up_fullest_if_too_much(&mut self) {
        if !self.backlog.is_too_much() {
            return;
        }
        let fullest = self.links.in_order.iter().max_by_key(|link| self.queued(link));
        let Some(link) = fullest.filter(|link| link.open().is_some()) else { return };
        let (gateway, queued, all) = (link.address, self.queued(link), self.backlog.bytes());
        self.counters.links_overfull += 1;
        warn!(
            %gateway, core = self.index, queued, all,
            "too much is queued for gateways, giving up the one that takes the least, and what it was to be told"
        );
        self.link_overfull(gateway);
    }

    /// Bytes that wait to be sent on a link.
    pub(super) fn queued(&self, link: &Link) -> usize {
        link.open().map_or(0, |open| self.connections.queued(open.conn))
    }

    /// Whether a gateway takes too little for its clients' events to be started. Not one that is gone: what its clients'
    /// handlers say to others is still of use.
    pub(super) fn is_behind(&self, gateway: SocketAddrV4) -> bool {
        let bytes_max = self.config.send_to_gateway_buffer_size;
        // Where all together is little, one is: the usual case needs no look-up.
        is_behind(self.backlog.bytes(), bytes_max)
            && self.links.find(gateway).is_some_and(|link| is_behind(self.queued(link), bytes_max))
    }

    /// A mark of all that is queued now for a gateway, for [`Core::is_flushed`]. `None`: there is no such gateway.
    pub(crate) fn mark(&self, gateway: SocketAddrV4) -> Option<Mark> {
        let open = self.links.find(gateway)?.open();
        Some(Mark(open.map(|open| (open.conn, self.connections.end(open.conn)))))
    }

    /// Whether all that was queued at the mark was sent, or is lost.
    pub(crate) fn is_flushed(&self, mark: Mark) -> bool {
        mark.0.is_none_or(|(conn, end)| self.connections.is_past(conn, end))
    }
}

/// How far a link's outbox was filled at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(Option<(ConnId, u64)>);

/// A command as its gateway is told it; `is_ours`: it understands `kind`, and takes larger ones. `None`: it is too large.
pub(super) fn marked<'a>(frame: &Frame<'a>, kind: Kind, is_ours: bool) -> Option<Frame<'a>> {
    let (size_max, kind_flag) = match is_ours {
        true => (FRAME_SIZE_MAX_RINGWAY, kind_flag(kind)),
        false => (FRAME_SIZE_MAX, 0),
    };
    (frame.size() <= size_max).then_some(Frame { flag: frame.flag | kind_flag, ..*frame })
}

/// Whether a command brings clients a message.
fn is_message(cmd: u8) -> bool {
    use Cmd::{SendToAll, SendToGroup, SendToOne, SendToUid};
    matches!(Cmd::from_u8(cmd), Some(SendToOne | SendToAll | SendToUid | SendToGroup))
}

fn kind_flag(kind: Kind) -> u8 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Text => FLAG_TEXT,
        Kind::Binary => FLAG_BINARY,
    }
}
