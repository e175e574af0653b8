//! The members of a cluster, as its register sees them: it asks all of them, for whoever looks at its dashboard.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::member::Member;
use crate::peer::{self, Answer};
use crate::proof::Asked;
use crate::{NoAnswer, Order};

/// What a register's admin address has beside what every program has there: the other processes of its cluster, and routes of its
/// own, for whoever has the token.
pub struct Cluster {
    members: Box<dyn Fn() -> Result<Members, NoAnswer> + Send + Sync>,
    pub(crate) routes: Router,
}

/// Processes by admin address, and what they are.
pub type Members = BTreeMap<SocketAddr, &'static str>;

/// What all members have said at one time.
#[derive(Debug)]
pub(crate) struct Round {
    ended: Instant,
    pub members: Vec<Member>,
    /// How many there are that were not asked.
    pub left_out: usize,
}

/// A cluster with what was last heard of it.
pub(crate) struct Asking {
    cluster: Cluster,
    token: Option<Arc<str>>,
    last: Mutex<Option<Arc<Round>>>,
}

impl Cluster {
    /// A cluster of which `members` knows the processes; it may take its time. `routes` are for whoever has the token alone.
    pub fn new(
        members: impl Fn() -> Result<Members, NoAnswer> + Send + Sync + 'static,
        routes: Router,
    ) -> Cluster {
        Cluster { members: Box::new(members), routes }
    }
}

impl Asking {
    pub(crate) fn new(cluster: Cluster, token: Option<Arc<str>>) -> Asking {
        Asking { cluster, token, last: Mutex::new(None) }
    }

    /// What all members say, of whom nobody is asked again within [`ROUND_PERIOD`], however many look. A round that has
    /// begun is finished, also when nobody waits for it any more.
    pub(crate) async fn round(self: Arc<Asking>) -> Arc<Round> {
        let asking = tokio::spawn(async move {
            let mut last = self.last.lock().await;
            // Who has waited for a round of somebody else's has it.
            if let Some(last) = last.as_ref().filter(|last| last.ended.elapsed() < ROUND_PERIOD) {
                return Arc::clone(last);
            }
            let round = Arc::new(self.ask_all().await);
            *last = Some(Arc::clone(&round));
            round
        });
        match asking.await {
            Ok(round) => round,
            Err(_) => Arc::new(Round { ended: Instant::now(), members: Vec::new(), left_out: 0 }),
        }
    }

    /// Has a gateway carry an order out. What it answers.
    ///
    /// # Errors
    /// There is no such member, or it does not answer; in one line that says what to do.
    pub(crate) async fn order(self: Arc<Asking>, member: SocketAddr, order: Order) -> Result<Answer, String> {
        if !Arc::clone(&self).members().await.contains_key(&member) {
            return Err("there is no such member any more".to_owned());
        }
        let path = format!("/{}", order.word());
        let asked = Asked { at: member, method: &Method::POST, path: &path };
        peer::ask(asked, self.token.as_deref(), ORDER_TIMEOUT).await
    }

    async fn ask_all(self: &Arc<Asking>) -> Round {
        let members = Arc::clone(self).members().await;
        let left_out = members.len().saturating_sub(MEMBERS_MAX);
        let mut asking = JoinSet::new();
        for (at, program) in members.into_iter().take(MEMBERS_MAX) {
            let token = self.token.clone();
            asking.spawn(async move { ask(at, program, token.as_deref()).await });
        }
        let mut said = asking.join_all().await;
        said.sort_unstable_by_key(|(at, ..)| *at);
        let mut room = ROUND_SIZE_MAX;
        let bounded = said.into_iter().map(|(_, size, member)| {
            match room.checked_sub(size) {
                Some(rest) => room = rest,
                None => return member.without("is not shown: all answers together are too large"),
            }
            member
        });
        let mut runs = HashSet::new();
        // One process may have two addresses.
        let once = bounded.filter(|member| member.run.is_empty() || runs.insert(member.run.clone()));
        Round { ended: Instant::now(), members: once.collect(), left_out }
    }

    async fn members(self: Arc<Asking>) -> Members {
        // Who cannot say it has a fault that is told.
        let found = tokio::task::spawn_blocking(move || (self.cluster.members)()).await;
        found.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// What a member says, where, and how many bytes that were.
async fn ask(at: SocketAddr, program: &'static str, token: Option<&str>) -> (SocketAddr, usize, Member) {
    let asked = Asked { at, method: &Method::GET, path: "/member" };
    let (size, said) = match peer::ask(asked, token, MEMBER_TIMEOUT).await {
        Ok((200, body)) => {
            let said = serde_json::from_slice::<Member>(&body);
            (body.len(), said.map_err(|_| "answers something else: is it of another version?".to_owned()))
        }
        Ok((404, _)) => (0, Err("is of a version without a dashboard".to_owned())),
        Ok((status, _)) => (0, Err(format!("answers with the status {status}"))),
        Err(problem) => (0, Err(problem)),
    };
    let member = said.map_or_else(|problem| Member::silent(at, program, problem), |said| said.at(at));
    (at, size, member)
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// How long what members have said is good for others who look.
const ROUND_PERIOD: Duration = Duration::from_secs(1);

/// How long a member may take to say how it is.
const MEMBER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a gateway may take to carry an order out: somewhat more than its shards have.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5);

/// Members that are asked, all at once. Others are left out, and it is told how many.
const MEMBERS_MAX: usize = 256;

/// What all members together may say, in bytes. Beyond it members are named and not shown.
const ROUND_SIZE_MAX: usize = 32 * 1024 * 1024;

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
