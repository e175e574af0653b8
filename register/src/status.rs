//! How a register is asked how things are, its row of the status table and its metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, SyncSender};

use admin::{ANSWER_TIMEOUT, Causes, Instance, Metric, NoAnswer, Part, PartReport, Row, Waiting};
use uring::Waker;

use crate::counters::Status;

/// What another thread wants of the register's.
#[derive(Debug)]
pub(crate) enum Control {
    /// Say how things are.
    Status(SyncSender<Status>),
    /// Say which processes tell of themselves, and where.
    Members(SyncSender<BTreeMap<SocketAddr, &'static str>>),
    Stop,
}

/// Asks a register how things are.
#[derive(Debug, Clone)]
pub struct StatusSource {
    pub(crate) addr: SocketAddr,
    pub(crate) control: Sender<Control>,
    pub(crate) waker: Waker,
}

impl StatusSource {
    /// The register's status.
    ///
    /// # Errors
    /// Its thread has ended, or is held up.
    pub fn ask(&self) -> Result<Status, NoAnswer> {
        Waiting::begin(|answer| self.tell(Control::Status(answer)))?.wait(ANSWER_TIMEOUT)
    }

    /// The processes that have told where they tell of themselves, by address, and what they are.
    ///
    /// # Errors
    /// As [`StatusSource::ask`].
    pub fn members(&self) -> Result<BTreeMap<SocketAddr, &'static str>, NoAnswer> {
        Waiting::begin(|answer| self.tell(Control::Members(answer)))?.wait(ANSWER_TIMEOUT)
    }

    /// Has the register's thread do this.
    pub(crate) fn tell(&self, what: Control) -> Result<(), NoAnswer> {
        self.control.send(what).map_err(|_| NoAnswer::Ended)?;
        self.waker.wake();
        Ok(())
    }

    /// What `--admin` tells.
    pub fn instance(&self) -> Instance {
        Instance::new("register", env!("CARGO_PKG_VERSION"), vec![self.part()])
    }

    /// The register, to be asked as a part of the process.
    pub fn part(&self) -> Part {
        let (source, addr) = (self.clone(), self.addr);
        let tell = move |answer| source.tell(Control::Status(answer));
        Part::new("register".to_owned(), "register", None, tell, move |status| report(addr, &status))
    }
}

fn report(addr: SocketAddr, status: &Status) -> PartReport {
    let now = [
        ("connections", "Connections, whether they have said what they are or not.", status.connections),
        ("gateways", "Gateway shards that are registered.", status.gateways),
        ("workers", "Worker cores that are told of them.", status.workers),
    ];
    let counters = now.map(|(name, _, count)| (name.to_owned(), count as u64));
    let counted = status.counters.all().map(|counter| (counter.name.to_owned(), counter.count));
    let row = Row {
        listen: addr.to_string(),
        links: (status.gateways + status.workers) as u64,
        counters: counters.into_iter().chain(counted).collect(),
        ..Row::default()
    };
    let gauges = now.map(|(name, help, count)| Metric::gauge(name, help, count as u64));
    let metrics = gauges.into_iter().chain(Metric::counters(status.counters.all(), &CAUSES)).collect();
    PartReport { row, metrics, ..PartReport::default() }
}

/// What is counted by cause.
const CAUSES: [Causes; 1] = [Causes {
    name: "refused",
    help: "Connections that were closed, by cause.",
    counters: &[
        ("refused_full", "full"),
        ("refused_not_a_request", "not_a_request"),
        ("refused_unknown_event", "unknown_event"),
        ("refused_bad_address", "bad_address"),
        ("refused_wrong_key", "wrong_key"),
        ("refused_without_tls", "no_tls"),
        ("refused_tls_failed", "tls"),
        ("refused_unproven", "unproven"),
        ("refused_silent", "silent"),
        ("refused_crowded", "crowded"),
        ("refused_too_long", "too_long"),
        ("dead", "dead"),
    ],
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_ready_from_the_start() {
        let report = report("127.0.0.1:1236".parse().unwrap(), &Status::default());
        assert_eq!((report.unready, report.row.listen.as_str()), (None, "127.0.0.1:1236"));
        let names: Vec<&str> = report.metrics.iter().map(|metric| metric.name).collect();
        assert!(names.contains(&"gateways") && names.contains(&"refused"), "{names:?}");
    }
}
