//! One inner connection: a worker's, or one for queries.

use std::collections::VecDeque;
use std::net::SocketAddr;

use protocol::inner::{Acceptor, FRAME_SIZE_MAX, FRAME_SIZE_MAX_RINGWAY, Frame, Run};
use protocol::pulse::Pulse;
use uring::SocketId;

use super::LinkId;
use super::drain::Drain;
use super::in_flight::InFlight;
use super::receipts::Taken;
use super::workers::WorkerId;
use crate::config::UNAUTHORIZED_FRAME_SIZE_MAX;
use crate::shard::answers::on_link::Answers;
use crate::shard::notices::Gone;
use crate::shard::output::{Outbound, Output};

/// An inner connection. It is a worker's link once it has said WORKER_CONNECT; others only ask and command.
pub(crate) struct Link {
    pub id: LinkId,
    pub peer: SocketAddr,
    /// The peer is in the shard's own thread.
    pub is_guest: bool,
    /// Said the secret key, or none is set.
    pub authorized: bool,
    /// Is to prove it first.
    pub acceptor: Option<Box<Acceptor>>,
    pub worker: Option<WorkerId>,
    /// Understands our additions to the wire (docs/WIRE.md §14).
    pub ringway: bool,
    /// Its worker answers websocket handshakes.
    pub answers_handshakes: bool,
    /// Which start of the worker it is, if it said so.
    pub run: Option<Run>,
    /// It was told why it is not taken: our FIN follows, nothing of it is served.
    pub refused: bool,
    /// Why it goes, once it does.
    pub gone: Gone,
    /// The start of a frame that is not whole, or everything since `stalled`.
    pub rest: Vec<u8>,
    pub out: Outbound,
    /// Whether the peer is alive.
    pub pulse: Pulse,
    /// Does not read its replies: no frame is served until it does.
    pub stalled: bool,
    /// Its fan-out waits for room, or what it asked is not answered yet: no frame is served until that is done.
    pub busy: bool,
    /// The peer has sent its FIN; goes once its queue is empty.
    pub closing: bool,
    /// The gateway ends: our FIN follows what is queued.
    pub leaving: bool,
    /// It has followed.
    pub shut: bool,
    /// The worker takes no more events.
    pub drain: Option<Box<Drain>>,
    /// Nothing has been heard of a worker that pings, but no other would take its clients: they are not read.
    pub silent: bool,
    /// Events that the worker has not done, if it says so (WIRE.md §14).
    pub in_flight: Option<InFlight>,
    /// What of its frames was taken.
    pub taken: Taken,
    /// Clients that are not read because `out` or the worker's window is full, or because of `drain` or `silent`, or because
    /// others' events that lost links had not taken go first.
    pub stalled_clients: VecDeque<SocketId>,
    /// Departed clients whose last events wait for the same reasons, by connection id.
    pub departed: VecDeque<u32>,
    /// Answers that are not queued yet.
    pub answers: Answers,
}

impl Link {
    /// Whether its frames wait.
    pub(crate) fn is_held_up(&self) -> bool {
        self.stalled || self.busy
    }

    /// Whether anything but its own sends depends on its queue. Of clients that wait for the worker's window, nothing does.
    pub(crate) fn is_waited_for(&self) -> bool {
        let waiting = !(self.stalled_clients.is_empty() && self.departed.is_empty()) && self.is_window_open();
        waiting || self.stalled || self.closing || self.answers.are_waiting() || self.owes_receipt()
    }

    /// The largest frame that may go either way on this link, in bytes.
    pub(crate) fn frame_size_max(&self) -> usize {
        match self {
            Link { authorized: false, .. } => UNAUTHORIZED_FRAME_SIZE_MAX,
            Link { ringway: true, .. } => FRAME_SIZE_MAX_RINGWAY,
            Link { .. } => FRAME_SIZE_MAX,
        }
    }

    /// Why it goes: a worker that closes it while it hands its clients over has done so.
    pub(crate) fn why_gone(&self) -> Gone {
        if self.gone == Gone::Closed && self.drain.is_some() { Gone::Left } else { self.gone }
    }

    /// Queues a frame.
    pub(crate) fn queue_frame(&mut self, output: &mut Output, frame: &Frame<'_>) {
        output.append_with(self.id.socket(), &mut self.out, |out| frame.encode(out));
    }

    pub(crate) fn new(socket: SocketId, peer: SocketAddr, authorized: bool) -> Link {
        Link {
            id: LinkId(socket),
            peer,
            is_guest: false,
            authorized,
            acceptor: None,
            worker: None,
            ringway: false,
            answers_handshakes: false,
            run: None,
            refused: false,
            gone: Gone::default(),
            rest: Vec::new(),
            out: Outbound::heavy(),
            pulse: Pulse::default(),
            stalled: false,
            busy: false,
            closing: false,
            leaving: false,
            shut: false,
            drain: None,
            silent: false,
            in_flight: None,
            taken: Taken::default(),
            stalled_clients: VecDeque::new(),
            departed: VecDeque::new(),
            answers: Answers::default(),
        }
    }
}
