//! A turn: the one order in which a shard's glue drives it.
//!
//! What came in is told by the `on_*` methods. Then [`Shard::turn`] does what is due and gives it to a [`Sink`]: first what
//! is to be done with sockets, then one send per socket that has something to send, then what follows from that.

use std::io::IoSlice;
use std::mem;

use uring::{Acks, Short, SocketId};

use super::Shard;
use super::clients::ClientSlot;
use super::links::LinkId;
use super::notices::Gone;
use super::output::{Outbound, Output};
use crate::Millis;

/// Something to do with a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Stop reading.
    Pause(SocketId),
    /// Read again.
    Resume(SocketId),
    /// Send a FIN; everything queued has been sent.
    Shutdown(SocketId),
    /// Close now. The shard has forgotten the socket.
    Close(SocketId),
    /// Accept no more clients, or go on with it.
    HoldAccepts(bool),
}

impl Action {
    /// The socket that it is about, if it is about one.
    pub fn socket(self) -> Option<SocketId> {
        match self {
            Action::Pause(socket)
            | Action::Resume(socket)
            | Action::Shutdown(socket)
            | Action::Close(socket) => Some(socket),
            Action::HoldAccepts(_) => None,
        }
    }
}

/// Where a shard's turns take effect: a ring, or what stands for one in tests.
pub trait Sink {
    /// Why nothing can be sent any more.
    type Error;

    /// Does something with a socket.
    fn act(&mut self, action: Action);

    /// What the kernel of a link's peer has acknowledged; `None` if that is not known.
    fn acknowledged(&mut self, link: SocketId) -> Option<Acks>;

    /// Whether nothing is to be sent before what has come in meanwhile is told.
    fn holds_back(&mut self) -> bool {
        false
    }

    /// Sends, and adds to `short` what was not taken whole. The bytes stay where they are until this returns.
    ///
    /// # Errors
    /// Nothing can be sent any more, on any socket.
    fn send(&mut self, sends: Sends<'_>, short: &mut Vec<Short>) -> Result<(), Self::Error>;
}

/// The sends of a turn, one for each socket.
#[derive(Clone, Copy)]
pub struct Sends<'a> {
    shard: &'a Shard,
    sockets: &'a [SocketId],
    are_last: bool,
}

impl<'a> Sends<'a> {
    /// The sockets that have something to send.
    pub fn sockets(self) -> &'a [SocketId] {
        self.sockets
    }

    /// Whether nothing is to be done once they are sent whole, before something comes in or it is time for something.
    pub fn are_last(self) -> bool {
        self.are_last
    }

    /// When it is time for something, as [`Shard::next_tick`] says it.
    pub fn next_tick(self) -> Millis {
        self.shard.next_tick()
    }

    /// The bytes for one of them.
    pub fn bytes(self, socket: SocketId) -> impl Iterator<Item = IoSlice<'a>> {
        self.shard.unsent(socket)
    }
}

/// What a socket is to the shard.
pub(super) enum Conn {
    Client(ClientSlot),
    Link(LinkId),
    Lingering,
    /// Its proxy has not said yet whose it is.
    Proxied,
}

impl Shard {
    /// There is room again after a short send.
    pub fn on_writable(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        if let Some((out, output)) = self.outbound_mut(socket) {
            output.unblock(socket, out);
        }
    }

    /// Bytes came. They may be changed.
    pub fn on_received(&mut self, now: Millis, socket: SocketId, bytes: &mut [u8]) {
        self.now = now;
        match self.conn(socket) {
            Some(Conn::Link(id)) => self.link_received(id, bytes),
            Some(_) if self.clients.sessions.has(socket) => self.session_received(socket, bytes),
            Some(Conn::Client(slot)) => self.client_received(slot, bytes),
            Some(Conn::Lingering) => self.endings().received(socket, bytes),
            Some(Conn::Proxied) => self.proxied_received(socket, bytes),
            None => {}
        }
    }

