//! The turn: how the ring waits and is woken, what becomes of each completion, and the end.

use std::io;
use std::time::Duration;

use io_uring::{opcode, types};

use crate::buffers::Buffers;
use crate::config::CATCH_UP_ROUNDS_MAX;
use crate::event::Event;
use crate::queue::Completion;
use crate::ring::Ring;
use crate::slots::flag;
use crate::token::{Op, Token};
use crate::waker::Waker;

impl Ring {
    /// Submits what is queued, waits at most `wait_max` (zero: not at all) unless there is something to do, and
    /// delivers it. The work is bounded: at most one receive per socket, and as many in all as there are receive buffers;
    /// what is left is done in the next turn, without waiting. The order of events of one socket is that of the connection.
    ///
    /// Of readable sockets, preferred ones come first (`listen_preferred`). After a time in which the thread was held up (see
    /// `was_held_up`, `Config::catch_up_after`) they are received from until they have no more, and only then the others.
    ///
    /// # Errors
    /// The kernel refuses the ring; it will not work again.
    pub fn turn(&mut self, wait_max: Duration, mut on_event: impl FnMut(Event<'_>)) -> io::Result<()> {
        self.work.end(&self.clock);
        self.begin_accepts();
        let mut held_up = self.was_held_up();
        if held_up || !self.has_work() {
            let wait = if held_up { Duration::ZERO } else { self.wait_allowed(wait_max) };
            self.queue.turn(wait)?;
            held_up |= self.clock.was_held_up(wait);
        }
        self.clock.read();
        self.deliver_wake(&mut on_event);
        self.deliver_held(&mut on_event);
        self.handle_completions(&mut on_event);
        self.deliver_failures(&mut on_event);
        if held_up {
            self.clock.caught_up();
        }
        // The wait of a process that stood still ends with EINTR, and brings nothing of what has come.
        if self.clock.take_late() || held_up {
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

    /// Submits everything queued. Waits at most `wait_max` for something to come if there is nothing to do; the next turn
    /// delivers it.
    pub(crate) fn submit_and_wait(&mut self, wait_max: Duration) -> io::Result<()> {
        if !(wait_max.is_zero() || self.has_work()) {
            self.work.end(&self.clock);
            self.begin_accepts();
            let wait = self.wait_allowed(wait_max);
            self.queue.turn(wait)?;
            self.clock.was_held_up(wait);
            self.clock.read();
        }
        self.queue.submit()
    }

    /// How long the ring may wait of `wait_max`.
    fn wait_allowed(&self, wait_max: Duration) -> Duration {
        let wait = wait_max.min(self.clock.until_tick()).min(self.until_rest_ends());
        if wait.is_zero() || self.may_wait() { wait } else { Duration::ZERO }
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
        readable || self.ahead.is_due() || !(self.queue.completions.is_empty() && self.failures.is_empty())
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
        self.work.begin(self.queue.completions.len());
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
            Op::ReceiveAhead => self.on_received_ahead(done, on_event),
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

    /// A handle to wake this ring with; all handles are one. The first makes an eventfd.
    ///
    /// # Errors
    /// The process has as many open files as it may.
    pub fn waker(&mut self) -> io::Result<Waker> {
        if let Some(waker) = &self.waker {
            return Ok(waker.clone());
        }
        let waker = Waker::new()?;
        self.waker = Some(waker.clone());
        self.watch_waker();
        Ok(waker)
    }

    /// Whether the coming wait may last: nobody has woken the ring since it last looked.
    fn may_wait(&self) -> bool {
        self.waker.as_ref().is_none_or(Waker::try_sleep)
    }

    /// Tells of wakes since this was last called.
    fn deliver_wake(&self, on_event: &mut impl FnMut(Event<'_>)) {
        if self.waker.as_ref().is_some_and(Waker::end_sleep) {
            on_event(Event::Woken);
        }
    }

    /// The poll told of a write, or has ended.
    fn on_waker(&mut self, done: Completion) {
        if !done.more {
            self.watch_waker();
        }
    }

    fn watch_waker(&mut self) {
        let Some(waker) = &self.waker else { return };
        let poll = opcode::PollAdd::new(types::Fd(waker.fd()), libc::POLLIN as u32).multi(true);
        // SAFETY: the entry points to no memory.
        unsafe { self.queue.push(poll.build().user_data(Token::new(Op::Waker, 0, 0).0)) };
    }
}

impl Ring {
    /// Lets what was cancelled end, until `is_over`; it takes a turn, and is given up after a hundred. Nobody is told.
    pub(crate) fn end_until(&mut self, is_over: impl Fn(&mut Ring) -> bool) {
        for _ in 0..END_TURNS_MAX {
            if is_over(self) || self.queue.turn(END_WAIT).is_err() {
                return;
            }
            while let Some(done) = self.queue.completions.pop_front() {
                match done.token.op() {
                    Op::Accept => self.on_accept(done, &mut |_| {}),
                    Op::ReceiveAhead => self.on_received_ahead(done, &mut |_| {}),
                    _ => {}
                }
            }
        }
    }
}

impl Drop for Ring {
    /// Ends what the kernel could still write for, so that the memory can be freed. Sockets end with the ring.
    fn drop(&mut self) {
        self.begin_end_ahead();
        self.end_accepts();
        self.end_ahead();
        if !self.buffers.all_free() {
            // Receives are done when submitted, so this happens only to a broken ring: better leaked than written to.
            std::mem::forget(std::mem::replace(&mut self.buffers, Buffers::new(1, 1)));
        }
    }
}

/// How often, and how long each time, the end of a ring waits for what it has cancelled.
const END_TURNS_MAX: u32 = 100;
const END_WAIT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;
    use crate::Send;
    use crate::acks::tcp_info;
    use crate::config::Config;
    use crate::slots::SocketId;

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
        while tcp_info(&host.ring.descriptors[&link.slot()]).unwrap().tcpi_state != CLOSE_WAIT {
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

    /// What one turn brings of a link that has spoken and was reset meanwhile.
    fn turn_of_reset_link(catch_up_after: Duration) -> Vec<&'static str> {
        const CLOSE: u8 = 7;
        let ring = Ring::new(Config { sockets_max: 16, catch_up_after, ..Config::default() });
        let mut host = Host { ring: ring.unwrap(), seen: Vec::new() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        host.ring.listen_preferred(listener).unwrap();
        let (mut other_end, link) = host.accept(address);
        // A receive is in flight from here on.
        host.turn();
        other_end.write_all(b"meanwhile").unwrap();
        // What is unread resets the connection.
        let (slices, mut short) = ([IoSlice::new(b"unread")], Vec::new());
        host.ring.send_all([Send { socket: link, slices: &slices }], &mut short).unwrap();
        other_end.peek(&mut [0; 6]).unwrap();
        drop(other_end);
        while tcp_info(&host.ring.descriptors[&link.slot()]).unwrap().tcpi_state != CLOSE {
            std::thread::yield_now();
        }
        let mut brought = Vec::new();
        let see = |event: Event<'_>| match event {
            Event::Received { .. } => brought.push("bytes"),
            Event::Failed { .. } | Event::EndOfStream { .. } => brought.push("end"),
            _ => {}
        };
        host.ring.turn(Duration::ZERO, see).unwrap();
        brought
    }

    #[test]
    fn who_comes_back_late_is_told_of_the_end_in_the_turn_that_brings_the_bytes_before_it() {
        assert_eq!(turn_of_reset_link(Duration::MAX), ["bytes"]);
        assert_eq!(turn_of_reset_link(Duration::ZERO), ["bytes", "end"]);
    }

    /// How often this thread has gone to sleep.
    fn sleeps() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sleeps.unwrap().trim().parse().unwrap()
    }

    /// Rounds in each of which the ring waits for what a peer says to what it sends; how often it slept in them.
    fn sleeps_in_rounds(busy_poll: Duration, rounds: u64) -> u64 {
        let ring = Ring::new(Config { sockets_max: 16, busy_poll, ..Config::default() });
        let mut host = Host { ring: ring.unwrap(), seen: Vec::new() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        host.ring.listen(listener).unwrap();
        let (mut peer, socket) = host.accept(address);
        let echo = std::thread::spawn(move || {
            let mut byte = [0];
            while peer.read_exact(&mut byte).is_ok() {
                peer.write_all(&byte).unwrap();
            }
        });
        let before = sleeps();
        for _ in 0..rounds {
            let (slices, mut short) = ([IoSlice::new(b"!")], Vec::new());
            let send = Send { socket, slices: &slices };
            host.ring.send_all_and_wait([send], &mut short, Duration::from_secs(60)).unwrap();
            while host.seen.pop().is_none() {
                host.turn();
            }
        }
        let slept = sleeps() - before;
        drop(host);
        echo.join().unwrap();
        slept
    }

    #[test]
    fn a_ring_that_polls_busily_finds_what_comes_awake() {
        // The lock of a socket that its peer holds may still be slept for.
        let slept = sleeps_in_rounds(Duration::from_secs(60), 400);
        assert!(slept < 100, "slept {slept} times in 400 rounds");
    }

    #[test]
    fn a_ring_that_polls_busily_sleeps_when_nothing_has_come() {
        let config = Config { sockets_max: 1, busy_poll: Duration::from_micros(1), ..Config::default() };
        let (mut ring, before) = (Ring::new(config).unwrap(), sleeps());
        ring.turn(Duration::from_millis(20), |_| {}).unwrap();
        assert!(sleeps() > before);
    }
}
