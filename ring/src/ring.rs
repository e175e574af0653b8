//! The ring itself: its parts, its turn, and what becomes of each completion.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use socket2::Socket;

use crate::accept::Listener;
use crate::buffers::Buffers;
use crate::clock::{Clock, Time};
use crate::config::{CATCH_UP_ROUNDS_MAX, Config};
use crate::event::Event;
use crate::queue::{Completion, Queue};
use crate::send::Outbox;
use crate::setup::{self, SetupError};
use crate::slots::{Slots, SocketId, flag};
use crate::stats::Stats;
use crate::token::Op;
use crate::waker::Waker;

/// One io_uring with its sockets. It belongs to the thread that made it.
pub struct Ring {
    pub(crate) queue: Queue,
    pub(crate) slots: Slots,
    pub(crate) listeners: Vec<Option<Listener>>,
    pub(crate) accepts_in_flight: u16,
    pub(crate) buffers: Buffers,
    /// Sockets to receive from, the one that waits longest first.
    pub(crate) readable: VecDeque<SocketId>,
    /// The preferred ones among them, apart.
    pub(crate) preferred: VecDeque<SocketId>,
    /// The ordinary descriptors of preferred sockets, by slot.
    pub(crate) descriptors: HashMap<u32, Socket>,
    pub(crate) outbox: Outbox,
    /// Sockets that broke in a send, with the error number; told in the next turn.
    pub(crate) failures: Vec<(SocketId, i32)>,
    pub(crate) clock: Clock,
    /// Once somebody asked for it.
    pub(crate) waker: Option<Waker>,
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
            slots: Slots::new(config.sockets_max, config.reserved_for_connects),
            listeners: Vec::new(),
            accepts_in_flight: config.accepts_in_flight,
            buffers: Buffers::new(config.recv_buffer_size, config.recv_buffers),
            readable: VecDeque::new(),
            preferred: VecDeque::new(),
            descriptors: HashMap::new(),
            outbox: Outbox::new(config.entries as usize),
            failures: Vec::new(),
            clock: Clock::new(config.tick),
            waker: None,
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

