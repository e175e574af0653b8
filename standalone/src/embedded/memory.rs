//! Links between a shard and the core in its thread, both ends of which are in memory. They are to both what sockets are: bytes
//! wait in them, up to a bound, and whoever does not read is not told. Neither is ever called while it calls.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, SocketAddrV4};

use gateway_core::{Action as ShardAction, Millis, Shard};
use ringway_worker::core::{Action as CoreAction, ConnId};
use ringway_worker::driver::Near;
use ringway_worker::runtime::Runtime;
use uring::SocketId;

/// The links of one thread.
///
/// Invariant: each has a connection of the core's and a socket of the shard's that no other has.
pub struct MemoryLinks {
    /// Where the shard is found; where it finds the core is at the same address.
    gateway: SocketAddrV4,
    /// Slots from here on are not the ring's.
    first_slot: u32,
    /// Bytes that wait in one direction of a link at most.
    room: usize,
    /// Links that there were.
    opened: u32,
    links: Vec<MemoryLink>,
}

struct MemoryLink {
    conn: ConnId,
    socket: SocketId,
    to_core: Direction,
    to_shard: Direction,
}

/// One direction of a link.
///
/// Invariant: `bytes.len() <= room`.
struct Direction {
    room: usize,
    bytes: Vec<u8>,
    /// The receiver knows of the link.
    is_known: bool,
    /// The receiver does not read.
    is_paused: bool,
    /// The sender waits for room.
    is_waited_for: bool,
    /// Nothing more comes: the sender has sent its FIN, or is gone.
    is_ending: bool,
    /// The receiver has heard the end.
    is_over: bool,
    /// The receiver is gone.
    is_closed: bool,
}

impl MemoryLinks {
    /// None yet. `gateway` is where the shard is found; from `first_slot` on, slots are none of the ring's; of what is on its
    /// way in one direction of a link there is room for `room` bytes.
    pub fn new(gateway: SocketAddrV4, first_slot: u32, room: usize) -> MemoryLinks {
        MemoryLinks { gateway, first_slot, room, opened: 0, links: Vec::new() }
    }

    /// Whether there is something to tell.
    pub fn is_pending(&self) -> bool {
        let is_pending = |link: &MemoryLink| link.to_core.is_pending() || link.to_shard.is_pending();
        self.links.iter().any(is_pending)
    }

    /// Tells the core what came for it.
    pub fn tell_core(&mut self, core: &mut Runtime) {
        for MemoryLink { conn, to_core, to_shard, .. } in &mut self.links {
            if to_core.begin() {
                core.on_connected(*conn);
            }
            if to_core.has_bytes() {
                core.on_bytes(*conn, &to_core.bytes);
                to_core.bytes.clear();
            }
            if to_core.take_end() {
                core.on_end(*conn, io::ErrorKind::UnexpectedEof.into());
            }
            if to_shard.take_room() {
                core.on_writable(*conn);
            }
        }
    }

    /// Tells the shard what came for it. While it does not read a link it is told nothing of later ones: what is asked there is
    /// behind what was commanded here.
    pub fn tell_shard(&mut self, shard: &mut Shard, now: Millis) {
        let peer = SocketAddr::from((*self.gateway.ip(), 0));
        let mut waits = false;
        for MemoryLink { socket, to_core, to_shard, .. } in &mut self.links {
            if to_shard.begin() {
                shard.on_guest_link(now, *socket, peer);
            }
            waits |= to_shard.is_paused && !to_shard.is_closed;
            if !waits && to_shard.has_bytes() {
                shard.on_received(now, *socket, &mut to_shard.bytes);
                to_shard.bytes.clear();
            }
            if !waits && to_shard.take_end() {
                shard.on_end_of_stream(now, *socket);
            }
            if to_core.take_room() {
                shard.on_writable(now, *socket);
            }
        }
    }

    /// The shard does something with a link.
    pub fn shard_acts(&mut self, action: ShardAction) {
        let (ShardAction::Pause(socket)
        | ShardAction::Resume(socket)
        | ShardAction::Shutdown(socket)
        | ShardAction::Close(socket)) = action
        else {
            return;
        };
        let Some(link) = self.links.iter_mut().find(|link| link.socket == socket) else { return };
        match action {
            ShardAction::Pause(_) => link.to_shard.is_paused = true,
            ShardAction::Resume(_) => link.to_shard.is_paused = false,
            ShardAction::Shutdown(_) => link.to_core.is_ending = true,
            ShardAction::Close(_) => {
                link.to_core.is_ending = true;
                link.to_shard.close();
                self.forget_closed();
            }
            ShardAction::HoldAccepts(_) => {}
        }
    }

