//! How a worker's cores are asked how things are, and its rows of the status table.

use std::time::Duration;

use admin::{NoAnswer, Process, Report, Row};

use crate::Status;
use crate::control::{Control, Request};

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

    /// Every core's status, by index, or why there is none: it has not started, is held up by a handler, or has ended.
    pub fn ask(&self) -> Vec<Result<Status, NoAnswer>> {
        admin::ask(&self.cores, |core, answer| {
            core.tell(Request::Status(answer)).then_some(()).ok_or(NoAnswer::Ended)
        })
    }

    /// What `--admin` tells, `uptime` after the start: a row for each core that answers, and which do not.
    pub fn report(&self, uptime: Duration) -> Report {
        let parts = self.ask().into_iter().enumerate();
        let parts = parts
            .map(|(index, status)| (format!("{}:{index}", self.name), status.map(|status| row(&status))));
        Report::new(Process::this("worker", env!("CARGO_PKG_VERSION"), uptime), parts)
    }
}

fn row(status: &Status) -> Row {
    let counters = &status.counters;
    let now = [
        ("handlers_running", status.handlers_running as u64),
        ("events_waiting", status.events_waiting as u64),
        ("queued_bytes", status.queued_bytes as u64),
        ("sessions_remembered", status.sessions_remembered as u64),
    ];
    Row {
        links: status.links as u64,
        messages_in: counters.messages_in,
        messages_out: counters.messages_out,
        dropped: counters.commands_dropped,
        counters: counters.by_name().chain(now).map(|(name, count)| (name.to_owned(), count)).collect(),
        ..Row::default()
    }
}
