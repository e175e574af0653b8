//! What a gateway's log says of its workers. Every shard has links of every core of a worker; an operator wants to read
//! that a worker came, and that it went. So shards tell what they see, and it is said once for the process.
//!
//! Nothing here belongs to a data path: shards come here when a worker's link comes or goes.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};

use program::Uptime;
use protocol::LogLimit;
use protocol::inner::Refused;
use tracing::{debug, info, warn};

use crate::Millis;
use crate::shard::{Gone, Notice, Shard};

/// All shards of a process tell it what they see.
pub(super) struct WorkerLog {
    clock: Uptime,
    state: Mutex<State>,
}

struct State {
    /// Links of each worker over all shards, by `ip:name`; none has 0.
    links: HashMap<Box<str>, usize>,
    /// Shards that have had no worker for a while.
    alone: HashSet<usize>,
    /// For what peers can cause as often as they like, by kind.
    limits: [LogLimit; Kind::COUNT],
}

/// One shard's part: what it has seen, and since when it has no worker.
pub(super) struct ShardWorkers {
    log: Arc<WorkerLog>,
    shard: usize,
    address: SocketAddrV4,
    /// `None`: it has one.
    alone_since: Option<Millis>,
    /// The log knows that it has none.
    told_alone: bool,
    notices: Vec<Notice>,
}

impl ShardWorkers {
    pub(super) fn new(log: Arc<WorkerLog>, shard: usize, address: SocketAddrV4) -> ShardWorkers {
        ShardWorkers { log, shard, address, alone_since: None, told_alone: false, notices: Vec::new() }
    }

    /// To be called now and then.
    pub(super) fn look(&mut self, now: Millis, shard: &mut Shard) {
        shard.take_notices(&mut self.notices);
        for notice in self.notices.drain(..) {
            self.log.note(self.shard, &notice);
        }
        if shard.worker_count() > 0 {
            self.alone_since = None;
            if std::mem::take(&mut self.told_alone) {
                self.log.served(self.shard);
            }
            return;
        }
        let since = *self.alone_since.get_or_insert(now);
        if !self.told_alone && now >= since.plus(ALONE_MS) {
            self.told_alone = true;
            self.log.alone(self.shard, self.address);
        }
    }
}

/// What is limited together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Came,
    Went,
    LostLink,
    Displaced,
    Refused,
    WrongKey,
    Unproven,
}

impl Kind {
    const COUNT: usize = 7;
}

/// A line to be logged.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    kind: Kind,
    is_warning: bool,
    /// A worker, or a peer's address.
    who: String,
    what: &'static str,
}

impl WorkerLog {
    pub(super) fn new() -> WorkerLog {
        let limits = [(); Kind::COUNT].map(|()| LogLimit::new(LINES_MAX, LINES_PERIOD_MS));
        let state = State { links: HashMap::new(), alone: HashSet::new(), limits };
        WorkerLog { clock: Uptime::start(), state: Mutex::new(state) }
    }

    /// A shard has noted something.
    pub(super) fn note(&self, shard: usize, notice: &Notice) {
        debug!(shard, ?notice, "worker link");
        let now_ms = protocol::millis(self.clock.elapsed());
        self.with(|state| {
            let Some(line) = state.line(notice) else { return };
            let Some(left_out) = state.limits[line.kind as usize].admit(now_ms) else { return };
            let Line { is_warning, who, what, .. } = line;
            match (is_warning, left_out) {
                (true, 0) => warn!(who, "{what}"),
                (true, _) => warn!(who, left_out, "{what}"),
                (false, 0) => info!(who, "{what}"),
                (false, _) => info!(who, left_out, "{what}"),
            }
        });
    }

    /// A shard has had no worker for a while.
    pub(super) fn alone(&self, shard: usize, address: SocketAddrV4) {
        self.with(|state| {
            let is_first = state.alone.is_empty();
            state.alone.insert(shard);
            if !state.links.is_empty() {
                warn!(shard, %address, "no worker is connected to this shard, while others have some: can workers reach its port?");
            } else if is_first {
                warn!("no worker is connected: clients wait for up to --no-worker-wait, then they are closed");
            }
        });
    }

    /// It has one again.
    pub(super) fn served(&self, shard: usize) {
        self.with(|state| {
            if state.alone.remove(&shard) && state.alone.is_empty() {
                info!("workers are connected to all shards");
            }
        });
    }

