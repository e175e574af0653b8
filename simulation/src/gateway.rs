//! A gateway shard and its sockets.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddrV4};

use gateway_core::{Action, Identity, Millis, Sends, Settings, Shard, Sink};
use ring::{Acks, Short, SocketId};

use crate::network::Pipe;

/// A gateway shard, and which pipes its sockets send to: indices into the world's list.
pub(crate) struct Gateway {
    pub(crate) shard: Shard,
    pub(crate) address: SocketAddrV4,
    pub(crate) sockets: HashMap<SocketId, usize>,
    next_socket: u32,
}

/// A shard's turn takes effect on pipes.
struct PipeSink<'a> {
    sockets: &'a HashMap<SocketId, usize>,
    pipes: &'a mut [Pipe],
    actions: Vec<Action>,
}

impl Gateway {
    pub(crate) fn new(index: usize, seed: u64) -> Gateway {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2900 + index as u16);
        let listen = vec!["text://127.0.0.1:1000".parse().expect("a listen address")];
        let settings = Settings { listen, send_to_worker_buffer_size: 400, ..Settings::default() };
        let shard = Shard::new(settings, Identity { address, seed }, Millis(0));
        Gateway { shard, address, sockets: HashMap::new(), next_socket: 0 }
    }

    /// A socket whose bytes go to the pipe of this index.
    pub(crate) fn open(&mut self, pipe: usize) -> SocketId {
        let socket = SocketId::new(self.next_socket, 0);
        self.next_socket += 1;
        self.sockets.insert(socket, pipe);
        socket
    }

    /// Runs turns until none is pending; returns what is to be done with sockets.
    pub(crate) fn turn(&mut self, now: Millis, pipes: &mut [Pipe]) -> Vec<Action> {
        let mut sink = PipeSink { sockets: &self.sockets, pipes, actions: Vec::new() };
        loop {
            let Ok(()) = self.shard.turn(now, &mut sink);
            if !self.shard.is_pending() {
                return sink.actions;
            }
        }
    }
}

impl Sink for PipeSink<'_> {
    type Error = Infallible;

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn acknowledged(&mut self, _link: SocketId) -> Option<Acks> {
        None
    }

    fn send(&mut self, sends: Sends<'_>, short: &mut Vec<Short>) -> Result<(), Infallible> {
        for socket in sends.sockets() {
            let Some(pipe) = self.sockets.get(socket) else { continue };
            let bytes: Vec<u8> = sends.bytes(*socket).flat_map(|slice| slice.to_vec()).collect();
            let sent = self.pipes[*pipe].send(&bytes);
            if sent < bytes.len() {
                short.push(Short { socket: *socket, sent });
            }
        }
        Ok(())
    }
}
