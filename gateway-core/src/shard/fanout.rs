//! A message on its way to clients: encoded once per protocol, queued per target, in slices when there are many.

use std::borrow::Cow;
use std::vec;

use hashbrown::HashSet;
use protocol::client::Kind;
use protocol::inner::{FLAG_BINARY, FLAG_RAW, FLAG_SCALAR, FLAG_TEXT, Frame};
use protocol::php;
use ring::SocketId;

use super::directory::Slot;
use super::found::Found;
use super::leave::CloseReason;
use super::out::SharedMessage;
use super::output::Action;
use super::{Conn, Shard};
use crate::config::{FANOUT_SENDS_MAX, FANOUT_SLICE};
use crate::settings::SlowClient;
use crate::{Listen, Millis};

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

/// A message for many clients, and how far it is.
pub(super) struct Fanout<'a> {
    message: Message<'a>,
    /// By listener and kind: rarely more than one.
    encoded: Vec<(u8, Kind, SharedMessage)>,
    targets: Targets,
    is_done: bool,
    /// Connection ids that get nothing.
    exclude: HashSet<u32>,
}

/// Who gets a message and has not got it yet.
pub(super) enum Targets {
    /// These clients.
    Found(Found),
    /// The clients with these connection ids.
    Ids(vec::IntoIter<u32>),
    /// The members of these groups or the clients of these uids, name by name, each as it is when its turn comes.
    Named { sets: Sets, names: vec::IntoIter<Vec<u8>>, found: Found },
}

/// What names are names of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sets {
    Uids,
    Groups,
}

/// Who is next.
enum Target {
    Client(Slot),
    /// That one has gone, or there is nobody of that name.
    Nobody,
    End,
}

impl Targets {
    pub fn named(sets: Sets, names: Vec<Vec<u8>>) -> Targets {
        Targets::Named { sets, names: names.into_iter(), found: Found::default() }
    }

    /// The client that was next is seen to.
    fn advance(&mut self) {
        match self {
            Targets::Found(found) | Targets::Named { found, .. } => found.advance(),
            Targets::Ids(ids) => drop(ids.next()),
        }
    }
}

/// A fan-out that takes more than one turn. The link it came on is not served meanwhile: what comes behind it must
/// not overtake it.
pub(super) struct Job {
    fanout: Fanout<'static>,
    link: SocketId,
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
    pub fn new(message: Message<'a>, targets: Targets, exclude: HashSet<u32>) -> Fanout<'a> {
        Fanout { message, encoded: Vec::new(), targets, is_done: false, exclude }
    }

    fn into_owned(self) -> Fanout<'static> {
        let Fanout { message, encoded, targets, is_done, exclude } = self;
        let message = Message { body: message.body.into_owned().into(), encoding: message.encoding };
        Fanout { message, encoded, targets, is_done, exclude }
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

    /// Queues a message for its targets. What does not fit into this turn goes on in [`Shard::on_turn`].
    pub(super) fn start_fan_out(&mut self, link: Slot, mut fanout: Fanout<'_>) {
        self.fan_out(&mut fanout, FANOUT_SENDS_MAX);
        if !fanout.is_done
            && let Some(link) = self.link(link)
        {
            link.busy = true;
            let link = link.socket;
            self.output.actions.push(Action::Pause(link));
            self.jobs.push_back(Job { fanout: fanout.into_owned(), link });
        }
    }

    /// To be called every turn, after what came in and before what goes out: large fan-outs, long answers and heartbeats
    /// take their next slice.
    pub fn on_turn(&mut self, now: Millis) {
        self.now = now;
        self.shed_unfinished();
        self.end_hook_victims();
        self.continue_heartbeat();
        self.continue_fan_outs();
        self.continue_listings();
    }

    fn continue_fan_outs(&mut self) {
        // However much others send: a fan-out that is under way gets on.
        let dirty_max = self.output.dirty_count() + FANOUT_SENDS_MAX;
        for _ in 0..self.jobs.len() {
            if self.output.dirty_count() >= dirty_max {
                return;
            }
            let Some(mut job) = self.jobs.pop_front() else { return };
            self.fan_out(&mut job.fanout, dirty_max);
            if job.fanout.is_done {
                self.link_idle(job.link);
            } else {
                self.jobs.push_back(job);
            }
        }
    }

    /// The next slice of a fan-out: as many targets as this turn has room for, up to `dirty_max` sends in all.
    fn fan_out(&mut self, fanout: &mut Fanout<'_>, dirty_max: usize) {
        for _ in 0..FANOUT_SLICE {
            let slot = match self.next_target(&mut fanout.targets) {
                Target::Client(slot) => slot,
                Target::Nobody => continue,
                Target::End => return fanout.is_done = true,
            };
            let client = self.client_ref(slot);
            if !client.out.is_dirty() && self.output.dirty_count() >= dirty_max {
                return;
            }
            let is_excluded = fanout.exclude.contains(&client.connection_id);
            fanout.targets.advance();
            if !is_excluded {
                self.send_shared(slot, fanout);
            }
        }
    }

    /// Who is next; stays so until [`Targets::advance`].
    fn next_target(&self, targets: &mut Targets) -> Target {
        let found = match targets {
            Targets::Found(found) => found,
            Targets::Ids(ids) => {
                let Some(id) = ids.as_slice().first() else { return Target::End };
                let Some(slot) = self.connection_ids.get(id) else {
                    ids.next();
                    return Target::Nobody;
                };
                return Target::Client(*slot);
            }
            Targets::Named { sets, names, found } => {
                if found.peek().is_none() {
                    let Some(name) = names.next() else { return Target::End };
                    *found = match sets {
                        Sets::Uids => self.found(self.uids.members_of(&name)),
                        Sets::Groups => self.found(self.groups.members_of(&name)),
                    };
                    if found.peek().is_none() {
                        return Target::Nobody;
                    }
                }
                found
            }
        };
        let Some(slot) = found.peek() else { return Target::End };
        if self.still_there(found, slot).is_none() {
            found.advance();
            return Target::Nobody;
        }
        Target::Client(slot)
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
                self.close_client_because(slot, CloseReason::Policy);
            }
        }
        false
    }
}
