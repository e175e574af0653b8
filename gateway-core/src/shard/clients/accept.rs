//! A connection comes: a client, or a link.

use std::net::SocketAddr;

use uring::SocketId;

use super::client::{Client, Reading, Rest};
use super::codec::AnyCodec;
use super::share::Spent;
use crate::shard::links::LinkId;
use crate::shard::links::link::Link;
use crate::shard::output::Outbound;
use crate::shard::{Action, Shard};
use crate::{Admission, ListenProtocol, Millis};

impl Shard {
    /// Somebody connected at `settings.listen[listener]`: a client, or a proxy, which may have to say first for whom it speaks.
    pub fn on_client_accepted(&mut self, now: Millis, listener: u8, socket: SocketId, peer: SocketAddr) {
        self.now = now;
        if self.is_proxied(peer) {
            return self.await_proxy_header(listener, socket, peer);
        }
        self.client_came(listener, socket, peer, None);
    }

    /// It is a client, from `peer`. Its number is taken now, before any handshake (WIRE.md §1). A proxy may have said which host it
    /// asked for.
    pub(super) fn client_came(
        &mut self,
        listener: u8,
        socket: SocketId,
        peer: SocketAddr,
        authority: Option<&str>,
    ) {
        let now = self.now;
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if self.is_stopping() {
            return self.output.actions.push(Action::Close(socket));
        }
        let accepted = self.clients.next_accepted();
        if self.turns_away(listener, accepted) {
            return self.output.actions.push(Action::Close(socket));
        }
        if !self.admits(listener, socket, peer) {
            return;
        }
        let connection_id = self.clients.next_id(|id| self.departed.contains(id));
        let info = self.identity.client_info(connection_id, peer, listener.into());
        if let Some(authority) = authority {
            self.hooks.call(now, "on_authority", |hooks| hooks.on_authority(&info, authority));
        }
        let Admission::Accept { kind } = self.hooks.on_connect(now, &info) else {
            self.counters.clients_refused += 1;
            self.clients.count_departure(socket, peer, now);
            return self.output.actions.push(Action::Close(socket));
        };
        let listen = &self.settings.listen[usize::from(listener)];
        let codec = if listen.tls { AnyCodec::Securing } else { AnyCodec::new(&listen.protocol) };
        if !codec.is_open() {
            self.deadlines.handshake.push(now, socket);
        }
        if !self.settings.client_limits.bind_timeout.is_zero() {
            self.deadlines.unbound.push(now, socket);
        }
        self.counters.clients_accepted += 1;
        let slot = self.clients.insert(Client {
            socket,
            accepted,
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
            in_flight: 0,
            spent: Spent::default(),
            announced: false,
            closing: false,
            ended: false,
        });
        if listen.tls {
            let acceptor = self.settings.tls.as_ref().expect("checked at start: TLS has certificates");
            let is_http = matches!(listen.protocol, ListenProtocol::Websocket(_));
            return self.clients.sessions.begin(socket, acceptor, is_http);
        }
        self.client_received(slot, &mut []);
    }

    /// Somebody connected at the inner port.
    pub fn on_link_accepted(&mut self, now: Millis, socket: SocketId, peer: SocketAddr) {
        self.now = now;
        let authorized = self.settings.secret_key.is_empty();
        if !authorized {
            self.deadlines.authorization.push(now, socket);
        }
        self.links.insert(Link::new(socket, peer, authorized));
        self.challenge(LinkId::of(socket));
    }

    /// The same of what shares the shard's thread: if it is a worker, clients get no other while it takes events.
    pub fn on_guest_link(&mut self, now: Millis, socket: SocketId, peer: SocketAddr) {
        self.on_link_accepted(now, socket, peer);
        if let Some(link) = self.links.get_mut(LinkId::of(socket)) {
            link.is_guest = true;
        }
    }

    /// A connection was lost before it was ours.
    pub fn on_accept_failed(&mut self) {
        self.counters.accepts_failed += 1;
    }
}
