//! What workers and other programs ask (WIRE.md §5). Every query has one reply, a PHP value, in order.

use hashbrown::HashSet;
use protocol::inner::ext::{self, Select};
use protocol::inner::{Cmd, Frame, reply};
use protocol::php::write;

use super::listing::{Called, Element, Names, Source};
use super::on_link::Asker;
use crate::shard::Shard;
use crate::shard::clients::client::Client;
use crate::shard::clients::{ClientSlot, Clients};
use crate::shard::links::LinkId;

impl Shard {
    /// Answers a query, or begins to.
    pub(crate) fn on_query(&mut self, link: LinkId, cmd: Cmd, frame: &Frame<'_>) {
        let Some(asker) = self.links.get(link).map(|link| link.asker(frame)) else { return };
        let client = self.clients.by_id(frame.connection_id);
        let source = match cmd {
            Cmd::IsOnline => {
                return self.answer(asker, |_, out| write::encode_int(client.is_some().into(), out));
            }
            Cmd::GetSessionByClientId => {
                return self.answer(asker, |clients, out| clients.write_session(client, out));
            }
            Cmd::GetClientCountByGroup => {
                return self.answer(asker, |clients, out| clients.write_count(frame.ext, out));
            }
            Cmd::GetAllClientSessions => self.clients.all_sessions(),
            Cmd::GetClientSessionsByGroup => Source::sessions(frame.ext),
            Cmd::GetClientIdByUid => Source::clients_of_uid(frame.ext),
            Cmd::BatchGetClientIdByUid => Source::clients_of_uids(frame.ext),
            Cmd::BatchGetClientCountByGroup => Source::counts(frame.ext),
            Cmd::GetGroupIdList => self.clients.all_groups(),
            Cmd::Select => self.clients.selected(frame.ext),
            _ => return,
        };
        self.begin_listing(asker, source);
    }

    /// Answers a query on the link it came on, by what `write` makes of the clients.
    pub(crate) fn answer(&mut self, asker: Asker, write: impl FnOnce(&Clients, &mut Vec<u8>)) {
        let mut value = Vec::new();
        write(&self.clients, &mut value);
        let Some(link) = self.links.get_mut(asker.link) else { return };
        if let Some(id) = asker.id {
            return link.queue_answer(&mut self.output, id, [value]);
        }
        let socket = link.id.socket();
        if link.worker.is_none() {
            return self.output.append_with(socket, &mut link.out, |out| reply::encode(&value, out));
        }
        let mut answer = Vec::new();
        reply::encode(&value, &mut answer);
        self.output.append_answer(socket, &mut link.out, true, answer);
    }
}

impl Source {
    /// The sessions of a group's members.
    pub(crate) fn sessions(group: &[u8]) -> Source {
        Source::Called(Called::group(group), Element::Session)
    }

    pub(crate) fn clients_of_uid(uid: &[u8]) -> Source {
        Source::Called(Called::uid(uid), Element::ConnectionId)
    }

    pub(crate) fn clients_of_uids(uids: &[u8]) -> Source {
        Source::UidMembers { names: names(uids), members: None }
    }

    /// How many members each of these groups has.
    pub(crate) fn counts(groups: &[u8]) -> Source {
        Source::GroupCounts(names(groups))
    }
}

impl Clients {
    pub(crate) fn write_session(&self, client: Option<ClientSlot>, out: &mut Vec<u8>) {
        match client.map(|slot| &*self[slot].session) {
            None => write::encode_null(out),
            Some([]) => {
                write::array_start(0, out);
                write::array_end(out);
            }
            Some(session) => out.extend_from_slice(session),
        }
    }

    /// How many are in a group, or in all if it has no name.
    pub(crate) fn write_count(&self, group: &[u8], out: &mut Vec<u8>) {
        let count = if group.is_empty() { self.len() } else { self.groups.member_count(group) };
        write::encode_count(count, out);
    }

    /// All sessions, in order of acceptance.
    pub(crate) fn all_sessions(&self) -> Source {
        Source::Everybody(self.ordered(|client| (false, client.accepted)), Element::Session)
    }

    /// All groups that there are.
    pub(crate) fn all_groups(&self) -> Source {
        Source::Groups { after: None, until: self.groups.last_set() }
    }

    /// Nobody if the selection is broken, or asks everybody for nothing.
    pub(crate) fn selected(&self, ext: &[u8]) -> Source {
        let Select { mut fields, condition } = Select::decode(ext).unwrap_or_default();
        let mut seen = HashSet::new();
        fields.retain(|field| seen.insert(field.clone()));
        match condition {
            None if fields.is_empty() => Source::Called(Called::default(), Element::Session),
            None => Source::Everybody(self.ordered(for_listing), Element::Fields(fields)),
            Some(condition) => Source::Called(condition.into(), Element::Fields(fields)),
        }
    }
}

/// Clients with a uid and a group first: PHP's getAllGroupUidList stops at the first that lacks one (WIRE.md §13).
fn for_listing(client: &Client) -> (bool, u64) {
    (client.uid.is_none() || client.groups().is_empty(), client.accepted)
}

/// The names in a JSON list; none if it is broken.
fn names(ext: &[u8]) -> Names {
    ext::decode_names(ext).unwrap_or_default().into()
}
