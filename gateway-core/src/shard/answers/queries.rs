//! What workers and other programs ask (WIRE.md §5). Every query has one reply, a PHP value, in order.

use hashbrown::HashSet;
use protocol::inner::ext::{self, Select};
use protocol::inner::{Cmd, Frame, reply};
use protocol::php::write;

use crate::shard::answers::listing::{Called, Element, Source};
use crate::shard::clients::client::Client;
use crate::shard::clients::directory::Slot;
use crate::shard::{Conn, Shard};

impl Shard {
    /// Answers a query on the link it came on.
    pub(crate) fn answer(&mut self, link: Slot, cmd: Cmd, frame: &Frame<'_>) {
        if let Some(source) = self.listed_by(cmd, frame) {
            return self.begin_listing(link, source);
        }
        let mut value = Vec::new();
        self.write_answer(cmd, frame, &mut value);
        let Some(Conn::Link(link)) = self.conns.get_mut(link as usize) else { return };
        if link.worker.is_none() {
            return self.output.append_with(link.socket, &mut link.out, |out| reply::encode(&value, out));
        }
        let mut answer = Vec::new();
        reply::encode(&value, &mut answer);
        self.output.append_answer(link.socket, &mut link.out, true, answer);
    }

    /// What a query wants listed, if its answer is a list.
    fn listed_by(&self, cmd: Cmd, frame: &Frame<'_>) -> Option<Source> {
        Some(match cmd {
            Cmd::GetAllClientSessions => Source::Everybody(self.ordered(by_acceptance), Element::Session),
            Cmd::GetClientSessionsByGroup => Source::Called(Called::group(frame.ext), Element::Session),
            Cmd::GetClientIdByUid => Source::Called(Called::uid(frame.ext), Element::ConnectionId),
            Cmd::BatchGetClientIdByUid => {
                Source::UidMembers { names: names(frame.ext).into(), members: None }
            }
            Cmd::BatchGetClientCountByGroup => Source::GroupCounts(names(frame.ext).into()),
            Cmd::GetGroupIdList => Source::Groups { after: None, until: self.groups.last_set() },
            Cmd::Select => self.selected(frame.ext),
            _ => return None,
        })
    }

    fn write_answer(&self, cmd: Cmd, frame: &Frame<'_>, out: &mut Vec<u8>) {
        match cmd {
            Cmd::IsOnline => {
                write::encode_int(self.connection_ids.contains_key(&frame.connection_id).into(), out)
            }
            Cmd::GetSessionByClientId => self.write_session(frame.connection_id, out),
            Cmd::GetClientCountByGroup if frame.ext.is_empty() => {
                write::encode_int(self.client_count() as i64, out)
            }
            Cmd::GetClientCountByGroup => write::encode_int(self.groups.member_count(frame.ext) as i64, out),
            _ => unreachable!("all queries are above"),
        }
    }

    fn write_session(&self, connection_id: u32, out: &mut Vec<u8>) {
        match self.connection_ids.get(&connection_id) {
            None => write::encode_null(out),
            Some(slot) => match &*self.client_ref(*slot).session {
                [] => {
                    write::array_start(0, out);
                    write::array_end(out);
                }
                session => out.extend_from_slice(session),
            },
        }
    }

    /// Nobody if the selection is broken, or asks everybody for nothing.
    fn selected(&self, ext: &[u8]) -> Source {
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

fn by_acceptance(client: &Client) -> (bool, u64) {
    (false, client.accepted)
}

/// Clients with a uid and a group first: PHP's getAllGroupUidList stops at the first that lacks one (WIRE.md §13).
fn for_listing(client: &Client) -> (bool, u64) {
    (client.uid.is_none() || client.groups().is_empty(), client.accepted)
}

/// The names in a JSON list; none if it is broken.
fn names(ext: &[u8]) -> Vec<Vec<u8>> {
    ext::decode_names(ext).unwrap_or_default()
}
