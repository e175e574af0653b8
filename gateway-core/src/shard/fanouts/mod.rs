//! A message on its way to clients: encoded once per protocol, queued per target, in slices when there are many.

use std::borrow::Cow;
use std::vec;

use hashbrown::HashSet;
use protocol::client::{Kind, Protocol};
use protocol::inner::{FLAG_BINARY, FLAG_RAW, FLAG_SCALAR, FLAG_TEXT, Frame};
use protocol::php;

use super::clients::client::Client;
use super::clients::found::Found;
use super::clients::leave::CloseReason;
use super::clients::{ClientSlot, Clients};
use super::links::LinkId;
use super::output::Output;
use super::output::queue::SharedMessage;
use super::{Action, Shard};
use crate::Listen;
use crate::config::{FANOUT_SENDS_MAX, FANOUT_SLICE};
use crate::settings::SlowClient;

/// What clients are to get.
pub(crate) struct Message<'a> {
    body: Cow<'a, [u8]>,
    /// It goes out as it is, without the protocol's encoding (flag bit 1).
    raw: bool,
    kind: Kind,
}

/// A message for many clients, and how far it is.
pub(crate) struct Fanout<'a> {
    message: Message<'a>,
    /// By listener and kind: rarely more than one.
    encoded: Vec<(u8, Kind, SharedMessage)>,
    /// Who is next.
    found: Found,
    /// Who comes behind them.
    more: More,
    is_done: bool,
    /// Connection ids that get nothing.
    exclude: HashSet<u32>,
}

/// Who gets a message.
pub(crate) enum Targets {
    /// These clients.
    Found(Found),
    /// The clients with these connection ids.
    Ids(Vec<u32>),
    /// The clients of these uids, or the members of these groups, name by name: each as it is when its turn comes.
    Uids(Vec<Vec<u8>>),
    Groups(Vec<Vec<u8>>),
}

/// Targets that are still to be looked up.
enum More {
    Nobody,
    Ids(vec::IntoIter<u32>),
    Uids(vec::IntoIter<Vec<u8>>),
    Groups(vec::IntoIter<Vec<u8>>),
}

/// A fan-out that takes more than one turn. The link it came on is not served meanwhile: what comes behind it must
/// not overtake it.
pub(crate) struct Job {
    fanout: Fanout<'static>,
    link: LinkId,
}

