//! What clients are to get: one message, encoded once per form in which clients get it. How one of them gets it.

use std::borrow::Cow;

use protocol::client::{Kind, Protocol};
use protocol::inner::{FLAG_BINARY, FLAG_RAW, FLAG_SCALAR, FLAG_TEXT, Frame};
use protocol::php;

use super::reports::Sent;
use crate::settings::SlowClient;
use crate::shard::Shard;
use crate::shard::clients::ClientSlot;
use crate::shard::clients::client::Client;
use crate::shard::clients::leave::CloseReason;
use crate::shard::compression::Compression;
use crate::shard::output::Output;
use crate::shard::output::queue::SharedMessage;
use crate::{Listen, ListenProtocol};

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
    fn form(&self, client: &Client, compression: &Option<Box<Compression>>) -> Form {
        let mut form = Form::of(client, self.kind);
        if form.deflated {
            let is_large = compression.as_ref().is_some_and(|it| it.is_for(&self.body));
            form.deflated = is_large && !self.raw;
        }
        form
    }

    fn encode(&self, protocol: &dyn Protocol, kind: Kind, out: &mut Vec<u8>) {
        match self.raw {
            true => out.extend_from_slice(&self.body),
            false => protocol.encode(&self.body, kind, out),
        }
    }

    fn encode_form(
        &self,
        form: Form,
        listen: &[Listen],
        compression: &mut Option<Box<Compression>>,
        out: &mut Vec<u8>,
    ) {
        match (&listen[usize::from(form.listener)].protocol, compression) {
            (ListenProtocol::Websocket(websocket), Some(compression)) if form.deflated => {
                compression.encode(websocket, &self.body, form.kind, out);
            }
            (protocol, _) => self.encode(protocol.protocol(), form.kind, out),
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

    /// Queues the message for a client that has not agreed to compression.
    fn queue(&mut self, output: &mut Output, listen: &[Listen], client: &mut Client) {
        let plain = self.plain(listen, client.listener, client.kind_of(self.message.kind));
        client.queue_shared(output, plain);
    }

    /// The message as this client gets it.
    pub(super) fn encoded_for(
        &mut self,
        client: &Client,
        listen: &[Listen],
        compression: &mut Option<Box<Compression>>,
    ) -> &SharedMessage {
        let form = self.message.form(client, compression);
        if !form.deflated {
            return self.plain(listen, form.listener, form.kind);
        }
        let known = self.encoded.iter().position(|(known, _)| *known == form);
        let index = known.unwrap_or_else(|| {
            let mut encoded = Vec::new();
            self.message.encode_form(form, listen, compression, &mut encoded);
            self.keep(form, encoded)
        });
        &self.encoded[index].1
    }

    fn plain(&mut self, listen: &[Listen], listener: u8, kind: Kind) -> &SharedMessage {
        let form = Form { listener, kind, deflated: false };
        let known = self.encoded.iter().position(|(known, _)| *known == form);
        let index = known.unwrap_or_else(|| {
            let mut encoded = Vec::new();
            self.message.encode(listen[usize::from(listener)].protocol.protocol(), kind, &mut encoded);
            self.keep(form, encoded)
        });
        &self.encoded[index].1
    }

    /// Keeps a form of the message; returns its index.
    fn keep(&mut self, form: Form, encoded: Vec<u8>) -> usize {
        self.size += encoded.len();
        self.encoded.push((form, SharedMessage::new(encoded)));
        self.encoded.len() - 1
    }
}

impl Client {
    /// Queues a message, until the handshake is done beside the queue.
    fn queue_message(&mut self, output: &mut Output, protocol: &dyn Protocol, message: &Message<'_>) {
        let kind = self.kind_of(message.kind);
        if self.codec.is_open() {
            let size = message.body.len() + HEADER_SIZE_USUAL;
            output
                .append_message(self.socket, &mut self.out, size, |out| message.encode(protocol, kind, out));
        } else {
            message.encode(protocol, kind, self.held.get_or_insert_default());
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
        match client.codec.deflates() {
            false => {
                let protocol = self.settings.protocol_of(client.listener);
                client.queue_message(&mut self.output, protocol, message);
            }
            true => self.queue_for_deflating(slot, message),
        }
        Sent::Queued
    }

    /// Queues a message for a client that has agreed to compression.
    #[inline(never)]
    fn queue_for_deflating(&mut self, slot: ClientSlot, message: &Message<'_>) {
        let (client, listen, compression) =
            (&mut self.clients[slot], &self.settings.listen, &mut self.compression);
        let form = message.form(client, compression);
        self.output.append_message(client.socket, &mut client.out, message.body.len(), |out| {
            message.encode_form(form, listen, compression, out);
        });
    }

    /// Queues a message that others get, too, for a client.
    pub(super) fn send_shared(&mut self, slot: ClientSlot, message: &mut Encodings<'_>) -> Sent {
        let Some(client) = self.clients.get_mut(slot) else { return Sent::Gone };
        if !client.takes_message(self.settings.send_to_client_buffer_size) {
            return self.refuse_message(slot);
        }
        self.counters.messages_out += 1;
        match client.codec.deflates() {
            false => message.queue(&mut self.output, &self.settings.listen, client),
            true => self.queue_shared_for_deflating(slot, message),
        }
        Sent::Queued
    }

    /// Queues a message that others get, too, for a client that has agreed to compression.
    #[inline(never)]
    fn queue_shared_for_deflating(&mut self, slot: ClientSlot, message: &mut Encodings<'_>) {
        let client = &mut self.clients[slot];
        let encoded = message.encoded_for(client, &self.settings.listen, &mut self.compression);
        client.queue_shared(&mut self.output, encoded);
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
