//! How a core that ends hands its clients over (WIRE.md §14).
//!
//! Gateways of ours are told to give it no more events, and of each client when its handlers have ended and its events are
//! safe, so that the client's next event goes to another worker. An event that is not safe may have to be handled again, and
//! newer ones must not be in front of it. A client is said to be free only when everything that its handlers have
//! commanded is done, at every gateway: handlers of its next event, elsewhere, must find it so. Whether it is, a
//! *barrier* tells: a DRAIN to every gateway, and all their answers.
//!
//! PHP's gateways know nothing of this. What they have sent within 50 ms is handled, as PHP's workers do. A gateway that has
//! not said yet whether it is ours may be either: it is waited for until it has, or has kept the link for as long as counts.

use std::net::SocketAddrV4;
use std::time::Duration;

use hashbrown::HashSet;
use protocol::ClientId;
use protocol::inner::Cmd;
use protocol::inner::drain::{Drain, encode_ids};
use tracing::warn;

use super::connections::ConnId;
use super::link::Link;
use super::{Core, Timer};
use crate::config::{BARRIER_TIMEOUT, PHP_STOP_DELAY};

/// How far a core is in handing its clients over.
#[derive(Debug, Default)]
pub(super) struct Draining {
    /// Number of the last barrier; 0: the core does not drain.
    round: u32,
    stage: Stage,
    /// Clients that no gateway was told are free.
    busy: HashSet<ClientId>,
    /// Of these, whom gateways are to be told of when the barrier is done.
    free: HashSet<ClientId>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Serving,
    /// Waits for gateways to answer.
    Barrier(Barrier),
    /// Waits for handlers to end, and for what they said elsewhere to be taken.
    Releasing,
    Done,
}

#[derive(Debug)]
struct Barrier {
    /// Not done before.
    not_before: Duration,
    /// Then who has sent nothing meanwhile is not waited for any longer.
    until: Duration,
    /// Bytes received so far on links that are waited for.
    received: u64,
}

impl Draining {
    /// Whether no link is opened any more.
    pub(super) fn has_begun(&self) -> bool {
        self.round > 0
    }
}

impl Core {
    /// Takes no more events, and lets every client go when its handlers have ended.
    pub(crate) fn begin_hand_over(&mut self, now: Duration) {
        self.now = now;
        self.begin_barrier();
        if self.links.all().iter().any(|link| link.open().is_some() && !link.is_ours())
            && let Stage::Barrier(barrier) = &mut self.draining.stage
        {
            barrier.not_before = now + PHP_STOP_DELAY;
            self.timers.arm(Timer::Drain, barrier.not_before);
        }
        self.hand_over();
    }

    /// Whether no client is left.
    pub(crate) fn has_handed_over(&self) -> bool {
        matches!(self.draining.stage, Stage::Done)
    }

    /// Gets on with it; to be called whenever a link or a handler has changed, and when it is time.
    pub(super) fn hand_over(&mut self) {
        loop {
            match &self.draining.stage {
                Stage::Serving | Stage::Done => return,
                Stage::Barrier(_) => {
                    if !self.is_barrier_done() {
                        return;
                    }
                    self.after_barrier();
                }
                Stage::Releasing => {
                    let mut busy = std::mem::take(&mut self.draining.busy);
                    self.draining.free = busy.extract_if(|client| self.is_free(*client)).collect();
                    self.draining.busy = busy;
                    if !self.draining.free.is_empty() {
                        self.begin_barrier();
                    } else if self.draining.busy.iter().all(|client| self.is_stuck(*client)) {
                        self.draining.stage = Stage::Done;
                        self.changed = true;
                    } else {
                        return;
                    }
                }
            }
        }
    }

    /// Whether a client's handlers have ended, and its events are safe.
    fn is_free(&self, client: ClientId) -> bool {
        !self.queues.contains(client)
            && self.conn(client).is_none_or(|conn| !self.unsettled.contains(conn, client.connection_id))
    }

    /// Whether a client's handlers have ended, and others handle its events again when this core has ended.
    fn is_stuck(&self, client: ClientId) -> bool {
        !self.queues.contains(client)
            && self.conn(client).is_some_and(|conn| self.unsettled.is_stuck(conn, client.connection_id))
    }

    fn conn(&self, client: ClientId) -> Option<ConnId> {
        self.links.find(client.gateway).and_then(Link::conn)
    }

