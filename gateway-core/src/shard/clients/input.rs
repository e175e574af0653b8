//! What clients send: decoded, and passed to their workers.

use std::mem;
use std::net::SocketAddr;

use protocol::client::{Decoded, Kind, Malformed, websocket};
use protocol::inner::{Cmd, FLAG_BINARY, FLAG_SCALAR, FLAG_TEXT, Frame, WebsocketRequest};
use ring::SocketId;

use crate::answer::{SUBPROTOCOL_HEADER, chosen_subprotocol, is_header};
use crate::shard::clients::client::{Client, Reading};
use crate::shard::clients::directory::Slot;
use crate::shard::links::link::Link;
use crate::shard::links::workers::{Way, WorkerId};
use crate::shard::{Action, Conn, Identity, Shard};
use crate::{ClientInfo, Handshake, ResponseHeader};

/// Why a client's events cannot go out now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stall {
    /// There is no worker.
    NoWorker,
    /// The link to the client's worker is full.
    LinkFull(SocketId),
    /// The client's worker takes no more events, and may still handle an earlier one of this client.
    Draining(SocketId),
    /// Nothing is heard of the client's worker, and there is no other.
    Silent(SocketId),
    /// Others' events that lost links had not taken go first on this link.
    Rerouting(SocketId),
}

/// How decoding a client's input ended.
pub(crate) enum Flow {
    /// More input is needed.
    Hungry,
    Stalled(Stall),
    /// The client takes its leave, or has to.
    Over(Option<Malformed>),
}

/// An event for a client's worker: what differs between frames of one client.
pub(crate) struct Event<'a> {
    pub cmd: Cmd,
    pub flag: u8,
    pub body: &'a [u8],
}

impl Shard {
    /// Bytes from a client, or none: then what is possible now is done, at the start and after a stall.
    pub(crate) fn client_received(&mut self, slot: Slot, bytes: &mut [u8]) {
        let before = self.before_input(slot);
        self.take_input(slot, bytes);
        self.note_unfinished(slot, before);
    }

    fn take_input(&mut self, slot: Slot, bytes: &mut [u8]) {
        let websocket_ping = self.settings.websocket_ping;
        let client = self.client(slot);
        if client.closing {
            return self.closing_received(slot, bytes);
        }
        if websocket_ping && !bytes.is_empty() {
            client.silence = -1;
        }
        if client.is_stalled() {
            return client.rest.extend(bytes);
        }
        let flow = match self.replay(slot) {
            Flow::Hungry => self.announce(slot).map_or_else(Flow::Stalled, |()| Flow::Hungry),
            flow => flow,
        };
        if !matches!(flow, Flow::Hungry) {
            self.client(slot).rest.extend(bytes);
            return self.conclude(slot, flow, bytes);
        }
        let client = self.client(slot);
        let flow = if client.rest.is_empty() {
            let (flow, consumed) = self.decode(slot, bytes);
            self.client(slot).rest.extend(&bytes[consumed..]);
            flow
        } else {
            client.rest.extend(bytes);
            let mut rest = client.rest.take();
            let (flow, consumed) = self.decode(slot, &mut rest);
            self.client(slot).rest.put_back(rest, consumed);
            flow
        };
        self.conclude(slot, flow, bytes);
    }

    /// Does what the end of decoding asks for.
    fn conclude(&mut self, slot: Slot, flow: Flow, bytes: &[u8]) {
        match flow {
            Flow::Hungry => {}
            Flow::Stalled(stall) => self.stall(slot, stall),
            Flow::Over(malformed) => {
                if malformed.is_some() {
                    self.note_unexpected_tls(slot, bytes);
                }
                self.counters.clients_malformed += u64::from(malformed.is_some());
                self.close_client_when_sent(slot);
            }
        }
    }

    /// Bytes from a client that is closed and not forgotten yet: only its answer to our close frame counts.
    fn closing_received(&mut self, slot: Slot, bytes: &mut [u8]) {
        let limits = self.settings.limits();
        let codec = &mut self.client(slot).codec;
        if codec.awaits_close() {
            codec.decode(&limits, bytes, &mut Vec::new());
        }
    }

