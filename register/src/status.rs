//! How a register is asked how things are, and its row of the status table.

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::time::Duration;

use admin::{ANSWER_TIMEOUT, NoAnswer, Process, Report, Row};
use uring::Waker;

use crate::counters::Status;

/// What another thread wants of the register's.
#[derive(Debug)]
pub(crate) enum Control {
    /// Say how things are.
    Status(SyncSender<Status>),
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
        let (answer, status) = sync_channel(1);
        self.tell(Control::Status(answer))?;
        status.recv_timeout(ANSWER_TIMEOUT).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoAnswer::Late,
            RecvTimeoutError::Disconnected => NoAnswer::Ended,
        })
    }

    /// Has the register's thread do this.
    pub(crate) fn tell(&self, what: Control) -> Result<(), NoAnswer> {
        self.control.send(what).map_err(|_| NoAnswer::Ended)?;
        self.waker.wake();
        Ok(())
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
