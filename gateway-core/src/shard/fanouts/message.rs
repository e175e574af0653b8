//! What clients are to get: one message, encoded once per form in which clients get it. How one of them gets it.

use std::borrow::Cow;

use protocol::client::Kind;
use protocol::inner::{FLAG_BINARY, FLAG_RAW, FLAG_SCALAR, FLAG_TEXT, Frame};
use protocol::php;

use super::reports::Sent;
use crate::ListenProtocol;
use crate::settings::SlowClient;
use crate::shard::Shard;
use crate::shard::clients::ClientSlot;
use crate::shard::clients::client::Client;
use crate::shard::clients::leave::CloseReason;
use crate::shard::compression::Encoder;
use crate::shard::output::Output;
use crate::shard::output::queue::SharedMessage;

/// What clients are to get.
pub(crate) struct Message<'a> {
    body: Cow<'a, [u8]>,
    /// It goes out as it is, without the protocol's encoding (flag bit 1).
    raw: bool,
    kind: Kind,
}

/// A message with the forms in which its targets get it, each made when it is first needed.
pub(crate) struct Encodings<'a> {
    message: Message<'a>,
    /// Rarely more than one.
    encoded: Vec<(Form, SharedMessage)>,
    /// Bytes that are held: the body and what was made of it.
    size: usize,
}

/// The form in which a client gets a message: with all of one form it is the same bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    listener: u8,
    kind: Kind,
    deflated: bool,
}

impl Form {
    /// Of messages of this kind for this client.
    #[inline]
    pub(super) fn of(client: &Client, kind: Kind) -> Form {
        Form { listener: client.listener, kind: client.kind_of(kind), deflated: client.codec.deflates() }
    }
}

impl<'a> Message<'a> {
    /// One of ours, of whatever kind its clients' protocols have.
    pub(crate) fn of_bytes(body: &'a [u8]) -> Message<'a> {
        Message { body: body.into(), raw: false, kind: Kind::default() }
    }

    /// The message in a frame. Arrays go out as JSON, as PHP gateways send them to websocket clients (WIRE.md §5);
    /// `None` if the body is neither.
    pub(crate) fn of(frame: &Frame<'a>) -> Option<Message<'a>> {
        let raw = frame.flag & FLAG_RAW != 0;
        if frame.flag & FLAG_SCALAR == 0 {
            let json = php::to_json(&php::decode(frame.body).ok()?).ok()?;
            return Some(Message { body: json.into(), raw, kind: Kind::Text });
        }
        let kind = match frame.flag & (FLAG_TEXT | FLAG_BINARY) {
            FLAG_TEXT => Kind::Text,
            FLAG_BINARY => Kind::Binary,
            _ => Kind::Unspecified,
        };
        Some(Message { body: frame.body.into(), raw, kind })
    }

    /// KICK knows no raw bodies, and serialized null is no message (WIRE.md §5).
    pub(crate) fn of_kick(frame: &Frame<'a>) -> Option<Message<'a>> {
        if frame.flag & FLAG_SCALAR == 0 && frame.body == b"N;" {
            return None;
        }
        let mut message = Message::of(frame)?;
        message.raw = false;
        Some(message)
    }

    /// The form in which a client gets it. Those that have agreed to compression get it plain if it is small.
    #[inline]
    fn form(&self, client: &Client, encoder: &Encoder<'_>) -> Form {
        let mut form = Form::of(client, self.kind);
        if form.deflated {
            let is_large = encoder.compression.as_ref().is_some_and(|it| it.is_for(&self.body));
            form.deflated = is_large && !self.raw;
        }
        form
    }

    fn encode(&self, form: Form, encoder: &mut Encoder<'_>, out: &mut Vec<u8>) {
        let protocol = &encoder.listen[usize::from(form.listener)].protocol;
        match (protocol, &mut encoder.compression) {
            _ if self.raw => out.extend_from_slice(&self.body),
            (ListenProtocol::Websocket(websocket), Some(compression)) if form.deflated => {
                compression.encode(websocket, &self.body, form.kind, out);
            }
            _ => protocol.protocol().encode(&self.body, form.kind, out),
        }
    }

    fn to_owned(&self) -> Message<'static> {
        Message { body: Cow::Owned(self.body.to_vec()), raw: self.raw, kind: self.kind }
    }
}

impl<'a> From<Message<'a>> for Encodings<'a> {
    fn from(message: Message<'a>) -> Encodings<'a> {
        Encodings { size: message.body.len(), message, encoded: Vec::new() }
    }
}

impl Encodings<'_> {
    /// The same message, for later.
    pub(super) fn to_owned(&self) -> Encodings<'static> {
        self.message.to_owned().into()
    }

