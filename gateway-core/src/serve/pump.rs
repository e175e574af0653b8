//! One shard's loop: what its ring reports goes into the shard, what the shard wants goes to the ring.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use inner_tls::Ring;
use protocol::register_set::RegisterSet;
use tracing::warn;
use uring::{Event, ListenerId, SOCKETS_MAX, SocketId, Waker};

use super::bind::ShardSockets;
use super::control::ShardOrder;
use super::register_link::RegisterLinks;
use super::sink::RingSink;
use super::worker_log::ShardWorkers;
use super::{Control, ShardSetup, StartError};
use crate::config::{
    CLIENT_BYTES_PER_TURN, GUEST_CATCH_UP_AFTER, GUEST_CONNECTS_MAX, STOP_TIMEOUT_MS, TICK_PERIOD_MS,
};
use crate::shard::{Counters, Identity, Shard, Status};
use crate::{Guest, Millis, Place, Settings, SharedThread};

/// A shard and its ring, in the shard's own thread.
pub(super) struct Pump {
    ring: Ring,
    shard: Shard,
    listeners: Listeners,
    /// What shares the thread.
    guest: Option<Box<dyn Guest>>,
    /// Slots from here on are not the ring's: they are links of the guest's.
    first_guest_slot: usize,
    commands: Receiver<Control>,
    registers: RegisterLinks,
    ranges: Vec<(SocketId, Range<usize>)>,
    drain_timeout_ms: u64,
    refusals: RefusalLog,
    workers: ShardWorkers,
    /// When the shard's tick was last.
    ticked: Millis,
    /// When the control plane had its turn.
    served: Millis,
    /// Something has come since.
    has_news: bool,
    /// There may be commands.
    is_woken: bool,
    /// The turn before has sent nothing.
    held_back: bool,
    /// Set once the shard is to end.
    stop_by: Option<Millis>,
}

/// One turn of a pump, behind what its ring had.
struct Turn<'a> {
    pump: &'a mut Pump,
    now: Millis,
}

/// Connections that were refused because the shard has as many as it may.
struct RefusalLog {
    shard: usize,
    /// How many the log knows of, and since when.
    logged: u64,
    logged_at: Option<Millis>,
}

/// Which listener of the ring is what.
#[derive(Clone)]
pub(super) struct Listeners {
    /// In the order of `Settings::listen`; empty while no client may come.
    pub clients: Vec<ListenerId>,
    inner: ListenerId,
}

impl Pump {
    /// Sets up the ring and begins to listen and to register. The waker ends its wait when there are commands.
    pub(super) fn new(
        setup: ShardSetup,
        settings: Settings,
        sockets: ShardSockets,
        commands: Receiver<Control>,
    ) -> Result<(Pump, Waker), StartError> {
        let registers = RegisterSet::connections_max(&settings.register_address);
        let registers = u32::try_from(registers).unwrap_or(u32::MAX);
        let sockets_max = sockets_max(settings.sockets_max, registers, setup.open_files);
        let for_guest = settings.guests.is_some().then(|| GUEST_CONNECTS_MAX.min(sockets_max / 16));
        let ring = uring::Ring::new(uring::Config {
            sockets_max,
            // One that asks what a register is, for a moment, may have to wait for a place.
            reserved_for_connects: (registers / 2).saturating_add(for_guest.unwrap_or(0)),
            tick: Duration::ZERO,
            busy_poll: settings.busy_poll,
            recv_size_max: CLIENT_BYTES_PER_TURN,
            catch_up_after: if settings.guests.is_some() { GUEST_CATCH_UP_AFTER } else { Duration::MAX },
            ..uring::Config::default()
        })?;
        let mut ring = Ring::new(ring, settings.inner_tls.clone());
        let waker = ring.waker()?;
        let identity = Identity { address: sockets.address, seed: RandomState::new().hash_one(setup.index) };
        let log = Arc::clone(&setup.register_log);
        let registers = RegisterLinks::new(&settings, sockets.address, log, waker.clone());
        let workers = ShardWorkers::new(Arc::clone(&setup.worker_log), setup.index, sockets.address);
        let inner = ring
            .listen_to_programs_preferred(sockets.inner)
            .map_err(|error| StartError::Bind(error.to_string()))?;
        let place = Place {
            shard: setup.index,
            address: sockets.address,
            waker: waker.clone(),
            first_slot: sockets_max,
        };
        let guest = settings.guests.as_ref().map(|guests| guests.make(place));
        let drain_timeout_ms = protocol::millis(settings.drain_timeout);
        let mut shard = Shard::new(settings, identity, now(&ring));
        shard.on_unix_time(now(&ring), program::unix_ms());
        let pump = Pump {
            ring,
            shard,
            listeners: Listeners { clients: Vec::new(), inner },
            guest,
            first_guest_slot: sockets_max as usize,
            commands,
            registers,
            ranges: Vec::new(),
            drain_timeout_ms,
            refusals: RefusalLog { shard: setup.index, logged: 0, logged_at: None },
            workers,
            held_back: false,
            ticked: Millis(0),
            served: Millis(0),
            has_news: true,
            is_woken: false,
            stop_by: None,
        };
        Ok((pump, waker))
    }