    /// The client has sent its FIN.
    pub(crate) fn client_ended(&mut self, slot: Slot) {
        let client = self.client(slot);
        client.ended = true;
        if !client.is_stalled() || client.closing {
            self.close_client_when_sent(slot);
        }
    }

    /// The reason to stall may be over.
    pub(crate) fn resume_client(&mut self, socket: SocketId) {
        let Some(Conn::Client(client)) = self.conns.get_mut(socket.index()) else { return };
        if client.socket != socket || client.closing || !client.is_stalled() {
            return;
        }
        client.reading = Reading::Flowing;
        let slot = crate::shard::slot(socket);
        self.client_received(slot, &mut []);
        // What waited may have been the last of it. Then its answer is to be read, and its end.
        match self.conns.get(socket.index()) {
            Some(Conn::Client(client)) if client.is_stalled() => return,
            Some(Conn::Client(client)) if client.ended && !client.closing => {
                return self.close_client_when_sent(slot);
            }
            Some(Conn::Client(_) | Conn::Lingering(_)) => {}
            Some(Conn::Link(_)) | None => return,
        }
        self.output.actions.push(Action::Resume(socket));
    }

    /// Tells a worker of a client that none knows yet.
    fn announce(&mut self, slot: Slot) -> Result<(), Stall> {
        if self.client(slot).announced {
            return Ok(());
        }
        let link = self.route(slot)?;
        let event = Event { cmd: Cmd::OnConnect, flag: FLAG_SCALAR, body: &[] };
        self.emit(slot, link, event).expect("a session leaves room for a frame around it");
        self.client(slot).announced = true;
        Ok(())
    }

    /// Decodes as far as it goes. Returns how that ended and how many bytes are done with.
    fn decode(&mut self, slot: Slot, input: &mut [u8]) -> (Flow, usize) {
        let limits = self.settings.limits();
        let mut codec = mem::take(&mut self.client(slot).codec);
        let mut reply = mem::take(&mut self.reply);
        let (mut done, mut answered) = (0, false);
        let flow = loop {
            let link = match self.route(slot) {
                Ok(link) => link,
                Err(stall) => break Flow::Stalled(stall),
            };
            match codec.decode(&limits, &mut input[done..], &mut reply) {
                Decoded::NeedMore { consumed } => {
                    done += consumed;
                    break Flow::Hungry;
                }
                Decoded::Message { consumed, body, kind } => {
                    done += consumed;
                    if consumed == 0 {
                        // A codec that gives messages for nothing would do so for ever.
                        break Flow::Over(Some(Malformed::Protocol));
                    }
                    if self.on_message(slot, link, body, kind).is_err() {
                        self.protocol_of(slot).encode_close(websocket::TOO_LARGE, "", &mut reply);
                        codec.begin_close();
                        break Flow::Over(Some(Malformed::TooLarge));
                    }
                }
                Decoded::Handshake { consumed, request } => {
                    done += consumed;
                    answered = true;
                    if let Err(refused) = self.on_handshake(slot, link, &request, &mut reply) {
                        break refused;
                    }
                }
                Decoded::Close { consumed } => {
                    done += consumed;
                    break Flow::Over(None);
                }
                Decoded::Malformed(malformed) => {
                    done = input.len();
                    break Flow::Over(Some(malformed));
                }
            }
        };
        if codec.awaits_close() {
            codec.decode(&limits, &mut input[done..], &mut reply);
        }
        let Some(Conn::Client(client)) = self.conns.get_mut(slot as usize) else {
            unreachable!("not closed above")
        };
        client.codec = codec;
        // Pings of a client that does not read are answered no more: its queue has a bound for all that goes into it.
        let last_words = answered || matches!(flow, Flow::Over(_));
        if last_words || client.out.queue.len() < self.settings.send_to_client_buffer_size {
            self.output.append(client.socket, &mut client.out, &reply);
        }
        reply.clear();
        self.reply = if reply.capacity() > REPLY_KEPT_MAX { Vec::new() } else { reply };
        (flow, done)
    }

    fn on_message(&mut self, slot: Slot, link: Slot, body: &[u8], kind: Kind) -> Result<(), TooLarge> {
        self.client(slot).silence = -1;
        let kind = match kind {
            Kind::Text => FLAG_TEXT,
            Kind::Binary => FLAG_BINARY,
            Kind::Unspecified => 0,
        };
        self.emit(slot, link, Event { cmd: Cmd::OnMessage, flag: FLAG_SCALAR | kind, body })?;
        self.counters.messages_in += 1;
        Ok(())
    }