impl<'a> Message<'a> {
    /// One of ours, of whatever kind its clients' protocols have.
    pub(super) fn of_bytes(body: &'a [u8]) -> Message<'a> {
        Message { body: body.into(), raw: false, kind: Kind::default() }
    }

    /// The message in a frame. Arrays go out as JSON, as PHP gateways send them to websocket clients (WIRE.md §5);
    /// `None` if the body is neither.
    pub(super) fn of(frame: &Frame<'a>) -> Option<Message<'a>> {
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
    pub(super) fn of_kick(frame: &Frame<'a>) -> Option<Message<'a>> {
        if frame.flag & FLAG_SCALAR == 0 && frame.body == b"N;" {
            return None;
        }
        let mut message = Message::of(frame)?;
        message.raw = false;
        Some(message)
    }
}

impl<'a> Fanout<'a> {
    pub(super) fn new(message: Message<'a>, targets: Targets, exclude: HashSet<u32>) -> Fanout<'a> {
        let (found, more) = match targets {
            Targets::Found(found) => (found, More::Nobody),
            Targets::Ids(ids) => (Found::default(), More::Ids(ids.into_iter())),
            Targets::Uids(names) => (Found::default(), More::Uids(names.into_iter())),
            Targets::Groups(names) => (Found::default(), More::Groups(names.into_iter())),
        };
        Fanout { message, encoded: Vec::new(), found, more, is_done: false, exclude }
    }

    fn into_owned(self) -> Fanout<'static> {
        let Fanout { message, encoded, found, more, is_done, exclude } = self;
        let message = Message { body: message.body.into_owned().into(), ..message };
        Fanout { message, encoded, found, more, is_done, exclude }
    }

    fn encoded(&mut self, listen: &[Listen], listener: u8, kind: Kind) -> &SharedMessage {
        let known = self.encoded.iter().position(|(of, as_kind, _)| (*of, *as_kind) == (listener, kind));
        let index = known.unwrap_or_else(|| {
            let mut encoded = Vec::new();
            match self.message.raw {
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

impl More {
    /// The next targets, perhaps none; `None`: that were all.
    fn next(&mut self, clients: &Clients) -> Option<Found> {
        match self {
            More::Nobody => None,
            More::Ids(ids) if ids.as_slice().is_empty() => None,
            More::Ids(ids) => {
                let ids = ids.by_ref().take(IDS_AT_ONCE);
                Some(clients.found(ids.filter_map(|id| clients.by_id(id))))
            }
            More::Uids(names) => names.next().map(|name| clients.found(clients.uids.members_of(&name))),
            More::Groups(names) => names.next().map(|name| clients.found(clients.groups.members_of(&name))),
        }
    }
}

impl Client {
    /// Queues a message, until the handshake is done beside the queue.
    fn queue_message(&mut self, output: &mut Output, protocol: &dyn Protocol, message: &Message<'_>) {
        let kind = self.kind_of(message.kind);
        let write = |out: &mut Vec<u8>| match message.raw {
            true => out.extend_from_slice(&message.body),
            false => protocol.encode(&message.body, kind, out),
        };
        if self.codec.is_open() {
            output.append_with(self.socket, &mut self.out, write);
        } else {
            write(self.held.get_or_insert_default());
        }
    }

    /// The same with one that others get, too.
    #[inline]
    fn queue_shared(&mut self, output: &mut Output, message: &SharedMessage) {
        if self.codec.is_open() {
            output.append_shared(self.socket, &mut self.out, message);
        } else {
            self.held.get_or_insert_default().extend_from_slice(message.as_bytes());
        }
    }
}

impl Shard {
    /// Queues a message for one client.
    pub(super) fn send_to_client(&mut self, slot: ClientSlot, message: &Message<'_>) {
        let client = &mut self.clients[slot];
        if !client.takes_message(self.settings.send_to_client_buffer_size) {
            return self.refuse_message(slot);
        }
        self.counters.messages_out += 1;
        client.queue_message(&mut self.output, self.settings.protocol_of(client.listener), message);
    }

    /// Queues a message for its targets. What does not fit into this turn goes on in the next.
    pub(super) fn start_fan_out(&mut self, link: LinkId, mut fanout: Fanout<'_>) {
        self.fan_out(&mut fanout, FANOUT_SENDS_MAX);
        if !fanout.is_done
            && let Some(from) = self.links.get_mut(link)
        {
            from.busy = true;
            self.output.actions.push(Action::Pause(link.socket()));
            self.fanouts.push_back(Job { fanout: fanout.into_owned(), link });
        }
    }

    pub(super) fn continue_fan_outs(&mut self) {
        // However much others send: a fan-out that is under way gets on.
        let dirty_max = self.output.dirty_count() + FANOUT_SENDS_MAX;
        for _ in 0..self.fanouts.len() {
            if self.output.dirty_count() >= dirty_max {
                return;
            }
            let Some(mut job) = self.fanouts.pop_front() else { return };
            self.fan_out(&mut job.fanout, dirty_max);
            if job.fanout.is_done {
                self.link_idle(job.link);
            } else {
                self.fanouts.push_back(job);
            }
        }
    }

    /// The next slice of a fan-out: as many targets as this turn has room for, up to `dirty_max` sends in all.
    fn fan_out(&mut self, fanout: &mut Fanout<'_>, dirty_max: usize) {
        for _ in 0..FANOUT_SLICE {
            if fanout.found.is_at_end() {
                match fanout.more.next(&self.clients) {
                    Some(found) => fanout.found = found,
                    None => return fanout.is_done = true,
                }
                continue;
            }
            let Some((slot, client)) = fanout.found.peek(&self.clients) else {
                fanout.found.advance();
                continue;
            };
            if !client.out.is_dirty() && self.output.dirty_count() >= dirty_max {
                return;
            }
            let is_excluded = fanout.exclude.contains(&client.connection_id);
            fanout.found.advance();
            if !is_excluded {
                self.send_shared(slot, fanout);
            }
        }
    }

    fn send_shared(&mut self, slot: ClientSlot, fanout: &mut Fanout<'_>) {
        let client = &mut self.clients[slot];
        if !client.takes_message(self.settings.send_to_client_buffer_size) {
            return self.refuse_message(slot);
        }
        self.counters.messages_out += 1;
        let kind = client.kind_of(fanout.message.kind);
        client.queue_shared(&mut self.output, fanout.encoded(&self.settings.listen, client.listener, kind));
    }

    /// What becomes of a client that takes no message, and of the message, is the settings' choice.
    #[cold]
    fn refuse_message(&mut self, slot: ClientSlot) {
        match self.settings.slow_client {
            _ if self.clients[slot].closing => {}
            SlowClient::Drop => self.counters.messages_dropped_slow_client += 1,
            SlowClient::Close => {
                self.counters.clients_closed_slow += 1;
                self.close_client_because(slot, CloseReason::Policy);
            }
        }
    }
}

/// Connection ids that are looked up together: few, since they count as one target that is looked at.
const IDS_AT_ONCE: usize = 8;
