//! What clients send: decoded, and passed to their workers.

use std::mem;
use std::net::SocketAddr;

use protocol::client::{Decoded, Kind, Malformed, websocket};
use protocol::inner::{Cmd, FLAG_ANSWER_WANTED, FLAG_BINARY, FLAG_SCALAR, FLAG_TEXT, WebsocketRequest};
use tracing::warn;
use uring::SocketId;

use super::ClientSlot;
use super::client::Reading;
use super::codec::AnyCodec;
use super::unanswered::Unanswered;
use crate::Handshake;
use crate::ResponseHeader;
use crate::answer::{SUBPROTOCOL_HEADER, chosen_subprotocol, is_header};
use crate::config::ORIGIN_LOGGED_SIZE_MAX;
use crate::jwt;
use crate::origin;
use crate::shard::events::Stall;
use crate::shard::events::{ClientEvent, TooLarge};
use crate::shard::links::LinkId;
use crate::shard::{Action, Shard};

/// How decoding a client's input ended.
pub(crate) enum Flow {
    /// More input is needed.
    NeedMore,
    Stalled(Stall),
    /// The client takes its leave, or has to.
    Over(Option<Malformed>),
}

impl Flow {
    /// Of a codec that cannot go on: it is more input that is needed, or its worker's answer.
    #[inline]
    fn for_more(codec: &AnyCodec) -> Flow {
        if codec.is_unanswered() { Flow::Stalled(Stall::Handshake) } else { Flow::NeedMore }
    }
}

impl Shard {
    /// Bytes from a client, or none: then what is possible now is done, at the start and after a stall.
    pub(crate) fn client_received(&mut self, slot: ClientSlot, bytes: &mut [u8]) {
        // What it is answered comes behind that. One that does not take it may be gone.
        self.catch_up(slot);
        if self.clients.get(slot).is_none() {
            return;
        }
        let before = self.clients.before_input(slot, self.counters.messages_in);
        if let Some(rates) = &mut self.clients.rates
            && !bytes.is_empty()
        {
            rates.received(slot, bytes.len(), self.now);
        }
        self.take_input(slot, bytes);
        self.clients.note_input(slot, before, self.counters.messages_in, self.now);
    }

    pub(super) fn take_input(&mut self, slot: ClientSlot, bytes: &mut [u8]) {
        let websocket_ping = self.settings.websocket_ping;
        let client = &mut self.clients[slot];
        if client.closing {
            return client.closing_received(&self.settings.limits(), bytes);
        }
        if websocket_ping && !bytes.is_empty() {
            client.silence = -1;
        }
        if client.is_stalled() {
            return client.rest.extend(bytes);
        }
        if !client.announced
            && (self.turn_away(slot, bytes)
                || self.answers_probe(slot, bytes)
                || self.takes_token(slot, bytes))
        {
            return;
        }
        let flow = match self.replay(slot) {
            Flow::NeedMore => self.announce(slot).map_or_else(Flow::Stalled, |()| Flow::NeedMore),
            flow => flow,
        };
        let client = &mut self.clients[slot];
        if !matches!(flow, Flow::NeedMore) {
            client.rest.extend(bytes);
            return self.conclude(slot, flow, bytes);
        }
        let flow = if client.rest.is_empty() {
            let (flow, consumed) = self.decode(slot, bytes);
            self.clients[slot].rest.extend(&bytes[consumed..]);
            flow
        } else {
            client.rest.extend(bytes);
            let mut rest = client.rest.take();
            let (flow, consumed) = self.decode(slot, &mut rest);
            self.clients[slot].rest.put_back(rest, consumed);
            flow
        };
        self.conclude(slot, flow, bytes);
    }

    /// Answers what no worker hears of, and what is no request.
    pub(super) fn refuse_malformed(&mut self, slot: ClientSlot, bytes: &[u8]) {
        let client = &mut self.clients[slot];
        let (mut input, mut reply) = (client.rest.take(), Vec::new());
        if let Decoded::Malformed(malformed) =
            client.codec.decode(&self.settings.limits(), &mut input, &mut reply)
        {
            self.output.append(client.socket, &mut client.out, &reply);
            self.conclude(slot, Flow::Over(Some(malformed)), bytes);
        }
    }