    /// Runs until told to stop, and then until the shard is done; `on_started` is called when clients may come. The executor
    /// does nothing else meanwhile, but for what a guest wants of it: everything that a shard waits for comes through its ring.
    pub(super) async fn run(mut self, on_started: impl FnOnce()) -> Counters {
        match self.serve(on_started).await {
            Ok(()) => self.status().counters,
            Err(error) => program::give_up(format_args!("the ring of this shard broke: {error}")),
        }
    }

    async fn serve(&mut self, on_started: impl FnOnce()) -> io::Result<()> {
        while self.guest.as_ref().is_some_and(|guest| !guest.is_started()) {
            self.round().await?;
        }
        on_started();
        while !self.is_done() {
            self.round().await?;
        }
        if let Some(guest) = &mut self.guest {
            // Of clients that have not gone in time, too, it is to hear before it ends.
            self.shard.end_clients(now(&self.ring));
            guest.stop();
        }
        while self.guest.as_ref().is_some_and(|guest| !guest.is_over()) {
            self.round().await?;
        }
        self.leave_links()
    }

    /// A turn, and what the guest wants of the executor.
    async fn round(&mut self) -> io::Result<()> {
        self.turn()?;
        if let Some(rest) = self.guest.as_mut().and_then(|guest| guest.rest()) {
            rest.await;
        }
        Ok(())
    }

