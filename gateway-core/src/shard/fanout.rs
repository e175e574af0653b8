//! A message on its way to clients: encoded once per protocol, queued per target.

use std::borrow::Cow;

use hashbrown::HashSet;
use protocol::client::Kind;
use protocol::inner::{FLAG_BINARY, FLAG_RAW, FLAG_SCALAR, FLAG_TEXT, Frame};
use protocol::php;

use super::directory::Slot;
use super::out::SharedMessage;
use super::{Conn, Shard};
use crate::Listen;
use crate::settings::SlowClient;

/// What a worker wants its clients to get.
pub(super) struct Message<'a> {
    body: Cow<'a, [u8]>,
    encoding: Encoding,
}

/// How a body becomes bytes for a client.
#[derive(Clone, Copy, Default)]
pub(super) struct Encoding {
    /// As it is, without the protocol's encoding (flag bit 1).
    raw: bool,
    kind: Kind,
}

/// A message and what has been encoded of it so far, by listener and kind: rarely more than one.
pub(super) struct Fanout<'a> {
    message: &'a Message<'a>,
    encoded: Vec<(u8, Kind, SharedMessage)>,
}

impl<'a> Message<'a> {
    /// The message in a frame. Arrays go out as JSON, as PHP gateways send them to websocket clients (WIRE.md §5);
    /// `None` if the body is neither.
    pub fn of(frame: &Frame<'a>) -> Option<Message<'a>> {
        let raw = frame.flag & FLAG_RAW != 0;
        if frame.flag & FLAG_SCALAR == 0 {
            let json = php::to_json(&php::decode(frame.body).ok()?).ok()?;
            return Some(Message { body: json.into(), encoding: Encoding { raw, kind: Kind::Text } });
        }
        let kind = match frame.flag & (FLAG_TEXT | FLAG_BINARY) {
            FLAG_TEXT => Kind::Text,
            FLAG_BINARY => Kind::Binary,
            _ => Kind::Unspecified,
        };
        Some(Message { body: frame.body.into(), encoding: Encoding { raw, kind } })
    }

    /// KICK knows no raw bodies, and serialized null is no message (WIRE.md §5).
    pub fn last_words(frame: &Frame<'a>) -> Option<Message<'a>> {
        if frame.flag & FLAG_SCALAR == 0 && frame.body == b"N;" {
            return None;
        }
        let mut message = Message::of(frame)?;
        message.encoding.raw = false;
        Some(message)
    }
}

impl<'a> Fanout<'a> {
    pub fn new(message: &'a Message<'a>) -> Fanout<'a> {
        Fanout { message, encoded: Vec::new() }
    }

    fn encoded(&mut self, listen: &[Listen], listener: u8, kind: Kind) -> &SharedMessage {
        let known = self.encoded.iter().position(|(of, as_kind, _)| (*of, *as_kind) == (listener, kind));
        let index = known.unwrap_or_else(|| {
            let mut encoded = Vec::new();
            match self.message.encoding.raw {
                true => encoded.extend_from_slice(&self.message.body),
                false => {
                    let protocol = listen[usize::from(listener)].protocol.protocol();
                    protocol.encode(&self.message.body, kind, &mut encoded);
                }
            }
            self.encoded.push((listener, kind, SharedMessage::new(encoded)));
            self.encoded.len() - 1
        });
        &self.encoded[index].2
    }
}

impl Shard {
    /// Queues one message for one client.
    pub(super) fn send_message(&mut self, slot: Slot, message: &Message<'_>) {
        self.send_to_client(slot, &message.body, message.encoding);
    }

    /// Queues `body` for a client, in its protocol's encoding.
    pub(super) fn send_to_client(&mut self, slot: Slot, body: &[u8], encoding: Encoding) {
        if !self.may_send(slot) {
            return;
        }
        let Some(Conn::Client(client)) = self.conns.get_mut(slot as usize) else { return };
        let protocol = self.settings.listen[usize::from(client.listener)].protocol.protocol();
        let kind = client.kind_of(encoding.kind);
        let write = |out: &mut Vec<u8>| match encoding.raw {
            true => out.extend_from_slice(body),
            false => protocol.encode(body, kind, out),
        };
        self.counters.messages_out += 1;
        if client.codec.is_open() {
            self.output.append_with(client.socket, &mut client.out, write);
        } else {
            write(client.held.get_or_insert_default());
        }
    }

    /// Queues a message for each of these clients, but those whose connection ids are in `exclude`.
    pub(super) fn fan_out(&mut self, fanout: &mut Fanout<'_>, targets: &[Slot], exclude: &HashSet<u32>) {
        for slot in targets {
            // A slow client may have been closed by an earlier message of this very fan-out.
            let Some(Conn::Client(client)) = self.conns.get(*slot as usize) else { continue };
            if exclude.is_empty() || !exclude.contains(&client.connection_id) {
                self.send_shared(*slot, fanout);
            }
        }
    }

    fn send_shared(&mut self, slot: Slot, fanout: &mut Fanout<'_>) {
        if !self.may_send(slot) {
            return;
        }
        let Some(Conn::Client(client)) = self.conns.get_mut(slot as usize) else { return };
        let kind = client.kind_of(fanout.message.encoding.kind);
        let message = fanout.encoded(&self.settings.listen, client.listener, kind);
        self.counters.messages_out += 1;
        if client.codec.is_open() {
            self.output.append_shared(client.socket, &mut client.out, message);
        } else {
            client.held.get_or_insert_default().extend_from_slice(message.as_bytes());
        }
    }

    /// Whether a client takes one more message; what becomes of it and of the message if not is the settings' choice.
    fn may_send(&mut self, slot: Slot) -> bool {
        let Some(Conn::Client(client)) = self.conns.get(slot as usize) else { return false };
        if client.closing {
            return false;
        }
        let queued = client.out.queue.len() + client.held.as_ref().map_or(0, |held| held.len());
        if queued < self.settings.send_to_client_buffer_size {
            return true;
        }
        match self.settings.slow_client {
            SlowClient::Drop => self.counters.messages_dropped_slow_client += 1,
            SlowClient::Close => {
                self.counters.clients_closed_slow += 1;
                self.close_client_now(slot);
            }
        }
        false
    }
}
