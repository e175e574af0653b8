//! Queries: asked of one gateway or of all, limited in time (WIRE.md §5).

use std::net::SocketAddrV4;
use std::rc::Rc;

use glommio::timer::timeout;
use protocol::ClientId;
use protocol::inner::ext::{self, Field, Select, Where};
use protocol::inner::{Cmd, FRAME_SIZE_MAX, Frame};
use protocol::php::{Array, Value};

use super::rows::{self, Grouped};
use super::{Answer, Gateway};
use crate::Name;
use crate::client::decode_array;

/// What each gateway said.
type Replies = Answer<Vec<(SocketAddrV4, Value)>>;

impl Gateway {
    /// Whether the client is connected. No answer counts as no.
    pub async fn is_online(&self, client: ClientId) -> Answer<bool> {
        let replies = self.ask_one(client, &to_client(Cmd::IsOnline, client)).await;
        replies.map(|values| rows::sum(&values) > 0)
    }

    /// The client's session; `None` when there is no such client.
    pub async fn session(&self, client: ClientId) -> Answer<Option<Array>> {
        let replies = self.ask_one(client, &to_client(Cmd::GetSessionByClientId, client)).await;
        replies.map(|values| {
            values.into_iter().find_map(|(_, value)| match value {
                Value::Array(session) => Some(session),
                _ => None,
            })
        })
    }

    /// The client's uid; `None` when it has none, or when there is no such client.
    pub async fn uid_of_client(&self, client: ClientId) -> Answer<Option<Name>> {
        let condition = Where { connection_ids: vec![client.connection_id], ..Where::default() };
        let ext = select(&[Field::Uid], Some(condition));
        let replies = self.ask_one(client, &Frame { ext: &ext, ..Frame::command(Cmd::Select) }).await;
        replies.map(|values| rows::uids(&values).into_iter().next())
    }

    /// The clients of a uid.
    pub async fn client_ids_of_uid(&self, uid: impl Into<Name>) -> Answer<Vec<ClientId>> {
        let uid = uid.into();
        let frame = Frame { ext: uid.as_bytes(), ..Frame::command(Cmd::GetClientIdByUid) };
        let replies = self.ask_about(&uid, &frame).await;
        replies.map(|values| rows::listed_clients(&values))
    }

    /// The clients of each uid, in the order asked.
    pub async fn client_ids_of_uids(
        &self,
        uids: impl IntoIterator<Item: Into<Name>>,
    ) -> Answer<Vec<(Name, Vec<ClientId>)>> {
        let uids: Vec<Name> = uids.into_iter().map(Into::into).collect();
        let replies = self.ask_about_names(Cmd::BatchGetClientIdByUid, &uids).await;
        replies.map(|values| {
            let clients = |uid: &Name| rows::clients_under(&values, uid);
            uids.iter().map(|uid| (uid.clone(), clients(uid))).collect()
        })
    }

    /// Whether the uid has a client.
    pub async fn is_uid_online(&self, uid: impl Into<Name>) -> Answer<bool> {
        self.client_ids_of_uid(uid).await.map(|clients| !clients.is_empty())
    }

    /// How many clients are connected, to all gateways.
    pub async fn client_count(&self) -> Answer<u64> {
        let replies = self.ask_all(&Frame::command(Cmd::GetClientCountByGroup)).await;
        replies.map(|values| rows::sum(&values))
    }

    /// How many members a group has.
    pub async fn client_count_of_group(&self, group: impl Into<Name>) -> Answer<u64> {
        let group = group.into();
        let frame = Frame { ext: group.as_bytes(), ..Frame::command(Cmd::GetClientCountByGroup) };
        let replies = self.ask_about(&group, &frame).await;
        replies.map(|values| rows::sum(&values))
    }

    /// How many members each group has, in the order asked.
    pub async fn client_counts_of_groups(
        &self,
        groups: impl IntoIterator<Item: Into<Name>>,
    ) -> Answer<Vec<(Name, u64)>> {
        let groups: Vec<Name> = groups.into_iter().map(Into::into).collect();
        let replies = self.ask_about_names(Cmd::BatchGetClientCountByGroup, &groups).await;
        replies.map(|values| {
            groups.iter().map(|group| (group.clone(), rows::sum_under(&values, group))).collect()
        })
    }

    /// All clients.
    pub async fn client_ids(&self) -> Answer<Vec<ClientId>> {
        self.select(&[Field::Uid], None).await.map(|values| rows::clients(&values))
    }

    /// The members of a group.
    pub async fn client_ids_of_group(&self, group: impl Into<Name>) -> Answer<Vec<ClientId>> {
        self.select_group(group, &[Field::Uid]).await.map(|values| rows::clients(&values))
    }

    /// All uids that have a client, each once.
    pub async fn uids(&self) -> Answer<Vec<Name>> {
        self.select(&[Field::Uid], None).await.map(|values| rows::uids(&values))
    }

    /// How many uids have a client.
    pub async fn uid_count(&self) -> Answer<u64> {
        self.uids().await.map(|uids| uids.len() as u64)
    }

    /// The uids of a group's members, each once.
    pub async fn uids_of_group(&self, group: impl Into<Name>) -> Answer<Vec<Name>> {
        self.select_group(group, &[Field::Uid]).await.map(|values| rows::uids(&values))
    }

    /// How many uids the members of a group have.
    pub async fn uid_count_of_group(&self, group: impl Into<Name>) -> Answer<u64> {
        self.uids_of_group(group).await.map(|uids| uids.len() as u64)
    }