    /// The shard sends. Returns how much there was room for.
    pub fn shard_sends(&mut self, socket: SocketId, slices: &mut dyn Iterator<Item = IoSlice<'_>>) -> usize {
        let link = self.links.iter_mut().find(|link| link.socket == socket);
        let Some(link) = link else { return slices.map(|slice| slice.len()).sum() };
        let mut sent = 0;
        for slice in slices {
            let size = link.to_core.send(&slice);
            sent += size;
            if size < slice.len() {
                break;
            }
        }
        sent
    }

    fn open(&mut self, conn: ConnId) {
        let is_free = |slot: &u32| !self.links.iter().any(|link| link.socket.index() == *slot as usize);
        let slot =
            (self.first_slot..=u32::MAX).find(is_free).expect("a core has few connections to one gateway");
        self.opened = self.opened.wrapping_add(1);
        let [to_core, to_shard] = [(); 2].map(|()| Direction::new(self.room));
        self.links.push(MemoryLink { conn, socket: SocketId::new(slot, self.opened), to_core, to_shard });
    }

    fn forget_closed(&mut self) {
        self.links.retain(|link| !(link.to_core.is_closed && link.to_shard.is_closed));
    }

    fn link_of(&mut self, conn: ConnId) -> Option<&mut MemoryLink> {
        self.links.iter_mut().find(|link| link.conn == conn)
    }
}

impl Near for MemoryLinks {
    fn act(&mut self, action: &CoreAction) -> bool {
        let conn = match action {
            CoreAction::Connect(conn, to, _) if *to == SocketAddr::V4(self.gateway) => {
                self.open(*conn);
                return true;
            }
            CoreAction::Pause(conn)
            | CoreAction::Resume(conn)
            | CoreAction::Finish(conn)
            | CoreAction::Close(conn) => *conn,
            CoreAction::Connect(..) | CoreAction::LookUp(..) | CoreAction::Tell(_) => return false,
        };
        let Some(link) = self.link_of(conn) else { return false };
        match action {
            CoreAction::Pause(_) => link.to_core.is_paused = true,
            CoreAction::Resume(_) => link.to_core.is_paused = false,
            CoreAction::Finish(_) => link.to_shard.is_ending = true,
            _ => {
                link.to_shard.is_ending = true;
                link.to_core.close();
                self.forget_closed();
            }
        }
        true
    }

    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> Option<usize> {
        self.link_of(conn).map(|link| link.to_shard.send(bytes))
    }
}

impl Direction {
    fn new(room: usize) -> Direction {
        Direction {
            room,
            bytes: Vec::new(),
            is_known: false,
            is_paused: false,
            is_waited_for: false,
            is_ending: false,
            is_over: false,
            is_closed: false,
        }
    }

    /// Takes what there is room for; returns how much that is. What is for nobody is taken, too.
    fn send(&mut self, bytes: &[u8]) -> usize {
        if self.is_ending || self.is_closed {
            return bytes.len();
        }
        let size = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..size]);
        self.is_waited_for |= size < bytes.len();
        size
    }

    /// Whether the receiver is to be told, now, that there is a link.
    fn begin(&mut self) -> bool {
        !self.is_closed && !std::mem::replace(&mut self.is_known, true)
    }

    fn is_read(&self) -> bool {
        !(self.is_paused || self.is_over || self.is_closed)
    }

    /// Whether the receiver is to be told that there are bytes.
    fn has_bytes(&self) -> bool {
        self.is_read() && !self.bytes.is_empty()
    }

    /// Whether the receiver is to be told, now, that nothing more comes.
    fn take_end(&mut self) -> bool {
        let is_now = self.is_read() && self.is_ending && self.bytes.is_empty();
        self.is_over |= is_now;
        is_now
    }

    /// Whether the sender is to be told, now, that there is room.
    fn take_room(&mut self) -> bool {
        self.has_room() && std::mem::take(&mut self.is_waited_for)
    }

    fn has_room(&self) -> bool {
        self.bytes.len() < self.room
    }

    /// The receiver is gone.
    fn close(&mut self) {
        self.bytes = Vec::new();
        self.is_closed = true;
    }

    fn is_pending(&self) -> bool {
        let is_new = !self.is_known && !self.is_closed;
        let has_end = self.is_read() && self.is_ending;
        is_new || self.has_bytes() || has_end || (self.is_waited_for && self.has_room())
    }
}

#[cfg(test)]
#[path = "memory_tests/mod.rs"]
mod tests;
