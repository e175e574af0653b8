//! The gateway's rows of the status table.

use std::time::Duration;

use admin::{Process, Report, Row};

use crate::{Status, StatusSource};

/// Makes a gateway's report, `uptime` after its start. `name` and `listen` are what the table shows.
pub fn report(source: &StatusSource, name: &str, listen: &str, uptime: Duration) -> Report {
    let parts = source.ask().into_iter().enumerate();
    let parts =
        parts.map(|(index, status)| (format!("{name}:{index}"), status.map(|status| row(listen, &status))));
    let mut report = Report::new(Process::this("gateway", env!("CARGO_PKG_VERSION"), uptime), parts);
    report.faults.extend(source.cordon_fault().map(|fault| format!("{name} {fault}")));
    report
}

fn row(listen: &str, status: &Status) -> Row {
    let counters = &status.counters;
    Row {
        listen: listen.to_owned(),
        links: status.workers as u64,
        clients: Some(status.clients as u64),
        uids: Some(status.uids as u64),
        groups: Some(status.groups as u64),
        messages_in: counters.messages_in,
        messages_out: counters.messages_out,
        dropped: counters.dropped(),
        counters: counters.by_name().map(|(name, count)| (name.to_owned(), count)).collect(),
        ..Row::default()
    }
}