    /// The last of a shard: workers are told of clients that did not go in time, and get our FIN behind all that. A
    /// socket that is closed with unread input resets, and might take the news with it, so theirs is waited for.
    fn leave_links(&mut self) -> io::Result<()> {
        let now = now(&self.ring);
        self.shard.end_stop(now);
        let deadline = now.plus(LEAVE_TIMEOUT_MS);
        while self.shard.has_links() && self::now(&self.ring) < deadline {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let (wait, time) = (self.wait(), self.ring.time());
        let Pump { ring, shard, listeners, guest, registers, is_woken, has_news, .. } = self;
        ring.turn(wait, |event| {
            *has_news = true;
            *is_woken |= matches!(event, Event::Woken);
            let now = Millis(time.now());
            shard.on_clock(time.now_us());
            let event = registers.deliver(now, event);
            let event = event.and_then(|event| match guest {
                Some(guest) => guest.deliver(event),
                None => Some(event),
            });
            if let Some(event) = event {
                deliver(shard, listeners, now, event);
            }
        })?;
        if let Some(work) = self.ring.take_work() {
            self.shard.on_work(work.time_us, work.completions);
        }
        let now = now(&self.ring);
        if now >= self.ticked.plus(TICK_PERIOD_MS) && now >= self.shard.next_tick() {
            self.ticked = now;
            self.shard.on_unix_time(now, program::unix_ms());
            self.shard.on_tick(now);
        }
        self.registers.turn(&mut self.ring)?;
        if self.is_woken || now >= self.served.plus(CONTROL_PERIOD_MS) {
            (self.served, self.has_news, self.is_woken) = (now, false, false);
            self.handle_control()?;
            self.refusals.look(now, self.ring.stats().refusals);
            self.workers.look(now, &mut self.shard);
        }
        Turn { pump: self, now }.turn_both()
    }

    /// How long nothing is to be done, unless something comes.
    fn wait(&self) -> Duration {
        if self.shard.is_pending() {
            return Duration::ZERO;
        }
        self.until_all_due()
    }

    /// How long until it is time for something of the shard's or the guest's.
    fn until_all_due(&self) -> Duration {
        let wait = self.until_due();
        self.guest.as_ref().map_or(wait, |guest| guest.wait().min(wait))
    }

    /// How long until it is time for something of the shard's.
    fn until_due(&self) -> Duration {
        let tick = self.ticked.plus(TICK_PERIOD_MS).max(self.shard.next_tick());
        let control = if self.has_news { self.served.plus(CONTROL_PERIOD_MS) } else { NEVER };
        let due =
            tick.min(control).min(self.registers.deadline()).min(self.shard.next_turn().unwrap_or(NEVER));
        Duration::from_millis(due.since(now(&self.ring)).min(WAIT_MAX_MS))
    }

    fn status(&self) -> Status {
        let (mut status, ring) = (self.shard.status(), self.ring.stats());
        status.is_registered = self.registers.is_any_held();
        status.counters.ring_enters = ring.enters;
        status.counters.received_bytes = ring.bytes_in;
        status.counters.sent_bytes = ring.bytes_out;
        status.counters.short_sends = ring.short_sends;
        let refused = self.ring.refused();
        status.counters.links_without_tls = refused.plain;
        status.counters.links_tls_failed = refused.failed;
        status
    }

    /// Does what the control thread wants. A control thread that is gone wants the end.
    fn handle_control(&mut self) -> io::Result<()> {
        loop {
            match self.commands.try_recv() {
                Err(TryRecvError::Empty) => return Ok(()),
                Ok(Control::LetIn(sockets)) => self.let_in(sockets)?,
                Ok(Control::Status(answer)) => {
                    // Who asked may have given up.
                    let _ = answer.send(self.status());
                }
                Ok(Control::Order(order, answer)) => {
                    self.carry_out(order);
                    let _ = answer.send(self.shard.client_count());
                }
                Ok(Control::Groups(mut largest, answer)) => {
                    let is_whole = self.shard.look_for_groups(&mut largest);
                    let _ = answer.send((largest, is_whole));
                }
                Ok(Control::Certificates(acceptor)) => self.shard.on_certificates(acceptor),
                Ok(Control::InnerTls(mutual)) => self.ring.renew(mutual),
                Ok(Control::TokenKeys(verifier)) => self.shard.on_token_keys(verifier),
                Ok(Control::Stop) => self.stop(),
                Err(TryRecvError::Disconnected) => {
                    self.stop();
                    return Ok(());
                }
            }
        }
    }

    /// Takes new clients or not.
    fn carry_out(&mut self, order: ShardOrder) {
        let now = now(&self.ring);
        match order {
            ShardOrder::Cordon(delay_ms) => self.shard.cordon(now, delay_ms),
            ShardOrder::Uncordon => self.shard.uncordon(now),
            ShardOrder::Drain => self.shard.drain_clients(now),
        }
    }

    /// Clients may come.
    fn let_in(&mut self, sockets: Vec<TcpListener>) -> io::Result<()> {
        for socket in sockets.into_iter().filter(|_| self.stop_by.is_none()) {
            self.listeners.clients.push(self.ring.listen(socket)?);
        }
        Ok(())
    }

    /// Out of the register first, so that nobody new comes. Clients that are still there are served until their turn to
    /// go has come.
    fn stop(&mut self) {
        if self.stop_by.is_some() {
            return;
        }
        self.registers.leave(&mut self.ring);
        for listener in self.listeners.clients.drain(..) {
            self.ring.stop_listening(listener);
        }
        let now = now(&self.ring);
        self.stop_by = Some(now.plus(self.drain_timeout_ms + STOP_TIMEOUT_MS));
        self.shard.begin_stop(now);
    }

    fn is_done(&self) -> bool {
        self.stop_by.is_some_and(|deadline| self.shard.is_stopped() || now(&self.ring) >= deadline)
    }
}

impl SharedThread for Turn<'_> {
    type Error = io::Error;

