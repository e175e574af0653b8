//! `uring`'s ring, with TLS below those of its connections that are with other programs.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use tls::Mutual;
use uring::{Acks, Event, ListenerId, Send, Short, SocketId, Stats, Time, Waker, Work};

use crate::links::{Act, Links, Refused, Sealed};

/// A ring as [`uring::Ring`] is one, of which each method does the same here. With certificates, its connections to others, and
/// those that come where [`Ring::listen_to_programs`] listens, are TLS: [`Event::Accepted`] and [`Event::Connected`] come when the
/// handshake is done, and [`Event::EndOfStream`] when the peer has said so in TLS. An end without that is [`Event::Failed`].
pub struct Ring {
    ring: uring::Ring,
    links: Option<Box<Links>>,
    /// Why nothing can be sent any more, found where it could not be told.
    broken: Option<io::Error>,
}

impl Ring {
    /// `None`: its connections are plain.
    pub fn new(ring: uring::Ring, mutual: Option<Mutual>) -> Ring {
        Ring { ring, links: mutual.map(|mutual| Box::new(Links::new(mutual))), broken: None }
    }

    /// Takes other certificates, for connections from now on.
    pub fn renew(&mut self, mutual: Mutual) {
        if let Some(links) = &mut self.links {
            links.renew(mutual);
        }
    }

    /// Who was closed because it did not prove that it belongs to the cluster.
    pub fn refused(&self) -> Refused {
        self.links.as_ref().map(|links| links.refused()).unwrap_or_default()
    }

    /// [`uring::Ring::listen`]: for whoever is no program of the cluster.
    ///
    /// # Errors
    /// As there.
    pub fn listen(&mut self, socket: TcpListener) -> io::Result<ListenerId> {
        self.ring.listen(socket)
    }

    /// The same for programs of the cluster.
    ///
    /// # Errors
    /// As there.
    pub fn listen_to_programs(&mut self, socket: TcpListener) -> io::Result<ListenerId> {
        let listener = self.ring.listen(socket)?;
        self.links.iter_mut().for_each(|links| links.listen(listener));
        Ok(listener)
    }

    /// [`uring::Ring::listen_preferred`], for programs of the cluster.
    ///
    /// # Errors
    /// As there.
    pub fn listen_to_programs_preferred(&mut self, socket: TcpListener) -> io::Result<ListenerId> {
        let listener = self.ring.listen_preferred(socket)?;
        self.links.iter_mut().for_each(|links| links.listen(listener));
        Ok(listener)
    }

    /// [`uring::Ring::stop_listening`].
    pub fn stop_listening(&mut self, listener: ListenerId) {
        self.ring.stop_listening(listener);
        if let Some(links) = &mut self.links {
            links.stop_listening(listener);
        }
    }

    /// [`uring::Ring::hold_accepts`].
    pub fn hold_accepts(&mut self, listener: ListenerId, held: bool) {
        self.ring.hold_accepts(listener, held);
    }

    /// [`uring::Ring::connect`].
    ///
    /// # Errors
    /// As there.
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<SocketId> {
        let socket = self.ring.connect(to, from)?;
        if let Some(links) = &mut self.links {
            links.connect(socket);
        }
        Ok(socket)
    }

    /// [`uring::Ring::connect_preferred`].
    ///
    /// # Errors
    /// As there.
    pub fn connect_preferred(&mut self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<SocketId> {
        let socket = self.ring.connect_preferred(to, from)?;
        if let Some(links) = &mut self.links {
            links.connect(socket);
        }
        Ok(socket)
    }

    /// [`uring::Ring::turn`].
    ///
    /// # Errors
    /// As there.
    pub fn turn(&mut self, wait_max: Duration, mut on_event: impl FnMut(Event<'_>)) -> io::Result<()> {
        if self.links.is_none() {
            return self.ring.turn(wait_max, on_event);
        }
        self.broken.take().map_or(Ok(()), Err)?;
        let (now, time) = (self.ring.now(), self.ring.time());
        if let Some(links) = &mut self.links {
            links.continue_handshakes(now, &mut on_event);
            links.expire(now, &mut on_event);
        }
        self.flush()?;
        let wait = self.wait_allowed(wait_max);
        let Ring { ring, links: Some(links), .. } = self else { return Ok(()) };
        ring.turn(wait, |event| links.on_event(time.now(), event, &mut on_event))?;
        self.flush()?;
        if let Some(links) = &mut self.links {
            links.expire(now, &mut on_event);
        }
        Ok(())
    }

    /// [`uring::Ring::send_all`].
    ///
    /// # Errors
    /// As there.
    pub fn send_all<'a>(
        &mut self,
        sends: impl IntoIterator<Item = Send<'a>>,
        short: &mut Vec<Short>,
    ) -> io::Result<()> {
        self.send_all_and_wait(sends, short, Duration::ZERO)
    }

    /// [`uring::Ring::send_all_and_wait`]. It does not wait behind what is encrypted.
    ///
    /// # Errors
    /// As there.
    pub fn send_all_and_wait<'a>(
        &mut self,
        sends: impl IntoIterator<Item = Send<'a>>,
        short: &mut Vec<Short>,
        wait_max: Duration,
    ) -> io::Result<()> {
        let Some(links) = &self.links else { return self.ring.send_all_and_wait(sends, short, wait_max) };
        let (sealed, plain): (Vec<_>, Vec<_>) = sends.into_iter().partition(|send| links.has(send.socket));
        let wait = if sealed.is_empty() { self.wait_allowed(wait_max) } else { Duration::ZERO };
        self.ring.send_all_and_wait(plain, short, wait)?;
        self.send_sealed(sealed.into_iter().map(Sealed::new).collect(), short)
    }

