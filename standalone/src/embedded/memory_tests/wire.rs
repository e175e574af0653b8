//! What a shard and a core are joined by when both have sockets.

use std::collections::VecDeque;

use super::*;

/// Bytes that a wire holds: less than some turns have to say.
const WIRE_ROOM: usize = 6_000;

/// Sockets of a network, which brings bytes in pieces and takes some at a time.
pub(super) struct Wire {
    random: fastrand::Rng,
    links: Vec<WireLink>,
    opened: u32,
}

struct WireLink {
    conn: ConnId,
    socket: SocketId,
    is_new: bool,
    to_core: Pipe,
    to_shard: Pipe,
}

#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    is_paused: bool,
    is_blocked: bool,
    is_ending: bool,
    is_over: bool,
}

impl Pipe {
    fn send(&mut self, bytes: &[u8]) -> usize {
        if self.is_ending || self.is_over {
            return bytes.len();
        }
        let size = bytes.len().min(WIRE_ROOM - self.bytes.len());
        self.bytes.extend(&bytes[..size]);
        self.is_blocked |= size < bytes.len();
        size
    }

    fn take(&mut self, random: &mut fastrand::Rng) -> Vec<u8> {
        if self.is_paused || self.is_over {
            return Vec::new();
        }
        let size_max = if random.bool() { 60 } else { WIRE_ROOM };
        let size = self.bytes.len().min(1 + random.usize(..size_max));
        self.bytes.drain(..size).collect()
    }

    fn take_end(&mut self) -> bool {
        let is_now = self.is_ending && !self.is_over && !self.is_paused && self.bytes.is_empty();
        self.is_over |= is_now;
        is_now
    }

    fn takes_again(&mut self) -> bool {
        self.bytes.len() < WIRE_ROOM && std::mem::take(&mut self.is_blocked)
    }

    fn is_pending(&self) -> bool {
        let is_read = !self.is_paused && !self.is_over;
        is_read && (!self.bytes.is_empty() || self.is_ending)
            || self.is_blocked && self.bytes.len() < WIRE_ROOM
    }
}

impl Joined for Wire {
    fn new(random: fastrand::Rng) -> Wire {
        Wire { random, links: Vec::new(), opened: 0 }
    }

    fn core_hears(&mut self, core: &mut Runtime) {
        for WireLink { conn, is_new, to_core, to_shard, .. } in &mut self.links {
            if std::mem::take(is_new) {
                core.on_connected(*conn);
            }
            let bytes = to_core.take(&mut self.random);
            if !bytes.is_empty() {
                core.on_bytes(*conn, &bytes);
            }
            if to_core.take_end() {
                core.on_end(*conn, io::ErrorKind::UnexpectedEof.into());
            }
            if to_shard.takes_again() {
                core.on_writable(*conn);
            }
        }
    }

    fn shard_hears(&mut self, shard: &mut Shard, now: Millis) {
        for WireLink { socket, is_new, to_core, to_shard, .. } in &mut self.links {
            if *is_new {
                shard.on_link_accepted(now, *socket, (*GATEWAY.ip(), 6000).into());
            }
            let mut bytes = to_shard.take(&mut self.random);
            if !bytes.is_empty() {
                shard.on_received(now, *socket, &mut bytes);
            }
            if to_shard.take_end() {
                shard.on_end_of_stream(now, *socket);
            }
            if to_core.takes_again() {
                shard.on_writable(now, *socket);
            }
        }
    }

    fn is_pending(&self) -> bool {
        let is_pending =
            |link: &WireLink| link.is_new || link.to_core.is_pending() || link.to_shard.is_pending();
        self.links.iter().any(is_pending)
    }

    fn shard_acts(&mut self, action: ShardAction) {
        for link in &mut self.links {
            match action {
                ShardAction::Pause(socket) if socket == link.socket => link.to_shard.is_paused = true,
                ShardAction::Resume(socket) if socket == link.socket => link.to_shard.is_paused = false,
                ShardAction::Shutdown(socket) if socket == link.socket => link.to_core.is_ending = true,
                ShardAction::Close(socket) if socket == link.socket => {
                    (link.to_core.is_ending, link.to_shard.is_over) = (true, true);
                }
                _ => {}
            }
        }
    }

    fn shard_sends(&mut self, socket: SocketId, bytes: &[u8]) -> usize {
        let link = self.links.iter_mut().find(|link| link.socket == socket);
        link.map_or(bytes.len(), |link| link.to_core.send(bytes))
    }

    fn is_bounded(&self) -> bool {
        true
    }
}

impl Near for Wire {
    fn act(&mut self, action: &CoreAction) -> bool {
        if let CoreAction::Connect(conn, ..) = action {
            self.opened += 1;
            let socket = SocketId::new(FIRST_SLOT + self.opened, self.opened);
            let (to_core, to_shard) = (Pipe::default(), Pipe::default());
            self.links.push(WireLink { conn: *conn, socket, is_new: true, to_core, to_shard });
            return true;
        }
        for link in &mut self.links {
            match action {
                CoreAction::Pause(conn) if *conn == link.conn => link.to_core.is_paused = true,
                CoreAction::Resume(conn) if *conn == link.conn => link.to_core.is_paused = false,
                CoreAction::Finish(conn) if *conn == link.conn => link.to_shard.is_ending = true,
                CoreAction::Close(conn) if *conn == link.conn => {
                    (link.to_shard.is_ending, link.to_core.is_over) = (true, true);
                }
                _ => {}
            }
        }
        true
    }

    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> Option<usize> {
        self.links.iter_mut().find(|link| link.conn == conn).map(|link| link.to_shard.send(bytes))
    }
}
