//! Accepting: several accepts in flight for each listener. A full table refuses; the listener goes on.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use io_uring::opcode;
use socket2::{SockRef, Socket};

use crate::config::ACCEPT_REST_MS;
use crate::event::{Event, ListenerId};
use crate::listener::{Accept, Listener};
use crate::narrow::narrow;
use crate::queue::Completion;
use crate::ring::Ring;
use crate::slots::flag;
use crate::token::{Op, Token};

impl Ring {
    /// Accepts connections from now on. `socket` must be a listening TCP socket. It is made blocking (the kernel would
    /// otherwise not wait) and gets TCP_NODELAY, which connections inherit.
    ///
    /// # Errors
    /// The socket's options cannot be set, or there are 65,536 listeners.
    pub fn listen(&mut self, socket: TcpListener) -> io::Result<ListenerId> {
        self.listen_as(socket, false)
    }

    /// The same for few connections on which much depends. However many others are readable, these are received from
    /// first, and at least half of a turn's receives is theirs; and [`Ring::acknowledged`] tells of them. Each takes one of the
    /// process' open files besides, and the first 256 of a ring wait with a receive into 16 KiB of their own, so that what comes
    /// needs no second system call.
    ///
    /// # Errors
    /// As [`Ring::listen`].
    pub fn listen_preferred(&mut self, socket: TcpListener) -> io::Result<ListenerId> {
        self.listen_as(socket, true)
    }

    /// Begins no more accepts while `held`: who connects waits in the kernel's backlog. Those in flight still come, at most as
    /// many as `Config::accepts_in_flight`.
    pub fn hold_accepts(&mut self, id: ListenerId, held: bool) {
        if let Some(Some(listener)) = self.listeners.get_mut(usize::from(id.0)) {
            listener.held = held;
        }
    }

    fn listen_as(&mut self, socket: TcpListener, preferred: bool) -> io::Result<ListenerId> {
        socket.set_nonblocking(false)?;
        SockRef::from(&socket).set_tcp_nodelay(true)?;
        let listener = Listener::new(socket, usize::from(self.accepts_in_flight), preferred);
        let free = self.listeners.iter().position(Option::is_none);
        let index = free.unwrap_or(self.listeners.len());
        let id = ListenerId(u16::try_from(index).map_err(|_| io::ErrorKind::QuotaExceeded)?);
        match free {
            Some(index) => self.listeners[index] = Some(listener),
            None => self.listeners.push(Some(listener)),
        }
        Ok(id)
    }

    /// Accepts no more. The port is free after one of the next turns, when the accepts in flight have ended;
    /// a connection that such an accept already took still comes.
    pub fn stop_listening(&mut self, id: ListenerId) {
        let index = usize::from(id.0);
        let Some(Some(listener)) = self.listeners.get_mut(index) else { return };
        if listener.stopping {
            return;
        }
        listener.stopping = true;
        for (number, accept) in listener.accepts.iter().enumerate() {
            if *accept != Accept::Idle {
                let accept = Token::new(Op::Accept, narrow(index), narrow(number));
                let cancel = opcode::AsyncCancel::new(accept.0).build().user_data(Token::IGNORED.0);
                // SAFETY: the entry points to no memory.
                unsafe { self.queue.push(cancel) };
            }
        }
        self.drop_if_stopped(index);
    }

    /// Keeps every listener's accepts in flight.
    pub(crate) fn begin_accepts(&mut self) {
        for index in 0..self.listeners.len() {
            let Some(listener) = &self.listeners[index] else { continue };
            let all = listener.in_flight == listener.accepts.len();
            let spare = listener.accepts.contains(&Accept::Spare);
            let rests = listener.rest(self.clock.now_ms()).is_some();
            if !(all || spare || listener.stopping || listener.held || rests) {
                self.begin_accepts_of(index);
            }
        }
    }

    fn begin_accepts_of(&mut self, index: usize) {
        let listener = self.listeners[index].as_mut().expect("the caller found it");
        for number in 0..listener.accepts.len() {
            if listener.accepts[number] != Accept::Idle {
                continue;
            }
            let accept = match self.slots.take_for_accept() {
                Some(slot) if listener.preferred => Accept::Beside(slot),
                Some(slot) => Accept::Into(slot),
                None if listener.in_flight == 0 => Accept::Spare,
                None => return,
            };
            listener.accepts[number] = accept;
            listener.in_flight += 1;
            let token = Token::new(Op::Accept, narrow(index), narrow(number));
            let entry = listener.entry(number, accept);
            // SAFETY: the entry points to the peer's place and the listener's descriptor. Both live as long as the listener,
            // which is dropped only when no accept is in flight; the place is read only after the completion.
            unsafe { self.queue.push(entry.user_data(token.0)) };
            if accept == Accept::Spare {
                return;
            }
        }
    }

    /// How long a turn may wait so that no listener rests too long.
    pub(crate) fn until_rest_ends(&self) -> Duration {
        let now_ms = self.clock.now_ms();
        self.listeners
            .iter()
            .flatten()
            .filter_map(|listener| listener.rest(now_ms))
            .min()
            .unwrap_or(Duration::MAX)
    }

