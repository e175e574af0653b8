//! A turn: the one order in which a shard's glue drives it.
//!
//! What came in is told by the `on_*` methods. Then [`Shard::turn`] does what is due and gives it to a [`Sink`]: first what
//! is to be done with sockets, then one send per socket that has something to send, then what follows from that.

use std::io::IoSlice;
use std::mem;

use ring::{Acks, Short, SocketId};

use crate::Millis;
use crate::shard::Shard;

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
}

impl<'a> Sends<'a> {
    /// The sockets that have something to send.
    pub fn sockets(self) -> &'a [SocketId] {
        self.sockets
    }

    /// The bytes for one of them.
    pub fn bytes(self, socket: SocketId) -> impl Iterator<Item = IoSlice<'a>> {
        self.shard.unsent(socket)
    }
}

impl Shard {
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
        Ok(())
    }

    /// Large fan-outs, long answers and heartbeats take their next slice.
    fn take_slices(&mut self) {
        self.shed_unfinished();
        self.close_after_hook_panics();
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
        sink.send(Sends { shard: self, sockets: &sockets }, &mut short)?;
        self.on_sent(&mut sockets, &mut short);
        short.clear();
        self.output.short = short;
        self.output.keep_batch(sockets);
        Ok(())
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
}
