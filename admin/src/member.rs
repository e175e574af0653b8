//! What the dashboard shows: processes, and how each of them is.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::part::GroupsOf;
use crate::server::Watched;
use crate::{Histogram, Part, Report};

/// What `GET /cluster` answers.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Shown<'a> {
    /// Of the process that answers.
    pub program: &'static str,
    /// Clients can be looked up, sent to and closed, and gateways drained.
    pub may_act: bool,
    /// Why not.
    pub why_not: Option<&'static str>,
    /// The process that answers first.
    pub members: Vec<&'a Member>,
    /// How many more there are.
    pub left_out: usize,
}

/// A process of the cluster.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Its admin address.
    pub id: String,
    /// `gateway`, `worker`, ….
    pub program: String,
    /// Tells this start of the process from all others.
    #[serde(default)]
    pub run: String,
    /// It is the one that answers.
    pub here: bool,
    /// Who does not answer has none.
    pub report: Option<Report>,
    /// From what a client says to its worker's answer, where that is measured.
    pub latency: Option<Latency>,
    /// The largest groups of its clients.
    pub groups: Vec<Group>,
    /// Somebody can be sent to it.
    pub ready: bool,
    /// Why not, in one line.
    pub why: Option<String>,
    /// Why it does not say how it is, and what to do, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How often something took how long, of some of all.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// How many took no longer than so many ms.
    pub buckets: Vec<(f64, u64)>,
    /// All.
    pub count: u64,
    /// All together, in ms.
    pub sum_ms: f64,
}

/// How long an answer waits for groups to be looked at. Where there are very many, the next ones go on from there.
const GROUPS_TIMEOUT: Duration = Duration::from_millis(200);

/// Groups that a member tells of: its largest.
pub(crate) const GROUPS_MAX: usize = 20;

/// A group, and how many clients it has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    pub name: String,
    pub clients: u64,
}

impl Member {
    /// This process, whose admin address is `id`. It asks the parts, and may take [`ANSWER_TIMEOUT`](crate::ANSWER_TIMEOUT).
    pub(crate) fn here(id: SocketAddr, watched: &Watched) -> Member {
        let (report, latency) = watched.instance.report_and_latency();
        let unready = watched.unready();
        Member {
            id: id.to_string(),
            program: watched.instance.program().to_owned(),
            run: watched.run.clone(),
            here: true,
            report: Some(report),
            latency: latency.as_ref().map(Latency::of),
            groups: Group::largest(watched.instance.parts()),
            ready: unready.is_empty(),
            why: (!unready.is_empty()).then(|| unready.join("; ")),
            problem: None,
        }
    }
}

impl Member {
    /// One that does not say how it is: why, and what to do.
    pub(crate) fn silent(at: SocketAddr, program: &str, problem: String) -> Member {
        Member {
            id: at.to_string(),
            program: program.to_owned(),
            run: String::new(),
            here: false,
            report: None,
            latency: None,
            groups: Vec::new(),
            ready: false,
            why: None,
            problem: Some(problem),
        }
    }

    /// As others show one that has said this of itself at this address.
    pub(crate) fn at(mut self, at: SocketAddr) -> Member {
        (self.id, self.here) = (at.to_string(), false);
        self.groups.truncate(GROUPS_MAX);
        self
    }

    /// The same without what it has said.
    pub(crate) fn without(self, problem: &str) -> Member {
        let at = self.id.parse().expect("it is that of an address");
        Member::silent(at, &self.program, problem.to_owned())
    }
}

impl Group {
    /// The largest of these parts, the largest first.
    fn largest(parts: &[Part]) -> Vec<Group> {
        let parts: Vec<_> = parts.iter().filter_map(Part::groups).collect();
        let sums = GroupsOf::look(&parts, GROUPS_TIMEOUT);
        let mut groups: Vec<Group> =
            sums.into_iter().map(|(name, clients)| Group { name, clients }).collect();
        groups.sort_by_key(|group| Reverse(group.clients));
        groups.truncate(GROUPS_MAX);
        groups
    }
}

impl Latency {
    fn of(histogram: &Histogram) -> Latency {
        let ms = |seconds: f64| seconds * 1e3;
        let buckets = histogram.cumulated().map(|(bound, count)| (ms(bound), count)).collect();
        Latency { buckets, count: histogram.count(), sum_ms: ms(histogram.total()) }
    }
}
