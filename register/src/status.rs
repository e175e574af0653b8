//! How a register is asked how things are, and its row of the status table.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::time::Duration;

use admin::{ANSWER_TIMEOUT, NoAnswer, Process, Report, Row};

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

    /// The register's status.
    ///
    /// # Errors
    /// Its thread has ended, or is held up.
    pub fn ask(&self) -> Result<Status, NoAnswer> {
        let (answer, status) = sync_channel(1);
        self.questions.send(answer).map_err(|_| NoAnswer::Ended)?;
        status.recv_timeout(ANSWER_TIMEOUT).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoAnswer::Late,
            RecvTimeoutError::Disconnected => NoAnswer::Ended,
        })
    }

    /// What `--admin` tells, `uptime` after the start: one row.
    pub fn report(&self, uptime: Duration) -> Report {
        let part = ("register".to_owned(), self.ask().map(|status| row(self.addr, &status)));
        Report::new(Process::this("register", env!("CARGO_PKG_VERSION"), uptime), [part])
    }
}

fn row(addr: SocketAddr, status: &Status) -> Row {
    let now = [
        ("connections", status.connections as u64),
        ("gateways", status.gateways as u64),
        ("workers", status.workers as u64),
    ];
    Row {
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