    /// Does what the end of decoding asks for.
    fn conclude(&mut self, slot: ClientSlot, flow: Flow, bytes: &[u8]) {
        match flow {
            Flow::NeedMore => {
                if let Err(stall) = self.has_kept_its_rate(slot) {
                    self.stall(slot, stall);
                }
            }
            Flow::Stalled(stall) => self.stall(slot, stall),
            Flow::Over(malformed) => {
                if let Some(malformed) = malformed {
                    self.note_unexpected_tls(slot, bytes);
                    self.note_unexpected_proxy(self.clients[slot].socket, bytes);
                    *match malformed {
                        Malformed::HeadTooLarge => &mut self.counters.clients_closed_header_size,
                        Malformed::Fragments => &mut self.counters.clients_closed_fragments,
                        _ => &mut self.counters.clients_malformed,
                    } += 1;
                }
                self.close_client_when_sent(slot);
            }
        }
    }

    /// The client has sent its FIN.
    pub(crate) fn client_ended(&mut self, slot: ClientSlot) {
        let client = &mut self.clients[slot];
        client.ended = true;
        if !client.is_stalled() || client.closing {
            self.close_client_when_sent(slot);
        }
    }

    /// Stops reading a client until [`Shard::resume_client`].
    fn stall(&mut self, slot: ClientSlot, stall: Stall) {
        if let Stall::Rate(what) = stall {
            return self.hold_back(slot, what);
        }
        let client = &mut self.clients[slot];
        client.reading = match stall {
            Stall::NoWorker => Reading::NoWorker,
            Stall::OwnEvents => Reading::OwnEvents,
            Stall::Share | Stall::Turn => Reading::Share,
            _ => Reading::Stalled,
        };
        let socket = client.socket;
        self.output.actions.push(Action::Pause(socket));
        *self.counters.stalls(stall) += 1;
        if stall == Stall::NoWorker {
            self.deadlines.no_worker.push(self.now, socket);
        } else if stall == Stall::Share {
            self.clients.shares.wait(socket, self.now);
        } else if stall == Stall::Turn {
            self.clients.shares.wait_for_turn(socket);
        } else if let Some(link) = stall.link() {
            let link = self.links.get_mut(link).expect("route found it");
            link.stalled_clients.push_back(socket);
            self.deadlines.stalled = true;
        }
    }

    /// The reason to stall may be over.
    pub(crate) fn resume_client(&mut self, socket: SocketId) {
        let Some(slot) = self.clients.find(socket) else { return };
        let client = &mut self.clients[slot];
        if client.closing || !client.is_stalled() {
            return;
        }
        client.reading = Reading::Flowing;
        self.client_received(slot, &mut []);
        // What waited may have been the last of it. Then its answer is to be read, and its end.
        match self.clients.live(socket) {
            Some(client) if client.is_stalled() => return,
            Some(client) if client.ended && !client.closing => return self.close_client_when_sent(slot),
            None if !self.lingering.contains_key(&socket) => return,
            _ => {}
        }
        self.output.actions.push(Action::Resume(socket));
    }

    /// Tells a worker of a client that none knows yet.
    fn announce(&mut self, slot: ClientSlot) -> Result<(), Stall> {
        if self.clients[slot].announced {
            return Ok(());
        }
        let link = self.route(slot)?;
        let event = ClientEvent { cmd: Cmd::OnConnect, flag: FLAG_SCALAR, body: &[], repeat: None };
        self.emit(slot, link, event).expect("a session leaves room for a frame around it");
        self.clients[slot].announced = true;
        Ok(())
    }

