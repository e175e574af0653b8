//! The ring itself: the parts that it is made of. What it does with them stands in the files of the operations, and in
//! `turn`.

use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;

use socket2::Socket;

use crate::ahead::Ahead;
use crate::buffers::Buffers;
use crate::clock::{Clock, Time};
use crate::config::Config;
use crate::listener::Listener;
use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::setup::{self, SetupError};
use crate::slots::{Slots, SocketId};
use crate::stats::Stats;
use crate::waker::Waker;
use crate::work::WorkMeter;

/// One io_uring with its sockets. It belongs to the thread that made it.
pub struct Ring {
    pub(crate) queue: Queue,
    pub(crate) slots: Slots,
    pub(crate) listeners: Vec<Option<Listener>>,
    pub(crate) accepts_in_flight: u16,
    pub(crate) buffers: Buffers,
    /// What others than preferred sockets may fill of a buffer.
    pub(crate) receive_max: usize,
    /// Sockets to receive from, the one that waits longest first.
    pub(crate) readable: VecDeque<SocketId>,
    /// The preferred ones among them, apart.
    pub(crate) preferred: VecDeque<SocketId>,
    /// The ordinary descriptors of preferred sockets, by slot.
    pub(crate) descriptors: HashMap<u32, Socket>,
    /// Of preferred sockets, what they wait with.
    pub(crate) ahead: Ahead,
    pub(crate) outbox: Outbox,
    /// Sockets that broke in a send, with the error number; told in the next turn.
    pub(crate) failures: Vec<(SocketId, i32)>,
    pub(crate) clock: Clock,
    /// Once somebody asked for it.
    pub(crate) waker: Option<Waker>,
    pub(crate) stats: Stats,
    pub(crate) work: WorkMeter,
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
            queue: Queue::new(uring, config.busy_poll),
            slots: Slots::new(config.sockets_max, config.reserved_for_connects),
            listeners: Vec::new(),
            accepts_in_flight: config.accepts_in_flight,
            buffers: Buffers::new(config.recv_buffer_size, config.recv_buffers),
            receive_max: config.recv_size_max.min(config.recv_buffer_size),
            readable: VecDeque::new(),
            preferred: VecDeque::new(),
            descriptors: HashMap::new(),
            ahead: Ahead::default(),
            outbox: Outbox::new(config.entries as usize),
            failures: Vec::new(),
            clock: Clock::new(config.tick, config.catch_up_after),
            waker: None,
            stats: Stats::default(),
            work: WorkMeter::default(),
            releases_at_once: setup::releases_at_once(),
            renewed_next: 0,
            not_send: PhantomData,
        })
    }

    /// Milliseconds since the ring was made, monotonic, as of the last turn.
    pub fn now(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The same, for whoever must know it while the ring delivers events.
    pub fn time(&self) -> Time {
        self.clock.time()
    }

    /// Sockets that exist: accepted, connected, connecting, or closing.
    pub fn sockets(&self) -> usize {
        self.slots.sockets()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        Stats { enters: self.queue.enters, ..self.stats }
    }
}