    /// Tells the worker, then answers: ON_WEBSOCKET_CONNECT comes before anything the client does with the answer.
    fn on_handshake(
        &mut self,
        slot: Slot,
        link: Slot,
        request: &websocket::Request<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Flow> {
        let client = self.client_ref(slot);
        let info = self.client_info(client.connection_id, client.peer.address(), client.listener);
        let headers = match self.hooks.on_websocket_connect(self.now, &info, request) {
            Handshake::Accept { headers } => headers,
            Handshake::Refuse { status } => {
                request.refuse(status, reply);
                return Err(Flow::Over(None));
            }
        };
        let client = self.client_ref(slot);
        let port = self.settings.listen[usize::from(client.listener)].address.port();
        let mut body = Vec::with_capacity(WEBSOCKET_REQUEST_SIZE_USUAL);
        WebsocketRequest::from_request(request, client.peer.address(), port).encode(&mut body);
        let event = Event { cmd: Cmd::OnWebsocketConnect, flag: 0, body: &body };
        self.emit(slot, link, event).map_err(|TooLarge| Flow::Over(Some(Malformed::TooLarge)))?;
        let of_hooks = headers.iter().map(String::as_str);
        let mut headers: Vec<&str> =
            self.settings.response_headers.iter().map(ResponseHeader::as_str).collect();
        headers.extend(of_hooks);
        let subprotocol = chosen_subprotocol(&self.settings.subprotocols, request);
        let subprotocol = subprotocol.map(|name| format!("{SUBPROTOCOL_HEADER}: {name}"));
        // A hook may have made its own choice.
        if !headers.iter().any(|line| is_header(line, SUBPROTOCOL_HEADER)) {
            headers.extend(subprotocol.as_deref());
        }
        request.accept(&headers, reply);
        if let Some(held) = self.client(slot).held.take() {
            reply.extend_from_slice(&held);
        }
        Ok(())
    }

    /// The link for a client's next event.
    fn route(&mut self, slot: Slot) -> Result<Slot, Stall> {
        let socket = self.worker_link(slot)?;
        if self.is_behind(socket) {
            return Err(Stall::Rerouting(socket));
        }
        self.room(socket)
    }

    /// Whether a worker's link takes an event now.
    pub(crate) fn room(&mut self, socket: SocketId) -> Result<Slot, Stall> {
        let limit = self.settings.send_to_worker_buffer_size;
        let link =
            self.link(crate::shard::slot(socket)).expect("a worker's link is forgotten when it closes");
        match link {
            Link { shut: true, .. } => Err(Stall::NoWorker),
            Link { silent: true, .. } => Err(Stall::Silent(socket)),
            link if link.out.queue.len() >= limit => Err(Stall::LinkFull(socket)),
            _ => Ok(crate::shard::slot(socket)),
        }
    }

    /// The link of a client's worker. Another worker is chosen if the client has none, or if its worker is gone or
    /// has handed it over.
    pub(crate) fn worker_link(&mut self, slot: Slot) -> Result<SocketId, Stall> {
        let Client { worker, connection_id, .. } = *self.client(slot);
        match self.current_link(worker, connection_id)? {
            Some(link) => Ok(link),
            None => self.rebind(slot).ok_or(Stall::NoWorker),
        }
    }

    /// The link of the worker that a client has; none if another is to be chosen.
    pub(crate) fn current_link(
        &self,
        worker: Option<WorkerId>,
        connection_id: u32,
    ) -> Result<Option<SocketId>, Stall> {
        match worker.map_or(Way::None, |worker| self.workers.way(worker)) {
            Way::Open(link) => Ok(Some(link)),
            Way::Draining(link) if self.is_held(link, connection_id) => Err(Stall::Draining(link)),
            Way::Draining(_) | Way::None => Ok(None),
        }
    }

    fn is_held(&self, link: SocketId, connection_id: u32) -> bool {
        match self.conns.get(link.index()) {
            Some(Conn::Link(link)) => link.drain.as_ref().is_some_and(|drain| drain.holds(connection_id)),
            _ => false,
        }
    }

    fn rebind(&mut self, slot: Slot) -> Option<SocketId> {
        let Client { connection_id, ref peer, listener, .. } = *self.client_ref(slot);
        let peer = peer.address();
        let worker = self.choose_worker(connection_id, peer, listener)?;
        if let Some(old) = self.client(slot).worker.replace(worker) {
            self.workers.unbind(old);
        }
        self.workers.link(worker)
    }

    /// Chooses a worker for a client and binds it.
    pub(crate) fn choose_worker(
        &mut self,
        connection_id: u32,
        peer: SocketAddr,
        listener: u8,
    ) -> Option<WorkerId> {
        let is_asked = self.hooks.routes(self.now);
        let asked = is_asked.then(|| self.client_info(connection_id, peer, listener));
        match asked.and_then(|info| self.ask_hook(&info)) {
            Some(worker) => Some(self.workers.bind_to(worker)),
            None => {
                let random = self.next_random();
                self.workers.bind(self.settings.router, random, self.settings.send_to_worker_buffer_size)
            }
        }
    }

    fn ask_hook(&mut self, info: &ClientInfo) -> Option<WorkerId> {
        let (ids, infos): (Vec<_>, Vec<_>) = self.workers.connected().unzip();
        if ids.is_empty() {
            return None;
        }
        self.hooks.route(self.now, info, &infos).map(|index| ids[index])
    }

    /// Appends an event of a client to a link. PHP's workers are not told text from binary.
    pub(crate) fn emit(&mut self, slot: Slot, link: Slot, event: Event<'_>) -> Result<(), TooLarge> {
        let (identity, listen) = (&self.identity, &self.settings.listen);
        let Some((Conn::Client(client), Conn::Link(link))) =
            self.conns.pair_mut(slot as usize, link as usize)
        else {
            unreachable!("a client's slot and a link's are two rows");
        };
        let port = listen[usize::from(client.listener)].address.port();
        let kinds = if link.ringway { 0 } else { FLAG_TEXT | FLAG_BINARY };
        let event = Event { flag: event.flag & !kinds, ..event };
        let frame = event_frame(identity, port, client, event);
        if frame.size() > link.frame_size_max() {
            return Err(TooLarge);
        }
        self.output.append_with(link.socket, &mut link.out, |out| frame.encode(out));
        Ok(())
    }

    /// Stops reading a client until [`Shard::resume_client`].
    fn stall(&mut self, slot: Slot, stall: Stall) {
        let now = self.now;
        let client = self.client(slot);
        client.reading = if stall == Stall::NoWorker { Reading::NoWorker } else { Reading::Stalled };
        let socket = client.socket;
        self.output.actions.push(Action::Pause(socket));
        let counters = &mut self.counters;
        let (count, link) = match stall {
            Stall::NoWorker => {
                counters.stalls_no_worker += 1;
                return self.waits.no_worker.push(now, socket);
            }
            Stall::LinkFull(link) => (&mut counters.stalls_link_full, link),
            Stall::Draining(link) => (&mut counters.stalls_draining, link),
            Stall::Silent(link) => (&mut counters.stalls_silent, link),
            Stall::Rerouting(link) => (&mut counters.stalls_rerouting, link),
        };
        *count += 1;
        self.link(crate::shard::slot(link)).expect("route found it").stalled_clients.push_back(socket);
    }
}

/// A client's event as a frame (WIRE.md §4).
fn event_frame<'a>(identity: &Identity, port: u16, client: &'a Client, event: Event<'a>) -> Frame<'a> {
    Frame {
        cmd: event.cmd as u8,
        gateway: identity.address,
        client: client.peer.v4(),
        connection_id: client.connection_id,
        flag: event.flag,
        gateway_port: port,
        ext: &client.session,
        body: event.body,
    }
}

/// What a browser's request takes as the body of ON_WEBSOCKET_CONNECT, in bytes.
const WEBSOCKET_REQUEST_SIZE_USUAL: usize = 2048;

/// A buffer for answers of codecs that has grown larger than this, in bytes, is not kept.
const REPLY_KEPT_MAX: usize = 256 * 1024;

/// An event that does not fit into a frame of the inner protocol.
#[derive(Debug)]
pub(crate) struct TooLarge;
