//! What shares a shard's thread and ring: the core of a worker, in a program that is gateway and worker at once.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use inner_tls::Ring;
use uring::{Event, SocketId, Waker};

use crate::Millis;
use crate::config::GUEST_PASSES;
use crate::shard::{Action, Shard};

/// What shares a shard's thread and ring, and has links to it that need no socket.
///
/// In each turn: [`Guest::deliver`] for each event of the ring; then the shard takes its turn, in which the guest hears of its
/// links by [`Guest::act`] and [`Guest::take`]; then the guest, and, if that has told the shard something, both once more. The
/// ring waits no longer than [`Guest::wait`]. Clients are let in when it [has started](Guest::is_started). When the last of
/// them has gone it is told to [stop](Guest::stop), and everything goes on until it [is over](Guest::is_over).
pub trait Guest {
    /// Takes the event if it is about a socket of the guest's; else gives it back.
    fn deliver<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>>;

    /// The shard does something with one of the guest's links.
    fn act(&mut self, action: Action);

    /// The shard sends on one of the guest's links. Returns how many bytes there was room for; if it was not all,
    /// [`Shard::on_writable`] is to follow.
    fn take(&mut self, link: SocketId, bytes: &mut dyn Iterator<Item = IoSlice<'_>>) -> usize;

    /// Does what is due, and tells the shard what comes of it.
    ///
    /// # Errors
    /// The ring is broken.
    fn turn(&mut self, ring: &mut Ring, shard: &mut Shard, now: Millis) -> io::Result<()>;

    /// How long nothing is to be done, unless something comes.
    fn wait(&self) -> Duration;

    /// Work that only the executor can do on whose thread this is, if some is due.
    fn rest(&mut self) -> Option<Pin<Box<dyn Future<Output = ()> + '_>>>;

    /// Whether clients may come.
    fn is_started(&self) -> bool;

    /// No client is left.
    fn stop(&mut self);

    /// Whether nothing is left to do, after [`Guest::stop`].
    fn is_over(&self) -> bool;
}

/// A thread that has a shard and a guest, and the order of their turns in it.
pub trait SharedThread {
    /// Why it cannot go on.
    type Error;

    /// [`Shard::turn`].
    fn turn_shard(&mut self) -> Result<(), Self::Error>;

    /// [`Shard::is_pending`].
    fn is_shard_pending(&self) -> bool;

    /// [`Guest::turn`].
    fn turn_guest(&mut self) -> Result<(), Self::Error>;

    /// Whether there is a guest, and something for it to do.
    fn is_guest_due(&self) -> bool;

    /// The shard's turn; the guest's; and both once more if they have told each other something.
    ///
    /// # Errors
    /// The first of either.
    fn turn_both(&mut self) -> Result<(), Self::Error> {
        self.turn_shard()?;
        for _ in 0..GUEST_PASSES {
            if !self.is_guest_due() {
                break;
            }
            self.turn_guest()?;
            if self.is_shard_pending() {
                self.turn_shard()?;
            }
        }
        Ok(())
    }
}

/// Where a guest is.
pub struct Place {
    /// The shard's index.
    pub shard: usize,
    /// The shard's inner address.
    pub address: SocketAddrV4,
    /// What wakes the ring.
    pub waker: Waker,
    /// Sockets of this slot and those behind it are never the ring's, so they may name the guest's links.
    pub first_slot: u32,
}

/// Makes the guest of each shard, in the shard's thread.
#[derive(Clone)]
pub struct GuestFactory(Arc<dyn Fn(Place) -> Box<dyn Guest> + Send + Sync>);

impl GuestFactory {
    /// Guests made by `make`, once per shard.
    pub fn new<G: Guest + 'static>(make: impl Fn(Place) -> G + Send + Sync + 'static) -> GuestFactory {
        GuestFactory(Arc::new(move |place| Box::new(make(place))))
    }

    pub(crate) fn make(&self, place: Place) -> Box<dyn Guest> {
        (self.0)(place)
    }
}

impl fmt::Debug for GuestFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuestFactory")
    }
}
