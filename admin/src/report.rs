//! The report: a process, and its shards or cores.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::NoAnswer;

/// What `GET /status` answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The process as a whole.
    pub process: Process,
    /// Its shards or cores, in order; one that did not answer in time is missing.
    pub rows: Vec<Row>,
    /// What is wrong with it, one sentence each: parts that are dead or hang.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

impl Report {
    /// The report of a process whose parts, by name, answer this.
    pub(crate) fn new(
        process: Process,
        parts: impl IntoIterator<Item = (String, Result<Row, NoAnswer>)>,
    ) -> Report {
        let mut report = Report { process, rows: Vec::new(), faults: Vec::new() };
        for (name, answer) in parts {
            match answer {
                Ok(row) => report.rows.push(Row { name, ..row }),
                Err(why) => report.faults.push(format!("{name} {why}")),
            }
        }
        report
    }
}

/// A process of Ringway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Process {
    /// `gateway`, `worker`, ….
    pub program: String,
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Resident memory; 0 if the kernel does not tell.
    pub memory_bytes: u64,
}

/// A shard of a gateway, or a core of a worker.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// `name:index`, as worker keys are written; `register` for a register.
    pub name: String,
    /// Where clients connect, or where a register listens; empty for a worker.
    pub listen: String,
    /// Inner connections that stand.
    pub links: u64,
    /// Clients there now; `None` where that is not known.
    pub clients: Option<u64>,
    /// Uids with a client.
    pub uids: Option<u64>,
    /// Groups with a member.
    pub groups: Option<u64>,
    /// Messages from clients.
    pub messages_in: u64,
    /// Messages to clients.
    pub messages_out: u64,
    /// Messages dropped for whatever reason.
    pub dropped: u64,
    /// Everything that is counted, by name, and what has no column.
    pub counters: BTreeMap<String, u64>,
}

impl Process {
    /// This process, `uptime` after its start.
    pub(crate) fn this(program: &str, version: &str, uptime: Duration) -> Process {
        let pid = std::process::id();
        Process {
            program: program.to_owned(),
            version: version.to_owned(),
            pid,
            uptime_seconds: uptime.as_secs(),
            memory_bytes: program::resident_bytes(pid).unwrap_or(0),
        }
    }
}
