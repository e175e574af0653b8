//! One client, as the shard holds it.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use protocol::client::{Kind, Limits};
use protocol::inner::ClientAddress;
use uring::SocketId;

use crate::config::HELD_SIZE_MAX;
use crate::shard::clients::codec::AnyCodec;
use crate::shard::clients::directory::Membership;
use crate::shard::clients::share::Spent;
use crate::shard::links::workers::WorkerId;
use crate::shard::output::Outbound;

/// A client's whole state: plain data, a few cache lines while idle.
///
/// Invariants: `rest` is empty unless a unit is unfinished or `reading` is stalled; a closing client is not decoded any
/// more and goes once its queue is empty.
#[expect(
    clippy::box_collection,
    reason = "an idle client has none of these, and a million idle clients pay for their size"
)]
pub(crate) struct Client {
    pub socket: SocketId,
    /// Order of acceptance within the shard.
    pub accepted: u64,
    pub connection_id: u32,
    pub peer: Peer,
    /// Index into the settings' `listen`.
    pub listener: u8,
    /// What a message is to this client when its sender did not say.
    pub kind: Kind,
    pub codec: AnyCodec,
    /// Input that is not decoded yet.
    pub rest: Rest,
    pub out: Outbound,
    /// Encoded messages for after the handshake.
    pub held: Option<Box<Vec<u8>>>,
    pub uid: Option<Membership>,
    /// `None`: was never in a group; the difference shows in SELECT (WIRE.md §5).
    pub groups: Option<Box<Vec<Membership>>>,
    /// As last set by a worker; opaque.
    pub session: Box<[u8]>,
    pub worker: Option<WorkerId>,
    /// The heartbeat's counter (WIRE.md §11).
    pub silence: i32,
    pub reading: Reading,
    /// What its events in flight take of its share; below twice that.
    pub in_flight: u8,
    pub spent: Spent,
    /// A worker has been told of this client and is to be told of its end.
    pub announced: bool,
    pub closing: bool,
    /// The peer has sent its FIN while stalled; what it sent before is still to be decoded.
    pub ended: bool,
}

/// Whether a client's input is decoded as it comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    Flowing,
    /// Waits in `rest` and in the kernel until its worker takes events.
    Stalled,
    /// The same until there is a worker; `--no-worker-wait` bounds that.
    NoWorker,
    /// The same until its worker has done some of its events.
    OwnEvents,
    /// The same until the next period (`share.rs`).
    Share,
    /// The same until it may send more (`rates.rs`).
    Rate,
}

impl Client {
    /// The kind in which a message of this kind goes to this client.
    pub(crate) fn kind_of(&self, message: Kind) -> Kind {
        if message == Kind::Unspecified { self.kind } else { message }
    }

    /// Whether it is not read.
    pub(crate) fn is_stalled(&self) -> bool {
        self.reading != Reading::Flowing
    }

    /// Whether it takes one more message: it is not closing, nor are this many bytes queued for it.
    pub(crate) fn takes_message(&self, queued_max: usize) -> bool {
        let held = self.held.as_ref().map_or(0, |held| held.len());
        !self.closing && held < HELD_SIZE_MAX && self.out.queue.len() + held < queued_max
    }

    /// Bytes from a client that is closed and not forgotten yet: only its answer to our close frame counts.
    pub(crate) fn closing_received(&mut self, limits: &Limits, bytes: &mut [u8]) {
        if self.codec.awaits_close() {
            self.codec.decode(limits, bytes, &mut Vec::new());
        }
    }

    /// Bytes of its input that are held.
    pub(crate) fn input_size(&self) -> usize {
        self.rest.len() + self.codec.kept_size()
    }

    /// The client's groups, in order of joining.
    pub(crate) fn groups(&self) -> &[Membership] {
        self.groups.as_deref().map_or(&[], Vec::as_slice)
    }
}

/// A client's address, in half of a [`SocketAddr`]'s size unless it is IPv6. One of IPv4 that stands in one of IPv6 is IPv4.
#[derive(Clone)]
pub(crate) enum Peer {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl Peer {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Peer::V4(address) => (*address).into(),
            Peer::V6(address) => (**address).into(),
        }
    }

    /// The address as a frame has it: zeros for IPv6 (WIRE.md §3).
    pub(crate) fn v4(&self) -> SocketAddrV4 {
        match self {
            Peer::V4(address) => *address,
            Peer::V6(_) => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
        }
    }

    /// Appends the frame that says an IPv6 address, for which the event's own has no room (WIRE.md §14).
    #[cold]
    pub(crate) fn encode_v6(&self, connection_id: u32, out: &mut Vec<u8>) {
        if let Peer::V6(address) = self {
            ClientAddress::from(**address).encode_frame(connection_id, out);
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        match address {
            SocketAddr::V4(address) => Peer::V4(address),
            SocketAddr::V6(address) => match address.ip().to_ipv4_mapped() {
                Some(ip) => Peer::V4(SocketAddrV4::new(ip, address.port())),
                None => Peer::V6(Box::new(address)),
            },
        }
    }
}

/// Input that waits; costs one pointer while there is none.
#[derive(Default)]
#[expect(
    clippy::box_collection,
    reason = "an idle client has none, and a million idle clients pay for its size"
)]
pub(crate) struct Rest(Option<Box<Vec<u8>>>);

impl Rest {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |rest| rest.len())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &u8> {
        self.0.iter().flat_map(|rest| rest.iter())
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.get_or_insert_default().extend_from_slice(bytes);
        }
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.take().map_or_else(Vec::new, |rest| *rest)
    }

    /// Puts back what [`Rest::take`] gave, less `consumed` bytes at its front. The buffer that a large message has grown
    /// is not kept for the beginning of the next.
    pub(crate) fn put_back(&mut self, mut rest: Vec<u8>, consumed: usize) {
        debug_assert!(self.is_empty());
        if consumed < rest.len() {
            rest.drain(..consumed);
            if rest.capacity() > REST_KEPT_MAX && rest.len() < rest.capacity() / 4 {
                rest.shrink_to_fit();
            }
            self.0 = Some(Box::new(rest));
        }
    }
}

/// A buffer for a client's input that is larger than this, in bytes, and mostly empty, is given back.
const REST_KEPT_MAX: usize = 64 * 1024;

/// An idle client's row. A million clients pay for every byte: what makes it larger has to be worth that.
const _: () = assert!(size_of::<Option<Client>>() <= 144);