    pub(crate) fn on_accept(&mut self, done: Completion, on_event: &mut impl FnMut(Event<'_>)) {
        let (index, number) = (done.token.index() as usize, done.token.second() as usize);
        let listener = self.listeners[index].as_mut().expect("a listener outlives its accepts");
        let accept = std::mem::replace(&mut listener.accepts[number], Accept::Idle);
        listener.in_flight -= 1;
        let id = listener_id(index);
        let socket = match accept {
            Accept::Into(slot) if done.result >= 0 => Ok(slot),
            Accept::Beside(slot) if done.result >= 0 => self.admit_beside(done.result, slot),
            Accept::Into(slot) | Accept::Beside(slot) => {
                self.slots.give_back(slot);
                Err(io::Error::from_raw_os_error(-done.result))
            }
            _ if done.result >= 0 => self.admit_spare(done.result, index),
            _ => Err(io::Error::from_raw_os_error(-done.result)),
        };
        match socket {
            Ok(slot) => self.welcome(id, number, slot, on_event),
            Err(error) => self.on_accept_failed(id, error, on_event),
        }
        self.drop_if_stopped(index);
    }

    fn welcome(
        &mut self,
        listener: ListenerId,
        number: usize,
        slot: u32,
        on_event: &mut impl FnMut(Event<'_>),
    ) {
        let taken = self.listeners[usize::from(listener.0)].as_mut().expect("it has just accepted");
        let peer = taken.peer(number).unwrap_or(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
        let preferred = taken.preferred;
        let socket = self.slots.open(slot);
        if preferred && let Some(slot) = self.slots.live(socket) {
            slot.set(flag::PREFERRED);
        }
        self.stats.accepts += 1;
        self.park(socket);
        on_event(Event::Accepted { listener, socket, peer });
    }

    fn on_accept_failed(&mut self, id: ListenerId, error: io::Error, on_event: &mut impl FnMut(Event<'_>)) {
        let listener = self.listeners[usize::from(id.0)].as_mut().expect("its accept has just ended");
        if listener.stopping {
            return;
        }
        if error.kind() == io::ErrorKind::QuotaExceeded {
            self.stats.refusals += 1;
        } else {
            self.stats.accept_failures += 1;
            if !is_of_one_connection(&error) {
                listener.rests_until_ms = self.clock.now_ms() + ACCEPT_REST_MS;
            }
        }
        on_event(Event::AcceptFailed { listener: id, error });
    }

    /// A connection came while the table was full: into a slot if one is free by now, else it is reset.
    fn admit_spare(&mut self, fd: i32, index: usize) -> io::Result<u32> {
        // SAFETY: the completed accept made this descriptor, and nobody else knows it.
        let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let Some(slot) = self.slots.take_for_accept() else {
            // A reset is a clearer answer than an orderly end. If the option fails, it is the latter.
            let _ = socket.set_linger(Some(Duration::ZERO));
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the table of sockets is full: connection refused",
            ));
        };
        let preferred = self.listeners[index].as_ref().is_some_and(|listener| listener.preferred);
        if preferred { self.install_beside(socket, slot) } else { self.install(&socket, slot) }
    }

    fn admit_beside(&mut self, fd: i32, slot: u32) -> io::Result<u32> {
        // SAFETY: the completed accept made this descriptor, and nobody else knows it.
        let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(fd) });
        self.install_beside(socket, slot)
    }

    /// Keeps the ordinary descriptor of a preferred socket, by which the kernel can be asked about it.
    fn install_beside(&mut self, socket: Socket, slot: u32) -> io::Result<u32> {
        self.install(&socket, slot)?;
        self.descriptors.insert(slot, socket);
        Ok(slot)
    }

    /// Puts a socket into its slot of the file table. The caller then closes its own descriptor.
    pub(crate) fn install(&mut self, socket: &Socket, slot: u32) -> io::Result<u32> {
        match self.queue.submitter().register_files_update(slot, &[socket.as_raw_fd()]) {
            Ok(_) => Ok(slot),
            Err(error) => {
                self.slots.give_back(slot);
                Err(error)
            }
        }
    }

    fn drop_if_stopped(&mut self, index: usize) {
        if self.listeners[index].as_ref().is_some_and(|listener| listener.stopping && listener.is_idle()) {
            self.listeners[index] = None;
        }
    }

    /// Ends all accepts, so that the kernel writes no more peers. What cannot be ended in time is leaked, which is safe.
    pub(crate) fn end_accepts(&mut self) {
        for index in 0..self.listeners.len() {
            self.stop_listening(listener_id(index));
        }
        self.end_until(|ring| ring.listeners.iter().all(Option::is_none));
        self.listeners.drain(..).for_each(std::mem::forget);
    }
}

fn listener_id(index: usize) -> ListenerId {
    ListenerId(u16::try_from(index).expect("`listen` refuses more"))
}

/// Whether the error concerns only the connection that was lost, so that the next accept may well succeed.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ECONNABORTED | libc::EPROTO | libc::EPERM | libc::EINTR))
}