    /// The peer will send no more.
    pub fn on_end_of_stream(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        match self.conn(socket) {
            Some(Conn::Client(slot)) => self.client_ended(slot),
            Some(Conn::Link(id)) => self.link_ended(id),
            Some(Conn::Lingering) => self.endings().peer_ended(socket),
            Some(Conn::Proxied) => self.close_proxied(socket),
            None => {}
        }
    }

    /// The connection broke.
    pub fn on_failed(&mut self, now: Millis, socket: SocketId) {
        self.now = now;
        match self.conn(socket) {
            Some(Conn::Client(slot)) => self.close_client_now(slot),
            Some(Conn::Link(id)) => self.close_link_because(id, Gone::Broken),
            Some(Conn::Lingering) => self.endings().close(socket),
            Some(Conn::Proxied) => self.close_proxied(socket),
            None => self.output.actions.push(Action::Close(socket)),
        }
    }

    /// To be called after what came in has been told, and again while [`Shard::is_pending`].
    ///
    /// # Errors
    /// The sink's. It is not to be called again then.
    pub fn turn<S: Sink>(&mut self, now: Millis, sink: &mut S) -> Result<(), S::Error> {
        self.now = now;
        self.take_slices();
        self.act(sink);
        if sink.holds_back() {
            return Ok(());
        }
        self.send(sink)?;
        self.act(sink);
        self.end_turn_of_shares();
        Ok(())
    }

