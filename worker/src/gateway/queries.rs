//! Queries: asked of one gateway or of all, limited in time (WIRE.md §5).

use std::rc::Rc;

use glommio::timer::timeout;
use protocol::ClientId;
use protocol::calls::query::{self, Query};
use protocol::inner::{FRAME_SIZE_MAX, Frame};
use protocol::php::Array;

use super::Gateway;
use crate::core::{Asked, ByName};
use crate::{Answer, Name};

impl Gateway {
    /// Whether the client is connected. No answer counts as no.
    pub async fn is_online(&self, client: ClientId) -> Answer<bool> {
        self.ask(query::is_online(client)).await
    }

    /// The client's session; `None` when there is no such client.
    pub async fn session(&self, client: ClientId) -> Answer<Option<Array>> {
        self.ask(query::session(client)).await
    }

    /// The client's uid; `None` when it has none, or when there is no such client.
    pub async fn uid_of_client(&self, client: ClientId) -> Answer<Option<Name>> {
        self.ask(query::uid_of_client(client)).await
    }

    /// The clients of a uid.
    pub async fn client_ids_of_uid(&self, uid: impl Into<Name>) -> Answer<Vec<ClientId>> {
        self.ask(query::client_ids_of_uid(uid)).await
    }

    /// The clients of each uid, in the order asked.
    pub async fn client_ids_of_uids(
        &self,
        uids: impl IntoIterator<Item: Into<Name>>,
    ) -> Answer<Vec<(Name, Vec<ClientId>)>> {
        self.ask(query::client_ids_of_uids(uids)).await
    }

    /// Whether the uid has a client.
    pub async fn is_uid_online(&self, uid: impl Into<Name>) -> Answer<bool> {
        self.ask(query::is_uid_online(uid)).await
    }

    /// How many clients are connected, to all gateways.
    pub async fn client_count(&self) -> Answer<u64> {
        self.ask(query::client_count()).await
    }

    /// How many members a group has.
    pub async fn client_count_of_group(&self, group: impl Into<Name>) -> Answer<u64> {
        self.ask(query::client_count_of_group(group)).await
    }

    /// How many members each group has, in the order asked.
    pub async fn client_counts_of_groups(
        &self,
        groups: impl IntoIterator<Item: Into<Name>>,
    ) -> Answer<Vec<(Name, u64)>> {
        self.ask(query::client_counts_of_groups(groups)).await
    }

    /// All clients.
    pub async fn client_ids(&self) -> Answer<Vec<ClientId>> {
        self.ask(query::client_ids()).await
    }

    /// The members of a group.
    pub async fn client_ids_of_group(&self, group: impl Into<Name>) -> Answer<Vec<ClientId>> {
        self.ask(query::client_ids_of_group(group)).await
    }

    /// All uids that have a client, each once.
    pub async fn uids(&self) -> Answer<Vec<Name>> {
        self.ask(query::uids()).await
    }

    /// How many uids have a client.
    pub async fn uid_count(&self) -> Answer<u64> {
        self.ask(query::uid_count()).await
    }

    /// The uids of a group's members, each once.
    pub async fn uids_of_group(&self, group: impl Into<Name>) -> Answer<Vec<Name>> {
        self.ask(query::uids_of_group(group)).await
    }

    /// How many uids the members of a group have.
    pub async fn uid_count_of_group(&self, group: impl Into<Name>) -> Answer<u64> {
        self.ask(query::uid_count_of_group(group)).await
    }

    /// All groups that have a member.
    pub async fn groups(&self) -> Answer<Vec<Name>> {
        self.ask(query::groups()).await
    }

    /// Every client's session.
    pub async fn sessions(&self) -> Answer<Vec<(ClientId, Array)>> {
        self.ask(query::sessions()).await
    }

    /// The session of every member of a group.
    pub async fn sessions_of_group(&self, group: impl Into<Name>) -> Answer<Vec<(ClientId, Array)>> {
        self.ask(query::sessions_of_group(group)).await
    }

    /// All groups with the uids of their members, each once.
    pub async fn all_group_uids(&self) -> Answer<Vec<(Name, Vec<Name>)>> {
        self.ask(query::all_group_uids()).await
    }

    /// All groups with the number of uids that their members have.
    pub async fn all_group_uid_counts(&self) -> Answer<Vec<(Name, u64)>> {
        self.ask(query::all_group_uid_counts()).await
    }

    /// All groups with their members.
    pub async fn all_group_client_ids(&self) -> Answer<Vec<(Name, Vec<ClientId>)>> {
        self.ask(query::all_group_client_ids()).await
    }

    /// All groups with the number of their members.
    pub async fn all_group_client_id_counts(&self) -> Answer<Vec<(Name, u64)>> {
        self.ask(query::all_group_client_id_counts()).await
    }

    /// Asks gateways all at once. One that is known to be away is missing without being asked, and one that no
    /// register lists is never connected to: the address comes from a client id, which anybody can make up.
    async fn ask<T>(&self, query: Query<T>) -> Answer<T> {
        let gateways = query.gateways(|| self.core.links.addresses());
        if query.frame().size() > FRAME_SIZE_MAX {
            return query.read(Vec::new(), gateways);
        }
        let question = encode(&query.frame());
        let (reachable, mut missing): (Vec<_>, Vec<_>) =
            gateways.into_iter().partition(|&gateway| self.core.is_reachable(gateway));
        let by_name = by_name(&query);
        let ask = |gateway| {
            // Ours know every command.
            let by_name = by_name.as_ref().filter(|_| !self.core.is_ours(gateway));
            (gateway, self.core.ask_or_by_name(gateway, &question, by_name))
        };
        let questions: Vec<_> = reachable.into_iter().map(ask).collect();
        let all = async {
            for (_, question) in &questions {
                question.answered().await;
            }
            Ok(())
        };
        // Late or not, the answers that are there count.
        let _ = timeout(self.query_timeout, all).await;
        let mut replies = Vec::with_capacity(questions.len());
        for (gateway, question) in questions {
            match question.into_asked() {
                Asked::Answered(answer) => replies.push((gateway, answer)),
                Asked::ByName(answers) => replies.push((gateway, query.join(answers))),
                Asked::Missing => missing.push(gateway),
            }
        }
        self.core.count(|counters| counters.queries_missing += missing.len() as u64);
        query.read(replies, missing)
    }
}

fn by_name<T>(query: &Query<T>) -> Option<Rc<ByName>> {
    let (mut questions, mut count) = (Vec::new(), 0);
    for frame in query.by_name() {
        frame.encode(&mut questions);
        count += 1;
    }
    (count > 0).then(|| Rc::new(ByName { questions, count }))
}

fn encode(frame: &Frame<'_>) -> Rc<[u8]> {
    let mut out = Vec::with_capacity(frame.size());
    frame.encode(&mut out);
    out.into()
}
