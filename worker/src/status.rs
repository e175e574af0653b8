//! How a worker's cores are asked how things are, and its rows of the status table.

use std::time::Duration;

use admin::{Process, Report, Row};
use crossbeam_channel::bounded;

use crate::Status;
use crate::core::{Control, Wish};

/// Asks cores how things are.
#[derive(Clone, Debug)]
pub struct StatusSource {
    name: String,
    cores: Vec<Control>,
}

impl StatusSource {
    pub(crate) fn new(name: &str, cores: Vec<Control>) -> StatusSource {
        StatusSource { name: name.to_owned(), cores }
    }

    /// Every core's status, by index. `None`: it has not started, has ended, or did not answer within a second.
    pub fn ask(&self) -> Vec<Option<Status>> {
        let ask = |core: &Control| {
            let (answer, status) = bounded(1);
            core.tell(Wish::Status(answer)).then_some(status)
        };
        // All are asked before the first answer is waited for.
        let asked: Vec<_> = self.cores.iter().map(ask).collect();
        asked.into_iter().map(|status| status?.recv_timeout(STATUS_TIMEOUT).ok()).collect()
    }

    /// What `--admin` tells, `uptime` after the start: a row for each core that answers.
    pub fn report(&self, uptime: Duration) -> Report {
        let rows = self.ask().into_iter().enumerate();
        let rows = rows.filter_map(|(index, status)| Some(row(format!("{}:{index}", self.name), &status?)));
        Report { process: Process::this("worker", env!("CARGO_PKG_VERSION"), uptime), rows: rows.collect() }
    }
}

fn row(name: String, status: &Status) -> Row {
    let counters = &status.counters;
    let now = [
        ("handlers_running", status.handlers_running as u64),
        ("events_waiting", status.events_waiting as u64),
        ("queued_bytes", status.queued_bytes as u64),
        ("sessions_remembered", status.sessions_remembered as u64),
    ];
    Row {
        name,
        links: status.links as u64,
        messages_in: counters.messages_in,
        messages_out: counters.messages_out,
        dropped: counters.commands_dropped,
        counters: counters.by_name().chain(now).map(|(name, count)| (name.to_owned(), count)).collect(),
        ..Row::default()
    }
}

/// How long a core may take to say how things are.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);
