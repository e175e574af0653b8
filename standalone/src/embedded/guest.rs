//! A worker's core as the guest of a shard: one thread, one ring, one turn.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::time::Duration;

use gateway_core::{Action, Guest, Millis, Place, Shard};
use inner_tls::Ring;
use ringway_worker::Events;
use ringway_worker::driver::{Driver, Launch};
use uring::{Event, SocketId};

use super::memory::MemoryLinks;

/// A core, and its links to the shard in whose thread it is.
pub(super) struct CoreGuest {
    driver: Driver,
    links: MemoryLinks,
}

impl CoreGuest {
    pub(super) fn new<E: Events>(
        place: Place,
        launch: Launch,
        make_events: impl FnOnce(usize) -> E,
    ) -> CoreGuest {
        let links = MemoryLinks::new(place.address, place.first_slot, ROOM);
        CoreGuest { driver: Driver::new(launch.beside(place.address), place.waker, make_events), links }
    }
}

impl Guest for CoreGuest {
    fn deliver<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        self.driver.deliver(event)
    }

    fn act(&mut self, action: Action) {
        self.links.shard_acts(action);
    }

    fn take(&mut self, link: SocketId, bytes: &mut dyn Iterator<Item = IoSlice<'_>>) -> usize {
        self.links.shard_sends(link, bytes)
    }

    fn turn(&mut self, ring: &mut Ring, shard: &mut Shard, now: Millis) -> io::Result<()> {
        self.links.tell_core(self.driver.runtime());
        self.driver.turn(ring, &mut self.links)?;
        self.links.tell_shard(shard, now);
        Ok(())
    }

    fn wait(&self) -> Duration {
        if self.links.is_pending() { Duration::ZERO } else { self.driver.wait() }
    }

    fn rest(&mut self) -> Option<Pin<Box<dyn Future<Output = ()> + '_>>> {
        self.driver.is_glommio_due().then(|| Box::pin(self.driver.let_glommio_turn()) as _)
    }

    fn is_started(&self) -> bool {
        self.driver.is_started()
    }

    fn stop(&mut self) {
        self.driver.runtime().stop();
    }

    fn is_over(&self) -> bool {
        self.driver.is_over()
    }
}

/// Bytes that wait in one direction of a link at most: as many as a worker takes from a socket at once.
const ROOM: usize = 128 * 1024;