    /// All groups that have a member.
    pub async fn groups(&self) -> Answer<Vec<Name>> {
        self.ask_all(&Frame::command(Cmd::GetGroupIdList)).await.map(|values| rows::names(&values))
    }

    /// Every client's session.
    pub async fn sessions(&self) -> Answer<Vec<(ClientId, Array)>> {
        let replies = self.ask_all(&Frame::command(Cmd::GetAllClientSessions)).await;
        replies.map(|values| rows::sessions(&values, decode_array))
    }

    /// The session of every member of a group.
    pub async fn sessions_of_group(&self, group: impl Into<Name>) -> Answer<Vec<(ClientId, Array)>> {
        let group = group.into();
        let frame = Frame { ext: group.as_bytes(), ..Frame::command(Cmd::GetClientSessionsByGroup) };
        let replies = self.ask_about(&group, &frame).await;
        replies.map(|values| rows::sessions(&values, decode_array))
    }

    /// All groups with the uids of their members, each once.
    pub async fn all_group_uids(&self) -> Answer<Vec<(Name, Vec<Name>)>> {
        self.select(&[Field::Uid, Field::Groups], None).await.map(|values| rows::uids_by_group(&values))
    }

    /// All groups with the number of uids that their members have.
    pub async fn all_group_uid_counts(&self) -> Answer<Vec<(Name, u64)>> {
        self.all_group_uids().await.map(counts)
    }

    /// All groups with their members.
    pub async fn all_group_client_ids(&self) -> Answer<Vec<(Name, Vec<ClientId>)>> {
        self.select(&[Field::Groups], None).await.map(|values| rows::clients_by_group(&values))
    }

    /// All groups with the number of their members.
    pub async fn all_group_client_id_counts(&self) -> Answer<Vec<(Name, u64)>> {
        self.all_group_client_ids().await.map(counts)
    }

    async fn select(&self, fields: &[Field], condition: Option<Where>) -> Replies {
        let ext = select(fields, condition);
        self.ask_all(&Frame { ext: &ext, ..Frame::command(Cmd::Select) }).await
    }

    async fn select_group(&self, group: impl Into<Name>, fields: &[Field]) -> Replies {
        let group = group.into();
        let condition = Where { groups: vec![group.as_bytes().to_vec()], ..Where::default() };
        let ext = select(fields, Some(condition));
        self.ask_about(&group, &Frame { ext: &ext, ..Frame::command(Cmd::Select) }).await
    }

    async fn ask_about_names(&self, cmd: Cmd, names: &[Name]) -> Replies {
        let names: Vec<_> = names.iter().filter(|name| !name.is_empty()).map(Name::as_bytes).collect();
        if names.is_empty() {
            return Replies::default();
        }
        let ext = ext::encode_names(&names);
        self.ask_all(&Frame { ext: &ext, ..Frame::command(cmd) }).await
    }

    /// Asks all gateways about a name; nobody has a name that is none, which on the wire would mean everybody.
    async fn ask_about(&self, name: &Name, frame: &Frame<'_>) -> Replies {
        if name.is_empty() {
            return Replies::default();
        }
        self.ask_all(frame).await
    }

    async fn ask_all(&self, frame: &Frame<'_>) -> Replies {
        self.ask(self.core.links.addresses(), frame).await
    }

    async fn ask_one(&self, client: ClientId, frame: &Frame<'_>) -> Replies {
        self.ask(vec![client.gateway], frame).await
    }

    /// Asks gateways all at once. One that is known to be away is missing without being asked, and one that no
    /// register lists is never connected to: the address comes from a client id, which anybody can make up.
    async fn ask(&self, gateways: Vec<SocketAddrV4>, frame: &Frame<'_>) -> Replies {
        if frame.size() > FRAME_SIZE_MAX {
            return Answer { value: Vec::new(), missing: gateways };
        }
        let question = encode(frame);
        let (reachable, mut missing): (Vec<_>, Vec<_>) =
            gateways.into_iter().partition(|&gateway| self.core.is_reachable(gateway));
        let questions: Vec<_> =
            reachable.into_iter().map(|gateway| (gateway, self.core.ask(gateway, &question))).collect();
        let all = async {
            for (_, question) in &questions {
                question.answered().await;
            }
            Ok(())
        };
        // Late or not, the answers that are there count.
        let _ = timeout(self.query_timeout, all).await;
        let mut value = Vec::with_capacity(questions.len());
        for (gateway, question) in questions {
            match question.into_answer() {
                Some(answer) => value.push((gateway, answer)),
                None => missing.push(gateway),
            }
        }
        self.core.count(|counters| counters.queries_missing += missing.len() as u64);
        Answer { value, missing }
    }
}

fn encode(frame: &Frame<'_>) -> Rc<[u8]> {
    let mut out = Vec::with_capacity(frame.size());
    frame.encode(&mut out);
    out.into()
}

fn to_client(cmd: Cmd, client: ClientId) -> Frame<'static> {
    Frame { connection_id: client.connection_id, ..Frame::command(cmd) }
}

fn select(fields: &[Field], condition: Option<Where>) -> Vec<u8> {
    Select { fields: fields.to_vec(), condition }.encode()
}

fn counts<T>(groups: Grouped<T>) -> Vec<(Name, u64)> {
    groups.into_iter().map(|(group, members)| (group, members.len() as u64)).collect()
}
