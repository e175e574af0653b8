//! The register's loop: what its ring reports goes into the [`Register`], what that wants goes to the ring. The thread
//! sleeps nowhere else.

use std::io::{self, IoSlice};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use inner_tls::Ring;
use tls::Mutual;
use uring::{Event, ListenerId, SocketId, Waker};

use crate::config::{Config, READ_BUFFERS, READ_SIZE, SOCKETS_MAX, STOP_TIMEOUT_MS};
use crate::register::{Action, Register, Sink};
use crate::status::Control;

/// A register and its ring, in the register's own thread.
pub(crate) struct Pump {
    ring: Ring,
    register: Register,
    listener: ListenerId,
    control: Receiver<Control>,
}

impl Pump {
    /// Sets up the ring and begins to listen. The waker ends its wait when there is something in `control`.
    pub(crate) fn new(
        config: &Config,
        mutual: Option<Mutual>,
        listener: TcpListener,
        control: Receiver<Control>,
    ) -> io::Result<(Pump, Waker)> {
        let ring = uring::Ring::new(uring::Config {
            sockets_max: u32::try_from(program::raise_open_files()).unwrap_or(SOCKETS_MAX).min(SOCKETS_MAX),
            recv_buffer_size: READ_SIZE,
            recv_buffers: READ_BUFFERS,
            tick: Duration::ZERO,
            ..uring::Config::default()
        })
        .map_err(io::Error::other)?;
        let mut ring = Ring::new(ring, mutual);
        let waker = ring.waker()?;
        let listener = ring.listen_to_programs(listener)?;
        Ok((Pump { ring, register: Register::new(config), listener, control }, waker))
    }

    /// Runs until told to stop, and then until all connections are closed. The executor does nothing else meanwhile.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.serve() {
            program::give_up(format_args!("the ring of the register broke: {error}"));
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        while !self.is_told_to_stop() {
            self.turn()?;
        }
        self.ring.stop_listening(self.listener);
        let stop_by = self.ring.now() + STOP_TIMEOUT_MS;
        while self.ring.sockets() > 0 && self.ring.now() < stop_by {
            self.register.stop();
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let wait = Duration::from_millis(self.register.deadline().saturating_sub(self.ring.now()));
        let (register, time) = (&mut self.register, self.ring.time());
        self.ring.turn(wait, |event| deliver(register, time.now(), event))?;
        self.register.turn(self.ring.now(), &mut self.ring)
    }

    /// Answers who asks how things are.
    fn is_told_to_stop(&self) -> bool {
        loop {
            match self.control.try_recv() {
                Err(TryRecvError::Empty) => return false,
                Ok(Control::Status(answer)) => {
                    let (mut status, refused) = (self.register.status(), self.ring.refused());
                    status.counters.refused_without_tls = refused.plain;
                    status.counters.refused_tls_failed = refused.failed;
                    // Whoever asked may have given up.
                    let _ = answer.try_send(status);
                }
                Ok(Control::Members(answer)) => {
                    let _ = answer.try_send(self.register.members());
                }
                Ok(Control::Stop) | Err(TryRecvError::Disconnected) => return true,
            }
        }
    }
}

/// A register's turns take effect on its ring.
impl Sink for Ring {
    type Error = io::Error;

    fn act(&mut self, action: Action) {
        match action {
            Action::Pause(socket) => self.pause(socket),
            Action::Resume(socket) => self.resume(socket),
            Action::Close(socket) => self.close(socket),
        }
    }

    fn send(&mut self, sends: &[(SocketId, IoSlice<'_>)], sent: &mut Vec<usize>) -> io::Result<()> {
        self.send_each(sends, sent, Duration::ZERO)
    }
}

fn deliver(register: &mut Register, now: u64, event: Event<'_>) {
    match event {
        Event::Accepted { socket, peer, .. } => register.on_accepted(now, socket, peer),
        Event::AcceptFailed { error, .. } => register.on_accept_failed(&error),
        Event::Received { socket, bytes } => register.on_bytes(now, socket, bytes),
        Event::EndOfStream { socket } => register.on_end_of_stream(now, socket),
        Event::Writable { socket } => register.on_writable(socket),
        Event::Failed { socket, .. } => register.on_failed(socket),
        Event::Connected { .. } | Event::Closed { .. } | Event::Woken | Event::Tick => {}
    }
}
