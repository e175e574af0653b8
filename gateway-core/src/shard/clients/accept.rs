//! A connection comes: a client, or a link.

use std::net::SocketAddr;

use ring::SocketId;

use crate::shard::clients::client::{Client, Reading, Rest};
use crate::shard::clients::codec::AnyCodec;
use crate::shard::links::link::Link;
use crate::shard::output::Outbound;
use crate::shard::{Action, Conn, Shard, slot};
use crate::{Admission, Millis};

impl Shard {
    /// A client connected at `settings.listen[listener]`. Its number is taken now, before any handshake (WIRE.md §1).
    pub fn on_client_accepted(&mut self, now: Millis, listener: u8, socket: SocketId, peer: SocketAddr) {
        self.now = now;
        if self.is_stopping() {
            return self.output.actions.push(Action::Close(socket));
        }
        self.accepted += 1;
        let connection_id = self.next_connection_id();
        let info = self.client_info(connection_id, peer, listener);
        let Admission::Accept { kind } = self.hooks.on_connect(now, &info) else {
            self.counters.clients_refused += 1;
            return self.output.actions.push(Action::Close(socket));
        };
        let listen = &self.settings.listen[usize::from(listener)];
        let codec = if listen.tls { AnyCodec::Securing } else { AnyCodec::new(&listen.protocol) };
        let tls = listen.tls;
        if !codec.is_open() {
            self.waits.handshake.push(now, socket);
        }
        self.counters.clients_accepted += 1;
        self.connection_ids.insert(connection_id, slot(socket));
        let client = Client {
            socket,
            accepted: self.accepted,
            connection_id,
            peer: peer.into(),
            listener,
            kind,
            codec,
            rest: Rest::default(),
            out: Outbound::default(),
            held: None,
            uid: None,
            groups: None,
            session: Box::default(),
            worker: None,
            silence: -1,
            reading: Reading::Flowing,
            announced: false,
            closing: false,
            ended: false,
        };
        self.conns.insert(socket.index(), Conn::Client(client));
        if tls {
            return self.begin_session(slot(socket));
        }
        self.client_received(slot(socket), &mut []);
    }

    /// Somebody connected at the inner port.
    pub fn on_link_accepted(&mut self, now: Millis, socket: SocketId, peer: SocketAddr) {
        self.now = now;
        let authorized = self.settings.secret_key.is_empty();
        if !authorized {
            self.waits.authorization.push(now, socket);
        }
        self.links.push(socket);
        self.conns.insert(socket.index(), Conn::Link(Box::new(Link::new(socket, peer, authorized))));
    }

    /// A connection was lost before it was ours.
    pub fn on_accept_failed(&mut self) {
        self.counters.accepts_failed += 1;
    }

    /// The next number that no client has, nor one whose worker has not been told of its end; never 0.
    fn next_connection_id(&mut self) -> u32 {
        loop {
            self.last_connection_id = self.last_connection_id.wrapping_add(1);
            let id = self.last_connection_id;
            if id != 0 && !self.connection_ids.contains_key(&id) && !self.departed.contains(id) {
                return id;
            }
        }
    }
}