    /// The answer to a DRAIN. One to what was never said is none.
    pub(super) fn on_drained(&mut self, gateway: SocketAddrV4, round: Option<u32>) {
        let Some(round) = round.filter(|round| *round <= self.draining.round) else { return };
        if let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut) {
            open.drained = round;
            self.changed = true;
        }
    }

    pub(super) fn say_drain(&mut self, gateway: SocketAddrV4) {
        let within = self.config.drain_timeout + BARRIER_TIMEOUT;
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let drain = Drain { round: self.draining.round, within_ms };
        self.say(gateway, Cmd::Drain, &drain.encode());
    }

    fn begin_barrier(&mut self) {
        self.draining.round += 1;
        let ours = self.links.all().iter().filter(|link| link.is_ours());
        let ours: Vec<_> = ours.map(|link| link.address).collect();
        ours.into_iter().for_each(|gateway| self.say_drain(gateway));
        let until = self.now + BARRIER_TIMEOUT;
        let received = self.received_awaited();
        self.draining.stage = Stage::Barrier(Barrier { not_before: self.now, until, received });
        self.timers.arm(Timer::Drain, until);
    }

    /// Whether every gateway of ours has done what was commanded before it, and so answered. One that does not answer is
    /// left out; who still sends something is waited for: the answer is behind it, perhaps far behind.
    fn is_barrier_done(&mut self) -> bool {
        let received = self.received_awaited();
        let awaited = self.awaited();
        let now = self.now;
        let Stage::Barrier(barrier) = &mut self.draining.stage else { return false };
        if now < barrier.not_before {
            return false;
        }
        if !awaited.is_empty() && now >= barrier.until && barrier.received != received {
            (barrier.received, barrier.until) = (received, now + BARRIER_TIMEOUT);
            self.timers.arm(Timer::Drain, barrier.until);
        }
        if !awaited.is_empty() && now < barrier.until {
            return false;
        }
        for gateway in awaited {
            warn!(%gateway, core = self.index, "a gateway does not answer, not waiting for it");
        }
        true
    }

    fn after_barrier(&mut self) {
        self.draining.stage = Stage::Releasing;
        match self.draining.round {
            1 => {
                // No gateway of ours sends one any more; what others send is lost from here on, and counted.
                self.stopping = true;
                self.draining.busy = self.queues.clients().chain(self.unsettled_clients()).collect();
                self.begin_barrier();
            }
            2 => {
                let busy = std::mem::take(&mut self.draining.busy);
                self.say_clients(Cmd::DrainBusy, &busy);
                self.draining.busy = busy;
            }
            _ => {
                let free = std::mem::take(&mut self.draining.free);
                self.say_clients(Cmd::DrainFree, &free);
            }
        }
    }

    /// Clients with events that have ended and are not safe, or that somebody holds.
    fn unsettled_clients(&self) -> impl Iterator<Item = ClientId> {
        self.unsettled.clients().filter_map(|(conn, connection_id)| {
            let link = self.links.all().iter().find(|link| link.conn() == Some(conn))?;
            Some(ClientId { gateway: link.address, connection_id })
        })
    }

    /// Links that are to answer the last barrier, and have not.
    fn awaited(&self) -> Vec<SocketAddrV4> {
        let is_awaited = |link: &&Link| self.is_awaited(link);
        self.links.all().iter().filter(is_awaited).map(|link| link.address).collect()
    }

    /// Bytes received on these.
    fn received_awaited(&self) -> u64 {
        let awaited = self.links.all().iter().filter(|link| self.is_awaited(link));
        awaited.filter_map(Link::open).map(|open| open.received).sum()
    }

    /// Those that have answered the barrier before. And at first those that may still say that they are ours: such a gateway
    /// may have given the core events, and is asked when it has said so.
    fn is_awaited(&self, link: &Link) -> bool {
        let Some(open) = link.open() else { return false };
        if link.is_ours() {
            open.drained + 1 == self.draining.round
        } else {
            self.draining.round == 1 && !open.up
        }
    }

    /// Tells every gateway of its clients among `clients`, if it has answered the last barrier.
    fn say_clients(&mut self, cmd: Cmd, clients: &HashSet<ClientId>) {
        // Or their gateways would have to send again what is done, behind what others have had meanwhile.
        self.say_done_now();
        let round = self.draining.round;
        let answered = |link: &&Link| link.is_ours() && link.open().is_some_and(|open| open.drained == round);
        let gateways: Vec<_> = self.links.all().iter().filter(answered).map(|link| link.address).collect();
        for gateway in gateways {
            let of_link = clients.iter().filter(|client| client.gateway == gateway);
            let mut of_link: Vec<_> = of_link.map(|client| client.connection_id).collect();
            // So that a run of the simulation can be repeated.
            of_link.sort_unstable();
            let ids = encode_ids(of_link);
            if cmd == Cmd::DrainBusy || !ids.is_empty() {
                self.say(gateway, cmd, &ids);
            }
        }
    }
}