    /// The bytes for the next send on a socket; nothing if it is gone.
    pub fn unsent(&self, socket: SocketId) -> impl Iterator<Item = IoSlice<'_>> {
        let out = self.outbound(socket);
        // What a client with TLS has queued is not for the wire before it is sealed.
        let plain = out.filter(|_| !self.clients.sessions.has(socket));
        let plain = plain.into_iter().flat_map(|out| out.queue.slices());
        out.and_then(|out| out.queue.sealed()).into_iter().chain(plain)
    }

    /// Whether sends, actions, large fan-outs, long answers, heartbeats or clients that hold too much wait: the glue must not
    /// block before another [`Shard::turn`].
    pub fn is_pending(&self) -> bool {
        self.output.is_pending()
            || self.fanouts.are_under_way()
            || self.listings.are_under_way()
            || self.clients.heartbeat.is_sweeping()
            || self.clients.unfinished.is_too_much()
            || self.clients.sessions.are_waiting()
            || self.hooks.are_to_close()
            || self.are_shares_due()
            || self.are_rates_due()
    }

    /// Clients that had their share, handshakes, large fan-outs, long answers and heartbeats take their next slice.
    fn take_slices(&mut self) {
        self.shed_unfinished();
        self.close_after_hook_panics();
        self.resume_shares();
        self.resume_rates();
        self.continue_handshakes();
        self.continue_heartbeat();
        self.continue_fan_outs();
        self.continue_listings();
    }

    fn act<S: Sink>(&mut self, sink: &mut S) {
        while let Some(link) = self.output.unheard.pop() {
            let acks = sink.acknowledged(link.socket());
            self.on_acknowledged(link, acks);
        }
        self.output.actions.drain(..).for_each(|action| sink.act(action));
    }

    fn send<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let mut sockets = self.output.take_dirty();
        self.seal(&sockets);
        let mut short = mem::take(&mut self.output.short);
        let are_last = !sockets.is_empty()
            && sockets.len() <= LAST_SENDS_MAX
            && !self.is_pending()
            && self.clients.shares.are_empty()
            && self.clients.rates.as_ref().is_none_or(|rates| rates.due().is_none())
            && sockets.iter().all(|socket| self.is_over_when_sent(*socket));
        sink.send(Sends { shard: self, sockets: &sockets, are_last }, &mut short)?;
        self.on_sent(&mut sockets, &mut short);
        short.clear();
        self.output.short = short;
        self.output.keep_batch(sockets);
        Ok(())
    }

    /// Whether nothing follows from what is sent on a socket now.
    fn is_over_when_sent(&self, socket: SocketId) -> bool {
        if let Some(client) = self.clients.live(socket) {
            let out = &client.out;
            return !client.closing
                && !self.clients.sessions.has(socket)
                && out.offered(false) == out.queue.len();
        }
        self.links.get(LinkId::of(socket)).is_some_and(|link| {
            let is_waited_for = link.refused || link.leaving || link.is_waited_for();
            !is_waited_for && link.out.offered(false) == link.out.queue.len()
        })
    }

    /// What was offered for the sockets in `batch` has been sent, except as `short` says.
    fn on_sent(&mut self, batch: &mut Vec<SocketId>, short: &mut [Short]) {
        short.sort_unstable_by_key(|short| short.socket);
        // All queues first: what one socket's send brings about may add to another's of the batch, or give what is in it
        // to somebody else.
        batch.retain(|socket| {
            let fell_short = short.binary_search_by_key(socket, |short| short.socket);
            self.advance(*socket, fell_short.ok().map(|at| short[at].sent))
        });
        batch.iter().for_each(|socket| self.after_send(*socket));
    }

    /// Takes what was sent from a socket's queue: `short` bytes, or all of [`Shard::unsent`]. Returns whether anything may
    /// follow from that.
    fn advance(&mut self, socket: SocketId, short: Option<usize>) -> bool {
        let has_tls = self.clients.sessions.has(socket);
        let output = &mut self.output;
        let mut advance = |out: &mut Outbound| {
            let sent = short.unwrap_or_else(|| out.offered(has_tls));
            output.sent(socket, out, sent, short.is_some());
            sent
        };
        if let Some(client) = self.clients.live_mut(socket) {
            advance(&mut client.out);
            return client.closing;
        }
        if let Some(link) = self.links.get_mut(LinkId::of(socket)) {
            if advance(&mut link.out) > 0 {
                link.pulse.said();
                link.in_flight.iter_mut().for_each(|in_flight| in_flight.begin_timing(self.now_us));
            }
        } else if let Some(lingering) = self.lingering.get_mut(&socket) {
            advance(&mut lingering.out);
        }
        true
    }

    /// Does what follows from a send: most often a link's.
    fn after_send(&mut self, socket: SocketId) {
        let id = LinkId::of(socket);
        if self.links.get(id).is_some() {
            return self.link_sent(id);
        }
        match self.clients.find(socket) {
            // It is closing: of others nothing follows.
            Some(slot) if self.clients[slot].out.queue.is_empty() => self.linger(slot),
            Some(_) => {}
            None => self.endings().sent(socket),
        }
    }

    /// What a socket is now: the one place that says whether it still is what it was.
    pub(super) fn conn(&self, socket: SocketId) -> Option<Conn> {
        if let Some(slot) = self.clients.find(socket) {
            Some(Conn::Client(slot))
        } else if self.links.get(LinkId::of(socket)).is_some() {
            Some(Conn::Link(LinkId::of(socket)))
        } else if self.proxied.has(socket) {
            Some(Conn::Proxied)
        } else {
            self.lingering.contains_key(&socket).then_some(Conn::Lingering)
        }
    }

    fn outbound(&self, socket: SocketId) -> Option<&Outbound> {
        if let Some(client) = self.clients.live(socket) {
            return Some(&client.out);
        }
        let link = self.links.get(LinkId::of(socket)).map(|link| &link.out);
        link.or_else(|| self.lingering.get(&socket).map(|lingering| &lingering.out))
    }

    fn outbound_mut(&mut self, socket: SocketId) -> Option<(&mut Outbound, &mut Output)> {
        let out = if let Some(client) = self.clients.live_mut(socket) {
            &mut client.out
        } else if let Some(link) = self.links.get_mut(LinkId::of(socket)) {
            &mut link.out
        } else {
            &mut self.lingering.get_mut(&socket)?.out
        };
        Some((out, &mut self.output))
    }
}

/// In a turn with more sends it is not looked whether they are the last: a system call more does not matter then.
const LAST_SENDS_MAX: usize = 16;