    /// [`uring::Ring::send_each`].
    ///
    /// # Errors
    /// As there.
    pub fn send_each(
        &mut self,
        sends: &[(SocketId, IoSlice<'_>)],
        sent: &mut Vec<usize>,
        wait_max: Duration,
    ) -> io::Result<()> {
        if self.links.is_none() {
            return self.ring.send_each(sends, sent, wait_max);
        }
        let all =
            sends.iter().map(|(socket, slice)| Send { socket: *socket, slices: std::slice::from_ref(slice) });
        let mut short = Vec::new();
        self.send_all_and_wait(all, &mut short, wait_max)?;
        short.sort_unstable_by_key(|short| short.socket);
        sent.extend(sends.iter().map(|(socket, slice)| {
            let fell_short = short.binary_search_by_key(socket, |short| short.socket);
            fell_short.map_or(slice.len(), |at| short[at].sent)
        }));
        Ok(())
    }

    /// [`uring::Ring::pause`].
    pub fn pause(&mut self, socket: SocketId) {
        self.ring.pause(socket);
    }

    /// [`uring::Ring::resume`].
    pub fn resume(&mut self, socket: SocketId) {
        self.ring.resume(socket);
    }

    /// [`uring::Ring::shutdown`]: the peer is told in TLS, too.
    pub fn shutdown(&mut self, socket: SocketId) {
        match &mut self.links {
            Some(links) if links.has(socket) => {
                links.shut_down(socket);
                self.flush_or_break();
            }
            _ => self.ring.shutdown(socket),
        }
    }

    /// [`uring::Ring::close`]: the peer is told in TLS, too, if the kernel takes that at once.
    pub fn close(&mut self, socket: SocketId) {
        if let Some(links) = &mut self.links
            && links.has(socket)
        {
            links.shut_down(socket);
            self.flush_or_break();
            self.links.iter_mut().for_each(|links| drop(links.forget(socket)));
        }
        self.ring.close(socket);
    }

    /// [`uring::Ring::acknowledged`].
    pub fn acknowledged(&mut self, socket: SocketId) -> Option<Acks> {
        self.ring.acknowledged(socket)
    }

    /// [`uring::Ring::was_held_up`].
    pub fn was_held_up(&mut self) -> bool {
        self.ring.was_held_up()
    }

    /// [`uring::Ring::now`].
    pub fn now(&self) -> u64 {
        self.ring.now()
    }

    /// [`uring::Ring::time`].
    pub fn time(&self) -> Time {
        self.ring.time()
    }

    /// [`uring::Ring::sockets`].
    pub fn sockets(&self) -> usize {
        self.ring.sockets()
    }

    /// [`uring::Ring::stats`].
    pub fn stats(&self) -> Stats {
        self.ring.stats()
    }

    /// [`uring::Ring::waker`].
    ///
    /// # Errors
    /// As there.
    pub fn waker(&mut self) -> io::Result<Waker> {
        self.ring.waker()
    }

    /// [`uring::Ring::take_work`].
    pub fn take_work(&mut self) -> Option<Work> {
        self.ring.take_work()
    }

    /// How long may be waited of `wait_max`.
    fn wait_allowed(&mut self, wait_max: Duration) -> Duration {
        let Some(links) = &mut self.links else { return wait_max };
        if links.is_pending() {
            return Duration::ZERO;
        }
        let now = self.ring.now();
        let until = links.deadline().map(|until| Duration::from_millis(until.saturating_sub(now)));
        until.map_or(wait_max, |until| until.min(wait_max))
    }

    /// Encrypts and sends, until all is sent or nobody has room.
    fn send_sealed(&mut self, mut sends: Vec<Sealed<'_>>, short: &mut Vec<Short>) -> io::Result<()> {
        while let Some(links) = self.links.as_mut().filter(|_| !sends.is_empty()) {
            links.seal(&mut sends, short);
            self.flush()?;
        }
        Ok(())
    }

    fn flush_or_break(&mut self) {
        if let Err(error) = self.flush() {
            self.broken = Some(error);
        }
    }

    /// Sends what is encrypted, and does what is to be done behind that.
    fn flush(&mut self) -> io::Result<()> {
        let Ring { ring, links: Some(links), .. } = self else { return Ok(()) };
        let mut dirty = std::mem::take(&mut links.dirty);
        if !dirty.is_empty() {
            dirty.sort_unstable();
            dirty.dedup();
            let (slices, mut short): (Vec<_>, _) =
                (dirty.iter().map(|socket| [IoSlice::new(links.unsent(*socket))]).collect(), Vec::new());
            let sends = dirty.iter().zip(&slices).filter(|(_, slice)| !slice[0].is_empty());
            ring.send_all(sends.map(|(socket, slice)| Send { socket: *socket, slices: slice }), &mut short)?;
            let sizes: Vec<_> = slices.iter().map(|slice| slice[0].len()).collect();
            for (socket, size) in dirty.drain(..).zip(sizes) {
                let fell_short = short.iter().find(|short| short.socket == socket);
                links.on_sent(socket, fell_short.map_or(size, |short| short.sent));
            }
        }
        links.dirty = dirty;
        for act in std::mem::take(&mut links.acts) {
            match act {
                Act::Pause(socket) => ring.pause(socket),
                Act::Resume(socket) => ring.resume(socket),
                Act::Shutdown(socket) => ring.shutdown(socket),
                Act::Close(socket) => {
                    links.forget(socket);
                    ring.close(socket);
                }
            }
        }
        Ok(())
    }
}
