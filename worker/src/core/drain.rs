//! How a core that ends hands its clients over (WIRE.md §14).
//!
//! Gateways of ours are told to give it no more events, and of each client when its handlers have ended, so that the
//! client's next event goes to another worker. A client is said to be free only when everything that its handlers have
//! commanded is done, at every gateway: handlers of its next event, elsewhere, must find it so. Whether it is, a
//! *barrier* tells: a DRAIN to every gateway, and all their answers.
//!
//! PHP's gateways know nothing of this. What they have sent within 50 ms is handled, as PHP's workers do.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use glommio::timer::{sleep, timeout};
use hashbrown::HashSet;
use protocol::ClientId;
use protocol::inner::Cmd;
use protocol::inner::drain::{Drain, decode_round, encode_ids};
use tracing::warn;

use super::Core;
use super::dispatch::Dispatch;
use super::link::Link;
use crate::Events;
use crate::config::{BARRIER_TIMEOUT, PHP_STOP_DELAY};

/// How far a core is in handing its clients over.
#[derive(Debug, Default)]
pub(super) struct Draining {
    /// Number of the last barrier; 0: the core does not drain.
    round: Cell<u32>,
    /// Whoever waits for answers.
    waiter: RefCell<Option<Waker>>,
}

impl Draining {
    /// Whether no link is opened any more.
    pub(super) fn has_begun(&self) -> bool {
        self.round.get() > 0
    }

    /// Something about a link has changed that a barrier may wait for.
    pub(super) fn wake(&self) {
        if let Some(waiter) = self.waiter.borrow_mut().take() {
            waiter.wake();
        }
    }
}

impl Core {
    /// The answer to a DRAIN. One to what was never said is none.
    pub(super) fn on_drained(&self, link: &Link, body: &[u8]) {
        if let Some(round) = decode_round(body).filter(|round| *round <= self.draining.round.get()) {
            link.drained.set(round);
            self.draining.wake();
        }
    }

    /// A gateway has said that it is one of ours, perhaps when others have been told already.
    pub(super) fn greet(&self, link: &Link) {
        link.greet();
        self.query_links.trust(link.address());
        if self.draining.has_begun() {
            self.say_drain(link);
        }
    }

    /// Ready when every gateway of ours has done what was commanded before it, and so answered this barrier. One that does not answer is left out.
    async fn barrier(&self, round: u32) {
        self.draining.round.set(round);
        let links = self.links.all();
        links.iter().filter(|link| link.is_extended()).for_each(|link| self.say_drain(link));
        if round == 1 && links.iter().any(|link| link.is_connected() && !link.is_extended()) {
            sleep(PHP_STOP_DELAY).await;
        }
        // Who still sends something is waited for: the answer is behind it, perhaps far behind.
        let mut received = self.received_awaited(&links);
        while timeout(BARRIER_TIMEOUT, self.answers(&links)).await.is_err() {
            let before = std::mem::replace(&mut received, self.received_awaited(&links));
            if before == received {
                break;
            }
        }
        for link in links.iter().filter(|link| self.is_awaited(link)) {
            warn!(gateway = %link.address(), core = self.index, "a gateway does not answer, not waiting for it");
        }
    }

    /// Ready when none of the links is awaited any more; always well, as `timeout` wants it.
    async fn answers(&self, links: &[Rc<Link>]) -> glommio::Result<(), ()> {
        poll_fn(|cx| {
            if !links.iter().any(|link| self.is_awaited(link)) {
                return Poll::Ready(Ok(()));
            }
            *self.draining.waiter.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Bytes received on links that are awaited.
    fn received_awaited(&self, links: &[Rc<Link>]) -> u64 {
        links.iter().filter(|link| self.is_awaited(link)).map(|link| link.received()).sum()
    }

    /// Whether a link has answered the last barrier but one, and not the last.
    fn is_awaited(&self, link: &Link) -> bool {
        link.is_extended() && link.drained.get() + 1 == self.draining.round.get()
    }

    fn say_drain(&self, link: &Link) {
        let within = self.config.drain_timeout + BARRIER_TIMEOUT;
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        link.say(Cmd::Drain, &Drain { round: self.draining.round.get(), within_ms }.encode());
    }

    /// Tells every gateway of its clients among `clients`, if it has answered the last barrier.
    fn say_clients(&self, cmd: Cmd, clients: &HashSet<ClientId>) {
        for link in self.links.all() {
            if !link.is_extended() || link.drained.get() != self.draining.round.get() {
                continue;
            }
            let of_link = clients.iter().filter(|client| client.gateway == link.address());
            let ids = encode_ids(of_link.map(|client| client.connection_id));
            if cmd == Cmd::DrainBusy || !ids.is_empty() {
                link.say(cmd, &ids);
            }
        }
    }
}

/// Takes no more events, and lets every client go when its handlers have ended. Ready when none is left.
pub(super) async fn hand_over<E: Events>(dispatch: &Rc<Dispatch<E>>) {
    let core = dispatch.core();
    core.draining.round.set(1);
    // Links that were not read are now: the answer is behind what was not read.
    dispatch.wake_waiters();
    core.barrier(1).await;
    // No gateway of ours sends one any more; what others send is lost from here on, and counted.
    core.stopping.set(true);
    let mut busy = dispatch.busy();
    core.barrier(2).await;
    core.say_clients(Cmd::DrainBusy, &busy);
    while !busy.is_empty() {
        dispatch.fewer_busy_than(busy.len()).await;
        let running = dispatch.busy();
        let free: HashSet<ClientId> = busy.extract_if(|client| !running.contains(client)).collect();
        core.barrier(core.draining.round.get() + 1).await;
        core.say_clients(Cmd::DrainFree, &free);
    }
}