    /// Decodes as far as it goes. Returns how that ended and how many bytes are done with.
    fn decode(&mut self, slot: ClientSlot, input: &mut [u8]) -> (Flow, usize) {
        let limits = self.settings.limits();
        let mut codec = mem::take(&mut self.clients[slot].codec);
        let mut reply = mem::take(&mut self.output.reply);
        let (mut done, mut answered) = (0, false);
        let flow = loop {
            if done > 0 && done == input.len() {
                // Nothing is left that would have to wait.
                break Flow::NeedMore;
            }
            let link = match self.may_say_more(slot).and_then(|()| self.route(slot)) {
                Ok(link) => link,
                Err(stall) => break Flow::Stalled(stall),
            };
            match codec.decode(&limits, &mut input[done..], &mut reply) {
                Decoded::NeedMore { consumed } => {
                    done += consumed;
                    break Flow::for_more(&codec);
                }
                Decoded::Message { consumed, body, kind } => {
                    done += consumed;
                    if consumed == 0 {
                        // A codec that gives messages for nothing would do so for ever.
                        break Flow::Over(Some(Malformed::Protocol));
                    }
                    if self.on_message(slot, link, body, kind).is_err() {
                        break self.refuse_message_of(slot, &mut codec, Malformed::TooLarge, &mut reply);
                    }
                }
                Decoded::Deflated { consumed, payload, kind } => {
                    done += consumed;
                    if let Err(malformed) = self.on_deflated(slot, link, payload, kind) {
                        break self.refuse_message_of(slot, &mut codec, malformed, &mut reply);
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
        if matches!(flow, Flow::Stalled(Stall::Handshake)) {
            codec = codec.unanswered();
        }
        let client = &mut self.clients[slot];
        client.codec = codec;
        // Pings of a client that does not read are answered no more: its queue has a bound for all that goes into it.
        let last_words = answered || matches!(flow, Flow::Over(_));
        if last_words || client.out.queue.len() < self.settings.send_to_client_buffer_size {
            self.output.append(client.socket, &mut client.out, &reply);
        }
        reply.clear();
        self.output.reply = if reply.capacity() > REPLY_KEPT_MAX { Vec::new() } else { reply };
        (flow, done)
    }

    /// What a client says that its codec had nothing against ends it.
    #[cold]
    fn refuse_message_of(
        &self,
        slot: ClientSlot,
        codec: &mut AnyCodec,
        malformed: Malformed,
        reply: &mut Vec<u8>,
    ) -> Flow {
        let protocol = self.settings.protocol_of(self.clients[slot].listener);
        protocol.encode_close(websocket::code_of(malformed), "", reply);
        codec.begin_close();
        Flow::Over(Some(malformed))
    }

    /// The same as [`Shard::on_message`], of a message that is compressed.
    #[inline(never)]
    fn on_deflated(
        &mut self,
        slot: ClientSlot,
        link: LinkId,
        payload: &[u8],
        kind: Kind,
    ) -> Result<(), Malformed> {
        let listener = &self.settings.listen[usize::from(self.clients[slot].listener)];
        let (Some(websocket), Some(compression)) = (listener.protocol.websocket(), &mut self.compression)
        else {
            return Err(Malformed::Protocol);
        };
        let message = compression.inflate(websocket, payload, kind)?;
        let given = self.on_message(slot, link, &message, kind).map_err(|TooLarge| Malformed::TooLarge);
        if let Some(compression) = &mut self.compression {
            compression.keep(message);
        }
        given
    }

    fn on_message(
        &mut self,
        slot: ClientSlot,
        link: LinkId,
        body: &[u8],
        kind: Kind,
    ) -> Result<(), TooLarge> {
        self.clients[slot].silence = -1;
        let kind = match kind {
            Kind::Text => FLAG_TEXT,
            Kind::Binary => FLAG_BINARY,
            Kind::Unspecified => 0,
        };
        self.emit(
            slot,
            link,
            ClientEvent { cmd: Cmd::OnMessage, flag: FLAG_SCALAR | kind, body, repeat: None },
        )?;
        self.counters.messages_in += 1;
        if let Some(rates) = &mut self.clients.rates {
            rates.passed_on(slot, self.now);
        }
        Ok(())
    }

    /// Tells the worker, then answers, unless that is the worker's: ON_WEBSOCKET_CONNECT comes before anything the client does with the
    /// answer.
    fn on_handshake(
        &mut self,
        slot: ClientSlot,
        link: LinkId,
        request: &websocket::Request<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Flow> {
        if !self.admits_forwarded(slot, request, reply) {
            return Err(Flow::Over(None));
        }
        let headers = match self.admit(slot, request) {
            Handshake::Accept { headers } => headers,
            Handshake::Refuse { status } => {
                request.refuse(status, reply);
                return Err(Flow::Over(None));
            }
        };
        let admitted = self.clients.tokens.enter(self.clients[slot].socket);
        let client = &self.clients[slot];
        let address = client.peer.address();
        let port = self.settings.listen[usize::from(client.listener)].address.port();
        let mut body = Vec::with_capacity(WEBSOCKET_REQUEST_SIZE_USUAL);
        let mut told = WebsocketRequest::from_request(request, address, port);
        if let Some(admitted) = &admitted {
            told.set_jwt_claims(&admitted.claims);
        }
        told.encode(&mut body);
        let is_workers = self.links.get(link).is_some_and(|link| link.answers_handshakes);
        let flag = if is_workers { FLAG_ANSWER_WANTED } else { 0 };
        let event = ClientEvent { cmd: Cmd::OnWebsocketConnect, flag, body: &body, repeat: None };
        self.emit(slot, link, event).map_err(|TooLarge| Flow::Over(Some(Malformed::TooLarge)))?;
        if let Some(uid) = admitted.as_ref().and_then(|admitted| admitted.uid.as_deref()) {
            self.clients.bind_uid(slot, uid.as_bytes());
        }
        let of_hooks = headers.iter().map(String::as_str);
        let mut headers: Vec<&str> =
            self.settings.response_headers.iter().map(ResponseHeader::as_str).collect();
        headers.extend(of_hooks);
        let subprotocol = chosen_subprotocol(&self.settings.subprotocols, request);
        let of_token = admitted.filter(|admitted| admitted.is_subprotocol).map(|_| jwt::SUBPROTOCOL);
        let subprotocol = subprotocol.or(of_token).map(|name| format!("{SUBPROTOCOL_HEADER}: {name}"));
        // A hook may have made its own choice.
        let subprotocol =
            subprotocol.filter(|_| !headers.iter().any(|line| is_header(line, SUBPROTOCOL_HEADER)));
        if is_workers {
            let unanswered = Unanswered::new(request, &headers, subprotocol);
            self.clients.unanswered.insert(self.clients[slot].socket, unanswered);
            return Err(Flow::Stalled(Stall::Handshake));
        }
        headers.extend(subprotocol.as_deref());
        request.accept(&headers, reply);
        if let Some(held) = self.clients[slot].held.take() {
            reply.extend_from_slice(&held);
        }
        Ok(())
    }

    /// Whether a handshake is accepted, and with what headers of the hooks'.
    fn admit(&mut self, slot: ClientSlot, request: &websocket::Request<'_>) -> Handshake {
        if let Some(origin) = origin::refused(&self.settings.allow_origins, request) {
            self.note_refused_origin(slot, origin);
            return Handshake::Refuse { status: ORIGIN_STATUS };
        }
        let client = &self.clients[slot];
        let address = client.peer.address();
        let info = self.identity.client_info(client.connection_id, address, client.listener.into());
        self.hooks.on_websocket_connect(self.now, &info, request)
    }

    /// Where a client comes from for whom a trusted proxy speaks by a header.
    pub(super) fn forwarded(&self, slot: ClientSlot, request: &websocket::Request<'_>) -> Option<SocketAddr> {
        let (header, trusted) = (self.settings.forwarded_header?, &self.settings.trusted_proxies);
        let is_trusted = trusted.contain(self.clients[slot].peer.address().ip());
        is_trusted.then(|| header.client(request, trusted)).flatten()
    }

    fn note_refused_origin(&mut self, slot: ClientSlot, origin: &[u8]) {
        self.counters.origins_refused += 1;
        if let Some(unsaid) = self.clients.origin_log.admit(self.now.0) {
            let (origin, _) = origin.split_at(origin.len().min(ORIGIN_LOGGED_SIZE_MAX));
            let (peer, origin) = (self.clients[slot].peer.address(), String::from_utf8_lossy(origin));
            warn!(%peer, ?origin, unsaid, "a page's websocket is refused: its origin is not one of --allow-origin");
        }
    }
}

/// What a browser's request takes as the body of ON_WEBSOCKET_CONNECT, in bytes.
const WEBSOCKET_REQUEST_SIZE_USUAL: usize = 2048;

/// What a page is told whose origin is not allowed: Forbidden.
const ORIGIN_STATUS: u16 = 403;

/// A buffer for answers of codecs that has grown larger than this, in bytes, is not kept.
const REPLY_KEPT_MAX: usize = 256 * 1024;
