//! How a register is asked how things are, and its row of the status table.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::time::Duration;

use admin::{Process, Report, Row};

use crate::counters::Status;

/// One who asks, and waits for this.
pub(crate) type Question = SyncSender<Status>;

/// Where the register finds who has asked.
pub(crate) type Questions = Receiver<Question>;

/// Asks a register how things are.
#[derive(Debug, Clone)]
pub struct StatusSource {
    addr: SocketAddr,
    questions: Sender<Question>,
}

impl StatusSource {
    pub(crate) fn new(addr: SocketAddr, questions: Sender<Question>) -> Self {
        Self { addr, questions }
    }

    /// The register's status. `None`: it has ended, or did not answer within a second.
    pub fn ask(&self) -> Option<Status> {
        let (answer, status) = sync_channel(1);
        self.questions.send(answer).ok()?;
        status.recv_timeout(STATUS_TIMEOUT).ok()
    }

    /// What `--admin` tells, `uptime` after the start: one row.
    pub fn report(&self, uptime: Duration) -> Report {
        let rows = self.ask().map(|status| row(self.addr, &status)).into_iter().collect();
        Report { process: Process::this("register", env!("CARGO_PKG_VERSION"), uptime), rows }
    }
}

fn row(addr: SocketAddr, status: &Status) -> Row {
    let now = [
        ("connections", status.connections as u64),
        ("gateways", status.gateways as u64),
        ("workers", status.workers as u64),
    ];
    Row {
        name: "register".to_owned(),
        listen: addr.to_string(),
        links: (status.gateways + status.workers) as u64,
        counters: now
            .into_iter()
            .chain(status.counters.by_name())
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
        ..Row::default()
    }
}

/// How long a register may take to say how things are: its pulse looks every 50 ms.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);
