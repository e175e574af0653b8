//! The parts of a process, each with a data thread of its own.

use std::fmt;
use std::sync::mpsc::SyncSender;

use crate::ask::Waiting;
use crate::{Histogram, Metric, NoAnswer, Row};

/// A shard of a gateway, a core of a worker, or a register.
pub struct Part {
    /// What it is called in tables: `name:index`, as worker keys are written.
    pub name: String,
    /// The program that it would be alone: `gateway`, `worker`, `register`.
    pub program: &'static str,
    /// What tells it from others of the program: `shard` or `core`, and its number.
    pub index: Option<(&'static str, usize)>,
    ask: Box<dyn Fn() -> Result<Waiting<PartReport>, NoAnswer> + Send + Sync>,
}

/// How a part is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartReport {
    /// Its line of the status table, but for the name.
    pub row: Row,
    /// What is measured.
    pub metrics: Vec<Metric>,
    /// Why nobody is to be sent here yet, or any more, though the thread does what it should.
    pub unready: Option<&'static str>,
    /// From what a client says to its worker's answer, where that is measured.
    pub latency: Option<Histogram>,
}

impl Part {
    /// A part that `tell` has send its status, of which `read` makes what is told.
    pub fn new<S: Send + 'static>(
        name: String,
        program: &'static str,
        index: Option<(&'static str, usize)>,
        tell: impl Fn(SyncSender<S>) -> Result<(), NoAnswer> + Send + Sync + 'static,
        read: impl Fn(S) -> PartReport + Clone + Send + Sync + 'static,
    ) -> Part {
        let ask = move || Ok(Waiting::begin(&tell)?.map(read.clone()));
        Part { name, program, index, ask: Box::new(ask) }
    }

    /// Asks it, without waiting.
    ///
    /// # Errors
    /// Its thread has ended.
    pub(crate) fn ask(&self) -> Result<Waiting<PartReport>, NoAnswer> {
        (self.ask)()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}
