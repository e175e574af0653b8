//! Outgoing connections: an ordinary socket, moved into the file table, then connected by the ring.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use io_uring::{opcode, types};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::event::Event;
use crate::narrow::narrow;
use crate::queue::Completion;
use crate::ring::Ring;
use crate::slots::{SocketId, flag};
use crate::token::{Op, Token};

impl Ring {
    /// Begins a connection, from the local address `from` if given. `Event::Connected` or `Event::Failed` follows
    /// (unless it is closed before). TCP_NODELAY is set.
    ///
    /// # Errors
    /// `QuotaExceeded` if the table is full; else what the kernel says of making or binding the socket, or of the ring.
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<SocketId> {
        self.begin_connection(to, from)
    }

    /// The same, and the socket is preferred ([`Ring::listen_preferred`]): for few that are busy.
    ///
    /// # Errors
    /// As [`Ring::connect`].
    pub fn connect_preferred(&mut self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<SocketId> {
        let socket = self.begin_connection(to, from)?;
        if let Some(slot) = self.slots.live(socket) {
            slot.set(flag::PREFERRED);
        }
        Ok(socket)
    }

    fn begin_connection(&mut self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<SocketId> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = from {
            // The port is chosen when connecting, so that it need only be unique for this peer.
            choose_port_late(&socket)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        let slot = self.slots.take().ok_or_else(full)?;
        self.install(&socket, slot)?;
        let id = self.slots.open(slot);
        self.begin_connect(id, &to.into())?;
        Ok(id)
    }

    fn begin_connect(&mut self, socket: SocketId, to: &SockAddr) -> io::Result<()> {
        if let Some(slot) = self.slots.live(socket) {
            slot.set(flag::CONNECTING);
        }
        self.stats.connects += 1;
        let connect = opcode::Connect::new(types::Fixed(socket.slot()), to.as_ptr().cast(), to.len());
        // SAFETY: `to` is read while the operation is submitted, at the latest then copied (IORING_FEAT_SUBMIT_STABLE);
        // `submit` below submits it, or fails and the ring is never entered again. `to` outlives this call.
        unsafe { self.queue.push(connect.build().user_data(Token::of(Op::Connect, socket).0)) };
        self.queue.submit()
    }

    pub(crate) fn on_connected(&mut self, done: Completion, on_event: &mut impl FnMut(Event<'_>)) {
        let socket = done.token.socket();
        let Some(slot) = self.slots.present(socket) else { return };
        slot.clear(flag::CONNECTING);
        if slot.has(flag::CLOSING) {
            return self.join(socket);
        }
        if done.result < 0 {
            return self.fail(socket, -done.result, on_event);
        }
        if !slot.has(flag::PAUSED) {
            self.park(socket);
        }
        on_event(Event::Connected { socket });
    }
}

/// Sets IP_BIND_ADDRESS_NO_PORT.
fn choose_port_late(socket: &Socket) -> io::Result<()> {
    let (yes, len) = (1 as libc::c_int, narrow(size_of::<libc::c_int>()));
    let fd = socket.as_raw_fd();
    // SAFETY: the value's pointer and length are valid for the call; the option exists for IPv6 sockets too.
    match unsafe {
        libc::setsockopt(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const yes).cast(), len)
    } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "the table of sockets is full")
}