    fn turn_shard(&mut self) -> io::Result<()> {
        let pump = &mut *self.pump;
        // Who stops looks at the time.
        let wait = if pump.stop_by.is_none() { pump.until_all_due() } else { Duration::ZERO };
        let tick_at = pump.ticked.plus(TICK_PERIOD_MS);
        let Pump { ring, listeners, first_guest_slot, ranges, held_back, .. } = pump;
        let (guest, first_guest_slot) = (pump.guest.as_deref_mut(), *first_guest_slot);
        let mut sink =
            RingSink { ring, listeners, guest, first_guest_slot, ranges, held_back, wait, tick_at };
        pump.shard.turn(self.now, &mut sink)
    }

    fn is_shard_pending(&self) -> bool {
        self.pump.shard.is_pending()
    }

    fn turn_guest(&mut self) -> io::Result<()> {
        let Pump { ring, shard, guest, .. } = &mut *self.pump;
        guest.as_mut().map_or(Ok(()), |guest| guest.turn(ring, shard, self.now))
    }

    fn is_guest_due(&self) -> bool {
        self.pump.guest.as_ref().is_some_and(|guest| guest.wait().is_zero())
    }
}

impl RefusalLog {
    /// Warns, now and then, that the shard is full: only the operator can help.
    fn look(&mut self, now: Millis, refusals: u64) {
        let soon = self.logged_at.is_some_and(|at| now < at.plus(REFUSAL_LOG_PERIOD_MS));
        if refusals > self.logged && !soon {
            warn!(
                shard = self.shard,
                refused = refusals - self.logged,
                "as many connections as a shard may have: raise the limit of open files (LimitNOFILE=) or --count"
            );
            (self.logged, self.logged_at) = (refusals, Some(now));
        }
    }
}

fn deliver(shard: &mut Shard, listeners: &Listeners, now: Millis, event: Event<'_>) {
    match event {
        Event::Accepted { listener, socket, peer } if listener == listeners.inner => {
            shard.on_link_accepted(now, socket, peer);
        }
        Event::Accepted { listener, socket, peer } => {
            match (0..).zip(&listeners.clients).find(|(_, client)| **client == listener) {
                Some((index, _)) => shard.on_client_accepted(now, index, socket, peer),
                // Came in while its listener was closed.
                None => shard.on_failed(now, socket),
            }
        }
        Event::AcceptFailed { .. } => shard.on_accept_failed(),
        Event::Received { socket, bytes } => shard.on_received(now, socket, bytes),
        Event::EndOfStream { socket } => shard.on_end_of_stream(now, socket),
        Event::Writable { socket } => shard.on_writable(now, socket),
        Event::Failed { socket, .. } => shard.on_failed(now, socket),
        Event::Connected { .. } | Event::Closed { .. } | Event::Woken | Event::Tick => {}
    }
}

/// As many as `asked` for, and those to registers, but no more than the process may have files, nor than a ring can have at
/// all: where the limit of open files is higher (`LimitNOFILE=infinity`, containers), the rest of it is of no use.
fn sockets_max(asked: Option<u32>, registers: u32, open_files: u64) -> u32 {
    let most = u32::try_from(open_files).map_or(SOCKETS_MAX, |files| files.min(SOCKETS_MAX));
    asked.map_or(most, |asked| asked.saturating_add(registers).min(most))
}

pub(super) fn now(ring: &Ring) -> Millis {
    Millis(ring.now())
}

/// How long a turn may block, in ms: that the log is told of workers, and that a control thread that ended is noticed, needs no
/// more.
const WAIT_MAX_MS: u64 = 1_000;

/// No time ever.
const NEVER: Millis = Millis(u64::MAX);

/// While there is traffic, the control plane gets its turn this often, in ms.
const CONTROL_PERIOD_MS: u64 = 5;

/// A full shard says so this often, in ms.
const REFUSAL_LOG_PERIOD_MS: u64 = 60_000;

/// How long workers may take to close their ends, in ms.
const LEAVE_TIMEOUT_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_as_many_sockets_as_limits_and_the_ring_allow() {
        assert_eq!(sockets_max(None, 1, 1_000), 1_000);
        assert_eq!(sockets_max(Some(10), 2, 1_000), 12);
        assert_eq!(sockets_max(Some(2_000), 1, 1_000), 1_000);
        for beyond in [1 << 20, (1 << 20) + 1, 1 << 30, 1 << 40, u64::MAX] {
            assert_eq!(sockets_max(None, 1, beyond), 1 << 20);
            assert_eq!(sockets_max(Some(u32::MAX), 1, beyond), 1 << 20);
        }
    }
}