    /// Bytes that are held.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Queues the message for a client.
    fn queue(&mut self, output: &mut Output, encoder: &mut Encoder<'_>, client: &mut Client) {
        let encoded = self.encoded_for(client, encoder);
        client.queue_shared(output, encoded);
    }

    /// The message as this client gets it.
    pub(super) fn encoded_for(&mut self, client: &Client, encoder: &mut Encoder<'_>) -> &SharedMessage {
        let form = self.message.form(client, encoder);
        let known = self.encoded.iter().position(|(known, _)| *known == form);
        let index = known.unwrap_or_else(|| {
            let mut encoded = Vec::new();
            self.message.encode(form, encoder, &mut encoded);
            self.size += encoded.len();
            self.encoded.push((form, SharedMessage::new(encoded)));
            self.encoded.len() - 1
        });
        &self.encoded[index].1
    }
}

impl Client {
    /// Queues a message, until the handshake is done beside the queue.
    fn queue_message(&mut self, output: &mut Output, encoder: &mut Encoder<'_>, message: &Message<'_>) {
        let form = message.form(self, encoder);
        if self.codec.is_open() {
            let size = message.body.len() + HEADER_SIZE_USUAL;
            output.append_message(self.socket, &mut self.out, size, |out| message.encode(form, encoder, out));
        } else {
            message.encode(form, encoder, self.held.get_or_insert_default());
        }
    }

    /// The same with one that others get, too.
    #[inline]
    pub(super) fn queue_shared(&mut self, output: &mut Output, message: &SharedMessage) {
        if self.codec.is_open() {
            output.append_shared(self.socket, &mut self.out, message);
        } else {
            self.held.get_or_insert_default().extend_from_slice(message.as_bytes());
        }
    }
}

impl Shard {
    /// Queues a message for one client.
    pub(crate) fn send_to_client(&mut self, slot: ClientSlot, message: &Message<'_>) -> Sent {
        self.catch_up(slot);
        let Some(client) = self.clients.get_mut(slot) else { return Sent::Gone };
        if !client.takes_message(self.settings.send_to_client_buffer_size) {
            return self.refuse_message(slot);
        }
        self.counters.messages_out += 1;
        let compression = self.compression.as_deref_mut();
        let mut encoder = Encoder { listen: &self.settings.listen, compression };
        client.queue_message(&mut self.output, &mut encoder, message);
        Sent::Queued
    }

    /// Queues a message that others get, too, for a client.
    pub(super) fn send_shared(&mut self, slot: ClientSlot, message: &mut Encodings<'_>) -> Sent {
        let Some(client) = self.clients.get_mut(slot) else { return Sent::Gone };
        if !client.takes_message(self.settings.send_to_client_buffer_size) {
            return self.refuse_message(slot);
        }
        self.counters.messages_out += 1;
        let compression = self.compression.as_deref_mut();
        let mut encoder = Encoder { listen: &self.settings.listen, compression };
        message.queue(&mut self.output, &mut encoder, client);
        Sent::Queued
    }

    /// What becomes of a client that takes no message, and of the message, is the settings' choice.
    #[cold]
    fn refuse_message(&mut self, slot: ClientSlot) -> Sent {
        match self.settings.slow_client {
            _ if self.clients[slot].closing => return Sent::Gone,
            // It cannot take anything yet, however fast it is.
            SlowClient::Close if !self.clients[slot].codec.is_open() => {
                self.counters.messages_dropped_slow_client += 1;
            }
            SlowClient::Drop => self.counters.messages_dropped_slow_client += 1,
            SlowClient::Close => {
                self.counters.clients_closed_slow += 1;
                self.close_client_because(slot, CloseReason::Policy);
            }
        }
        Sent::Dropped
    }
}

/// Bytes that a client's protocol puts around a message, if it is one of ours.
const HEADER_SIZE_USUAL: usize = 16;