    fn with(&self, act: impl FnOnce(&mut State)) {
        // Whatever happened to a thread that held it, it says what was told.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    /// Notes it; the line that an operator wants to read of it, if any.
    fn line(&mut self, notice: &Notice) -> Option<Line> {
        let (kind, is_warning, who, what) = match notice {
            Notice::Connected { key } => {
                let links = self.links.entry(name(key).into()).or_default();
                *links += 1;
                if *links > 1 {
                    return None;
                }
                (Kind::Came, false, name(key).to_owned(), "worker connected")
            }
            Notice::Gone { key, why } => {
                let left = self.links.get_mut(name(key)).map(|links| {
                    *links -= 1;
                    *links
                });
                if left == Some(0) {
                    self.links.remove(name(key));
                    let is_orderly =
                        matches!(why, Gone::Closed | Gone::Left | Gone::Displaced | Gone::Renamed);
                    (Kind::Went, !is_orderly, name(key).to_owned(), went(*why))
                } else if matches!(why, Gone::Silent | Gone::Stuck | Gone::Malformed) {
                    (Kind::LostLink, true, key.to_string(), lost_link(*why))
                } else {
                    return None;
                }
            }
            Notice::Displaced { key } => (Kind::Displaced, true, key.to_string(), DISPLACED),
            Notice::Refused { why: Refused::NameLeaving, .. } => return None,
            Notice::Refused { key, .. } => (Kind::Refused, true, name(key).to_owned(), REFUSED),
            Notice::Unproven { peer } => (Kind::Unproven, true, peer.ip().to_string(), UNPROVEN),
            Notice::WrongKey { peer } => (Kind::WrongKey, true, peer.ip().to_string(), WRONG_KEY),
        };
        Some(Line { kind, is_warning, who, what })
    }
}

/// A worker key without the number of its core.
fn name(key: &str) -> &str {
    key.rsplit_once(':').map_or(key, |(name, _)| name)
}

fn went(why: Gone) -> &'static str {
    match why {
        Gone::Left => "worker gone, it has handed its clients over",
        Gone::Closed | Gone::Displaced => "worker gone, it has closed its connections",
        Gone::Renamed => "worker gone, its connections have another name now",
        Gone::Broken => "worker gone, its connections broke",
        Gone::Silent => "worker gone, it did not ping any more",
        Gone::Stuck => "worker gone, it took nothing for a minute",
        Gone::Malformed => "worker gone, it sent what is no frame",
    }
}

fn lost_link(why: Gone) -> &'static str {
    match why {
        Gone::Stuck => "a worker's link was closed, it took nothing for a minute",
        Gone::Malformed => "a worker's link was closed, it sent what is no frame",
        _ => "a worker's link was closed, it did not ping any more",
    }
}

const DISPLACED: &str = "a worker took the place of one of the same name, which is closed: have two workers of a machine \
                         one name, or has one come back before its end was noticed?";
const REFUSED: &str = "a worker was refused, another of its name is connected from the same machine";
const WRONG_KEY: &str = "refused at the inner port: not this gateway's secret key";
const UNPROVEN: &str =
    "refused at the inner port: no proof of the secret key; set --inner-auth challenge there, too";

/// Lines of a kind in [`LINES_PERIOD_MS`]; the others are counted, and the next line says how many they were.
const LINES_MAX: u32 = 10;

/// See [`LINES_MAX`], in ms.
const LINES_PERIOD_MS: u64 = 60_000;

/// A shard that has had no worker for so long says so, in ms: longer than a worker takes to start again.
const ALONE_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(notices: &[Notice]) -> Vec<(bool, String, &'static str)> {
        let log = WorkerLog::new();
        let mut state = log.state.into_inner().unwrap();
        let lines = notices.iter().filter_map(|notice| state.line(notice));
        lines.map(|line| (line.is_warning, line.who, line.what)).collect()
    }

    fn connected(core: u32) -> Notice {
        Notice::Connected { key: format!("10.0.0.1:chat:{core}").into() }
    }

    fn gone(core: u32, why: Gone) -> Notice {
        Notice::Gone { key: format!("10.0.0.1:chat:{core}").into(), why }
    }

    #[test]
    fn a_worker_comes_and_goes_once_however_many_links_it_has() {
        let who = || "10.0.0.1:chat".to_owned();
        let story = [
            connected(0),
            connected(1),
            connected(0),
            gone(1, Gone::Left),
            gone(0, Gone::Left),
            gone(0, Gone::Left),
            connected(7),
            gone(7, Gone::Broken),
        ];
        assert_eq!(
            lines(&story),
            [
                (false, who(), "worker connected"),
                (false, who(), "worker gone, it has handed its clients over"),
                (false, who(), "worker connected"),
                (true, who(), "worker gone, its connections broke"),
            ]
        );
    }

    #[test]
    fn a_link_that_is_lost_while_others_stay_is_told_if_something_is_wrong_with_it() {
        let story =
            [connected(0), connected(1), connected(2), gone(0, Gone::Displaced), gone(1, Gone::Silent)];
        let said = lines(&story);
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[1], (true, "10.0.0.1:chat:1".to_owned(), lost_link(Gone::Silent)));
    }

    #[test]
    fn what_is_refused_is_told() {
        let key = || "10.0.0.1:chat:0".into();
        let story = [
            Notice::Displaced { key: key() },
            Notice::Refused { key: key(), why: Refused::Name },
            Notice::Refused { key: key(), why: Refused::NameLeaving },
            Notice::WrongKey { peer: "10.0.0.9:5".parse().unwrap() },
            Notice::Unproven { peer: "10.0.0.9:5".parse().unwrap() },
        ];
        let said = lines(&story);
        assert_eq!(
            said.iter().map(|line| line.2).collect::<Vec<_>>(),
            [DISPLACED, REFUSED, WRONG_KEY, UNPROVEN]
        );
        assert!(said.iter().all(|line| line.0));
    }
}
