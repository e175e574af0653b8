//! What workers and other programs ask (WIRE.md §5). Every query has one reply, a PHP value, in order.

use hashbrown::HashSet;
use protocol::inner::ext::{self, Field, Select, Where};
use protocol::inner::{Cmd, Frame, reply};
use protocol::php::write;

use super::client::Client;
use super::directory::Slot;
use super::{Conn, Shard};

impl Shard {
    /// Answers a query on the link it came on.
    pub(super) fn answer(&mut self, link: Slot, cmd: Cmd, frame: &Frame<'_>) {
        let mut value = Vec::new();
        self.write_answer(cmd, frame, &mut value);
        if let Some(Conn::Link(link)) = self.conns.get_mut(link as usize) {
            self.output.append_with(link.socket, &mut link.out, |out| reply::encode(&value, out));
        }
    }

    fn write_answer(&self, cmd: Cmd, frame: &Frame<'_>, out: &mut Vec<u8>) {
        match cmd {
            Cmd::IsOnline => {
                write::encode_int(self.connection_ids.contains_key(&frame.connection_id).into(), out)
            }
            Cmd::GetSessionByClientId => self.write_session(frame.connection_id, out),
            Cmd::GetAllClientSessions => self.write_sessions(&self.slots_by_acceptance(), out),
            Cmd::GetClientSessionsByGroup => {
                self.write_sessions(&self.groups.members_of(frame.ext).collect::<Vec<_>>(), out);
            }
            Cmd::GetClientCountByGroup if frame.ext.is_empty() => {
                write::encode_int(self.client_count() as i64, out)
            }
            Cmd::GetClientCountByGroup => write::encode_int(self.groups.member_count(frame.ext) as i64, out),
            Cmd::GetClientIdByUid => self.write_connection_ids_of_uid(frame.ext, out),
            Cmd::BatchGetClientIdByUid => {
                write_by_name(frame.ext, out, |uid, out| self.write_connection_ids_of_uid(uid, out));
            }
            Cmd::BatchGetClientCountByGroup => {
                write_by_name(frame.ext, out, |group, out| {
                    write::encode_int(self.groups.member_count(group) as i64, out);
                });
            }
            Cmd::GetGroupIdList => self.write_groups(out),
            Cmd::Select => self.write_select(frame.ext, out),
            _ => unreachable!("all queries are above"),
        }
    }

    fn write_session(&self, connection_id: u32, out: &mut Vec<u8>) {
        match self.connection_ids.get(&connection_id) {
            None => write::encode_null(out),
            Some(slot) => match &*self.client_ref(*slot).session {
                [] => write_empty_array(out),
                session => out.extend_from_slice(session),
            },
        }
    }

    fn write_sessions(&self, slots: &[Slot], out: &mut Vec<u8>) {
        write::array_start(slots.len(), out);
        for slot in slots {
            let client = self.client_ref(*slot);
            write::encode_int(client.connection_id.into(), out);
            write::encode_bytes(&client.session, out);
        }
        write::array_end(out);
    }

    fn write_connection_ids_of_uid(&self, uid: &[u8], out: &mut Vec<u8>) {
        let slots: Vec<Slot> = self.uids.members_of(uid).collect();
        write::array_start(slots.len(), out);
        for (index, slot) in slots.iter().enumerate() {
            write::encode_int(index as i64, out);
            write::encode_int(self.client_ref(*slot).connection_id.into(), out);
        }
        write::array_end(out);
    }

    fn write_groups(&self, out: &mut Vec<u8>) {
        write::array_start(self.groups.names().len(), out);
        for (index, name) in self.groups.names().enumerate() {
            write::encode_int(index as i64, out);
            // An array key before it became a value here: an int if it looks like one (WIRE.md §6).
            write::encode_key(&name[..], out);
        }
        write::array_end(out);
    }

    fn write_select(&self, ext: &[u8], out: &mut Vec<u8>) {
        let Some(Select { mut fields, condition }) = Select::decode(ext) else {
            return write_empty_array(out);
        };
        let mut seen = HashSet::new();
        fields.retain(|field| seen.insert(field.clone()));
        let slots = match &condition {
            None if fields.is_empty() => Vec::new(),
            None => self.slots_for_listing(),
            Some(condition) => self.slots_where(condition),
        };
        write::array_start(slots.len(), out);
        for slot in slots {
            let client = self.client_ref(slot);
            write::encode_int(client.connection_id.into(), out);
            write::array_start(fields.len(), out);
            for field in &fields {
                write::encode_key(field.name().as_bytes(), out);
                self.write_field(client, field, out);
            }
            write::array_end(out);
        }
        write::array_end(out);
    }

    fn write_field(&self, client: &Client, field: &Field, out: &mut Vec<u8>) {
        match (field, client.uid, &client.groups) {
            (Field::Session, _, _) => write::encode_bytes(&client.session, out),
            (Field::Uid, Some(uid), _) => write::encode_bytes(self.uids.name(uid.set), out),
            (Field::Groups, _, Some(groups)) => {
                write::array_start(groups.len(), out);
                for membership in groups.iter() {
                    let name = self.groups.name(membership.set);
                    write::encode_key(&name[..], out);
                    write::encode_bytes(name, out);
                }
                write::array_end(out);
            }
            (Field::Uid | Field::Groups | Field::Unknown(_), _, _) => write::encode_null(out),
        }
    }

    /// The union of the conditions, each client once.
    fn slots_where(&self, condition: &Where) -> Vec<Slot> {
        let groups = condition.groups.iter().flat_map(|group| self.groups.members_of(group));
        let uids = condition.uids.iter().flat_map(|uid| self.uids.members_of(uid));
        let ids = condition.connection_ids.iter().filter_map(|id| self.connection_ids.get(id).copied());
        let mut seen = HashSet::new();
        groups.chain(uids).chain(ids).filter(|slot| seen.insert(*slot)).collect()
    }

    fn slots_by_acceptance(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.connection_ids.values().copied().collect();
        slots.sort_unstable_by_key(|slot| self.client_ref(*slot).accepted);
        slots
    }

    /// In order of acceptance, but clients with a uid and a group first: PHP's getAllGroupUidList stops at the first
    /// that lacks one (WIRE.md §13).
    fn slots_for_listing(&self) -> Vec<Slot> {
        let mut slots = self.slots_by_acceptance();
        slots.sort_by_key(|slot| {
            let client = self.client_ref(*slot);
            client.uid.is_none() || client.groups().is_empty()
        });
        slots
    }
}

/// An array from each name of a JSON list to what `write` says of it; empty if the list is broken.
fn write_by_name(ext: &[u8], out: &mut Vec<u8>, mut write: impl FnMut(&[u8], &mut Vec<u8>)) {
    let mut names = ext::decode_names(ext).unwrap_or_default();
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    write::array_start(names.len(), out);
    for name in &names {
        write::encode_key(&name[..], out);
        write(name, out);
    }
    write::array_end(out);
}

fn write_empty_array(out: &mut Vec<u8>) {
    write::array_start(0, out);
    write::array_end(out);
}
