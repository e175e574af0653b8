//! The gateway's rows of the status table.

use std::time::Duration;

use admin::{Process, Report, Row};

use crate::{Status, StatusSource};

/// Makes a gateway's report, `uptime` after its start. `name` and `listen` are what the table shows.
pub fn report(source: &StatusSource, name: &str, listen: &str, uptime: Duration) -> Report {
    let rows = source.ask().into_iter().enumerate();
    let rows = rows.filter_map(|(index, status)| Some(row(format!("{name}:{index}"), listen, &status?)));
    Report { process: Process::this("gateway", env!("CARGO_PKG_VERSION"), uptime), rows: rows.collect() }
}

fn row(name: String, listen: &str, status: &Status) -> Row {
    let counters = &status.counters;
    Row {
        name,
        listen: listen.to_owned(),
        links: status.workers as u64,
        clients: Some(status.clients as u64),
        uids: Some(status.uids as u64),
        groups: Some(status.groups as u64),
        messages_in: counters.messages_in,
        messages_out: counters.messages_out,
        dropped: counters.dropped(),
        counters: counters.by_name().map(|(name, count)| (name.to_owned(), count)).collect(),
    }
}
