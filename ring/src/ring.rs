//! The ring itself: its parts, its turn, and what becomes of each completion.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use crate::accept::Listener;
use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::config::Config;
use crate::event::Event;
use crate::queue::{Completion, Queue};
use crate::send::Outbox;
use crate::setup::{self, SetupError};
use crate::slots::{Slots, SocketId, flag};
use crate::stats::Stats;
use crate::token::Op;

/// One io_uring with its sockets. It belongs to the thread that made it.
pub struct Ring {
    pub(crate) queue: Queue,
    pub(crate) slots: Slots,
    pub(crate) listeners: Vec<Option<Listener>>,
    pub(crate) accepts_in_flight: u16,
    pub(crate) buffers: Buffers,
    /// Sockets to receive from, the one that waits longest first.
    pub(crate) readable: VecDeque<SocketId>,
    pub(crate) outbox: Outbox,
    /// Sockets that broke in a send, with the error number; told in the next turn.
    pub(crate) failures: Vec<(SocketId, i32)>,
    pub(crate) clock: Clock,
    pub(crate) stats: Stats,
    /// See `close`.
    pub(crate) releases_at_once: bool,
    /// The slot whose polls are renewed next; see `close`.
    pub(crate) renewed_next: usize,
    /// The kernel accepts submissions from the thread that made the ring only.
    not_send: PhantomData<*const ()>,
}

impl Ring {
    /// A ring without sockets, for this thread.
    ///
    /// # Errors
    /// The kernel or its limits do not allow it; the error says in one line what to change.
    pub fn new(config: Config) -> Result<Ring, SetupError> {
        let uring = setup::build(&config)?;
        Ok(Ring {
            queue: Queue::new(uring),
            slots: Slots::new(config.sockets_max),
            listeners: Vec::new(),
            accepts_in_flight: config.accepts_in_flight,
            buffers: Buffers::new(config.recv_buffer_size, config.recv_buffers),
            readable: VecDeque::new(),
            outbox: Outbox::new(config.entries as usize),
            failures: Vec::new(),
            clock: Clock::new(config.tick),
            stats: Stats::default(),
            releases_at_once: setup::releases_at_once(),
            renewed_next: 0,
            not_send: PhantomData,
        })
    }

    /// Milliseconds since the ring was made, monotonic, as of the last turn.
    pub fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Sockets that exist: accepted, connected, connecting, or closing.
    pub fn sockets(&self) -> usize {
        self.slots.sockets()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        Stats { enters: self.queue.enters, ..self.stats }
    }

    /// Submits what is queued, waits at most `wait_max` (zero: not at all) unless there is something to do, and
    /// delivers it. The work is bounded: at most one receive per socket, and as many in all as there are receive buffers;
    /// what is left is done in the next turn, without waiting. The order of events of one socket is that of the connection.
    ///
    /// # Errors
    /// The kernel refuses the ring; it will not work again.
    pub fn turn(&mut self, wait_max: Duration, mut on_event: impl FnMut(Event<'_>)) -> io::Result<()> {
        self.begin_accepts();
        if !self.has_work() {
            let wait = wait_max.min(self.clock.until_tick()).min(self.until_rest_ends());
            self.queue.turn(wait)?;
        }
        self.clock.read();
        self.handle_completions(&mut on_event);
        self.deliver_failures(&mut on_event);
        if !self.readable.is_empty() {
            self.begin_receives();
            self.queue.turn(Duration::ZERO)?;
            self.handle_completions(&mut on_event);
        }
        if self.clock.tick_due() {
            on_event(Event::Tick);
        }
        Ok(())
    }

    /// Whether a turn has something to do without asking the kernel.
    fn has_work(&self) -> bool {
        !(self.queue.completions.is_empty() && self.readable.is_empty() && self.failures.is_empty())
    }

    /// Handles what was fetched until now.
    fn handle_completions(&mut self, on_event: &mut impl FnMut(Event<'_>)) {
        for _ in 0..self.queue.completions.len() {
            let Some(done) = self.queue.completions.pop_front() else { return };
            self.handle(done, on_event);
        }
    }

    fn handle(&mut self, done: Completion, on_event: &mut impl FnMut(Event<'_>)) {
        match done.token.op() {
            Op::Receive => self.on_received(done, on_event),
            Op::Park => self.on_readable(done, on_event),
            Op::PollOut => self.on_room(done, on_event),
            Op::Accept => self.on_accept(done, on_event),
            Op::Connect => self.on_connected(done, on_event),
            Op::ShutdownWrite => self.on_shut(done, flag::SHUTTING_WRITE),
            Op::ShutdownBoth => self.on_shut(done, flag::SHUTTING_BOTH),
            Op::Release => self.on_released(done, on_event),
            Op::Send | Op::Ignored => unreachable!("kept apart when fetched"),
        }
    }

    fn deliver_failures(&mut self, on_event: &mut impl FnMut(Event<'_>)) {
        while let Some((socket, errno)) = self.failures.pop() {
            if let Some(slot) = self.slots.live(socket) {
                slot.set(flag::ENDED);
                on_event(Event::Failed { socket, error: io::Error::from_raw_os_error(errno) });
            }
        }
    }
}

impl Drop for Ring {
    /// Ends what the kernel could still write for, so that the memory can be freed. Sockets end with the ring.
    fn drop(&mut self) {
        self.end_accepts();
        if !self.buffers.all_free() {
            // Receives are done when submitted, so this happens only to a broken ring: better leaked than written to.
            std::mem::forget(std::mem::replace(&mut self.buffers, Buffers::new(1, 1)));
        }
    }
}