    /// Submits what is queued, waits at most `wait_max` (zero: not at all) unless there is something to do, and
    /// delivers it. The work is bounded: at most one receive per socket, and as many in all as there are receive buffers;
    /// what is left is done in the next turn, without waiting. The order of events of one socket is that of the connection.
    ///
    /// Of readable sockets, preferred ones come first (`listen_preferred`). After a time in which the thread was held up (see
    /// `was_held_up`) they are received from until they have no more, and only then the others.
    ///
    /// # Errors
    /// The kernel refuses the ring; it will not work again.
    pub fn turn(&mut self, wait_max: Duration, mut on_event: impl FnMut(Event<'_>)) -> io::Result<()> {
        self.begin_accepts();
        let mut held_up = self.was_held_up();
        if held_up || !self.has_work() {
            let wait = wait_max.min(self.clock.until_tick()).min(self.until_rest_ends());
            let wait = if !held_up && (wait.is_zero() || self.may_wait()) { wait } else { Duration::ZERO };
            self.queue.turn(wait)?;
            held_up |= self.clock.was_held_up(wait);
        }
        self.clock.read();
        self.deliver_wake(&mut on_event);
        self.handle_completions(&mut on_event);
        self.deliver_failures(&mut on_event);
        if held_up {
            self.clock.caught_up();
            self.receive_all_preferred(&mut on_event)?;
        }
        if !(self.readable.is_empty() && self.preferred.is_empty()) {
            self.begin_receives();
            self.queue.turn(Duration::ZERO)?;
            self.handle_completions(&mut on_event);
        }
        if self.clock.tick_due() {
            on_event(Event::Tick);
        }
        Ok(())
    }

    /// Whether the thread was held up for seconds since the last turn looked at the clock: its process was stopped, its machine
    /// paused or asleep. Peers may have given up meanwhile, which only receiving shows: a caller that has something to send
    /// turns the ring first. It stays so until then.
    pub fn was_held_up(&mut self) -> bool {
        self.clock.was_held_up(Duration::ZERO)
    }

    /// Whether a turn has something to do without asking the kernel.
    fn has_work(&self) -> bool {
        let readable = !(self.readable.is_empty() && self.preferred.is_empty());
        readable || !(self.queue.completions.is_empty() && self.failures.is_empty())
    }

    /// Receives from preferred sockets until they have no more, in a bounded number of rounds.
    fn receive_all_preferred(&mut self, on_event: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        for _ in 0..CATCH_UP_ROUNDS_MAX {
            self.begin_preferred_receives();
            // A poll that begins now tells of what came since the last receive, and of the end behind it.
            self.queue.turn(Duration::ZERO)?;
            if self.queue.completions.is_empty() && self.preferred.is_empty() {
                break;
            }
            self.handle_completions(on_event);
            if self.was_held_up() {
                // Anew, by whoever is told: others must not wait for all that still comes.
                break;
            }
        }
        Ok(())
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
            Op::Waker => self.on_waker(done),
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;
    use crate::acks::tcp_info;

    struct Host {
        ring: Ring,
        seen: Vec<(SocketId, usize)>,
    }

    impl Host {
        /// What one turn brings: whose bytes, and how many; 0 is the end.
        fn turn(&mut self) {
            let seen = &mut self.seen;
            let see = |event: Event<'_>| match event {
                Event::Accepted { socket, .. } => seen.push((socket, usize::MAX)),
                Event::Received { socket, bytes } => seen.push((socket, bytes.len())),
                Event::EndOfStream { socket } => seen.push((socket, 0)),
                _ => {}
            };
            self.ring.turn(Duration::from_millis(50), see).unwrap();
        }

        fn accept(&mut self, address: std::net::SocketAddr) -> (TcpStream, SocketId) {
            let peer = TcpStream::connect(address).unwrap();
            loop {
                self.turn();
                if let Some((socket, usize::MAX)) = self.seen.pop() {
                    return (peer, socket);
                }
            }
        }
    }

    /// As after SIGSTOP and SIGCONT: clients have spoken meanwhile, and a link has been given up.
    #[test]
    fn after_a_time_of_being_held_up_preferred_sockets_are_read_to_their_end_before_the_others() {
        const CLOSE_WAIT: u8 = 8;
        let ring = Ring::new(Config { sockets_max: 64, recv_buffer_size: 1_000, ..Config::default() });
        let mut host = Host { ring: ring.unwrap(), seen: Vec::new() };
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [clients, links] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let [listener, preferred] = listeners;
        host.ring.listen(listener).unwrap();
        host.ring.listen_preferred(preferred).unwrap();
        let mut peers: Vec<_> = (0..20).map(|_| host.accept(clients)).collect();
        let (mut other_end, link) = host.accept(links);

        peers.iter_mut().for_each(|(peer, _)| peer.write_all(b"meanwhile").unwrap());
        other_end.write_all(&[7; 50_000]).unwrap();
        other_end.shutdown(Shutdown::Write).unwrap();
        while tcp_info(&host.ring.descriptors[&(link.index() as u32)]).unwrap().tcpi_state != CLOSE_WAIT {
            std::thread::yield_now();
        }
        assert!(!host.ring.was_held_up());
        host.ring.clock.sleep_through(Duration::from_secs(11));
        assert!(host.ring.was_held_up(), "so nothing is to be sent yet");
        host.turn();
        let of_link: Vec<_> = host.seen.iter().take_while(|(socket, _)| *socket == link).collect();
        assert_eq!(of_link.iter().map(|(_, size)| size).sum::<usize>(), 50_000);
        assert_eq!(of_link.last(), Some(&&(link, 0)), "its end is known before anybody else is heard");
        assert!(!host.ring.was_held_up());
        while !peers.iter().all(|(_, socket)| host.seen.contains(&(*socket, "meanwhile".len()))) {
            host.turn();
        }
    }
}
